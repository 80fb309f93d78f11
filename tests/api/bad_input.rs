//! Every refusal is a problem with a stable code and the field at fault, and nothing has changed (I12).

use std::collections::HashSet;

use hyper::{HeaderMap, Method, header::CONTENT_TYPE};
use serde_json::{Value, json};

use crate::fixture::{
    Answer, Api, Card, Installation,
    api::{OPERATOR_HEADER, json_with, operator},
    audit::Log,
    key,
};

/// A value that must not come back in an answer.
const MARK: &str = "7391";

async fn post(api: &Api, path: &str, body: impl Into<String>) -> Answer {
    api.send(Method::POST, path, json_with(Some(&key())), body.into()).await.unwrap()
}

/// The body with one member replaced, by its JSON pointer.
fn with(body: &Value, pointer: &str, value: Value) -> String {
    let mut body = body.clone();
    *body.pointer_mut(pointer).unwrap() = value;
    body.to_string()
}

async fn assert_untouched(home: &Installation, desk: &Api, card: &Card, answers: &[Answer]) {
    assert_eq!(card.look_up(desk).await["state"], "registered");
    let log = Log::read(&home.api("auditor")).await;
    let refused: HashSet<String> = answers.iter().map(Answer::request).collect();
    assert_eq!(refused.len(), answers.len(), "every request has an id of its own");
    let events: Vec<_> = log.0.iter().filter(|event| refused.contains(event.text("request"))).collect();
    for event in &events {
        assert_eq!(event.text("kind"), "request.refused", "{event:?}");
        let answer = answers.iter().find(|answer| answer.request() == event.text("request")).unwrap();
        assert_eq!(event.text("reason"), answer.json()["code"], "{event:?}");
    }
    // Paths and methods that are no operation leave no event; every other refusal leaves exactly one.
    let operations = answers.iter().filter(|answer| !matches!(answer.status.as_u16(), 404 | 405)).count();
    assert_eq!(events.len(), operations);
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies() {
    let home = Installation::shared().await;
    let desk = home.api("desk");
    let card = home.cards(1).await.remove(0);
    let good = card.activation("titolare@esempio.it");
    let mut text = good.clone();
    text["contact"] = json!({ "channel": "sms", "address": "+393337391739" });
    let mut extra = good.clone();
    extra["pin"] = json!(MARK);
    let mut less = good.clone();
    less.as_object_mut().unwrap().remove("tax_code");
    let by_place =
        json!([card.tax_code, card.team_number, card.expires_on, good["contact"], true]).to_string();
    let guess = card.guess(MARK);
    let revocation = card.revocation("verification", &"0".repeat(32), "stolen");
    let reprint = card.reprint("titolare@esempio.it", "lost_paper");
    let look_up = "/v1/cards/lookup";
    let without_expiry = json!({ "team_number": card.team_number, "tax_code": card.tax_code });
    let (activate, verify, revoke) = ("/v1/activations", "/v1/verifications", "/v1/revocations");
    let plain = |path, body: String, status, code, field: Option<&str>| {
        (path, body, status, code, field.map(str::to_owned))
    };
    let mut cases = vec![
        plain(activate, r#"{"tax_code":"#.into(), 400, "malformed_json", None),
        plain(activate, String::new(), 400, "malformed_json", None),
        plain(activate, format!("{good} {{}}"), 400, "malformed_json", None),
        plain(activate, " ".repeat(65 << 10), 413, "body_too_long", None),
        plain(activate, "[7391]".into(), 400, "invalid_body", Some("$")),
        plain(activate, by_place, 400, "invalid_body", Some("$")),
        plain(activate, json!({ MARK: "x" }).to_string(), 400, "invalid_body", Some("$")),
        plain(activate, extra.to_string(), 400, "invalid_body", Some("$.pin")),
        plain(activate, less.to_string(), 400, "invalid_body", Some("$.tax_code")),
        plain(
            "/v1/reprints",
            with(&reprint, "/reason", json!(MARK)),
            422,
            "unknown_reason",
            Some("$.reason"),
        ),
        plain(look_up, without_expiry.to_string(), 422, "invalid_value", Some("$.expires_on")),
    ];
    let field = |pointer: &str| Some(format!("${}", pointer.replace('/', ".")));
    for (path, body, pointer, mistyped) in [
        (activate, &good, "/tax_code", json!(7391)),
        (activate, &good, "/contact", json!(MARK)),
        (activate, &good, "/contact/address", json!([7391])),
        (verify, &guess, "/code", json!(7391)),
    ] {
        cases.push((path, with(body, pointer, mistyped), 400, "invalid_body", field(pointer)));
    }
    for (path, body, pointer, bad) in [
        (activate, &good, "/tax_code", "RSSMRA80A01H501"),
        (activate, &good, "/tax_code", "RSSMRA80A01H501X"),
        (activate, &good, "/team_number", MARK),
        (activate, &good, "/team_number", "8038000073917391739X"),
        (activate, &good, "/expires_on", "7391-02-30"),
        (activate, &good, "/expires_on", "tomorrow"),
        (activate, &good, "/contact/address", "7391.esempio.it"),
        (activate, &good, "/contact/address", "7391@esempio.it\r\nBcc: x@esempio.it"),
        (activate, &good, "/contact/channel", MARK),
        (activate, &good, "/contact/channel", "SMS"),
        (activate, &text, "/contact/address", "3337391739"),
        (activate, &text, "/contact/address", "+39 333 7391739"),
        (activate, &text, "/contact/address", "+39027391739"),
        (activate, &text, "/contact/address", "7391@esempio.it"),
        (verify, &guess, "/purpose", MARK),
        (verify, &guess, "/code", &"7".repeat(65)),
        (verify, &guess, "/code", "7391x"),
        (revoke, &revocation, "/reason", MARK),
        (revoke, &revocation, "/verification", MARK),
        (look_up, &card.printed(), "/team_number", MARK),
    ] {
        cases.push((path, with(body, pointer, json!(bad)), 422, "invalid_value", field(pointer)));
    }
    let mut answers = Vec::new();
    for (path, body, status, code, field) in cases {
        let answer = post(&desk, path, body.clone()).await;
        assert_eq!(answer.problem(status, code), field, "{body:.200}");
        let mut told = answer.json();
        told.as_object_mut().unwrap().remove("request_id");
        assert!(!told.to_string().contains(MARK), "the value comes back: {told}");
        answers.push(answer);
    }
    assert_untouched(&home, &desk, &card, &answers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_paths_and_methods() {
    let home = Installation::shared().await;
    let (desk, bureau, courier) = (home.api("desk"), home.api("bureau"), home.api("courier"));
    let card = home.cards(1).await.remove(0);
    let good = card.activation("titolare@esempio.it").to_string();
    let typed = |media_type: &str| {
        let mut headers = json_with(Some(&key()));
        headers.insert(CONTENT_TYPE, media_type.parse().unwrap());
        headers
    };
    let mut untyped = json_with(Some(&key()));
    untyped.remove(CONTENT_TYPE);
    let mut two_keys = json_with(Some(&key()));
    two_keys.append("idempotency-key", "another".parse().unwrap());
    let named = |names: &[&str]| {
        let mut headers = json_with(Some(&key()));
        headers.remove(OPERATOR_HEADER);
        for name in names {
            headers.append(OPERATOR_HEADER, name.parse().unwrap());
        }
        headers
    };
    let one = operator().to_str().unwrap().to_owned();
    let (long, plain, none) = (json_with(Some(&"k".repeat(65))), json_with(Some("a key")), HeaderMap::new);
    let (post, get) = (Method::POST, Method::GET);
    let mut answers = Vec::new();
    for (api, method, path, headers, status, code, field) in [
        (&desk, &post, "/v1/activations", typed("text/plain"), 415, "wrong_media_type", None),
        (&desk, &post, "/v1/activations", typed("application/x-ndjson"), 415, "wrong_media_type", None),
        (&desk, &post, "/v1/activations", untyped, 415, "wrong_media_type", None),
        (&bureau, &post, "/v1/cards", typed("application/json"), 415, "wrong_media_type", None),
        (&desk, &post, "/v1/activations", json_with(None), 400, "idempotency_key_missing", None),
        (&desk, &post, "/v1/activations", long, 400, "bad_idempotency_key", None),
        (&desk, &post, "/v1/activations", plain, 400, "bad_idempotency_key", None),
        (&desk, &post, "/v1/activations", two_keys, 400, "bad_idempotency_key", None),
        (&desk, &post, "/v1/activations", named(&[]), 400, "operator_missing", None),
        (&desk, &post, "/v1/activations", named(&[&one, &one]), 400, "bad_client_cert", None),
        (&desk, &post, "/v1/activations", named(&["RSSMRA80A01H501U"]), 400, "bad_client_cert", None),
        (&desk, &post, "/v1/activation", json_with(None), 404, "no_such_path", None),
        (&desk, &post, "/v1/activations/", json_with(None), 404, "no_such_path", None),
        (&desk, &get, "/", none(), 404, "no_such_path", None),
        (&desk, &get, "/metrics", none(), 404, "no_such_path", None),
        (&desk, &get, "/v1/activations", none(), 405, "method_not_allowed", None),
        (&desk, &Method::DELETE, "/v1/cards", none(), 405, "method_not_allowed", None),
        (&desk, &get, "/v1/deliveries/7391", none(), 422, "invalid_value", Some("$.id")),
        (&home.api("auditor"), &get, "/v1/audit/events?from=1", none(), 400, "bad_query", None),
        (
            &courier,
            &post,
            "/v1/courier/leases/7391/report",
            json_with(None),
            422,
            "invalid_value",
            Some("$.id"),
        ),
    ] {
        let body = if *method == get { String::new() } else { good.clone() };
        let answer = api.send(method.clone(), path, headers, body).await.unwrap();
        assert_eq!(answer.problem(status, code).as_deref(), field, "{method} {path}");
        answers.push(answer);
    }
    for limit in [0, 101] {
        let answer = courier.post("/v1/courier/leases", None, &json!({ "limit": limit })).await;
        assert_eq!(answer.problem(422, "invalid_value").as_deref(), Some("$.limit"));
        answers.push(answer);
    }
    for path in ["/v1/verifications", "/v1/revocations", "/v1/reprints"] {
        let body = match path {
            "/v1/verifications" => card.guess("1234"),
            "/v1/reprints" => card.reprint("titolare@esempio.it", "lost_paper"),
            _ => card.revocation("verification", &"0".repeat(32), "stolen"),
        };
        let answer = desk.post(path, None, &body).await;
        assert_eq!(answer.problem(400, "idempotency_key_missing"), None, "{path}");
        answers.push(answer);
    }
    assert_untouched(&home, &desk, &card, &answers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idempotency_key_serves_one_request_only() {
    let home = Installation::shared().await;
    let desk = home.api("desk");
    let [first, second]: [Card; 2] = home.cards(2).await.try_into().unwrap();
    let once = key();
    desk.post("/v1/activations", Some(&once), &first.activation("titolare@esempio.it")).await.ok();
    let mut answers = Vec::new();
    for body in [second.activation("titolare@esempio.it"), first.activation("altro@esempio.it")] {
        let answer = desk.post("/v1/activations", Some(&once), &body).await;
        assert_eq!(answer.problem(422, "idempotency_key_reused"), None);
        answers.push(answer);
    }
    assert_untouched(&home, &desk, &second, &answers).await;
    // Another operation, or another caller, has keys of its own.
    let answer = desk.post("/v1/verifications", Some(&once), &second.guess("1234")).await.ok();
    assert_eq!(answer["outcome"], "rejected");
}
