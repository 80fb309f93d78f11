//! The API's transport: connections, limits, bodies, problems. Routes are above, behind [`Handler`].
//!
//! A request reaches the handler only from a verified [`Remote`]; every answer has the same fixed headers.

mod answer;
mod body;
mod conn;
mod handshake;
mod language;
mod listen;
mod problem;
mod request_id;
mod stage;

pub mod internal;
pub mod italian;
pub mod limits;
pub mod plain;

use std::sync::Arc;

use hyper::{Request, Response, body::Incoming};

use crate::auth::Remote;

pub use answer::{Body, StreamEnded, StreamSender};
pub use body::{BodyError, BodyLimits, MediaType, read};
pub use language::Language;
pub use limits::Limits;
pub use listen::{Drained, ListenError, Listener};
pub use problem::Problem;
pub use request_id::request_id;

/// The application.
///
/// Each request runs in a task of its own, to its end, even when the client has gone: no effect stops half way.
/// [`request_id`] finds its id among the request's extensions. A panic becomes a 500 (where panics unwind).
pub trait Handler: Send + Sync + 'static {
    /// Answers one request. Bounding its own time is the handler's duty.
    fn handle(
        &self,
        remote: Arc<Remote>,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<Body>> + Send;
}
