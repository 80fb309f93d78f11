//! A connection to the relay: TLS first, then the SMTP library.
//!
//! The plain beginning of STARTTLS is spoken here and not by the library, for two reasons. The library never sees a
//! clear-text stream, so no mistake or missing capability can make it send a password or a message in clear. And
//! whatever arrives together with the answer to STARTTLS, before TLS is up, is refused: an attacker could have put
//! it there as if the relay had said it.

use std::{
    fmt, io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use lettre::transport::smtp::{
    authentication::{Credentials, Mechanism},
    client::{AsyncSmtpConnection, AsyncTokioStream},
    commands::Ehlo,
    extension::ClientId,
};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{mail::without_text, setback::Setback};

/// Longest answer to one command before TLS, in bytes.
const MAX_REPLY: u64 = 16 * 1024;

/// When TLS begins. There is no third way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Start {
    /// After the STARTTLS command, without which nothing is sent (port 587).
    Starttls,
    /// At once (port 465).
    Tls,
}

/// Where the relay is, and how to be let in.
pub(super) struct Relay {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) start: Start,
    pub(super) name: ServerName<'static>,
    pub(super) tls: Arc<ClientConfig>,
    pub(super) hello: ClientId,
    pub(super) credentials: Credentials,
}

/// A connection that is authenticated.
pub(super) struct Connection {
    pub(super) smtp: AsyncSmtpConnection,
    /// The relay takes what is to come back of a message (RFC 3461).
    pub(super) offers_dsn: bool,
}

impl Relay {
    /// Connects, encrypts, authenticates. Whatever goes wrong here concerns every delivery.
    pub(super) async fn connect(&self) -> Result<Connection, Setback> {
        let trouble = |what: &str, why: &dyn fmt::Display| Setback::Trouble(format!("relay: {what}: {why}"));
        let tcp = TcpStream::connect((self.host.as_str(), self.port))
            .await
            .map_err(|e| trouble("connection", &e))?;
        tcp.set_nodelay(true).map_err(|e| trouble("connection", &e))?;
        let (tcp, greeting): (_, &[u8]) = match self.start {
            Start::Starttls => {
                (self.starttls(tcp).await.map_err(|e| trouble("STARTTLS", &e))?, b"220 TLS is up\r\n")
            }
            Start::Tls => (tcp, b""),
        };
        let stream = TlsConnector::from(Arc::clone(&self.tls))
            .connect(self.name.clone(), tcp)
            .await
            .map_err(|e| trouble("TLS", &e))?;
        let stream = Box::new(Encrypted { greeting, stream });
        let mut smtp = AsyncSmtpConnection::connect_with_transport(stream, &self.hello)
            .await
            .map_err(|e| trouble("EHLO", &without_text(&e)))?;
        smtp.auth(&[Mechanism::Plain], &self.credentials)
            .await
            .map_err(|e| trouble("AUTH PLAIN", &without_text(&e)))?;
        // Asked again, since the library does not tell what it does not know, and since more can be offered now (RFC 4954, 4).
        let features = smtp
            .command(Ehlo::new(self.hello.clone()))
            .await
            .map_err(|e| trouble("EHLO", &without_text(&e)))?;
        let offers_dsn = features.message().skip(1).any(|line| line.trim().eq_ignore_ascii_case("DSN"));
        Ok(Connection { smtp, offers_dsn })
    }

    /// From the relay's greeting to its consent to begin TLS.
    async fn starttls(&self, tcp: TcpStream) -> io::Result<TcpStream> {
        let mut tcp = BufReader::new(tcp);
        reply(&mut tcp, "220").await?;
        tcp.write_all(format!("EHLO {}\r\n", self.hello).as_bytes()).await?;
        let features = reply(&mut tcp, "250").await?;
        if !features
            .lines()
            .skip(1)
            .any(|l| l.get(4..).is_some_and(|f| f.trim().eq_ignore_ascii_case("STARTTLS")))
        {
            return Err(io::Error::other("not offered; refused to go on in clear"));
        }
        tcp.write_all(b"STARTTLS\r\n").await?;
        reply(&mut tcp, "220").await?;
        if !tcp.buffer().is_empty() {
            return Err(io::Error::other("more than the answer came before TLS"));
        }
        Ok(tcp.into_inner())
    }
}

/// Reads one whole answer and wants its code. The relay's text is dropped, not reported.
async fn reply(from: &mut BufReader<TcpStream>, code: &str) -> io::Result<String> {
    let mut from = from.take(MAX_REPLY);
    let mut whole = String::new();
    loop {
        let start = whole.len();
        from.read_line(&mut whole).await?;
        let line = whole.get(start..).unwrap_or_default();
        let (got, rest) = line.split_at_checked(3).ok_or(io::ErrorKind::UnexpectedEof)?;
        if got != code {
            let digits = got.bytes().all(|b| b.is_ascii_digit());
            let said = if digits { format!("SMTP {got}") } else { "no SMTP".to_owned() };
            return Err(io::Error::other(said));
        }
        match (rest.as_bytes().first(), rest.ends_with('\n')) {
            (Some(b'-'), true) => {}
            (Some(b' ' | b'\r' | b'\n'), true) => return Ok(whole),
            _ => return Err(io::Error::other("no SMTP")),
        }
    }
}

/// An encrypted stream as the library wants it: it waits for a greeting, which after STARTTLS has already been read.
#[derive(Debug)]
struct Encrypted {
    greeting: &'static [u8],
    stream: TlsStream<TcpStream>,
}

impl AsyncTokioStream for Encrypted {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.stream.get_ref().0.peer_addr()
    }
}

impl AsyncRead for Encrypted {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.greeting.is_empty() {
            return Pin::new(&mut this.stream).poll_read(cx, to);
        }
        let (now, later) = this.greeting.split_at(this.greeting.len().min(to.remaining()));
        to.put_slice(now);
        this.greeting = later;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Encrypted {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, from)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
