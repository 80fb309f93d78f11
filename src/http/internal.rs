//! The second listener: `/livez`, `/readyz`, `/metrics`, in plain HTTP, for this machine only.

use std::{convert::Infallible, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use hyper::{
    Method, Request, Response, StatusCode,
    header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Deserialize;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
};

use super::{
    Body, ListenError, listen,
    stage::{Stage, reached},
};
use crate::metrics::Metrics;

/// Connections at one time.
const MAX_CONNECTIONS: usize = 32;

/// Age at which a connection is closed.
const CONNECTION_AGE: Duration = Duration::from_secs(300);

/// Time for the headers of a request.
const HEADER_TIME: Duration = Duration::from_secs(10);

/// Pause after the system could not accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InternalConfig {
    /// Address and port.
    pub listen: SocketAddr,
    /// Whether `listen` may be an address that others can reach. There is no TLS and no authentication.
    #[serde(default)]
    pub allow_remote: bool,
}

/// Whether the service can do its work now.
pub trait Readiness: Send + Sync + 'static {
    /// `Ok`, or the reason why not, in constant words. Called for every `/readyz`: it must not block.
    ///
    /// # Errors
    /// The reason.
    fn ready(&self) -> Result<(), &'static str>;
}

impl<F: Fn() -> Result<(), &'static str> + Send + Sync + 'static> Readiness for F {
    fn ready(&self) -> Result<(), &'static str> {
        self()
    }
}

/// The bound socket.
pub struct InternalListener {
    socket: TcpListener,
    address: SocketAddr,
    metrics: Arc<Metrics>,
    readiness: Arc<dyn Readiness>,
}

impl std::fmt::Debug for InternalListener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InternalListener").field("address", &self.address).finish_non_exhaustive()
    }
}

impl InternalListener {
    /// Binds the address.
    ///
    /// # Errors
    /// [`ListenError`] for an address in use, or one that is not loopback and not allowed to be remote.
    pub async fn bind(
        config: &InternalConfig,
        metrics: Arc<Metrics>,
        readiness: Arc<dyn Readiness>,
    ) -> Result<Self, ListenError> {
        if !config.listen.ip().is_loopback() && !config.allow_remote {
            return Err(ListenError::Remote(config.listen));
        }
        let (socket, address) = listen::bind(config.listen).await?;
        Ok(Self { socket, address, metrics, readiness })
    }

    /// The address bound, with its real port.
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` is ready. Keep it running while the API drains, so that the drain can be watched.
    pub async fn serve(self, stop: impl Future<Output = ()> + Send) {
        let (stage, follow) = watch::channel(Stage::Run);
        let seats = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let mut stop = pin!(stop);
        loop {
            let stream = tokio::select! {
                () = stop.as_mut() => break,
                accepted = self.socket.accept() => match accepted {
                    Ok((stream, _)) => stream,
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                        continue;
                    }
                },
            };
            let Ok(seat) = Arc::clone(&seats).try_acquire_owned() else { continue };
            let (metrics, readiness) = (Arc::clone(&self.metrics), Arc::clone(&self.readiness));
            let mut stage = follow.clone();
            drop(tokio::spawn(async move {
                tokio::select! {
                    () = connection(stream, metrics, readiness) => {}
                    () = reached(&mut stage, Stage::Close) => {}
                    () = tokio::time::sleep(CONNECTION_AGE) => {}
                }
                drop(seat);
            }));
        }
        stage.send_replace(Stage::Close);
    }
}

async fn connection(stream: TcpStream, metrics: Arc<Metrics>, readiness: Arc<dyn Readiness>) {
    let service = service_fn(move |request| {
        let answer = answer(&request, &metrics, &*readiness);
        async move { Ok::<_, Infallible>(answer) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "internal connection ended");
    }
}

fn answer<B>(request: &Request<B>, metrics: &Metrics, readiness: &dyn Readiness) -> Response<Body> {
    let mut response = if matches!(*request.method(), Method::GET | Method::HEAD) {
        match request.uri().path() {
            "/livez" => text(StatusCode::OK, "ok\n"),
            "/readyz" => match readiness.ready() {
                Ok(()) => text(StatusCode::OK, "ready\n"),
                Err(reason) => text(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n")),
            },
            "/metrics" => {
                let mut response = text(StatusCode::OK, metrics.render());
                let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
                response.headers_mut().insert(CONTENT_TYPE, kind);
                response
            }
            _ => text(StatusCode::NOT_FOUND, "there are /livez, /readyz and /metrics\n"),
        }
    } else {
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "only GET\n");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        response
    };
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn text(status: StatusCode, text: impl Into<String>) -> Response<Body> {
    let mut response = Response::new(Body::full(text.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
