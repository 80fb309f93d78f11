//! A world of certificates, an application that does what its paths say, and raw connections.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, atomic::AtomicUsize, atomic::Ordering},
    time::Duration,
};

use aws_lc_rs::digest::SHA256;
use hyper::{HeaderMap, Method, Request, Response, StatusCode, body::Incoming};
use rustls::pki_types::ServerName;
use sigillo::{
    auth::Remote,
    client::{Client, ClientLimits},
    clock::{Clock, SystemClock},
    http::{Body, Drained, Handler, Language, Limits, Listener, MediaType, Problem, read, request_id},
    metrics::Metrics,
    pki::{Ca, Issued, Profile, Purpose, Validity},
    tls::{Entrance, Protocols, ServerTls, TlsClientFiles, TlsFiles, client_config},
};
use tokio::{
    io::AsyncReadExt,
    net::TcpStream,
    sync::{Semaphore, oneshot},
    task::JoinHandle,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

pub(crate) const HOUR: u64 = 3_600_000;

pub(crate) struct World {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) ca: Ca,
    pub(crate) clock: Arc<dyn Clock>,
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) app: Arc<App>,
    pub(crate) tls: Arc<ServerTls>,
    stop: oneshot::Sender<()>,
    end: JoinHandle<Drained>,
}

/// Semaphores start empty: a test adds permits to let things happen, the application to tell that they did.
pub(crate) struct App {
    pub(crate) entered: Semaphore,
    pub(crate) go: Semaphore,
    pub(crate) done: Arc<Semaphore>,
    pub(crate) calls: AtomicUsize,
    pub(crate) limits: Limits,
}

pub(crate) fn now_ms() -> u64 {
    SystemClock::new().now_ms()
}

pub(crate) fn validity() -> Validity {
    Validity { from_ms: now_ms() - HOUR, to_ms: now_ms() + HOUR }
}

impl World {
    pub(crate) fn new() -> Self {
        Self::at(Arc::new(SystemClock::new()))
    }

    /// The clock is the server's.
    pub(crate) fn at(clock: Arc<dyn Clock>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ca = Ca::new("Test authority", validity()).unwrap();
        std::fs::write(dir.path().join("ca.pem"), ca.pem()).unwrap();
        let ips = ["127.0.0.1".parse().unwrap()];
        ca.server(&["localhost"], &ips, validity()).unwrap().write(dir.path(), "server").unwrap();
        ca.client("front end", validity()).unwrap().write(dir.path(), "client").unwrap();
        Self { dir, ca, clock }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn issue(&self, name: &str, purpose: Purpose, validity: Validity) -> Issued {
        let profile = Profile { common_name: name, names: &[], ips: &[], purpose, validity };
        let issued = self.ca.issue(&profile).unwrap();
        issued.write(self.dir.path(), name).unwrap();
        issued
    }

    pub(crate) fn tls_files(&self) -> TlsFiles {
        TlsFiles {
            certificate: self.path("server.pem"),
            key: self.path("server.key"),
            client_ca: self.path("ca.pem"),
            crls: Vec::new(),
        }
    }

    pub(crate) fn client_files(&self, name: &str) -> TlsClientFiles {
        TlsClientFiles {
            server_ca: self.path("ca.pem"),
            certificate: self.path(&format!("{name}.pem")),
            key: self.path(&format!("{name}.key")),
        }
    }

    pub(crate) async fn serve(&self, limits: Limits) -> Server {
        self.serve_with(limits, self.tls_files()).await
    }

    pub(crate) async fn serve_with(&self, limits: Limits, files: TlsFiles) -> Server {
        let tls = Arc::new(ServerTls::load(files, Arc::clone(&self.clock)).unwrap());
        self.serve_at(limits, Arc::<ServerTls>::clone(&tls), tls).await
    }

    /// With this entrance, whose server certificate is that of `tls`.
    pub(crate) async fn serve_at(
        &self,
        limits: Limits,
        entrance: Arc<dyn Entrance>,
        tls: Arc<ServerTls>,
    ) -> Server {
        let metrics = Arc::new(Metrics::new().unwrap());
        let listener = Listener::bind(
            "127.0.0.1:0".parse().unwrap(),
            entrance,
            limits.clone(),
            Arc::clone(&self.clock),
            Arc::clone(&metrics),
        )
        .await
        .unwrap();
        let address = listener.local_addr();
        let app = Arc::new(App {
            entered: Semaphore::new(0),
            go: Semaphore::new(0),
            done: Arc::new(Semaphore::new(0)),
            calls: AtomicUsize::new(0),
            limits,
        });
        let (stop, stopped) = oneshot::channel::<()>();
        let handler = Arc::clone(&app);
        let end = tokio::spawn(async move {
            listener
                .serve(handler, async {
                    stopped.await.ok();
                })
                .await
        });
        Server { address, metrics, app, tls, stop, end }
    }

    pub(crate) fn client(&self, server: &Server, protocols: Protocols) -> Client {
        self.client_as(server, "client", ClientLimits { protocols, ..ClientLimits::default() })
    }

    pub(crate) fn client_as(&self, server: &Server, name: &str, limits: ClientLimits) -> Client {
        let base = format!("https://{}", server.address);
        Client::new(&base, &self.client_files(name), limits, Arc::new(SystemClock::new())).unwrap()
    }

    /// TLS without HTTP.
    pub(crate) async fn raw(&self, server: &Server, protocols: Protocols) -> TlsStream<TcpStream> {
        self.try_raw(server, protocols).await.unwrap()
    }

    pub(crate) async fn try_raw(
        &self,
        server: &Server,
        protocols: Protocols,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let clock = Arc::new(SystemClock::new());
        let config = client_config(&self.client_files("client"), protocols, clock).unwrap();
        connect(server, config).await
    }
}

pub(crate) async fn connect(
    server: &Server,
    config: rustls::ClientConfig,
) -> std::io::Result<TlsStream<TcpStream>> {
    let tcp = TcpStream::connect(server.address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, tcp).await
}

impl Server {
    /// Begins to drain; the end tells how that went.
    pub(crate) fn stop(self) -> (JoinHandle<Drained>, Arc<App>) {
        self.stop.send(()).unwrap();
        (self.end, self.app)
    }

    /// Waits until a metric has this line.
    pub(crate) async fn metric(&self, line: &str) {
        until(|| self.metrics.render().lines().any(|l| l == line)).await;
    }
}

/// Waits for what must come. The time is for a test that would otherwise hang, and shorter than the defaults of
/// the HTTP library (30 s), which must not pass for our limits.
async fn within<T>(event: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), event).await.expect("it did not happen")
}

/// Waits for an event that tells nobody.
pub(crate) async fn until(mut event: impl FnMut() -> bool) {
    within(async {
        while !event() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

/// Waits until the application has said so, so many times.
pub(crate) async fn happened(what: &Semaphore, times: u32) {
    within(what.acquire_many(times)).await.unwrap().forget();
}

/// Everything that comes until the other end closes, whichever way.
pub(crate) async fn rest<S: tokio::io::AsyncRead + Unpin>(stream: &mut S) -> String {
    let mut bytes = Vec::new();
    within(async {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = stream.read(&mut buffer).await {
            bytes.extend_from_slice(&buffer[..length]);
        }
    })
    .await;
    String::from_utf8_lossy(&bytes).into_owned()
}

pub(crate) async fn get(client: &Client, path: &str) -> (StatusCode, HeaderMap, String) {
    let (status, headers, body) = client.call(Method::GET, path, HeaderMap::new(), "").await.unwrap();
    (status, headers, String::from_utf8(body.to_vec()).unwrap())
}

impl Handler for App {
    async fn handle(&self, remote: Arc<Remote>, request: Request<Incoming>) -> Response<Body> {
        let id = request_id(&request);
        self.calls.fetch_add(1, Ordering::SeqCst);
        match request.uri().path() {
            "/who" => {
                let version = request.version();
                let who = match &*remote {
                    Remote::Caller(peer) => peer.common_name.clone(),
                    Remote::Card(card) => hex::encode(aws_lc_rs::digest::digest(&SHA256, card.leaf())),
                };
                Response::new(Body::full(format!(r#"{{"peer":"{who}","version":"{version:?}"}}"#)))
            }
            "/dismiss" => {
                if let Remote::Card(card) = &*remote {
                    card.dismiss();
                }
                Response::new(Body::full("\"dismissed\""))
            }
            "/nothing" => Response::builder().status(204).body(Body::empty()).unwrap(),
            "/echo" => match read(request, MediaType::Json, self.limits.body()).await {
                Ok((_, body)) => Response::new(Body::full(body.expose().to_vec())),
                Err(error) => Problem::from(error).into_response(id, Language::English),
            },
            "/panic" => panic!("the handler panics"),
            "/wait" => {
                self.entered.add_permits(1);
                self.go.acquire().await.unwrap().forget();
                self.done.add_permits(1);
                Response::new(Body::full("\"done\""))
            }
            "/lines" => self.lines(Some(1000)),
            "/torn" => self.lines(None),
            "/endless" => self.endless(),
            _ => Problem::new(StatusCode::NOT_FOUND, "no_route", "No such route")
                .into_response(id, Language::English),
        }
    }
}

impl App {
    /// So many lines, or some and no end.
    fn lines(&self, whole: Option<usize>) -> Response<Body> {
        let (mut sender, body) = Body::stream(4, self.limits.stall());
        tokio::spawn(async move {
            for line in 0..whole.unwrap_or(10) {
                sender.send(format!("{{\"line\":{line}}}\n")).await.unwrap();
            }
            if whole.is_some() {
                sender.finish().await.unwrap();
            }
        });
        Response::new(body)
    }

    /// Sends until nobody takes it, then says so in `done`.
    fn endless(&self) -> Response<Body> {
        let (mut sender, body) = Body::stream(1, Duration::from_secs(3600));
        let done = Arc::clone(&self.done);
        tokio::spawn(async move {
            while sender.send(vec![b'x'; 1 << 16]).await.is_ok() {}
            done.add_permits(1);
        });
        Response::new(body)
    }
}
