//! The internal listener: `/livez`, `/readyz`, and `/metrics` that counts what was done.

use std::collections::BTreeMap;

use serde_json::json;
use sigillo::{metrics::TABLE, tls::Protocols};

use crate::fixture::{Installation, cards::wrong, eventually};

/// Every sample by its name with labels, as a scraper reads the text format.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let mut kinds = BTreeMap::new();
    let mut samples = BTreeMap::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert!(kinds.insert(name.to_owned(), kind.to_owned()).is_none(), "twice: {line}");
        } else if !line.starts_with("# HELP ") {
            let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
            let family = name.split('{').next().unwrap();
            let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| family.strip_suffix(end));
            assert!(kinds.contains_key(family) || base.is_some_and(|b| kinds.contains_key(b)), "{line}");
            let value: f64 = value.parse().unwrap_or_else(|e| panic!("{e}: {line}"));
            assert!(samples.insert(name.to_owned(), value).is_none(), "twice: {line}");
        }
    }
    samples
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_done_is_counted() {
    let mut home = Installation::delivering().await;
    let desk = home.api("desk");
    let active = home.activated(&desk).await;
    let cip = active.cip(&home).await;
    for code in [cip.clone(), wrong(&cip, 0), wrong(&cip, 1)] {
        active.card.verify(&desk, &code).await;
    }
    for _ in 0..4 {
        active.card.look_up(&desk).await;
    }
    desk.post("/v1/cards/lookup", None, &json!({})).await.problem(400, "invalid_body");
    desk.get("/v1/nothing").await.problem(404, "no_such_path");
    let forged = home.api_with("forged", Protocols::Http1, 1);
    assert!(forged.try_post("/v1/cards", None, &json!({})).await.is_err());

    let expected = [
        (r#"sigillo_requests_total{class="2xx",route="cards"}"#, 1.0),
        (r#"sigillo_requests_total{class="2xx",route="activations"}"#, 1.0),
        (r#"sigillo_requests_total{class="2xx",route="lookup"}"#, 4.0),
        (r#"sigillo_requests_total{class="4xx",route="lookup"}"#, 1.0),
        (r#"sigillo_requests_total{class="4xx",route="none"}"#, 1.0),
        (r#"sigillo_requests_total{class="2xx",route="verifications"}"#, 3.0),
        (r#"sigillo_request_seconds_count{route="verifications"}"#, 3.0),
        (r#"sigillo_verifications_total{answer="accepted"}"#, 1.0),
        (r#"sigillo_verifications_total{answer="rejected"}"#, 2.0),
        // Three codes printed; the tag of the first part, and two for each verification.
        (r#"sigillo_hsm_operations_total{key="print"}"#, 3.0),
        (r#"sigillo_hsm_operations_total{key="verify"}"#, 7.0),
        (r#"sigillo_hsm_operations_total{key="deliver"}"#, 0.0),
        (r#"sigillo_hsm_state{state="up"}"#, 1.0),
        (r#"sigillo_hsm_state{state="down"}"#, 0.0),
        (r#"sigillo_store_commits_total{result="failed"}"#, 0.0),
    ];
    let failed = |seen: &BTreeMap<String, f64>| {
        let reasons = seen.iter().filter(|(name, _)| name.starts_with("sigillo_handshakes_failed_total"));
        reasons.map(|(_, value)| value).sum::<f64>()
    };
    // The numbers of HSM and store are copied now and then; a handshake is counted after the client has heard of it.
    let seen = eventually("numbers of the HSM and of handshakes", async || {
        let (status, text) = home.internal("/metrics").await;
        assert_eq!(status, 200);
        let seen = samples(&text);
        (seen.get(expected[10].0) == Some(&expected[10].1) && failed(&seen) > 0.5).then_some(seen)
    })
    .await;
    for (name, value) in expected {
        assert_eq!(seen.get(name), Some(&value), "{name} of {seen:#?}");
    }
    assert!((failed(&seen) - 1.0).abs() < 0.5, "{seen:#?}");
    assert!(seen["sigillo_connections_open"] >= 1.0 && seen["sigillo_store_units_total"] >= 1.0);
    // The witnesses' are there where there are witnesses: tests/api/witness.rs.
    for row in TABLE.iter().filter(|row| row.labels != ["witness"]) {
        assert!(seen.keys().any(|name| name.starts_with(row.name)), "{} is missing", row.name);
    }
    let text = home.internal("/metrics").await.1;
    for secret in [&cip, &active.card.team_number, &active.card.tax_code, &active.address] {
        assert!(!text.contains(secret.as_str()));
    }

    assert_eq!(home.internal("/livez").await, (200, "ok\n".into()));
    assert_eq!(home.internal("/readyz").await, (200, "ready\n".into()));
    assert_eq!(home.internal("/v1/openapi.json").await.0, 404);
    let serve = home.serve.as_mut().unwrap();
    serve.terminate();
    assert_eq!(serve.wait().await, Some(0));
    assert!(home.try_internal("/livez").await.is_none());
}
