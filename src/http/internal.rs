//! The second listener: `/livez`, `/readyz`, `/metrics`, in plain HTTP, for this machine only.

use std::{net::SocketAddr, sync::Arc};

use hyper::{
    Method, Request, Response, StatusCode,
    header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue},
};
use serde::Deserialize;

use super::{
    Body, ListenError,
    plain::{PlainListener, Reach},
};
use crate::metrics::Metrics;

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
    socket: PlainListener,
    metrics: Arc<Metrics>,
    readiness: Arc<dyn Readiness>,
}

impl std::fmt::Debug for InternalListener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InternalListener").field("address", &self.local_addr()).finish_non_exhaustive()
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
        let reach = if config.allow_remote { Reach::Anywhere } else { Reach::Loopback };
        Ok(Self { socket: PlainListener::bind(config.listen, reach).await?, metrics, readiness })
    }

    /// The address bound, with its real port.
    pub const fn local_addr(&self) -> SocketAddr {
        self.socket.local_addr()
    }

    /// Serves until `stop` is ready. Keep it running while the API drains, so that the drain can be watched.
    pub async fn serve(self, stop: impl Future<Output = ()> + Send) {
        let Self { socket, metrics, readiness } = self;
        let answer = move |request: Request<_>| std::future::ready(answer(&request, &metrics, &*readiness));
        socket.serve(answer, stop).await;
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
