//! The name of a request in logs, events and answers.

use aws_lc_rs::rand;
use hyper::{Request, header::HeaderValue};

use crate::domain::id::RequestId;

/// The request that got no id, because the system gave no random numbers.
pub(super) const NONE: RequestId = RequestId::new([0; 16]);

/// A new id; `None` when the system gives no random numbers.
pub(super) fn random() -> Option<RequestId> {
    let mut bytes = [0; 16];
    rand::fill(&mut bytes).ok()?;
    Some(RequestId::new(bytes))
}

/// The id that the transport gave to a request.
pub fn request_id<B>(request: &Request<B>) -> RequestId {
    request.extensions().get().copied().unwrap_or(NONE)
}

pub(super) fn header(id: RequestId) -> HeaderValue {
    HeaderValue::from_str(&id.to_string()).unwrap_or_else(|_| HeaderValue::from_static(""))
}
