//! One authenticated connection: HTTP/1.1 or HTTP/2 as agreed in the handshake, with limits, age and drain.

use std::{convert::Infallible, pin::pin, sync::Arc, time::Duration};

use hyper::{
    Method, Request, Response,
    body::Incoming,
    header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS},
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::graceful::GracefulConnection,
};
use tokio::sync::{mpsc, watch};

use super::{
    Body, Handler, Language, Limits, Problem,
    handshake::{Established, Protocol},
    request_id,
    stage::{Stage, reached},
};
use crate::{auth::Remote, domain::id::RequestId};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Time that the answer to a card has which is sent away: whoever does not answer pings could else ask on for
/// [`Limits::drain_ms`].
const LAST_ANSWER: Duration = Duration::from_secs(1);

/// What every connection needs.
pub(super) struct Context<H> {
    pub(super) handler: Arc<H>,
    pub(super) limits: Limits,
    pub(super) stage: watch::Receiver<Stage>,
    /// Held by whatever must end before the listener has drained.
    pub(super) alive: mpsc::Sender<Infallible>,
}

impl<H> Clone for Context<H> {
    fn clone(&self) -> Self {
        Self {
            handler: Arc::clone(&self.handler),
            limits: self.limits.clone(),
            stage: self.stage.clone(),
            alive: self.alive.clone(),
        }
    }
}

/// Serves a connection to its end, at most until `age` and the time to drain have passed.
pub(super) async fn serve<H: Handler>(context: Context<H>, connection: Established, age: Duration) {
    let Established { io, remote, protocol } = connection;
    let io = TokioIo::new(io);
    let limits = context.limits.clone();
    let stage = context.stage.clone();
    let drain = Duration::from_millis(limits.drain_ms);
    let whose = Arc::clone(&remote);
    let over = async move {
        tokio::select! {
            () = whose.over() => LAST_ANSWER.min(drain),
            () = tokio::time::sleep(age) => drain,
        }
    };
    let service = service_fn(move |request| {
        let answer = answer(context.handler.clone(), context.alive.clone(), Arc::clone(&remote), request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    match protocol {
        Protocol::Http1 => drive(http1(&limits).serve_connection(io, service), stage, over, drain).await,
        Protocol::Http2 => drive(http2(&limits).serve_connection(io, service), stage, over, drain).await,
    }
}

fn http1(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(limits.header_ms))
        .max_headers(limits.header_count)
        .max_header_size(usize::try_from(limits.header_bytes).unwrap_or(usize::MAX));
    builder
}

fn http2(limits: &Limits) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_header_list_size(limits.header_bytes)
        .max_concurrent_streams(limits.h2_streams)
        .keep_alive_interval(Duration::from_millis(limits.h2_ping_ms))
        .keep_alive_timeout(Duration::from_millis(limits.h2_ping_answer_ms))
        .max_pending_accept_reset_streams(limits.h2_pending_resets)
        .max_local_error_reset_streams(limits.h2_error_resets);
    builder
}

/// Until `over` is ready the connection takes requests; it says how long those in hand may take then.
async fn drive<C>(
    connection: C,
    mut stage: watch::Receiver<Stage>,
    over: impl Future<Output = Duration>,
    drain: Duration,
) where
    C: GracefulConnection,
    C::Error: std::fmt::Display,
{
    let mut connection = pin!(connection);
    let rest = tokio::select! {
        ended = connection.as_mut() => return report(ended),
        () = reached(&mut stage, Stage::Drain) => drain,
        rest = over => rest,
    };
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        ended = connection => report(ended),
        () = reached(&mut stage, Stage::Close) => tracing::debug!("connection closed by the drain's end"),
        () = tokio::time::sleep(rest) => tracing::debug!("connection closed, not drained in time"),
    }
}

/// The library's texts name kinds of fault, never bytes of a request.
fn report<E: std::fmt::Display>(ended: Result<(), E>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended");
    }
}

/// Runs the handler in a task of its own and completes its answer.
async fn answer<H: Handler>(
    handler: Arc<H>,
    alive: mpsc::Sender<Infallible>,
    remote: Arc<Remote>,
    mut request: Request<Incoming>,
) -> Response<Body> {
    let language = Language::preferred(request.headers());
    let Some(id) = request_id::random() else {
        tracing::error!("no random numbers for a request id");
        return complete(Problem::unavailable().into_response(request_id::NONE, language), request_id::NONE);
    };
    request.extensions_mut().insert(id);
    let head_only = request.method() == Method::HEAD;
    let task = tokio::spawn(async move {
        let response = handler.handle(remote, request).await;
        drop(alive);
        response
    });
    let response = task.await.unwrap_or_else(|error| {
        // The panic's own text is not logged here: it could hold content.
        tracing::error!(request_id = %id, panicked = error.is_panic(), "handler did not answer");
        Problem::internal().into_response(id, language)
    });
    let response = complete(response, id);
    // RFC 9110, 9.3.2: no content. HTTP/2 clients take content for a broken stream.
    if head_only { response.map(|_| Body::empty()) } else { response }
}

/// The headers that every answer has; nobody keeps one whose maker does not say so.
fn complete(mut response: Response<Body>, id: RequestId) -> Response<Body> {
    let headers = response.headers_mut();
    headers.insert(X_REQUEST_ID, request_id::header(id));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
    response
}
