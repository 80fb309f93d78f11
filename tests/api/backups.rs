//! One backup at one time: each keeps former values in memory for as long as its reader takes.

use std::sync::Arc;

use http_body_util::{BodyExt, Empty};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    client::conn::http2,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use sigillo::{
    clock::SystemClock,
    tls::{Protocols, TlsClientFiles, client_config},
};
use tokio::{net::TcpStream, task::AbortHandle};
use tokio_rustls::TlsConnector;

use crate::fixture::{Installation, audit::Log, eventually};

/// Bytes that the reader lets the server send before it reads some of them.
const WINDOW: u32 = 1024;

/// A backup whose reader takes nothing yet, and its connection.
async fn unread(home: &Installation) -> (Response<Incoming>, AbortHandle) {
    let file = |name: &str| home.path(&format!("clients/{name}"));
    let files = TlsClientFiles {
        server_ca: file("ca.pem"),
        certificate: file("backup.pem"),
        key: file("backup.key"),
    };
    let config = client_config(&files, Protocols::Http2, Arc::new(SystemClock::new())).unwrap();
    let tcp = TcpStream::connect(home.listen_address()).await.unwrap();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let tls = TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap();
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.initial_stream_window_size(WINDOW);
    let (mut sender, connection) = builder.handshake(TokioIo::new(tls)).await.unwrap();
    let connection = tokio::spawn(connection).abort_handle();
    let url = format!("https://{}/v1/backup", home.listen_address());
    let request = Request::get(url).body(Empty::<Bytes>::new()).unwrap();
    let answer = sender.send_request(request).await.unwrap();
    assert_eq!(answer.status(), 200);
    (answer, connection)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_backup_at_one_time_is_refused_until_the_first_is_over() {
    let home = Installation::serving().await;
    // More than waits for a reader on the server's side.
    home.cards(1500).await;
    let api = home.api("backup");
    let whole = async || {
        eventually("a backup after the one that was refused", async || {
            let answer = api.get("/v1/backup").await;
            (answer.status == 200).then_some(answer.body)
        })
        .await
    };
    let refused = async || {
        let second = api.get("/v1/backup").await;
        assert_eq!(second.problem(503, "unavailable"), None);
        assert_eq!(second.headers["retry-after"], "60");
    };

    let (first, _connection) = unread(&home).await;
    refused().await;
    refused().await;
    // The first one is as good as if nobody had asked.
    let first = first.into_body().collect().await.unwrap().to_bytes();
    assert!(first.starts_with(b"sigillo backup v2\n") && first.len() > 500_000, "{}", first.len());
    assert!(whole().await.len() > 500_000);

    // A reader who goes away does not keep the others out.
    let (given_up, connection) = unread(&home).await;
    refused().await;
    drop(given_up);
    connection.abort();
    whole().await;
    let log = Log::read(&home.api("auditor")).await;
    assert_eq!(log.0.iter().filter(|event| event.text("kind") == "store.backed_up").count(), 4);
}
