//! The client's own promises.

use std::sync::{Arc, atomic::Ordering};

use hyper::{HeaderMap, Method};
use serde_json::Value;
use sigillo::{
    client::{Client, ClientError, ClientLimits},
    clock::SystemClock,
    http::Limits,
    tls::Protocols,
};
use tokio::net::TcpListener;

use crate::kit::{World, get, happened};

fn over(protocols: Protocols) -> ClientLimits {
    ClientLimits { protocols, ..ClientLimits::default() }
}

#[tokio::test]
async fn connections_are_used_again() {
    let world = World::new();
    for protocols in [Protocols::Http1, Protocols::Http2] {
        let server = world.serve(Limits::default()).await;
        let client = world.client(&server, protocols);
        for _ in 0..3 {
            get(&client, "/who").await;
        }
        server.metric("sigillo_connections_total 1").await;
    }
    // Calls at the same time share one HTTP/2 connection.
    let server = world.serve(Limits::default()).await;
    let client = Arc::new(world.client(&server, Protocols::Http2));
    let calls: Vec<_> = (0..8)
        .map(|_| {
            let client = Arc::clone(&client);
            tokio::spawn(async move { get(&client, "/wait").await.0 })
        })
        .collect();
    happened(&server.app.entered, 8).await;
    server.app.go.add_permits(8);
    for call in calls {
        assert_eq!(call.await.unwrap(), 200);
    }
    server.metric("sigillo_connections_total 1").await;
}

#[tokio::test]
async fn a_connection_that_the_server_closed_is_replaced() {
    let world = World::new();
    for protocols in [Protocols::Http1, Protocols::Http2] {
        let server = world.serve(Limits { connection_age_ms: 100, ..Limits::default() }).await;
        let client =
            world.client_as(&server, "client", ClientLimits { idle_ms: 3_600_000, ..over(protocols) });
        assert_eq!(get(&client, "/who").await.0, 200);
        server.metric("sigillo_connections_open 0").await;
        assert_eq!(get(&client, "/who").await.0, 200);
        server.metric("sigillo_connections_total 2").await;
    }
}

#[tokio::test]
async fn a_request_that_was_sent_is_not_repeated() {
    let world = World::new();
    for protocols in [Protocols::Http1, Protocols::Http2] {
        let server = world.serve(Limits { drain_ms: 1, ..Limits::default() }).await;
        let client = world.client(&server, protocols);
        assert_eq!(get(&client, "/who").await.0, 200);
        let running = client.call(Method::POST, "/wait", HeaderMap::new(), "");
        let test = async {
            happened(&server.app.entered, 1).await;
            let (end, app) = server.stop();
            end.await.unwrap();
            app
        };
        let (called, app) = tokio::join!(running, test);
        let error = called.unwrap_err();
        assert!(matches!(error, ClientError::Unknown(_)) && error.may_have_been_carried_out(), "{error:?}");
        assert_eq!(app.calls.load(Ordering::SeqCst), 2);
        // Nobody listens any more: now nothing is sent.
        let error = client.call(Method::POST, "/wait", HeaderMap::new(), "").await.unwrap_err();
        assert!(matches!(error, ClientError::Connect(_)) && !error.may_have_been_carried_out(), "{error:?}");
    }
}

#[tokio::test]
async fn time_runs_out() {
    let world = World::new();
    let server = world.serve(Limits::default()).await;
    for protocols in [Protocols::Http1, Protocols::Http2] {
        let client = world.client_as(&server, "client", ClientLimits { request_ms: 300, ..over(protocols) });
        let error = client.call(Method::GET, "/wait", HeaderMap::new(), "").await.unwrap_err();
        assert!(matches!(error, ClientError::TimedOut { sent: true }), "{error:?}");
    }
    let deaf = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("https://{}", deaf.local_addr().unwrap());
    let limits = ClientLimits { connect_ms: 50, ..ClientLimits::default() };
    let client =
        Client::new(&base, &world.client_files("client"), limits, Arc::new(SystemClock::new())).unwrap();
    let error = client.call(Method::GET, "/wait", HeaderMap::new(), "").await.unwrap_err();
    assert!(matches!(error, ClientError::TimedOut { sent: false }), "{error:?}");
}

#[tokio::test]
async fn values_problems_and_other_answers() {
    let world = World::new();
    let server = world.serve(Limits::default()).await;
    let client =
        world.client_as(&server, "client", ClientLimits { answer_bytes: 1000, ..over(Protocols::Any) });
    let value = serde_json::json!({"a": [1, 2]});
    let echoed: Value = client.post_json("/echo", HeaderMap::new(), &value).await.unwrap();
    assert_eq!(echoed, value);
    let who: Value = client.get_json("/who", HeaderMap::new()).await.unwrap();
    assert_eq!(who["peer"], "front end");

    let error = client.get_json::<Value>("/elsewhere", HeaderMap::new()).await.unwrap_err();
    assert!(matches!(&error, ClientError::Problem(p) if p.code == "no_route"), "{error:?}");
    assert!(!error.may_have_been_carried_out());

    let error = client.post_json::<_, u8>("/echo", HeaderMap::new(), "12345").await.unwrap_err();
    assert!(matches!(error, ClientError::Form { line: 1, .. }), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("12345"));

    let error = client.get_json::<Value>("/lines", HeaderMap::new()).await.unwrap_err();
    assert!(matches!(error, ClientError::AnswerTooLong), "{error:?}");
    let error = client.get_json::<Value>("who", HeaderMap::new()).await.unwrap_err();
    assert!(matches!(error, ClientError::InvalidRequest), "{error:?}");
}

#[tokio::test]
async fn downloads_are_whole_or_fail() {
    let world = World::new();
    let server = world.serve(Limits::default()).await;
    for protocols in [Protocols::Http1, Protocols::Http2] {
        let limits = ClientLimits { answer_bytes: 10, stall_ms: 60_000, ..over(protocols) };
        let client = world.client_as(&server, "client", limits);
        let mut text = Vec::new();
        let length = client.download("/lines", HeaderMap::new(), &mut text).await.unwrap();
        assert_eq!(length, u64::try_from(text.len()).unwrap());
        assert_eq!(String::from_utf8(text).unwrap().lines().last(), Some("{\"line\":999}"));
        let torn = client.download("/torn", HeaderMap::new(), &mut Vec::new()).await;
        assert!(matches!(torn, Err(ClientError::Unknown(_))), "{torn:?}");
        let limits = ClientLimits { request_ms: 60_000, stall_ms: 60_000, ..over(protocols) };
        let client = world.client_as(&server, "client", limits);
        let missing = client.download("/elsewhere", HeaderMap::new(), &mut Vec::new()).await;
        assert!(matches!(&missing, Err(ClientError::Problem(p)) if p.status == 404), "{missing:?}");
    }
}

#[test]
fn bases() {
    let world = World::new();
    for (base, good) in [
        ("https://localhost", true),
        ("https://localhost:8443/", true),
        ("https://[::1]:8443", true),
        ("http://localhost", false),
        ("https://localhost/v1", false),
        ("https://user@localhost", false),
        ("https://localhost?x", false),
        ("localhost", false),
        ("", false),
    ] {
        let client = Client::new(
            base,
            &world.client_files("client"),
            ClientLimits::default(),
            Arc::new(SystemClock::new()),
        );
        assert_eq!(client.is_ok(), good, "{base}");
    }
}
