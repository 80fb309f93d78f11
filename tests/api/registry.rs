//! Registra CNS through the API: first access, another card, a lost card, and what a front end is told.

use hyper::Method;
use serde_json::json;
use sigillo::domain::signed_text::Context;

use crate::fixture::{
    Api, Installation, api::json_with_operator, audit::Log, listed::SecondCa, registered::OperatorCard,
};

const FOR: Context = Context::OperatorRegistration;
const NAME: &str = "RSSMRA80A01H501U/6090000000000013.c2lnaWxsbyBkZW1vIGNhcmQgMDE=";
const END: &str = "/v1/operator-registrations/end";

/// An installation whose cards a second authority issues too: to the same person.
fn with_another_ca() -> (Installation, OperatorCard) {
    let home = Installation::new();
    let ca = SecondCa::of(&home);
    let card = ca.card(NAME);
    let card = OperatorCard::new(card.certificate_pem().as_bytes(), card.key_pem().as_bytes());
    (home, card)
}

async fn look_up(card: &OperatorCard, desk: &Api) -> crate::fixture::Answer {
    let body = json!({ "team_number": "80380000104389020511" });
    let headers = json_with_operator(None, card.certificate.clone());
    desk.send(Method::POST, "/v1/cards/lookup", headers, body.to_string()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn another_card_is_registered_by_its_signature_and_ends_the_former_one() {
    let (mut home, new) = with_another_ca();
    home.start().await;
    let (desk, security) = (home.api("desk"), home.api("policy"));
    let old = OperatorCard::of_demo(home.directory());
    look_up(&old, &desk).await.problem(404, "card_not_found");
    let refused = look_up(&new, &desk).await;
    refused.problem(403, "operator_other_card");
    let log = Log::read(&home.api("auditor")).await;
    let [event] = &log.by(&refused)[..] else { panic!("one event") };
    assert_eq!((event.text("kind"), event.text("reason")), ("request.refused", "operator_other_card"));
    assert_eq!(event.text("operator").len(), 32);

    let session = new.session(&desk).await.ok();
    assert_eq!((&session["registration"], &session["actions"]), (&json!("other"), &json!([])));
    let (path, text) = new.open(&desk).await;
    for signature in [new.sign(Context::Approval, &text), old.sign(FOR, &text), new.sign(FOR, "another text")]
    {
        let answer = new.post(&desk, &path, &json!({ "signature": signature })).await;
        assert_eq!(answer.problem(422, "bad_signature").as_deref(), Some("$.signature"));
        let log = Log::read(&home.api("auditor")).await;
        let [event] = &log.by(&answer)[..] else { panic!("one event") };
        assert_eq!((event.text("kind"), event.text("reason")), ("operator.registered", "bad_signature"));
    }
    let garbage = new.post(&desk, &path, &json!({ "signature": "no base64" })).await;
    assert_eq!(garbage.problem(422, "invalid_value").as_deref(), Some("$.signature"));
    let good = json!({ "signature": new.sign(FOR, &text) });
    old.post(&desk, &path, &good).await.problem(409, "no_open_registration");
    let key = crate::fixture::key();
    let sign = async || {
        let headers = json_with_operator(Some(&key), new.certificate.clone());
        desk.send(Method::POST, &path, headers, good.to_string()).await.unwrap().ok()
    };
    let signed = sign().await;
    assert_eq!((signed["replaced"].clone(), sign().await), (json!(true), signed));
    new.post(&desk, &path, &good).await.problem(409, "no_open_registration");
    let other = format!("/v1/operator-registrations/{}/sign", "7".repeat(32));
    let headers = json_with_operator(Some(&key), new.certificate.clone());
    let elsewhere = desk.send(Method::POST, &other, headers, good.to_string()).await.unwrap();
    elsewhere.problem(422, "idempotency_key_reused");
    new.post(&desk, &other, &good).await.problem(409, "no_open_registration");
    new.post(&desk, &other.replace('7', "x"), &good).await.problem(422, "invalid_value");

    // It holds through a new start, and the former card does not come back.
    home.serve.take().unwrap().kill();
    home.start().await;
    look_up(&new, &desk).await.problem(404, "card_not_found");
    look_up(&old, &desk).await.problem(403, "operator_other_card");
    let again = old.post(&desk, "/v1/operator-registrations", &json!({})).await;
    again.problem(403, "operator_former_card");
    let log = Log::read(&home.api("auditor")).await;
    assert_eq!(log.by(&again).len(), 1, "one event");
    assert_eq!(old.session(&desk).await.ok()["registration"], "former");
    let session = new.session(&desk).await.ok();
    assert_eq!(session["registration"], "registered");
    assert_eq!((&session["front_end"], &session["sequence"]), (&json!("desk"), &json!(2)));
    assert_eq!(session["operator"]["id_carta"], "6090000000000013");
    assert_eq!(session["operator"]["roles"], json!(["counter_operator"]));
    let actions: Vec<_> =
        session["actions"].as_array().unwrap().iter().map(|one| one["action"].clone()).collect();
    assert_eq!(
        actions,
        [
            "activate",
            "ask_approval",
            "change_contact",
            "look_up",
            "read_consents",
            "read_history",
            "record_consents",
            "renew_cip",
            "reprint",
            "request_reader",
            "resend_delivery",
            "revoke",
            "unlock",
            "verify"
        ]
    );

    // It is lost.
    let lost = json!({ "tax_code": "RSSMRA80A01H501U" });
    desk.post(END, None, &lost).await.problem(403, "not_allowed");
    assert_eq!(security.post(END, None, &lost).await.ok(), json!({ "deregistered": true }));
    assert_eq!(security.post(END, None, &lost).await.ok(), json!({ "deregistered": false }));
    look_up(&new, &desk).await.problem(403, "operator_other_card");
    let log = Log::read(&home.api("auditor")).await;
    let text = format!("{:?}", log.0);
    assert!(!text.contains("RSSMRA80A01H501U"), "the log names no person");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_is_listed_with_a_good_certificate_registers() {
    let mut home = Installation::new();
    home.edit("authority/policies/operators.toml", "valid_to = \"2099-12-31\"", "valid_to = \"2020-01-02\"");
    home.edit("authority/policies/authority.toml", "\nsequence = 1\n", "\nsequence = 2\n");
    home.start().await;
    let desk = home.api("desk");
    let card = OperatorCard::of_demo(home.directory());
    let open = "/v1/operator-registrations";
    card.post(&desk, open, &json!({})).await.problem(403, "unknown_operator");
    card.session(&desk).await.problem(403, "unknown_operator");
    let own = std::fs::read(home.path("clients/desk.pem")).unwrap();
    let key = std::fs::read(home.path("clients/desk.key")).unwrap();
    let stranger = OperatorCard::new(&own, &key);
    stranger.post(&desk, open, &json!({})).await.problem(403, "operator_missing_policy");
    let nobody = desk.send_as_is(Method::GET, "/v1/session", hyper::HeaderMap::new(), "").await.unwrap();
    nobody.problem(400, "operator_missing");
    let mut headers = json_with_operator(None, card.certificate.clone());
    headers.remove("content-type");
    let bureau = home.api("bureau").send_as_is(Method::GET, "/v1/session", headers, "").await.unwrap();
    bureau.problem(403, "forged_client_cert");
}
