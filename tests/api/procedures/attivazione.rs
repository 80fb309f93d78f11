//! Attivazione.

use serde_json::{Value, json};

use super::{CHILD, PROXY, proxy, with};
use crate::fixture::{Activated, Card, Installation, audit::Log, key};

const ADDRESS: &str = "attivazione@esempio.it";
/// Nobody else is written to here.
const STEPS: &str = "attivazione-passi@esempio.it";

/// Registers a card of this holder and region.
async fn card_of(home: &Installation, tax_code: &str, region: &str) -> Card {
    let made = home.produced(3).into_iter().find(|card| &card.team_number[7..10] == region).unwrap();
    let card = Card { tax_code: tax_code.to_owned(), ..made };
    home.register_line(&card.printed()).await;
    card
}

#[tokio::test(flavor = "multi_thread")]
async fn the_steps() {
    let home = Installation::shared().await;
    let desk = home.api("desk");
    let card = home.cards(1).await.remove(0);
    // (1) C.F., TEAM code, expiry.
    assert_eq!(card.look_up(&desk).await["state"], "registered");
    // (2) The holder in person, (3) with an identity card, (4) and how the second parts travel, typed twice; (6) summary.
    let mut form = card.activation(STEPS);
    form["contact"]["repeated"] = json!("attivazione-passi@ESEMPIO.it");
    let unticked = with(&with(&form, "/data_processing", json!(false)), "/preview", json!(true));
    let summary = desk.post("/v1/activations", None, &unticked).await.ok();
    let shown = json!({ "is": "holder", "document": "identity_card", "document_number": "******5AB" });
    assert_eq!((&summary["applicant"], &summary["contact"]), (&shown, &json!("a***@e***.it")));
    assert_eq!(summary["lacks"], json!(["data_processing_missing"]));
    // (5) Ticked, (6) confirmed, (7) outcome.
    let once = key();
    let answer = desk.post("/v1/activations", Some(&once), &form).await;
    let active = Activated::new(&card, STEPS, &answer);
    let found = card.look_up(&desk).await;
    assert_eq!((&found["state"], &found["activation"]), (&json!("active"), &json!("in_person")));
    // (10) What is printed: the first parts, and the second parts follow under the same number.
    let paper = &answer.ok()["paper"];
    assert_eq!((&paper["operation"], &paper["applicant"]), (&json!("activation"), &json!("holder")));
    assert_eq!(paper["number_ends"], card.team_number[16..]);
    assert_eq!((&paper["expires_on"], &paper["office"]), (&json!(card.expires_on), &json!("demo-office")));
    assert_eq!((&paper["channel"], &paper["contact"]), (&json!("email"), &json!("a***@e***.it")));
    assert_eq!(paper["texts"], json!(["data_processing", "second_parts_follow", "keep_the_cip"]));
    assert_eq!(active.second_parts(&home).await.len(), 3);
    assert_eq!(desk.post("/v1/activations", Some(&once), &form).await.ok(), answer.ok());
    // The log has the role, the kind of document and a commitment, and nothing of a person.
    let log = Log::read(&home.api("auditor")).await;
    let event = log
        .by(&answer)
        .into_iter()
        .find(|e| e.text("outcome") == "done" && e.text("kind") == "card.activated");
    let event = event.unwrap();
    assert_eq!((event.text("applicant"), event.text("document")), ("holder", "identity_card"));
    assert_eq!(event.text("dossier").len(), 64);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_proxy() {
    let home = Installation::shared().await;
    let desk = home.api("desk");
    for title in ["curator", "guardian", "health_impediment", "parental_authority"] {
        // A parent acts for a child, the others here for somebody of age.
        let card = match title {
            "parental_authority" => card_of(&home, CHILD, "120").await,
            _ => home.cards(1).await.remove(0),
        };
        let form = with(&card.activation(ADDRESS), "/applicant", proxy(title));
        let unsigned = with(&form, "/applicant/declaration", json!(false));
        let refused = desk.change("/v1/activations", &unsigned).await;
        assert_eq!(refused.problem(422, "declaration_missing").unwrap(), "$.applicant.declaration");
        let summary =
            desk.post("/v1/activations", None, &with(&unsigned, "/preview", json!(true))).await.ok();
        assert_eq!(summary["lacks"], json!(["declaration_missing"]));
        assert_eq!(summary["applicant"]["name"], "A*** B******");
        let answer = desk.change("/v1/activations", &form).await.ok();
        assert_eq!(answer["paper"]["applicant"], format!("proxy:{title}"));
        assert_eq!(card.look_up(&desk).await["activation"], format!("proxy:{title}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_names_its_field_and_changes_nothing() {
    let home = Installation::shared().await;
    let desk = home.api("desk");
    let card = card_of(&home, "RSSMRA70A01H501S", "120").await;
    let child = card_of(&home, CHILD, "120").await;
    let in_trento = card_of(&home, CHILD, "042").await;
    let (form, of_child) = (card.activation(ADDRESS), child.activation(ADDRESS));
    let by = |form: &Value, applicant| with(form, "/applicant", applicant);
    let of_trento = by(&in_trento.activation(ADDRESS), proxy("parental_authority"));
    let document = |member: &str, value: Value| with(&form, &format!("/applicant/document/{member}"), value);
    let as_guardian = by(&form, proxy("guardian"));
    for (body, code, field) in [
        (document("expires_on", json!("2026-01-31")), "document_expired", "$.applicant.document.expires_on"),
        (document("expires_on", Value::Null), "document_expiry_missing", "$.applicant.document.expires_on"),
        (
            document("expires_on", json!("2019-01-31")),
            "document_expires_before_issue",
            "$.applicant.document.expires_on",
        ),
        (
            document("issued_on", json!("2098-01-31")),
            "document_issued_in_future",
            "$.applicant.document.issued_on",
        ),
        (document("kind", json!("library_card")), "unknown_document_kind", "$.applicant.document.kind"),
        (document("number", json!("<1>")), "invalid_value", "$.applicant.document.number"),
        (with(&form, "/applicant/document", Value::Null), "document_missing", "$.applicant.document"),
        (with(&form, "/data_processing", Value::Null), "data_processing_missing", "$.data_processing"),
        (with(&form, "/data_processing", json!(false)), "data_processing_missing", "$.data_processing"),
        (
            with(&form, "/contact/repeated", json!("attivazlone@esempio.it")),
            "contacts_differ",
            "$.contact.repeated",
        ),
        (with(&form, "/contact/repeated", json!("esempio.it")), "invalid_value", "$.contact.repeated"),
        (with(&form, "/applicant/declaration", json!(true)), "invalid_value", "$.applicant.declaration"),
        (with(&form, "/applicant/is", json!("proxy")), "invalid_value", "$.applicant.proxy"),
        (with(&form, "/applicant/is", json!("uncle")), "invalid_value", "$.applicant.is"),
        (
            with(&form, "/applicant/holder_born_on", json!("1900-01-01")),
            "birth_date_differs",
            "$.applicant.holder_born_on",
        ),
        (with(&as_guardian, "/applicant/is", json!("holder")), "invalid_value", "$.applicant.proxy"),
        (
            with(&as_guardian, "/applicant/proxy/title", json!("uncle")),
            "invalid_value",
            "$.applicant.proxy.title",
        ),
        (
            with(&as_guardian, "/applicant/proxy/tax_code", json!(card.tax_code)),
            "proxy_is_holder",
            "$.applicant.proxy.tax_code",
        ),
        (
            with(&as_guardian, "/applicant/proxy/tax_code", json!(CHILD)),
            "proxy_is_minor",
            "$.applicant.proxy.tax_code",
        ),
        (by(&form, proxy("parental_authority")), "parent_of_adult", "$.applicant.proxy.title"),
        (of_child.clone(), "holder_is_minor", "$.applicant.is"),
        (by(&of_child, proxy("curator")), "minor_needs_parent_or_guardian", "$.applicant.proxy.title"),
        (of_trento, "parents_not_allowed_in_region", "$.applicant.proxy.title"),
    ] {
        let answer = desk.change("/v1/activations", &body).await;
        assert_eq!(answer.problem(422, code).as_deref(), Some(field), "{body}");
        assert!(!answer.body_text().contains(PROXY), "{code}");
    }
    // The wrong expiry date of the card: it is not found, as if there were none.
    let other_day = with(&form, "/expires_on", json!("2029-02-28"));
    desk.change("/v1/activations", &other_day).await.problem(404, "card_not_found");
    // The operator is the proxy.
    let operator = crate::fixture::api::OPERATOR;
    let own = with(&as_guardian, "/applicant/proxy/tax_code", json!(operator));
    desk.change("/v1/activations", &own).await.problem(403, "operator_is_proxy");
    for card in [&card, &child, &in_trento] {
        assert_eq!(card.look_up(&desk).await["state"], "registered");
    }
    let guardian = by(&in_trento.activation(ADDRESS), proxy("guardian"));
    desk.change("/v1/activations", &guardian).await.ok();
}

/// A card in whose place another one was produced is not activated any more; the other one is.
#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_card() {
    let home = Installation::shared().await;
    let desk = home.api("desk");
    let old = home.cards(1).await.remove(0);
    let mut new = home.produced(1).remove(0);
    new.tax_code.clone_from(&old.tax_code);
    home.register_line(&with(&new.printed(), "/replaces", json!(old.team_number))).await;
    desk.change("/v1/activations", &old.activation(ADDRESS)).await.problem(409, "card_revoked");
    desk.change("/v1/activations", &new.activation(ADDRESS)).await.ok();
    desk.change("/v1/activations", &new.activation(ADDRESS)).await.problem(409, "card_already_active");
}
