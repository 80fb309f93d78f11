//! The least that any server does over the same TLS: hyper, rustls and a client certificate, an answer as long as a
//! verification's, and nothing else.

use std::{
    convert::Infallible,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
};

use http_body_util::{BodyExt, Full};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    header::{CONTENT_TYPE, HeaderValue},
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// As long as a rejected verification.
const ANSWER: &[u8] = br#"{"outcome":"rejected","verification":"00000000000000000000000000000000"}"#;

/// The files of `sigillo init --demo` under `authority/tls`.
fn config(tls: &Path) -> Result<ServerConfig, String> {
    let at = |name: &str| tls.join(name);
    let fault = |name: &str, e: &dyn std::fmt::Display| format!("{}: {e}", tls.join(name).display());
    let chain = |name: &str| -> Result<Vec<CertificateDer<'static>>, String> {
        let read = CertificateDer::pem_file_iter(at(name)).and_then(Iterator::collect);
        read.map_err(|e| fault(name, &e))
    };
    let mut roots = RootCertStore::empty();
    for authority in chain("client-ca.pem")? {
        roots.add(authority).map_err(|e| fault("client-ca.pem", &e))?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let key = PrivateKeyDer::from_pem_file(at("server.key")).map_err(|e| fault("server.key", &e))?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?
        .with_client_cert_verifier(clients.build().map_err(|e| e.to_string())?)
        .with_single_cert(chain("server.pem")?, key)
        .map_err(|e| e.to_string())?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// Serves until the process is ended. Its address is the first line that it writes.
pub(crate) async fn serve(tls: &Path, say: impl FnOnce(String)) -> Result<(), String> {
    let acceptor = TlsAcceptor::from(Arc::new(config(tls)?));
    let socket = TcpListener::bind("127.0.0.1:0").await.map_err(|e| e.to_string())?;
    say(socket.local_addr().map_err(|e| e.to_string())?.to_string());
    loop {
        let (stream, _) = socket.accept().await.map_err(|e| e.to_string())?;
        let acceptor = acceptor.clone();
        // A connection that breaks is its client's matter, which counts an error.
        tokio::spawn(async move { drop(connection(stream, acceptor).await) });
    }
}

async fn connection(
    stream: TcpStream,
    acceptor: TlsAcceptor,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    stream.set_nodelay(true)?;
    let tls = acceptor.accept(stream).await?;
    let is_http2 = tls.get_ref().1.alpn_protocol() == Some(b"h2");
    let (io, service) = (TokioIo::new(tls), service_fn(hello));
    if is_http2 {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.timer(TokioTimer::new()).serve_connection(io, service).await?;
    } else {
        http1::Builder::new().timer(TokioTimer::new()).serve_connection(io, service).await?;
    }
    Ok(())
}

/// Reads the body, as everybody must.
async fn hello(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let read = request.into_body().collect().await.map(http_body_util::Collected::to_bytes);
    let mut response = Response::new(Full::new(Bytes::from_static(ANSWER)));
    if read.is_err() {
        *response.status_mut() = hyper::StatusCode::BAD_REQUEST;
    }
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

/// That server as a process of its own, so that its CPU can be told. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Hello {
    child: Child,
    /// `https://` and its address.
    pub(crate) url: String,
}

impl Hello {
    /// Starts it with the server's files in `tls`.
    pub(crate) fn start(tls: &Path) -> Result<Self, String> {
        let program = std::env::current_exe().map_err(|e| e.to_string())?;
        let mut command = Command::new(program);
        command.arg("serve-hello").arg("--tls").arg(tls).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|e| e.to_string())?;
        let out = child.stdout.take();
        // Held from here on: it is ended whatever happens.
        let mut this = Self { child, url: String::new() };
        let mut line = String::new();
        let read = out.map(|out| BufReader::new(out).read_line(&mut line)).transpose();
        read.map_err(|e| e.to_string())?;
        match line.trim_end().strip_prefix("listening on ") {
            Some(address) => this.url = format!("https://{address}"),
            None => return Err(format!("the hello server did not start: {}", line.trim_end())),
        }
        Ok(this)
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Hello {
    fn drop(&mut self) {
        // Nothing more can be done for a process that does not even die.
        let _killed: std::io::Result<()> = self.child.kill();
        let _gone: std::io::Result<_> = self.child.wait();
    }
}
