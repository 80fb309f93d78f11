//! Store and token put back together from a copy are not served from: a witness, a file or a server, knows better (I13).

use std::{
    convert::Infallible,
    fs,
    sync::{Arc, Mutex},
};

use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use sigillo::{
    clock::{Clock, SystemClock},
    pki::{Ca, Validity},
};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::{
    fixture::{Installation, eventually},
    going_back::{STORE, copy, marked, serve},
};

const TOKEN: &str = "authority/tokens";

/// Where a witness keeps its text, for the test to look at and to change.
trait Shelf {
    fn look(&self) -> Option<String>;
    fn put(&self, text: Option<String>);
}

struct InFile(std::path::PathBuf);

impl Shelf for InFile {
    fn look(&self) -> Option<String> {
        fs::read_to_string(&self.0).ok()
    }

    fn put(&self, text: Option<String>) {
        match text {
            Some(text) => fs::write(&self.0, text).unwrap(),
            None => fs::remove_file(&self.0).unwrap(),
        }
    }
}

impl Shelf for Arc<Mutex<Option<String>>> {
    fn look(&self) -> Option<String> {
        self.lock().unwrap().clone()
    }

    fn put(&self, text: Option<String>) {
        *self.lock().unwrap() = text;
    }
}

/// Waits until token and witness vouch for all that has happened.
async fn witnessed(home: &Installation, kind: &str) {
    marked(home).await;
    let line = format!("sigillo_witness_behind_events{{witness=\"{kind}\"}} 0");
    eventually("a checkpoint with the witness", async || {
        home.internal("/metrics").await.1.lines().any(|l| l == line).then_some(())
    })
    .await;
}

async fn rolled_back(mut home: Installation, config: &str, kind: &str, shelf: &dyn Shelf) {
    let active = home.activated(&home.api("desk")).await;
    let checkpoint = home.api("auditor").get("/v1/audit/checkpoint").await.ok();
    home.serve.as_mut().unwrap().terminate();
    assert_eq!(home.serve.as_mut().unwrap().wait().await, Some(0));
    // A witness that is added later is given a checkpoint first.
    let file = home.path("authority/serve.toml");
    fs::write(&file, format!("{}\n[witness]\n{config}\n", fs::read_to_string(&file).unwrap())).unwrap();
    let said = serve(&home).ended(1).err;
    assert!(said.contains("keeps no checkpoint, and the log is not new"), "{said}");
    shelf.put(Some(checkpoint["checkpoint"].as_str().unwrap().to_owned()));
    home.start().await;
    witnessed(&home, kind).await;
    home.serve.as_mut().unwrap().terminate();
    assert_eq!(home.serve.as_mut().unwrap().wait().await, Some(0));

    copy(&home, STORE, "yesterday");
    copy(&home, TOKEN, "token of yesterday");
    home.start().await;
    for guess in ["00000000", "11111111", "22222222"] {
        assert_eq!(active.card.verify(&home.api("desk"), guess).await.0, "rejected");
    }
    witnessed(&home, kind).await;
    home.serve.as_mut().unwrap().kill();
    let today = shelf.look();

    for (from, to, kept) in [("yesterday", STORE, "today"), ("token of yesterday", TOKEN, "token of today")] {
        fs::rename(home.path(to), home.path(kept)).unwrap();
        copy(&home, from, to);
    }
    let said = serve(&home).ended(1).err;
    for part in ["the store is older than the newest checkpoint", "Nothing was changed"] {
        assert!(said.contains(part), "{part:?} is missing in {said}");
    }
    assert_eq!(shelf.look(), today);
    shelf.put(None);
    let said = serve(&home).ended(1).err;
    assert!(said.contains("keeps no checkpoint, and the log is not new"), "{said}");

    shelf.put(today);
    for (to, kept) in [(STORE, "today"), (TOKEN, "token of today")] {
        fs::remove_dir_all(home.path(to)).unwrap();
        fs::rename(home.path(kept), home.path(to)).unwrap();
    }
    home.start().await;
    assert_eq!(active.card.look_up(&home.api("desk")).await["cip_tries_left"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn store_and_token_rolled_back_are_refused_because_of_a_file() {
    let home = Installation::serving().await;
    fs::create_dir(home.path("witness")).unwrap();
    let shelf = InFile(home.path("witness/checkpoint"));
    let config = format!("file = {:?}", shelf.0);
    rolled_back(home, &config, "file", &shelf).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn store_and_token_rolled_back_are_refused_because_of_a_server() {
    let home = Installation::serving().await;
    let shelf = Arc::new(Mutex::new(None));
    let (port, server) = witness(&home, Arc::clone(&shelf)).await;
    let config = format!(
        "url = \"https://127.0.0.1:{port}/region-a/checkpoint\"\nserver_ca = {:?}",
        home.path("witness-ca.pem")
    );
    rolled_back(home, &config, "url", &shelf).await;
    server.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_or_not_believed_stops_the_start() {
    let home = Installation::new();
    let shelf = Arc::new(Mutex::new(None));
    let (port, server) = witness(&home, shelf).await;
    let file = home.path("authority/serve.toml");
    let before = fs::read_to_string(&file).unwrap();
    let said = |ca: &str| {
        let url = format!("https://127.0.0.1:{port}/checkpoint");
        let ca = home.path(ca);
        fs::write(&file, format!("{before}\n[witness]\nurl = {url:?}\nserver_ca = {ca:?}\n")).unwrap();
        serve(&home).ended(1).err
    };
    assert!(said("clients/ca.pem").contains("the witness (url): cannot connect"), "another authority");
    server.abort();
    assert!(server.await.unwrap_err().is_cancelled());
    assert!(said("witness-ca.pem").contains("the witness (url): cannot connect"), "nobody listens");
}

/// A witness as a server of its own: `PUT` and `GET` of one path over TLS.
async fn witness(
    home: &Installation,
    shelf: Arc<Mutex<Option<String>>>,
) -> (u16, tokio::task::JoinHandle<()>) {
    let now_ms = SystemClock::new().now_ms();
    let validity = Validity { from_ms: now_ms - 3_600_000, to_ms: now_ms + 3_600_000 };
    let ca = Ca::new("Witness authority", validity).unwrap();
    fs::write(home.path("witness-ca.pem"), ca.pem()).unwrap();
    let ips = ["127.0.0.1".parse().unwrap()];
    ca.server(&["localhost"], &ips, validity).unwrap().write(&home.path(""), "witness").unwrap();
    let chain = CertificateDer::pem_file_iter(home.path("witness.pem")).unwrap();
    let chain = chain.collect::<Result<Vec<_>, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_file(home.path("witness.key")).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let (acceptor, shelf) = (acceptor.clone(), Arc::clone(&shelf));
            tokio::spawn(async move {
                let Ok(tls) = acceptor.accept(tcp).await else { return };
                let answer = service_fn(move |request| answer(request, Arc::clone(&shelf)));
                // A client that goes away is no fault.
                http1::Builder::new().serve_connection(TokioIo::new(tls), answer).await.ok();
            });
        }
    });
    (port, server)
}

async fn answer(
    request: Request<Incoming>,
    shelf: Arc<Mutex<Option<String>>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let method = request.method().clone();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let (status, text) = match method {
        Method::GET => match shelf.look() {
            Some(text) => (StatusCode::OK, text),
            None => (StatusCode::NOT_FOUND, String::new()),
        },
        Method::PUT => {
            shelf.put(Some(String::from_utf8(body.to_vec()).unwrap()));
            (StatusCode::NO_CONTENT, String::new())
        }
        _ => (StatusCode::METHOD_NOT_ALLOWED, String::new()),
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    Ok(response)
}

/// A load balancer must not send requests where they are refused.
#[tokio::test(flavor = "multi_thread")]
async fn while_a_witness_takes_nothing_the_authority_is_not_ready() {
    let mut home = Installation::serving().await;
    let checkpoint = home.api("auditor").get("/v1/audit/checkpoint").await.ok();
    home.serve.as_mut().unwrap().terminate();
    assert_eq!(home.serve.as_mut().unwrap().wait().await, Some(0));
    fs::create_dir(home.path("witness")).unwrap();
    let shelf = InFile(home.path("witness/checkpoint"));
    shelf.put(Some(checkpoint["checkpoint"].as_str().unwrap().to_owned()));
    let file = home.path("authority/serve.toml");
    let config = format!("{}\n[witness]\nfile = {:?}\n", fs::read_to_string(&file).unwrap(), shelf.0);
    fs::write(&file, config).unwrap();
    home.start().await;
    witnessed(&home, "file").await;

    fs::rename(home.path("witness"), home.path("elsewhere")).unwrap();
    home.cards(1).await;
    let behind = "not ready: witness behind: it takes no checkpoint, nothing is spent\n";
    eventually("a witness that is behind", async || {
        (home.internal("/readyz").await == (503, behind.to_owned())).then_some(())
    })
    .await;
    let card = home.produced(1).remove(0);
    let refused = home.api("desk").change("/v1/verifications", &card.guess("00000000")).await;
    assert_eq!(refused.status, 503, "{refused:?}");

    let again = "the witness takes checkpoints again";
    assert!(!home.serve.as_ref().unwrap().said().contains(again));
    fs::rename(home.path("elsewhere"), home.path("witness")).unwrap();
    eventually("readiness", async || (home.internal("/readyz").await.0 == 200).then_some(())).await;
    eventually("a line of it", async || home.serve.as_ref().unwrap().said().contains(again).then_some(()))
        .await;
    home.cards(1).await;
    witnessed(&home, "file").await;
    assert_eq!(home.serve.as_ref().unwrap().said().matches(again).count(), 1);
}
