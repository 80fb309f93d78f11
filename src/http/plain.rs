//! A listener in plain HTTP/1.1 without authentication: for this machine, unless somebody says otherwise.

use std::{convert::Infallible, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
};

use super::{
    Body, ListenError, listen,
    stage::{Stage, reached},
};

/// Connections at one time.
const MAX_CONNECTIONS: usize = 32;

/// Age at which a connection is closed.
const CONNECTION_AGE: Duration = Duration::from_secs(300);

/// Time for the headers of a request.
const HEADER_TIME: Duration = Duration::from_secs(10);

/// Pause after the system could not accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// From where a listener may be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// From wherever its address leads to.
    Anywhere,
    /// From this machine: a loopback address, or it is refused.
    Loopback,
}

/// The bound socket.
#[derive(Debug)]
pub struct PlainListener {
    socket: TcpListener,
    address: SocketAddr,
}

impl PlainListener {
    /// Binds the address.
    ///
    /// # Errors
    /// [`ListenError`] for an address in use, or one that reaches further than it may.
    pub async fn bind(address: SocketAddr, reach: Reach) -> Result<Self, ListenError> {
        if reach == Reach::Loopback && !address.ip().is_loopback() {
            return Err(ListenError::Remote(address));
        }
        let (socket, address) = listen::bind(address).await?;
        Ok(Self { socket, address })
    }

    /// The address bound, with its real port.
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` is ready; what is open then is closed.
    pub async fn serve<F, R>(self, answer: F, stop: impl Future<Output = ()> + Send)
    where
        F: Fn(Request<Incoming>) -> R + Clone + Send + Sync + 'static,
        R: Future<Output = Response<Body>> + Send,
    {
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
            let (answer, mut stage) = (answer.clone(), follow.clone());
            drop(tokio::spawn(async move {
                tokio::select! {
                    () = connection(stream, answer) => {}
                    () = reached(&mut stage, Stage::Close) => {}
                    () = tokio::time::sleep(CONNECTION_AGE) => {}
                }
                drop(seat);
            }));
        }
        stage.send_replace(Stage::Close);
    }
}

async fn connection<F, R>(stream: TcpStream, answer: F)
where
    F: Fn(Request<Incoming>) -> R + Send + Sync,
    R: Future<Output = Response<Body>> + Send,
{
    let service = service_fn(move |request| {
        let answer = answer(request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "plain connection ended");
    }
}
