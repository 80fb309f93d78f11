//! A batch with bad lines: the good ones go in, the bad ones are named, a rerun changes nothing.

use std::fs;

use hyper::{HeaderMap, Method};
use serde_json::{Value, json};

use crate::fixture::{Installation, audit::Log};

fn import(home: &Installation, code: i32) -> Value {
    let ran = home.sigillo_as("bureau", &["cards", "import"], &["--json", "bad.ndjson"]).ended(code);
    serde_json::from_str(&ran.out).unwrap()
}

/// Line, code and field of each entry.
fn named(list: &Value) -> Vec<(u64, &str, &str)> {
    list.as_array()
        .unwrap()
        .iter()
        .map(|line| {
            (
                line["line"].as_u64().unwrap(),
                line["code"].as_str().unwrap(),
                line["field"].as_str().unwrap_or_default(),
            )
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_lines_are_named_and_good_ones_go_in() {
    let home = Installation::shared().await;
    let (desk, cards) = (home.api("desk"), home.produced(6));
    let line = |n: usize, name: &str, value: Value| {
        let mut line = cards[n].printed();
        line[name] = value;
        line.to_string()
    };
    // The check digit of the TEAM number is not law: unusual, and taken.
    let mut odd = cards[3].team_number.clone();
    let last = odd.pop().unwrap().to_digit(10).unwrap();
    odd.push_str(&((last + 1) % 10).to_string());
    let lines = [
        cards[0].printed().to_string(),
        "{\"tax_code\":".into(),
        line(1, "tax_code", json!("RSSMRA80A01H501X")),
        line(1, "team_number", json!("12345")),
        line(1, "expires_on", json!("2031-02-30")),
        line(1, "colour", json!("blue")),
        String::new(),
        json!({ "tax_code": cards[1].tax_code, "team_number": cards[1].team_number }).to_string(),
        cards[2].printed().to_string(),
        line(3, "team_number", json!(odd)),
        line(0, "expires_on", json!("2031-02-28")),
        line(4, "replaces", json!(cards[5].team_number)),
        line(4, "replaces", json!(cards[0].team_number)),
        cards[0].printed().to_string(),
        format!("{{\"tax_code\":\"{}\"}}", "x".repeat(5000)),
    ];
    fs::write(home.path("bad.ndjson"), lines.join("\n")).unwrap();
    let rejected = [
        (2, "malformed_json", ""),
        (3, "invalid_value", "$.tax_code"),
        (4, "invalid_value", "$.team_number"),
        (5, "invalid_value", "$.expires_on"),
        (6, "invalid_body", "$.colour"),
        (8, "invalid_body", "$.expires_on"),
        (11, "number_taken", "$.team_number"),
        (12, "unknown_former_card", ""),
        (13, "unknown_former_card", ""),
        (15, "line_too_long", ""),
    ];
    let first = import(&home, 1);
    assert_eq!(named(&first["rejected"]), rejected);
    assert_eq!(named(&first["warnings"]), [(10, "luhn", "$.team_number")]);
    assert_eq!((&first["registered"], &first["unchanged"]), (&json!(3), &json!(1)));
    for entry in first["rejected"].as_array().unwrap() {
        let detail = entry["detail"].as_str().unwrap();
        assert!(!detail.is_empty() && !detail.contains("RSSMRA") && !detail.contains("12345"), "{detail}");
    }

    let again = import(&home, 1);
    assert_eq!(named(&again["rejected"]), rejected);
    assert_eq!(named(&again["warnings"]), [(10, "luhn", "$.team_number")]);
    assert_eq!((&again["registered"], &again["unchanged"]), (&json!(0), &json!(4)));

    for (n, known) in [(0, true), (1, false), (2, true), (3, false), (4, false), (5, false)] {
        let answer = desk.post("/v1/cards/lookup", None, &cards[n].printed()).await;
        if known {
            assert_eq!(answer.ok()["state"], "registered", "{n}");
        } else {
            answer.problem(404, "card_not_found");
        }
    }
    let by_number = json!({ "team_number": odd });
    assert_eq!(desk.post("/v1/cards/lookup", None, &by_number).await.ok()["state"], "registered");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_that_replaces_ends_the_old_one_and_one_that_renews_waits() {
    let home = Installation::shared().await;
    let desk = home.api("desk");
    let lost = home.activated(&desk).await.card;
    let expiring = home.activated(&desk).await.card;
    let mut new = home.produced(2);
    for (card, old) in new.iter_mut().zip([&lost, &expiring]) {
        card.tax_code.clone_from(&old.tax_code);
    }
    let mut lines = [new[0].printed(), new[1].printed()];
    lines[0]["replaces"] = json!(lost.team_number);
    lines[1]["renews"] = json!(expiring.team_number);
    fs::write(home.path("new.ndjson"), format!("{}\n{}\n", lines[0], lines[1])).unwrap();
    home.sigillo_as("bureau", &["cards", "import"], &["new.ndjson"]).ended(0);

    assert_eq!(lost.look_up(&desk).await["state"], "revoked");
    assert_eq!(expiring.look_up(&desk).await["state"], "active");
    let renewed = home.activate(&desk, &new[1]).await;
    assert_eq!(expiring.look_up(&desk).await["state"], "revoked");
    assert_eq!(new[1].look_up(&desk).await["state"], "active");
    let log = Log::read(&home.api("auditor")).await;
    let same_request: Vec<_> = log.0.iter().filter(|e| e.text("request") == renewed.request).collect();
    let revoked: Vec<_> = same_request.iter().filter(|e| e.text("kind") == "card.revoked").collect();
    assert_eq!(revoked.len(), 1);
    assert_eq!(revoked[0].text("reason"), "renewed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_too_many_lines_is_refused_whole() {
    let home = Installation::shared().await;
    let bureau = home.api("bureau");
    let card = home.produced(1).remove(0);
    let post = async |lines: usize| {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", "application/x-ndjson".parse().unwrap());
        let body = format!("{}\n{}", card.printed(), "\n".repeat(lines - 1));
        bureau.send(Method::POST, "/v1/cards", headers, body).await.unwrap()
    };
    post(10_001).await.problem(413, "too_many_lines");
    assert_eq!(post(10_000).await.ok()["registered"], 1, "nothing of the longer one went in");
}
