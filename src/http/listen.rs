//! The API's socket: accepts, authenticates, hands over, drains.

use std::{convert::Infallible, io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch},
};

use super::{
    Handler, Limits,
    conn::{self, Context},
    handshake::establish,
    limits::LimitError,
    stage::{Stage, reached},
};
use crate::{clock::Clock, metrics::Metrics, tls::Entrance};

/// Pause after the system could not accept (out of file descriptors, say).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Time for closed connections to let go at the end of a drain.
const CLOSE_TIME: Duration = Duration::from_secs(1);

/// Why there is no listener.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address cannot be bound.
    #[error("{address}: {reason}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        reason: io::Error,
    },
    /// A limit is out of range.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// The internal listener would be reachable from elsewhere.
    #[error("{0}: not a loopback address; set allow_remote = true to serve it to others, without TLS")]
    Remote(SocketAddr),
}

/// How a drain ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Connections and requests that were still there when the time was over; 0 for a clean end.
    pub abandoned: usize,
}

/// A bound socket with whom it lets in, and limits.
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    entrance: Arc<dyn Entrance>,
    limits: Limits,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listener").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Listener {
    /// Binds the address. Clients wait in the system's queue until [`Listener::serve`].
    ///
    /// # Errors
    /// [`ListenError`] for an address in use or a limit out of range.
    pub async fn bind(
        address: SocketAddr,
        entrance: Arc<dyn Entrance>,
        limits: Limits,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, ListenError> {
        limits.check()?;
        let (socket, address) = bind(address).await?;
        Ok(Self { socket, address, entrance, limits, clock, metrics })
    }

    /// The address bound, with its real port.
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` is ready, then drains: takes no connection, lets requests finish for
    /// [`Limits::drain_ms`], and closes the rest.
    pub async fn serve<H: Handler>(self, handler: Arc<H>, stop: impl Future<Output = ()> + Send) -> Drained {
        let (stage, follow) = watch::channel(Stage::Run);
        let (alive, mut ended) = mpsc::channel(1);
        let door = Door {
            entrance: self.entrance,
            clock: self.clock,
            metrics: self.metrics,
            handshakes: Arc::new(Semaphore::new(self.limits.max_handshakes)),
            connections: Arc::new(Semaphore::new(self.limits.max_connections)),
            context: Context { handler, limits: self.limits.clone(), stage: follow, alive },
        };
        let mut stop = pin!(stop);
        loop {
            tokio::select! {
                () = stop.as_mut() => break,
                accepted = self.socket.accept() => match accepted {
                    Ok((stream, _)) => door.admit(stream),
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
        drop(self.socket);
        drop(door);
        stage.send_replace(Stage::Drain);
        if gone(&mut ended, Duration::from_millis(self.limits.drain_ms)).await {
            return Drained { abandoned: 0 };
        }
        stage.send_replace(Stage::Close);
        if gone(&mut ended, CLOSE_TIME).await {
            tracing::warn!("closed connections that did not drain in time");
        }
        Drained { abandoned: ended.sender_strong_count() }
    }
}

pub(super) async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), ListenError> {
    let fault = |reason| ListenError::Bind { address, reason };
    let socket = TcpListener::bind(address).await.map_err(fault)?;
    let bound = socket.local_addr().map_err(fault)?;
    Ok((socket, bound))
}

/// Whether all that had to end has ended in time.
async fn gone(ended: &mut mpsc::Receiver<Infallible>, time: Duration) -> bool {
    tokio::time::timeout(time, ended.recv()).await.is_ok()
}

/// Decides who gets a place.
struct Door<H> {
    entrance: Arc<dyn Entrance>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    handshakes: Arc<Semaphore>,
    connections: Arc<Semaphore>,
    context: Context<H>,
}

impl<H: Handler> Door<H> {
    /// Starts a task for the connection, or closes it when there is no place.
    fn admit(&self, stream: TcpStream) {
        let place = Arc::clone(&self.handshakes).try_acquire_owned();
        let Ok(place) = place else {
            self.metrics.connection_refused();
            return;
        };
        if self.connections.available_permits() == 0 {
            self.metrics.connection_refused();
            return;
        }
        let visitor = Visitor {
            entrance: Arc::clone(&self.entrance),
            clock: Arc::clone(&self.clock),
            metrics: Arc::clone(&self.metrics),
            connections: Arc::clone(&self.connections),
            context: self.context.clone(),
        };
        // The task ends by itself: by its limits, or by the stage.
        drop(tokio::spawn(visitor.enter(stream, place)));
    }
}

/// One connection on its way in.
struct Visitor<H> {
    entrance: Arc<dyn Entrance>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    connections: Arc<Semaphore>,
    context: Context<H>,
}

impl<H: Handler> Visitor<H> {
    async fn enter(self, stream: TcpStream, place: OwnedSemaphorePermit) {
        let mut stage = self.context.stage.clone();
        let established = tokio::select! {
            established = establish(stream, &*self.entrance, &*self.clock, &self.context.limits) => established,
            () = reached(&mut stage, Stage::Drain) => return,
        };
        let established = match established {
            Ok(established) => established,
            Err(reason) => {
                self.metrics.handshake_failed(reason);
                tracing::debug!(reason = reason.as_str(), "handshake failed");
                return;
            }
        };
        drop(place);
        let Ok(_seat) = self.connections.try_acquire_owned() else {
            self.metrics.connection_refused();
            return;
        };
        let _open = self.metrics.connection_opened();
        let left = established.remote.until_ms().saturating_sub(self.clock.now_ms());
        let age = Duration::from_millis(self.context.limits.connection_age_ms.min(left));
        conn::serve(self.context, established, age).await;
    }
}
