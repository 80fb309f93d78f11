//! Delivery receipts: the gateway calls `GET /receipt/{slip}?status=N` when it learns what became of a message.
//!
//! What is final is told to the authority ([`crate::courier::late`]); until it has taken it, the gateway is told to come
//! again.

use std::{net::SocketAddr, sync::Arc};

use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{ALLOW, HeaderValue},
};
use tokio::sync::watch;

use super::slips::Slips;
use crate::{
    courier::{
        Authority, Limits,
        late::{End, Told, tell},
        slip::NoSlip,
    },
    domain::id::{DeliveryId, LeaseId},
    http::{
        Body, ListenError,
        plain::{PlainListener, Reach},
    },
};

/// The listener for receipts, bound; it serves once it is told which authority to report to.
#[derive(Debug)]
pub struct Receipts {
    listener: PlainListener,
    slips: Arc<Slips>,
}

/// What a receipt's number means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    /// On its way: buffered (4) or accepted (8) by the network.
    OnItsWay,
    /// The phone has it (1).
    Delivered,
    /// Never: failed (2) or rejected (16).
    Failed,
}

impl Word {
    const fn of(status: u8) -> Option<Self> {
        match status {
            1 => Some(Self::Delivered),
            2 | 16 => Some(Self::Failed),
            4 | 8 => Some(Self::OnItsWay),
            _ => None,
        }
    }
}

impl Receipts {
    /// Binds `listen`. `base` is where the gateway reaches it; the address itself unless it is given.
    ///
    /// # Errors
    /// [`ListenError`], or a key that cannot be used.
    pub async fn bind(
        listen: SocketAddr,
        reach: Reach,
        base: Option<String>,
        key: &[u8; 32],
    ) -> Result<Result<Self, NoSlip>, ListenError> {
        let listener = PlainListener::bind(listen, reach).await?;
        let base = base.unwrap_or_else(|| format!("http://{}", listener.local_addr()));
        Ok(Slips::new(key, base).map(|slips| Self { listener, slips: Arc::new(slips) }))
    }

    /// For the gateway, so that it asks for receipts.
    pub fn slips(&self) -> Arc<Slips> {
        Arc::clone(&self.slips)
    }

    /// The address bound, with its real port.
    pub const fn local_addr(&self) -> SocketAddr {
        self.listener.local_addr()
    }

    /// Takes receipts until `stop` becomes true.
    pub async fn serve<A: Authority + 'static>(
        self,
        authority: Arc<A>,
        limits: Limits,
        mut stop: watch::Receiver<bool>,
    ) {
        let Self { listener, slips } = self;
        let desk = Arc::new(Desk { authority, limits, slips });
        let answer = move |request: Request<Incoming>| {
            let desk = Arc::clone(&desk);
            async move { desk.answer(&request).await }
        };
        let stopped = async move {
            if stop.wait_for(|stop| *stop).await.is_err() {
                tracing::debug!("nobody is left to stop the listener for receipts");
            }
        };
        listener.serve(answer, stopped).await;
    }
}

struct Desk<A> {
    authority: Arc<A>,
    limits: Limits,
    slips: Arc<Slips>,
}

impl<A: Authority> Desk<A> {
    async fn answer<B>(&self, request: &Request<B>) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        if request.method() != Method::GET {
            *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
            return response;
        }
        let uri = request.uri();
        let named = uri.path().strip_prefix("/receipt/").and_then(|slip| self.slips.redeem(slip));
        let word = uri
            .query()
            .and_then(|query| query.strip_prefix("status="))
            .and_then(|status| Word::of(status.parse().ok()?));
        *response.status_mut() = match (named, word) {
            (None, _) => StatusCode::NOT_FOUND,
            (Some(_), None) => StatusCode::BAD_REQUEST,
            (Some((delivery, lease)), Some(word)) => self.take(delivery, lease, word).await,
        };
        response
    }

    /// Passes a receipt on. A 200 means that nothing more is to be done about it.
    async fn take(&self, delivery: DeliveryId, lease: LeaseId, word: Word) -> StatusCode {
        let end = match word {
            Word::OnItsWay => return StatusCode::OK,
            Word::Delivered => End::Delivered,
            Word::Failed => End::Failed("SMS gateway: not delivered".to_owned()),
        };
        match tell(&*self.authority, self.limits, (delivery, lease), &end).await {
            Told::Done => StatusCode::OK,
            Told::Later => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}
