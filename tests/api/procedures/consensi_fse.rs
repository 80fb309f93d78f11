//! Consensi FSE: (1) C.F., TEAM number, expiry; (2) holder or proxy; (3) proxy's data, document; (4) the consents' data;
//! (5) print and hand over.

use serde_json::{Value, json};

use crate::fixture::{
    Api, Card, Installation,
    api::key,
    audit::Log,
    cards::{identity_card, in_person},
};

const PATH: &str = "/v1/consents";
const LOOKUP: &str = "/v1/consents/lookup";

fn given(choice: &str) -> Value {
    json!({ "consultazione": { "choice": choice, "text": "consultazione/1" } })
}

fn body(card: &Card, consents: Value) -> Value {
    let mut body = card.printed();
    body["applicant"] = in_person();
    body["consents"] = consents;
    body
}

async fn consultation(desk: &Api, card: &Card) -> Value {
    let seen = desk.post(LOOKUP, None, &card.printed()).await.ok();
    let all = seen["consents"].as_array().unwrap();
    all.iter().find(|one| one["kind"] == "consultazione").unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_steps_of_solo_consenso_fse() {
    let home = Installation::shared().await;
    let desk = home.api("desk");
    let card = home.activated(&desk).await.card;

    // (1) The card is recognised, and the form shows what is asked, in which words.
    let form = desk.post(LOOKUP, None, &card.printed()).await.ok();
    let asked: Vec<_> =
        form["consents"].as_array().unwrap().iter().filter(|one| one["asked_for"] == true).collect();
    assert_eq!(asked.len(), 1, "of three kinds one is asked for");
    assert_eq!(asked[0]["text"], "consultazione/1");
    let words = asked[0]["words"].as_str().unwrap();
    assert!(words.contains("Fascicolo sanitario elettronico"));
    assert!(asked[0].get("state").is_none() && asked[0].get("asked_until").is_none());
    let feeding =
        form["consents"].as_array().unwrap().iter().find(|one| one["kind"] == "alimentazione").unwrap();
    assert_eq!((&feeding["asked_for"], &feeding["asked_until"]), (&json!(false), &json!("2020-05-18")));

    // (4) The consents' data, shown before they are confirmed: nothing is done yet.
    let mut preview = body(&card, given("grant"));
    preview["preview"] = json!(true);
    let shown = desk.post(PATH, None, &preview).await.ok();
    assert_eq!(shown["card"]["state"], "active");
    assert_eq!(
        (&shown["consents"][0]["state"], &shown["consents"][0]["words"]),
        (&json!("granted"), &json!(words))
    );
    assert!(consultation(&desk, &card).await.get("state").is_none());

    let once = key();
    let done = desk.post(PATH, Some(&once), &body(&card, given("grant"))).await;
    let answer = done.ok();
    let expected =
        json!([{ "kind": "consultazione", "state": "granted", "text": "consultazione/1", "number": 1 }]);
    assert_eq!(answer["consents"], expected);
    let paper = &answer["paper"];
    assert_eq!(
        [&paper["operation"], &paper["applicant"], &paper["office"]],
        ["consents", "holder", "demo-office"]
    );
    assert_eq!((&paper["document"], &paper["at"]), (&json!("identity_card"), &answer["recorded_at"]));
    assert_eq!(
        desk.post(PATH, Some(&once), &body(&card, given("grant"))).await.ok(),
        answer,
        "the same again"
    );

    // (5) What is printed is what is in force, with the moment and the request.
    let now = consultation(&desk, &card).await;
    assert_eq!(now["state"], "granted");
    let expected = json!([{ "number": 1, "state": "granted", "text": "consultazione/1",
        "applicant": "holder", "recorded_at": answer["recorded_at"], "request": done.request() }]);
    assert_eq!(now["history"], expected);

    let log = Log::read(&home.api("auditor")).await;
    let [event] = log.by(&done)[..] else { panic!("one event") };
    assert_eq!(
        ["kind", "outcome", "consents"].map(|name| event.text(name)),
        ["consents.recorded", "done", "consultazione/1 grant 1"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_withdrawn_and_asked_again() {
    let home = Installation::shared().await;
    let desk = home.api("desk");
    // Without an activation, before there is one.
    let card = home.cards(1).await.remove(0);
    let say = async |choice| desk.change(PATH, &body(&card, given(choice))).await;
    say("withdraw").await.problem(409, "consent_not_in_force");
    for (choice, state) in [("refuse", "refused"), ("grant", "granted"), ("withdraw", "withdrawn")] {
        assert_eq!(say(choice).await.ok()["consents"][0]["state"], state, "an answer like any other");
    }
    say("withdraw").await.problem(409, "consent_not_in_force");
    let now = consultation(&desk, &card).await;
    let states: Vec<_> =
        now["history"].as_array().unwrap().iter().map(|past| past["state"].clone()).collect();
    assert_eq!(states, ["withdrawn", "granted", "refused"]);
}

/// (2) A proxy; (3) the proxy's data, the document, and the declaration that is signed.
#[tokio::test(flavor = "multi_thread")]
async fn a_guardian_answers_for_the_holder() {
    let home = Installation::shared().await;
    let desk = home.api("desk");
    let [card, guardian] = home.cards(2).await.try_into().unwrap();
    let proxy = |title: &str, code: &str, declaration: bool| {
        let mut request = body(&card, given("refuse"));
        request["applicant"] = json!({
            "is": "proxy", "document": identity_card(), "declaration": declaration,
            "proxy": { "title": title, "tax_code": code, "given_name": "Anna", "family_name": "Bianchi" },
        });
        request
    };
    for (request, code, field) in [
        (proxy("guardian", &guardian.tax_code, false), "declaration_missing", "$.applicant.declaration"),
        (
            proxy("health_impediment", &guardian.tax_code, true),
            "proxy_title_not_allowed",
            "$.applicant.proxy.title",
        ),
        (proxy("parental_authority", &guardian.tax_code, true), "parent_of_adult", "$.applicant.proxy.title"),
        (proxy("guardian", &card.tax_code, true), "proxy_is_holder", "$.applicant.proxy.tax_code"),
    ] {
        assert_eq!(desk.change(PATH, &request).await.problem(422, code).as_deref(), Some(field));
    }
    let mut expired = body(&card, given("refuse"));
    expired["applicant"]["document"]["expires_on"] = json!("2020-12-31");
    desk.change(PATH, &expired).await.problem(422, "document_expired");
    let done = desk.change(PATH, &proxy("guardian", &guardian.tax_code, true)).await.ok();
    assert_eq!(
        (&done["consents"][0]["state"], &done["paper"]["applicant"]),
        (&json!("refused"), &json!("proxy:guardian"))
    );
    assert_eq!(consultation(&desk, &card).await["history"][0]["applicant"], "proxy:guardian");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_and_why() {
    let home = Installation::shared().await;
    let desk = home.api("desk");
    let card = home.cards(1).await.remove(0);
    let one = |kind: &str, choice: &str, version: u32| {
        let mut consents = json!({});
        consents[kind] = json!({ "choice": choice, "text": format!("{kind}/{version}") });
        body(&card, consents)
    };
    for (request, status, code, field) in [
        (one("alimentazione", "grant", 1), 409, "consent_not_asked_for", None),
        (one("alimentazione_pregresso", "refuse", 1), 409, "consent_not_asked_for", None),
        (one("consultazione", "grant", 2), 409, "consent_text_not_in_use", None),
        (one("ricerca", "grant", 1), 422, "unknown_consent", Some("$.consents")),
        (one("Consultazione", "grant", 1), 422, "invalid_value", Some("$.consents")),
        (one("consultazione", "maybe", 1), 422, "invalid_value", Some("$.consents.choice")),
        (body(&card, json!({})), 422, "invalid_value", Some("$.consents")),
        (body(&card, json!([])), 400, "invalid_body", Some("$.consents")),
    ] {
        let answer = desk.change(PATH, &request).await;
        assert_eq!(answer.problem(status, code).as_deref(), field, "{request}");
    }
    let twice = r#""consultazione":{"choice":"grant","text":"consultazione/1"}"#;
    let text = body(&card, json!("here")).to_string().replace("\"here\"", &format!("{{{twice},{twice}}}"));
    let headers = crate::fixture::api::json_with(Some(&key()));
    desk.send(hyper::Method::POST, PATH, headers, text).await.unwrap().problem(400, "invalid_body");
    let mut other_day = body(&card, given("grant"));
    other_day["expires_on"] = json!("2029-01-01");
    desk.change(PATH, &other_day).await.problem(404, "card_not_found");
    desk.post(PATH, None, &body(&card, given("grant"))).await.problem(400, "idempotency_key_missing");
    assert!(consultation(&desk, &card).await["history"].as_array().unwrap().is_empty());
}
