//! What happens to requests.

use std::sync::{Arc, atomic::Ordering};

use hyper::{
    HeaderMap, Method,
    header::{CONTENT_TYPE, HeaderValue},
};
use sigillo::{
    api::problem::ProblemDocument,
    http::{Drained, Limits},
    tls::Protocols,
};
use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::kit::{World, get, happened, rest, until};

const BOTH: [Protocols; 2] = [Protocols::Http1, Protocols::Http2];

fn json() -> HeaderMap {
    HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))])
}

#[tokio::test]
async fn both_versions_with_the_same_headers() {
    let world = World::new();
    let server = world.serve(Limits::default()).await;
    for (protocols, version) in
        [(Protocols::Http1, "HTTP/1.1"), (Protocols::Http2, "HTTP/2.0"), (Protocols::Any, "HTTP/2.0")]
    {
        let client = world.client(&server, protocols);
        let (status, headers, body) = get(&client, "/who").await;
        assert_eq!(
            (status.as_u16(), body),
            (200, format!(r#"{{"peer":"front end","version":"{version}"}}"#))
        );
        let mut ids = vec![headers["x-request-id"].clone()];
        for path in ["/nothing", "/lines", "/elsewhere", "/who"] {
            let (_, headers, _) = get(&client, path).await;
            assert_eq!(headers["cache-control"], "no-store", "{path}");
            assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
            assert!(headers.contains_key("date") && headers.contains_key("content-type"), "{path}");
            ids.push(headers["x-request-id"].clone());
        }
        assert!(ids.iter().all(|id| id.len() == 32 && id.as_bytes().iter().all(u8::is_ascii_hexdigit)));
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 5);
    }
}

#[tokio::test]
async fn a_problem_carries_the_request_id() {
    let world = World::new();
    let server = world.serve(Limits::default()).await;
    let (status, headers, body) = get(&world.client(&server, Protocols::Any), "/elsewhere").await;
    assert_eq!(
        (status.as_u16(), &headers["content-type"]),
        (404, &HeaderValue::from_static("application/problem+json"))
    );
    let problem: ProblemDocument = serde_json::from_str(&body).unwrap();
    assert_eq!((problem.code.as_str(), problem.kind.as_str()), ("no_route", "urn:sigillo:problem:no_route"));
    assert_eq!(headers["x-request-id"], problem.request_id.as_str());
}

#[tokio::test]
async fn bodies_too_long_or_of_another_type() {
    let world = World::new();
    let server = world.serve(Limits { body_bytes: 1000, ..Limits::default() }).await;
    for protocols in BOTH {
        let client = world.client(&server, protocols);
        for (length, expected) in [(1000, 200), (1001, 413), (300_000, 413), (5, 200)] {
            let body = "x".repeat(length);
            let (status, _, answer) = client.call(Method::POST, "/echo", json(), body.clone()).await.unwrap();
            assert_eq!(status, expected, "{length}");
            if expected == 200 {
                assert_eq!(answer, body);
            } else {
                let problem: ProblemDocument = serde_json::from_slice(&answer).unwrap();
                assert_eq!(problem.code, "body_too_long");
            }
        }
        let (status, _, _) = client.call(Method::POST, "/echo", HeaderMap::new(), "{}").await.unwrap();
        assert_eq!(status, 415);
    }
}

#[tokio::test]
async fn a_slow_body() {
    let world = World::new();
    let server = world.serve(Limits { body_ms: 50, ..Limits::default() }).await;
    let mut stream = world.raw(&server, Protocols::Http1).await;
    let head =
        b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 10\r\n\r\n{";
    stream.write_all(head).await.unwrap();
    let answer = rest(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("\"code\":\"body_timeout\""), "{answer}");
}

#[tokio::test]
async fn a_panic_is_a_500_and_nothing_else() {
    let world = World::new();
    let server = world.serve(Limits::default()).await;
    for protocols in BOTH {
        let client = world.client(&server, protocols);
        let (status, _, body) = get(&client, "/panic").await;
        assert_eq!(status, 500);
        assert!(body.contains("\"code\":\"internal\"") && !body.contains("panics"), "{body}");
        assert_eq!(get(&client, "/who").await.0, 200);
    }
    server.metric("sigillo_connections_total 2").await;
}

#[tokio::test]
async fn a_request_runs_to_its_end_without_its_client() {
    let world = World::new();
    let server = world.serve(Limits::default()).await;
    let mut stream = world.raw(&server, Protocols::Http1).await;
    stream.write_all(b"POST /wait HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    happened(&server.app.entered, 1).await;
    drop(stream);
    server.metric("sigillo_connections_open 0").await;
    server.app.go.add_permits(1);
    happened(&server.app.done, 1).await;
}

#[tokio::test]
async fn a_drain_lets_requests_finish_and_takes_no_new_ones() {
    for protocols in BOTH {
        let world = World::new();
        let server = world.serve(Limits::default()).await;
        let client = world.client(&server, protocols);
        let address = server.address;
        let running = get(&client, "/wait");
        let test = async {
            happened(&server.app.entered, 1).await;
            let idle = world.client(&server, protocols);
            assert_eq!(get(&idle, "/who").await.0, 200);
            let metrics = Arc::clone(&server.metrics);
            let (end, app) = server.stop();
            // Idle connections go at once; the socket is no longer there.
            until(|| metrics.render().contains("sigillo_connections_open 1\n")).await;
            while TcpStream::connect(address).await.is_ok() {}
            app.go.add_permits(1);
            (end.await.unwrap(), app.calls.load(Ordering::SeqCst))
        };
        let ((status, _, body), (drained, calls)) = tokio::join!(running, test);
        assert_eq!((status.as_u16(), body.as_str()), (200, "\"done\""));
        assert_eq!((drained, calls), (Drained { abandoned: 0 }, 2));
    }
}

#[tokio::test]
async fn a_drain_ends_even_if_requests_do_not() {
    let world = World::new();
    let server = world.serve(Limits { drain_ms: 20, ..Limits::default() }).await;
    let client = world.client(&server, Protocols::Http2);
    let running = client.call(Method::GET, "/wait", HeaderMap::new(), "");
    let test = async {
        happened(&server.app.entered, 1).await;
        let (end, app) = server.stop();
        (end.await.unwrap(), app)
    };
    let (called, (drained, app)) = tokio::join!(running, test);
    assert!(called.unwrap_err().may_have_been_carried_out());
    assert_eq!(drained, Drained { abandoned: 1 });
    assert_eq!(app.calls.load(Ordering::SeqCst), 1, "not repeated");
}
