//! A server of the product's own TLS that believes the tests' CNS authority and says whom it sees.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::Receiver,
    },
    thread::JoinHandle,
    time::Duration,
};

use rustls::{ServerConfig, ServerConnection, Stream, pki_types::CertificateDer};
use sigillo::{
    auth::Peer,
    clock::{Clock, SystemClock},
    pki::{Ca, Validity},
    tls::{Entrance, ServerTls, TlsFiles},
};

/// Longest wait for a client.
const PATIENCE: Duration = Duration::from_secs(30);

/// One request, and the certificate of whoever sent it.
pub(crate) struct Request {
    /// Method and path.
    pub(crate) line: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) certificate: CertificateDer<'static>,
    pub(crate) version: String,
}

impl Request {
    /// Common name of the certificate.
    pub(crate) fn name(&self) -> String {
        Peer::from_certificate(&self.certificate, SystemClock::new().now_ms()).unwrap().common_name
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }
}

/// Serves until it is dropped.
pub(crate) struct Server {
    port: u16,
    ended: Arc<AtomicBool>,
    worker: Option<JoinHandle<()>>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(Err(panic)) = self.worker.take().map(JoinHandle::join)
            && !std::thread::panicking()
        {
            std::panic::resume_unwind(panic);
        }
    }
}

impl Server {
    /// Answers each request with a status and a body, one connection after the other. A connection that ends without a
    /// request is told to `refused`.
    pub(crate) fn start(
        directory: &Path,
        cns_ca: &str,
        mut answer: impl FnMut(&Request) -> (u16, Vec<u8>) + Send + 'static,
        mut refused: impl FnMut(String) + Send + 'static,
    ) -> Self {
        server_files(directory);
        std::fs::write(directory.join("cns-ca.pem"), cns_ca).unwrap();
        let files = TlsFiles {
            certificate: directory.join("server.pem"),
            key: directory.join("server.key"),
            client_ca: directory.join("cns-ca.pem"),
            crls: Vec::new(),
        };
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let config = ServerTls::load(files, clock).unwrap().current();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        listener.set_nonblocking(true).unwrap();
        let ended = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&ended);
        let worker = std::thread::spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((socket, _)) => {
                        if let Err(why) = connection(socket, Arc::clone(&config), &mut answer) {
                            refused(why);
                        }
                    }
                    Err(_) => std::thread::sleep(Duration::from_millis(5)),
                }
            }
        });
        Self { port, ended, worker: Some(worker) }
    }

    pub(crate) fn url(&self) -> String {
        format!("https://localhost:{}", self.port)
    }
}

/// A server that answers protocol and common name, and tells of each connection: these two, or why there was no request.
pub(crate) struct Naming {
    server: Server,
    told: Receiver<Result<(String, String), String>>,
}

impl Naming {
    pub(crate) fn start(directory: &Path, cns_ca: &str) -> Self {
        let (tell, told) = std::sync::mpsc::channel();
        let tell_refused = tell.clone();
        let answer = move |request: &Request| {
            assert!(request.line.starts_with("GET /"), "{}", request.line);
            let (version, name) = (request.version.clone(), request.name());
            let body = format!("{version} {name}\n").into_bytes();
            tell.send(Ok((version, name))).unwrap();
            (200, body)
        };
        let refused = move |why| tell_refused.send(Err(why)).unwrap();
        Self { server: Server::start(directory, cns_ca, answer, refused), told }
    }

    pub(crate) fn url(&self) -> String {
        self.server.url()
    }

    /// What became of the next connection.
    pub(crate) fn next(&self) -> Result<(String, String), String> {
        self.told.recv_timeout(PATIENCE).unwrap()
    }
}

/// Serves a connection to its end; the reason, if that comes before the first request.
fn connection(
    mut socket: TcpStream,
    config: Arc<ServerConfig>,
    answer: &mut impl FnMut(&Request) -> (u16, Vec<u8>),
) -> Result<(), String> {
    socket.set_nonblocking(false).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut tls = ServerConnection::new(config).unwrap();
    let mut stream = Stream::new(&mut tls, &mut socket);
    let mut request = receive(&mut stream)?;
    loop {
        let (status, body) = answer(&request);
        let head = format!(
            "HTTP/1.1 {status} As it is\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        if stream.write_all(&[head.as_bytes(), &body].concat()).and_then(|()| stream.flush()).is_err() {
            return Ok(());
        }
        match receive(&mut stream) {
            Ok(next) => request = next,
            Err(_) => return Ok(()),
        }
    }
}

fn receive(stream: &mut Stream<'_, ServerConnection, TcpStream>) -> Result<Request, String> {
    let mut bytes = Vec::new();
    let mut more = |bytes: &mut Vec<u8>| {
        let mut part = [0; 4096];
        let read = stream.read(&mut part).map_err(|e| e.to_string())?;
        bytes.extend(&part[..read]);
        if read == 0 { Err("closed".to_owned()) } else { Ok(()) }
    };
    let end = loop {
        match bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            Some(end) => break end,
            None => more(&mut bytes)?,
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut lines = head.lines();
    let line = lines.next().unwrap().trim_end_matches(" HTTP/1.1").to_owned();
    let split = |line: &str| {
        let (name, value) = line.split_once(':').unwrap();
        (name.to_lowercase(), value.trim().to_owned())
    };
    let headers: Vec<(String, String)> = lines.map(split).collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let whole = end + 4 + length.map_or(0, |(_, length)| length.parse().unwrap());
    while bytes.len() < whole {
        more(&mut bytes)?;
    }
    let version = format!("{:?}", stream.conn.protocol_version().unwrap());
    let certificate = stream.conn.peer_certificates().unwrap()[0].clone().into_owned();
    Ok(Request { line, headers, body: bytes[end + 4..].to_vec(), certificate, version })
}

/// `server.pem`, `server.key` and `server-ca.pem`.
pub(crate) fn server_files(directory: &Path) {
    let now = SystemClock::new().now_ms();
    let validity = Validity { from_ms: now - 60_000, to_ms: now + 3_600_000 };
    let ca = Ca::new("server CA for tests", validity).unwrap();
    std::fs::write(directory.join("server-ca.pem"), ca.pem()).unwrap();
    let server = ca.server(&["localhost"], &["127.0.0.1".parse().unwrap()], validity).unwrap();
    server.write(directory, "server").unwrap();
}
