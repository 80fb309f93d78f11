//! A gateway in the manner of Kannel's that does what the last digits of the number say.

use std::{
    os::unix::fs::PermissionsExt,
    sync::{Arc, Mutex},
};

use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use sigillo::{
    clock::{Clock, SystemClock},
    courier::config::Config,
    pki::{Ca, Validity},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};

/// What it was asked.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) line: String,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> String {
        let value = self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        value.unwrap_or_else(|| panic!("no {name} in\n{}", self.head)).to_owned()
    }
}

type List = Arc<Mutex<Vec<Asked>>>;

/// Of a number's last four digits the first says which receipt it gives before it answers (0 for none), the others
/// how it answers: 001 breaks off at once, 002 in the middle, 009 never answers, 003 queues; an HTTP status; anything
/// else accepts.
pub(crate) struct FakeKannel {
    asked: List,
    url: String,
    ca: Option<(String, String)>,
    task: tokio::task::JoinHandle<()>,
}

impl FakeKannel {
    pub(crate) async fn start() -> Self {
        let (listener, port) = bind().await;
        let asked = List::default();
        let list = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                serve(stream, &list).await;
            }
        });
        Self { asked, url: format!("http://127.0.0.1:{port}"), ca: None, task }
    }

    /// With a certificate of its own authority.
    pub(crate) async fn start_tls() -> Self {
        let now_ms = SystemClock::new().now_ms();
        let validity = Validity { from_ms: now_ms - 3_600_000, to_ms: now_ms + 3_600_000 };
        let [ca, other] = ["SMS CA", "Other CA"].map(|name| Ca::new(name, validity).unwrap());
        let server = ca.server(&["localhost"], &[], validity).unwrap();
        let chain = CertificateDer::pem_slice_iter(server.certificate_pem().as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .unwrap();
        let key = PrivateKeyDer::from_pem_slice(server.key_pem().as_bytes()).unwrap();
        let config =
            ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(chain, key)
                .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let (listener, port) = bind().await;
        let asked = List::default();
        let list = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if let Ok(stream) = acceptor.accept(stream).await {
                    serve(stream, &list).await;
                }
            }
        });
        let url = format!("https://localhost:{port}");
        Self { asked, url, ca: Some((ca.pem(), other.pem())), task }
    }

    pub(crate) fn requests(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for FakeKannel {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn bind() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// A configuration for this gateway, in a directory of its own; `changes` are made to it.
pub(crate) fn configuration(kannel: &FakeKannel, changes: &[(&str, &str)]) -> (TempDir, Config) {
    let dir = tempfile::tempdir().unwrap();
    let private = |name: &str, text: &str| {
        let file = dir.path().join(name);
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o400)).unwrap();
    };
    private("sms.password", "segreto sms\n");
    private("sms.key", &"5a".repeat(32));
    private("other.key", &"a5".repeat(32));
    let ca = match &kannel.ca {
        Some((ca, other)) => {
            std::fs::write(dir.path().join("ca.pem"), ca).unwrap();
            std::fs::write(dir.path().join("other.pem"), other).unwrap();
            "ca_file = \"ca.pem\""
        }
        None => "",
    };
    let mut text = format!(
        r#"
        hsm = "unused.toml"
        messages = "unused"
        policy = "unused"
        [state]
        directory = "unused"
        [authority]
        url = "https://localhost:1"
        server_ca = "unused"
        certificate = "unused"
        key = "unused"
        audit_key = "unused"
        [sms]
        url = "{}"
        {ca}
        user = "sigillo"
        password_file = "sms.password"
        sender = "TS-CNS"
        timeout_ms = 60000
        [sms.receipts]
        listen = "127.0.0.1:0"
        key_file = "sms.key"
        "#,
        kannel.url
    );
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    let file = dir.path().join("courier.toml");
    std::fs::write(&file, text).unwrap();
    let config = Config::load(&file).unwrap();
    (dir, config)
}

/// Asks a listener in plain HTTP and answers its status.
pub(crate) async fn get(address: &str, path: &str) -> u16 {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(mut stream: S, list: &List) {
    let asked = read(&mut stream).await;
    let to = asked.header("x-kannel-to");
    let receipts = asked.head.contains("x-kannel-dlr-url").then(|| asked.header("x-kannel-dlr-url"));
    list.lock().unwrap().push(asked);
    let digits = |from: usize| to.get(to.len() - from..).unwrap().parse::<u16>().unwrap();
    let (receipt, how) = (digits(4) / 1000, digits(3));
    if to.starts_with("+39333001")
        && let Some(url) = receipts
    {
        let rest = url.strip_prefix("http://").unwrap().replace("%d", &receipt.to_string());
        let (address, path) = rest.split_once('/').unwrap();
        assert_eq!(get(address, &format!("/{path}")).await, 200);
    }
    let answer = match how {
        1 => return,
        2 => "HTTP/1.1 202 Accepted\r\ncontent-length: 24\r\n\r\n0: ".to_owned(),
        9 => {
            // Held open until the other side has gone.
            drop(tokio::spawn(async move { while stream.read_u8().await.is_ok() {} }));
            return;
        }
        3 => full(202, "3: Queued for later delivery"),
        200 => full(200, "Sent."),
        400 | 403 | 503 => full(how, "0: Number(s) has/have been denied: +393331234567"),
        _ => full(202, "0: Accepted for delivery"),
    };
    stream.write_all(answer.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
}

fn full(status: u16, text: &str) -> String {
    format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{text}", text.len())
}

async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> Asked {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        bytes.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(bytes).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).await.unwrap();
    let line = head.lines().next().unwrap().to_owned();
    Asked { line, head, body: String::from_utf8(body).unwrap() }
}
