//! Richiesta Lettore: (1) C.F., TEAM number, expiry of the card that the reader is for; (2) print the form; (3) confirm, "esegui".

use serde_json::{Value, json};

use crate::fixture::{Card, Installation, api::key, audit::Log, registered::OperatorCard};

const PATH: &str = "/v1/reader-requests";
const STOCK: &str = "/v1/reader-stock";

fn body(card: &Card, kind: &str) -> Value {
    let mut body = card.printed();
    body["kind"] = json!(kind);
    body
}

/// The demonstration's supervisor, registered.
async fn supervisor(home: &Installation) -> OperatorCard {
    let read = |name: &str| std::fs::read(home.path(&format!("clients/supervisor.{name}"))).unwrap();
    let supervisor = OperatorCard::new(&read("pem"), &read("key"));
    supervisor.register(&home.api("desk")).await;
    supervisor
}

#[tokio::test(flavor = "multi_thread")]
async fn the_steps_of_a_reader_request() {
    let home = Installation::delivering().await;
    let desk = home.api("desk");
    let supervisor = supervisor(&home).await;
    let (card, other) = (home.activated(&desk).await.card, home.activated(&desk).await.card);

    // Nothing is handed over from an empty stock. A supervisor takes readers in; who is at the counter does not.
    desk.change(PATH, &body(&card, "sale")).await.problem(409, "reader_out_of_stock");
    desk.change(STOCK, &json!({ "received": 3 })).await.problem(403, "operator_not_allowed");
    let stocked = supervisor.post(&desk, STOCK, &json!({ "received": 3 })).await.ok();
    assert_eq!([&stocked["before"], &stocked["in_stock"]], [0, 3]);
    assert_eq!(stocked["office"], "demo-office");

    // (1) The card is recognised; (2) the form's data, nothing is done yet.
    let mut preview = body(&card, "sale");
    preview["preview"] = json!(true);
    let form = desk.post(PATH, None, &preview).await.ok();
    assert_eq!((&form["card"]["state"], &form["price_cents"]), (&json!("active"), &json!(1000)));
    assert_eq!((&form["office"], &form["in_stock"]), (&json!("demo-office"), &json!(3)));

    // (3) Confirmed: the receipt's data.
    let once = key();
    let answer = desk.post(PATH, Some(&once), &body(&card, "sale")).await;
    let receipt = answer.ok();
    assert_eq!(
        (&receipt["number"], &receipt["kind"], &receipt["price_cents"]),
        (&json!(1), &json!("sale"), &json!(1000))
    );
    assert!(receipt["date"].as_str().unwrap().starts_with(&receipt["year"].to_string()));
    assert_eq!(desk.post(PATH, Some(&once), &body(&card, "sale")).await.ok(), receipt, "no second reader");
    let again = desk.change(PATH, &body(&card, "free")).await;
    again.problem(409, "reader_already_handed_over");
    assert!(again.json()["detail"].as_str().unwrap().starts_with("possible again from "));
    let free = desk.change(PATH, &body(&other, "free")).await.ok();
    assert_eq!((&free["number"], &free["price_cents"]), (&json!(2), &json!(0)));
    let counted = supervisor.post(&desk, STOCK, &json!({ "counted": 0 })).await.ok();
    assert_eq!([&counted["before"], &counted["in_stock"]], [1, 0]);

    let log = Log::read(&home.api("auditor")).await;
    let [event] = log.by(&answer)[..] else { panic!("one event") };
    assert_eq!(
        ["kind", "outcome", "office", "receipt"].map(|name| event.text(name)),
        ["reader.handed_over", "done", "demo-office", &format!("{}/1", receipt["year"])]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_and_why() {
    let home = Installation::shared().await;
    let desk = home.api("desk");
    let card = home.cards(1).await.remove(0);
    let mut household = body(&card, "free");
    household["household"] = json!("two words");
    let mut other_day = body(&card, "sale");
    other_day["expires_on"] = json!("2029-01-01");
    for (path, request, status, code, field) in [
        (PATH, body(&card, "sale"), 409, "card_not_active", None),
        (PATH, body(&card, "gift"), 422, "invalid_value", Some("$.kind")),
        (PATH, household, 422, "invalid_value", Some("$.household")),
        (PATH, other_day, 404, "card_not_found", None),
        // The front end's operator is no supervisor: that comes before anything in the body.
        (STOCK, json!({}), 403, "operator_not_allowed", None),
    ] {
        assert_eq!(desk.change(path, &request).await.problem(status, code).as_deref(), field, "{request}");
    }
    desk.post(PATH, None, &body(&card, "sale")).await.problem(400, "idempotency_key_missing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stock_is_received_or_counted_and_not_both() {
    let home = Installation::serving().await;
    let desk = home.api("desk");
    let supervisor = supervisor(&home).await;
    for request in [json!({}), json!({ "received": 1, "counted": 1 })] {
        let field = supervisor.post(&desk, STOCK, &request).await.problem(422, "invalid_value");
        assert_eq!(field.as_deref(), Some("$.received"));
    }
    supervisor
        .post(&desk, STOCK, &json!({ "counted": 1_000_001 }))
        .await
        .problem(409, "reader_stock_too_large");
    supervisor.post(&desk, STOCK, &json!({ "counted": -1 })).await.problem(400, "invalid_body");
}
