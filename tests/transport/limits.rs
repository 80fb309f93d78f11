//! What a peer may take.

use std::sync::Arc;

use hyper::{
    HeaderMap, Method,
    header::{HeaderName, HeaderValue},
};
use sigillo::{
    clock::ManualClock,
    http::Limits,
    pki::{Purpose, Validity},
    tls::Protocols,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::kit::{HOUR, World, get, happened, now_ms, rest};

#[tokio::test]
async fn slow_or_idle_headers() {
    let world = World::new();
    let server = world.serve(Limits { header_ms: 50, ..Limits::default() }).await;
    for start in ["", "GET /who HTTP/1.1\r\nhost: x\r\nx-a", "GET /who HTTP/1.1\r\nhost: x\r\n\r\n"] {
        let mut stream = world.raw(&server, Protocols::Http1).await;
        stream.write_all(start.as_bytes()).await.unwrap();
        let answer = rest(&mut stream).await;
        assert_eq!(answer.starts_with("HTTP/1.1 200"), start.ends_with("\r\n\r\n"), "{start:?}: {answer}");
    }
}

#[tokio::test]
async fn silence_on_http2() {
    let world = World::new();
    let server = world.serve(Limits { h2_ping_ms: 100, h2_ping_answer_ms: 100, ..Limits::default() }).await;
    let client = world.client(&server, Protocols::Http2);
    let waiting = get(&client, "/wait");
    let test = async {
        happened(&server.app.entered, 1).await;
        // One that does not begin, and one that begins and does not answer pings.
        for start in [Vec::new(), [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &frame(4, 0, 0, &[])[..]].concat()] {
            let mut stream = world.raw(&server, Protocols::Http2).await;
            stream.write_all(&start).await.unwrap();
            rest(&mut stream).await;
        }
        server.app.go.add_permits(1);
    };
    assert_eq!(tokio::join!(waiting, test).0.0, 200, "one that answers pings lives on");
}

#[tokio::test]
async fn many_or_long_headers() {
    let world = World::new();
    let server = world.serve(Limits { header_count: 20, header_bytes: 4096, ..Limits::default() }).await;
    let many: HeaderMap = (0..21)
        .map(|n| (format!("x-{n}").parse::<HeaderName>().unwrap(), HeaderValue::from_static("1")))
        .collect();
    let long = HeaderMap::from_iter([(
        HeaderName::from_static("x-long"),
        HeaderValue::from_str(&"x".repeat(5000)).unwrap(),
    )]);
    for (protocols, headers) in
        [(Protocols::Http1, many), (Protocols::Http1, long.clone()), (Protocols::Http2, long)]
    {
        let client = world.client(&server, protocols);
        let (status, _, _) = client.call(Method::GET, "/who", headers, "").await.unwrap();
        assert_eq!(status, 431, "{protocols:?}");
        assert_eq!(get(&client, "/who").await.0, 200);
    }
}

#[tokio::test]
async fn malformed_requests_close_the_connection() {
    let world = World::new();
    let server = world.serve(Limits::default()).await;
    for bytes in [
        "\0\u{1}\u{2}\r\n\r\n",
        "GET /who\r\n\r\n",
        "GET /who HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        "GET /who HTTP/1.1\r\nno colon\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let mut stream = world.raw(&server, Protocols::Http1).await;
        stream.write_all(bytes.as_bytes()).await.unwrap();
        let answer = rest(&mut stream).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{bytes:?}: {answer}");
    }
    let mut stream = world.raw(&server, Protocols::Http2).await;
    stream.write_all(b"GET /who HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    rest(&mut stream).await;
    assert_eq!(server.app.calls.load(std::sync::atomic::Ordering::SeqCst), 0);
    server.metric("sigillo_connections_open 0").await;
}

#[tokio::test]
async fn too_many_connections() {
    let world = World::new();
    let server = world.serve(Limits { max_connections: 1, ..Limits::default() }).await;
    let first = world.raw(&server, Protocols::Http1).await;
    server.metric("sigillo_connections_open 1").await;
    assert!(world.try_raw(&server, Protocols::Http1).await.is_err());
    server.metric("sigillo_connections_refused_total 1").await;
    drop(first);
    server.metric("sigillo_connections_open 0").await;
    assert_eq!(get(&world.client(&server, Protocols::Any), "/who").await.0, 200);
}

#[tokio::test]
async fn strangers_have_their_own_places_and_little_time() {
    let world = World::new();
    let limits = Limits { max_handshakes: 1, handshake_ms: 300, ..Limits::default() };
    let server = world.serve(limits).await;
    let client = world.client(&server, Protocols::Any);
    assert_eq!(get(&client, "/who").await.0, 200);
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    let mut second = TcpStream::connect(server.address).await.unwrap();
    assert!(matches!(second.read(&mut [0; 1]).await, Ok(0) | Err(_)));
    server.metric("sigillo_connections_refused_total 1").await;
    assert_eq!(get(&client, "/who").await.0, 200, "those who are in stay in");
    assert!(matches!(silent.read(&mut [0; 1]).await, Ok(0) | Err(_)));
    server.metric("sigillo_handshakes_failed_total{reason=\"timeout\"} 1").await;
    world.raw(&server, Protocols::Any).await;
}

#[tokio::test]
async fn a_peer_that_does_not_read() {
    let world = World::new();
    let server = world.serve(Limits { write_stall_ms: 50, ..Limits::default() }).await;
    let mut stream = world.raw(&server, Protocols::Http1).await;
    stream.write_all(b"GET /endless HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    happened(&server.app.done, 1).await;
    server.metric("sigillo_connections_open 0").await;
}

#[tokio::test]
async fn connections_end_with_their_age_or_certificate() {
    let world = World::new();
    let server = world
        .serve(Limits { connection_age_ms: 50, drain_ms: 50, header_ms: HOUR, ..Limits::default() })
        .await;
    for protocols in [Protocols::Http1, Protocols::Http2] {
        rest(&mut world.raw(&server, protocols).await).await;
    }
    // The server's clock stands 99 ms before the end of the certificate.
    let second = now_ms() / 1000 * 1000;
    let world = World::at(Arc::new(ManualClock::new(second + 900)));
    std::fs::remove_file(world.path("client.pem")).unwrap();
    std::fs::remove_file(world.path("client.key")).unwrap();
    world.issue("client", Purpose::Client, Validity { from_ms: second - HOUR, to_ms: second });
    let server = world.serve(Limits { header_ms: HOUR, ..Limits::default() }).await;
    let mut stream = world.raw(&server, Protocols::Http1).await;
    server.metric("sigillo_connections_total 1").await;
    rest(&mut stream).await;
}

/// RFC 9113 frame: length, type, flags, stream, payload.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

#[tokio::test]
async fn rapid_resets_end_the_connection() {
    let world = World::new();
    let server = world.serve(Limits { h2_pending_resets: 5, ..Limits::default() }).await;
    let mut stream = world.raw(&server, Protocols::Http2).await;
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(4, 0, 0, &[]));
    for stream in (1..200).step_by(2) {
        // GET https://x/wait, then RST_STREAM(CANCEL)
        bytes.extend(frame(1, 5, stream, b"\x82\x87\x41\x01x\x04\x05/wait"));
        bytes.extend(frame(3, 0, stream, &[0, 0, 0, 8]));
    }
    stream.write_all(&bytes).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.ok();
    // GOAWAY: type 7, on stream 0, with ENHANCE_YOUR_CALM (11).
    let calm = answer.windows(17).any(|w| w[3] == 7 && w[5..9] == [0; 4] && w[13..17] == [0, 0, 0, 11]);
    assert!(calm, "{answer:?}");
    assert_eq!(get(&world.client(&server, Protocols::Http2), "/who").await.0, 200);
}
