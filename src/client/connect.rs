//! From the base address to a connection that can carry requests.

use std::{io, sync::Arc, time::Duration};

use http_body_util::Full;
use hyper::{
    HeaderMap, Method, Request, Response, Uri,
    body::{Bytes, Incoming},
    client::conn::{TrySendError, http1, http2},
    header::{HOST, HeaderValue},
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::{AlertDescription, ClientConfig, pki_types::ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{
    ClientError,
    watch::{Alert, Watched},
};

/// Time between pings on an idle or busy HTTP/2 connection, and for their answers.
const PING: Duration = Duration::from_secs(20);

/// Longest answer headers, bytes.
const MAX_HEADERS: u32 = 32 << 10;

/// Where to connect to, and as whom.
pub(super) struct Origin {
    authority: String,
    host: String,
    port: u16,
    name: ServerName<'static>,
    connector: TlsConnector,
}

/// A request that can be made more than once, for a connection of either version.
pub(super) struct Call<'a> {
    pub(super) method: Method,
    pub(super) path: &'a str,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// The sending end of a connection.
pub(super) struct Sender {
    line: Line,
    alert: Alert,
}

enum Line {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Origin {
    pub(super) fn new(base: &str, config: ClientConfig) -> Result<Self, ClientError> {
        let fault = || ClientError::Base(base.to_owned());
        let uri: Uri = base.parse().map_err(|_| fault())?;
        let authority = uri.authority().ok_or_else(fault)?;
        let bare =
            matches!(uri.path(), "" | "/") && uri.query().is_none() && !authority.as_str().contains('@');
        if uri.scheme_str() != Some("https") || !bare {
            return Err(fault());
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self {
            authority: authority.to_string(),
            port: authority.port_u16().unwrap_or(443),
            name: ServerName::try_from(host.clone()).map_err(|_| fault())?,
            host,
            connector: TlsConnector::from(Arc::new(config)),
        })
    }

    pub(super) async fn dial(&self) -> Result<Sender, ClientError> {
        let tcp = TcpStream::connect((self.host.as_str(), self.port)).await.map_err(ClientError::Connect)?;
        tcp.set_nodelay(true).map_err(ClientError::Connect)?;
        let tls = self.connector.connect(self.name.clone(), tcp).await.map_err(ClientError::Connect)?;
        let http2 = tls.get_ref().1.alpn_protocol() == Some(b"h2");
        let (tls, alert) = Watched::new(tls);
        let io = TokioIo::new(tls);
        let line = if http2 {
            let (sender, connection) = http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .keep_alive_interval(PING)
                .keep_alive_timeout(PING)
                .keep_alive_while_idle(true)
                .max_header_list_size(MAX_HEADERS)
                .handshake(io)
                .await
                .map_err(broken)?;
            run(connection);
            Line::Http2(sender)
        } else {
            let (sender, connection) = http1::Builder::new()
                .max_header_size(usize::try_from(MAX_HEADERS).unwrap_or(usize::MAX))
                .handshake(io)
                .await
                .map_err(broken)?;
            run(connection);
            Line::Http1(sender)
        };
        Ok(Sender { line, alert })
    }

    /// The request as this version of HTTP wants it.
    pub(super) fn request(
        &self,
        call: &Call<'_>,
        over: &Sender,
    ) -> Result<Request<Full<Bytes>>, ClientError> {
        let invalid = |_| ClientError::InvalidRequest;
        let mut request = Request::new(Full::new(call.body.clone()));
        *request.method_mut() = call.method.clone();
        *request.headers_mut() = call.headers.clone();
        if !call.path.starts_with('/') {
            return Err(ClientError::InvalidRequest);
        }
        *request.uri_mut() = match over.line {
            Line::Http1(_) => {
                let host = HeaderValue::from_str(&self.authority).map_err(|_| ClientError::InvalidRequest)?;
                request.headers_mut().insert(HOST, host);
                call.path.parse().map_err(invalid)?
            }
            Line::Http2(_) => format!("https://{}{}", self.authority, call.path).parse().map_err(invalid)?,
        };
        Ok(request)
    }
}

impl Sender {
    /// Another handle of the same connection, if it carries many calls at a time (HTTP/2).
    pub(super) fn share(&self) -> Option<Self> {
        match &self.line {
            Line::Http1(_) => None,
            Line::Http2(sender) => {
                Some(Self { line: Line::Http2(sender.clone()), alert: Arc::clone(&self.alert) })
            }
        }
    }

    /// The alert that the server closed the connection with.
    pub(super) fn alert(&self) -> Option<AlertDescription> {
        self.alert.get().copied()
    }

    pub(super) fn is_closed(&self) -> bool {
        match &self.line {
            Line::Http1(sender) => sender.is_closed(),
            Line::Http2(sender) => sender.is_closed(),
        }
    }

    /// Waits until the connection can take a request.
    pub(super) async fn ready(&mut self) -> Result<(), hyper::Error> {
        match &mut self.line {
            Line::Http1(sender) => sender.ready().await,
            Line::Http2(sender) => sender.ready().await,
        }
    }

    pub(super) async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Full<Bytes>>>> {
        match &mut self.line {
            Line::Http1(sender) => sender.try_send_request(request).await,
            Line::Http2(sender) => sender.try_send_request(request).await,
        }
    }
}

/// A connection works in a task of its own; who sends on it hears of its end.
fn run(connection: impl Future<Output = Result<(), hyper::Error>> + Send + 'static) {
    drop(tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "connection ended");
        }
    }));
}

fn broken(error: hyper::Error) -> ClientError {
    ClientError::Connect(io::Error::other(error))
}
