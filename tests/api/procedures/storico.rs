//! Storico: (1) C.F., TEAM number, expiry; (2) all cards of the C.F., or only this one; (3) choose the card from the list;
//! (4) its history.

use serde_json::{Value, json};

use crate::fixture::{Answer, Api, Card, Installation, audit::Log, cards::wrong};

async fn history(desk: &Api, card: &Card, more: Value) -> Answer {
    let mut body = card.printed();
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    desk.post("/v1/history", None, &body).await
}

/// Kind and outcome of each entry.
fn entries(answer: &Value) -> Vec<(String, String)> {
    let text = |entry: &Value, name: &str| entry[name].as_str().unwrap().to_owned();
    let page = answer["page"]["entries"].as_array().unwrap();
    page.iter().map(|entry| (text(entry, "kind"), text(entry, "outcome"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn storico() {
    let home = Installation::shared().await;
    let (desk, bureau) = (home.api("desk"), home.api("bureau"));
    let active = home.activated(&desk).await;
    let card = &active.card;
    let cip = active.cip(&home).await;
    assert_eq!(card.verify(&desk, &wrong(&cip, 0)).await.0, "rejected");
    let second = Card { tax_code: card.tax_code.clone(), ..home.produced(1).remove(0) };
    let mut headers = crate::fixture::api::json_with(None);
    headers.insert("content-type", "application/x-ndjson".parse().unwrap());
    let line = second.printed().to_string();
    let registered = bureau.send(hyper::Method::POST, "/v1/cards", headers, line).await.unwrap();
    assert_eq!(registered.ok()["registered"], 1);

    // (1) What is printed on the card, all of it.
    let mut other_day = card.clone();
    other_day.expires_on = "2029-01-01".into();
    let unknown = history(&desk, &other_day, json!({})).await;
    unknown.problem(404, "card_not_found");

    // (2) Only this card: its history at once, the latest event first.
    let this = history(&desk, card, json!({ "cards": "this" })).await;
    let seen = this.ok();
    let listed = &seen["cards"].as_array().unwrap()[..];
    let [one] = listed else { panic!("{listed:?}") };
    assert_eq!((&one["this"], &one["state"]), (&json!(true), &json!("active")));
    assert_eq!(one["number_ends"], card.team_number[16..]);
    let mut shown = entries(&seen);
    shown.reverse();
    let pair = |kind: &str, outcome: &str| (kind.to_owned(), outcome.to_owned());
    assert_eq!(shown[..2], [pair("card.registered", "done"), pair("card.activated", "done")]);
    assert!(shown.contains(&pair("verification.decided", "rejected")));
    assert_eq!((&seen["page"]["end"], &seen["page"]["next"]), (&json!(true), &Value::Null));
    let activation = &seen["page"]["entries"].as_array().unwrap()[shown.len() - 2];
    assert_eq!(activation["request"], active.request);
    assert_eq!((&activation["channel"], &activation["front_end"]), (&json!("email"), &json!("desk")));
    assert_eq!((&activation["office"], &activation["operator"]), (&json!("demo-office"), &Value::Null));

    // (2) Or all cards of the C.F.: (3) a list to choose from, (4) the history of the chosen one.
    let all = history(&desk, card, json!({ "cards": "all" })).await.ok();
    let cards = all["cards"].as_array().unwrap();
    assert_eq!((cards.len(), &all["withheld"], &all["page"]), (2, &json!(0), &Value::Null));
    let other = cards.iter().find(|one| one["this"] == false).unwrap();
    assert_eq!((&other["state"], &other["number_ends"]), (&json!("registered"), &Value::Null));
    assert_eq!(other["expires_on"], second.expires_on);
    let chosen = json!({ "cards": "all", "card": other["card"] });
    assert_eq!(entries(&history(&desk, card, chosen).await.ok()), [pair("card.registered", "done")]);

    // Page by page, in the order of time, and of some kinds only.
    let asked = json!({ "order": "oldest", "limit": 1, "kinds": ["card.activated", "card.registered"] });
    let first = history(&desk, card, asked.clone()).await.ok();
    assert_eq!(
        (entries(&first), &first["page"]["end"]),
        (vec![pair("card.registered", "done")], &json!(false))
    );
    let mut next = asked;
    next["cursor"] = first["page"]["next"].clone();
    let last = history(&desk, card, next.clone()).await.ok();
    assert_eq!((entries(&last), &last["page"]["end"]), (vec![pair("card.activated", "done")], &json!(true)));

    // What is refused, and why.
    next["limit"] = json!(2);
    history(&desk, card, next.clone()).await.ok();
    next["order"] = json!("newest");
    assert_eq!(history(&desk, card, next).await.problem(422, "bad_cursor").unwrap(), "$.cursor");
    let somebodys = home.cards(1).await.remove(0);
    let not_theirs = history(&desk, &somebodys, json!({ "cards": "all" })).await.ok();
    let id = &not_theirs["cards"][0]["card"];
    history(&desk, card, json!({ "cards": "all", "card": id })).await.problem(404, "card_not_found");
    history(&desk, card, json!({ "operators": true })).await.problem(403, "not_allowed_on_card");
    for (more, status, code, field) in [
        (json!({ "kinds": ["verification.spent"] }), 422, "kind_not_shown", "$.kinds"),
        (json!({ "cards": "some" }), 422, "invalid_value", "$.cards"),
        (json!({ "card": id }), 422, "invalid_value", "$.card"),
        (json!({ "order": "up" }), 422, "invalid_value", "$.order"),
        (json!({ "limit": 0 }), 422, "invalid_value", "$.limit"),
        (json!({ "limit": 201 }), 422, "invalid_value", "$.limit"),
        (json!({ "cursor": "x" }), 422, "invalid_value", "$.cursor"),
        (json!({ "from": "x" }), 422, "invalid_value", "$.from"),
        (json!({ "since": "x" }), 400, "invalid_body", "$.since"),
        (json!({ "card": ["x"] }), 400, "invalid_body", "$.card"),
    ] {
        assert_eq!(history(&desk, card, more.clone()).await.problem(status, code).unwrap(), field, "{more}");
    }

    // Every look-up is an event itself.
    let log = Log::read(&home.api("auditor")).await;
    let [event] = &log.by(&this)[..] else { panic!("one event") };
    let texts = ["kind", "outcome", "cards", "operators", "office"].map(|name| event.text(name));
    assert_eq!(texts, ["history.read", "done", "this", "hidden", "demo-office"]);
    let [event] = &log.by(&unknown)[..] else { panic!("one event") };
    assert_eq!((event.text("kind"), event.text("reason")), ("history.read", "card_not_found"));
}
