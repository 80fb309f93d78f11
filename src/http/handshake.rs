//! From a TCP connection to an authenticated peer, in bounded time.

use std::{pin::Pin, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::Limits;
use crate::{
    auth::Remote,
    clock::Clock,
    tls::{Entrance, HandshakeFailure},
};

/// How long and how much a refused peer may go on before the socket is closed.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: u64 = 64 << 10;

/// A connection whose peer is known.
pub(super) struct Established {
    pub(super) io: TlsStream<Pin<Box<TimeoutStream<TcpStream>>>>,
    pub(super) remote: Arc<Remote>,
    pub(super) protocol: Protocol,
}

/// The version of HTTP that was agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

pub(super) async fn establish(
    stream: TcpStream,
    entrance: &dyn Entrance,
    clock: &dyn Clock,
    limits: &Limits,
) -> Result<Established, HandshakeFailure> {
    stream.set_nodelay(true).map_err(|_| HandshakeFailure::Io)?;
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(limits.stall()));
    let accept = TlsAcceptor::from(entrance.current()).accept(Box::pin(stream)).into_fallible();
    let accepted = tokio::time::timeout(Duration::from_millis(limits.handshake_ms), accept).await;
    let mut io = match accepted.map_err(|_| HandshakeFailure::Timeout)? {
        Ok(io) => io,
        Err((error, io)) => {
            linger(io).await;
            return Err(HandshakeFailure::of(&error));
        }
    };
    let session = io.get_ref().1;
    let certificates = session.peer_certificates().and_then(<[_]>::split_first);
    let (leaf, chain) = certificates.ok_or(HandshakeFailure::NoCertificate)?;
    let remote = Arc::new(entrance.remote(leaf, chain, clock.now_ms())?);
    let protocol = if session.alpn_protocol() == Some(b"h2") { Protocol::Http2 } else { Protocol::Http1 };
    if protocol == Protocol::Http2 {
        // Answers to pings keep it from running out; a peer that does not even begin has no pings. HTTP/1.1 gets
        // no such limit, since it would end a connection that waits for a long answer: its header and body
        // limits are enough.
        let silence = limits.h2_ping_ms.saturating_add(limits.h2_ping_answer_ms);
        io.get_mut().0.as_mut().set_read_timeout_pinned(Some(Duration::from_millis(silence)));
    }
    Ok(Established { io, remote, protocol })
}

/// Lets the peer read the alert: closing a socket that holds unread bytes (a first request, say) would reset
/// the connection, and the reason would be lost.
async fn linger(mut io: impl AsyncRead + AsyncWrite + Unpin) {
    let drained = async {
        io.shutdown().await?;
        let mut rest = io.take(LINGER_BYTES);
        tokio::io::copy(&mut rest, &mut tokio::io::sink()).await
    };
    if !matches!(tokio::time::timeout(LINGER, drained).await, Ok(Ok(_))) {
        tracing::trace!("peer did not wait for the alert");
    }
}
