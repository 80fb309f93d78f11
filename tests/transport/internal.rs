//! The listener for probes and metrics.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sigillo::{
    http::{
        ListenError,
        internal::{InternalConfig, InternalListener},
    },
    metrics::{HsmState, Metrics, TABLE},
};
use tokio::{io::AsyncWriteExt, net::TcpStream, sync::oneshot};

use crate::kit::rest;

async fn ask(address: SocketAddr, request: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream
        .write_all(format!("{request} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes())
        .await
        .unwrap();
    let answer = rest(&mut stream).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

#[tokio::test]
async fn probes_and_metrics() {
    let metrics = Arc::new(Metrics::new().unwrap());
    let ready = Arc::new(AtomicBool::new(false));
    let probe = Arc::clone(&ready);
    let readiness = move || if probe.load(Ordering::SeqCst) { Ok(()) } else { Err("hsm down") };
    let config: InternalConfig = toml::from_str("listen = '127.0.0.1:0'").unwrap();
    let listener = InternalListener::bind(&config, Arc::clone(&metrics), Arc::new(readiness)).await.unwrap();
    let address = listener.local_addr();
    let (stop, stopped) = oneshot::channel::<()>();
    let end = tokio::spawn(listener.serve(async {
        stopped.await.ok();
    }));

    assert!(ask(address, "GET /livez").await.0.starts_with("HTTP/1.1 200 "));
    let (head, body) = ask(address, "GET /readyz").await;
    assert!(head.starts_with("HTTP/1.1 503 ") && body == "not ready: hsm down\n", "{head} {body}");
    ready.store(true, Ordering::SeqCst);
    assert!(ask(address, "GET /readyz").await.0.starts_with("HTTP/1.1 200 "));
    assert!(ask(address, "GET /v1/session").await.0.starts_with("HTTP/1.1 404 "));
    assert!(ask(address, "POST /metrics").await.0.starts_with("HTTP/1.1 405 "));
    let (head, body) = ask(address, "GET /metrics").await;
    assert!(head.contains("content-type: text/plain; version=0.0.4"), "{head}");
    assert_eq!(body, metrics.render());

    stop.send(()).unwrap();
    end.await.unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn others_are_refused_unless_allowed() {
    let metrics = Arc::new(Metrics::new().unwrap());
    let config: InternalConfig = toml::from_str("listen = '0.0.0.0:0'").unwrap();
    let bound = InternalListener::bind(&config, Arc::clone(&metrics), Arc::new(|| Ok(()))).await;
    assert!(matches!(bound, Err(ListenError::Remote(_))));
    let config = InternalConfig { allow_remote: true, ..config };
    InternalListener::bind(&config, metrics, Arc::new(|| Ok(()))).await.unwrap();
    assert!(toml::from_str::<InternalConfig>("listen = '127.0.0.1:0'\nremote = true").is_err());
}

#[test]
fn every_metric_is_in_the_table_and_says_no_more_than_it_may() {
    let metrics = Metrics::new().unwrap();
    metrics.request("verifications", 200, Duration::from_millis(3));
    metrics.verification(true);
    metrics.verification(false);
    metrics.hsm_operations("verify", 7);
    metrics.hsm_operations("verify", 9);
    metrics.hsm_unaccounted("verify", 0);
    metrics.witness("url", 3, Duration::from_secs(2));
    metrics.over_limits("operator", "wrong_guess", 2);
    metrics.over_limits("operator", "wrong_guess", 3);
    metrics.hsm_state(HsmState::Up);
    metrics.store(3, 17, 1, 1, 4);
    metrics.store(5, 40, 1, 2, 0);
    let open = metrics.connection_opened();
    let text = metrics.render();
    let mut seen = BTreeSet::new();
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let words: Vec<_> = comment.splitn(3, ' ').collect();
            assert!(matches!(words[..], ["HELP" | "TYPE", _, _]), "{line}");
            seen.insert(words[1]);
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap();
        value.parse::<f64>().unwrap();
        let (name, labels) = match series.split_once('{') {
            Some((name, labels)) => (name, labels.strip_suffix('}').unwrap()),
            None => (series, ""),
        };
        let row = TABLE.iter().find(|row| {
            name.strip_prefix(row.name).is_some_and(|end| matches!(end, "" | "_bucket" | "_sum" | "_count"))
        });
        let row = row.unwrap_or_else(|| panic!("{name} is not in the table"));
        let keys = labels.split("\",").filter(|l| !l.is_empty()).map(|l| l.split('=').next().unwrap());
        for key in keys.filter(|key| *key != "le") {
            assert!(row.labels.contains(&key), "{line}");
        }
    }
    assert_eq!(seen, TABLE.iter().map(|row| row.name).collect());
    for line in [
        "sigillo_verifications_total{answer=\"accepted\"} 1",
        "sigillo_request_seconds_count{route=\"verifications\"} 1",
        "sigillo_requests_total{class=\"2xx\",route=\"verifications\"} 1",
        "sigillo_hsm_state{state=\"up\"} 1",
        "sigillo_hsm_state{state=\"down\"} 0",
        "sigillo_connections_open 1",
        "sigillo_hsm_operations_total{key=\"verify\"} 9",
        "sigillo_store_commits_total{result=\"applied\"} 5",
        "sigillo_store_commits_total{result=\"failed\"} 1",
        "sigillo_store_patrols_total 2",
        "sigillo_store_units_total 40",
        "sigillo_store_queue_length 0",
        "sigillo_over_limits_total{scope=\"operator\",use=\"wrong_guess\"} 3",
        "sigillo_witness_behind_events{witness=\"url\"} 3",
        "sigillo_witness_waiting_seconds{witness=\"url\"} 2",
    ] {
        assert!(text.lines().any(|l| l == line), "{line}");
    }
    drop(open);
    assert!(metrics.render().contains("sigillo_connections_open 0\n"));
    // Durations of requests are by route alone.
    for row in TABLE.iter().filter(|row| row.name == "sigillo_request_seconds") {
        assert!(matches!(row.labels, ["route"]), "{row:?}");
    }
}
