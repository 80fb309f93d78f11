//! Revoca.

use serde_json::json;

use super::{PROXY, proxy, with};
use crate::fixture::{Installation, api, audit::Log, key};

#[tokio::test(flavor = "multi_thread")]
async fn the_steps() {
    let home = Installation::shared().await;
    let desk = home.api("desk");
    let active = home.activated(&desk).await;
    let cip = active.cip(&home).await;
    // (1) The TEAM code alone, (2) the card's data to be checked.
    let by_number = json!({ "team_number": active.card.team_number });
    let found = desk.post("/v1/cards/lookup", None, &by_number).await.ok();
    assert_eq!((&found["state"], &found["expires_on"]), (&json!("active"), &json!(active.card.expires_on)));
    // (5) The C.I.P., (3) asked by the holder, (6) confirmed, (7) outcome.
    let (outcome, proof) = active.card.verify(&desk, &cip).await;
    assert_eq!(outcome, "accepted");
    let form = active.card.revocation("verification", &proof, "lost");
    desk.change("/v1/revocations", &with(&form, "/reason", json!("bored")))
        .await
        .problem(422, "invalid_value");
    let once = key();
    let answer = desk.post("/v1/revocations", Some(&once), &form).await;
    let said = answer.ok();
    assert_eq!(said["state"], "revoked");
    assert_eq!(
        (&said["paper"]["operation"], &said["paper"]["applicant"]),
        (&json!("revocation"), &json!("holder"))
    );
    assert_eq!(said["paper"]["at"], said["revoked_at"]);
    assert_eq!(said["paper"]["number_ends"], active.card.team_number[16..]);
    assert_eq!(said["paper"]["texts"], json!(["revocation_is_final"]));
    assert_eq!(desk.post("/v1/revocations", Some(&once), &form).await.ok(), said, "the same paper again");
    let log = Log::read(&home.api("auditor")).await;
    let event =
        log.by(&answer).into_iter().find(|e| e.text("kind") == "card.revoked" && e.text("outcome") == "done");
    let event = event.unwrap();
    assert_eq!((event.text("applicant"), event.text("dossier").len()), ("holder", 64));
}

#[tokio::test(flavor = "multi_thread")]
async fn by_every_kind_of_proxy() {
    let home = Installation::shared().await;
    let desk = home.api("desk");
    for title in ["curator", "guardian", "health_impediment", "parental_authority"] {
        let active = home.activated(&desk).await;
        let (_, proof) = active.card.verify(&desk, &active.cip(&home).await).await;
        // (4) The proxy's data.
        let form = active.card.revocation("verification", &proof, "stolen");
        let form = with(&form, "/applicant", proxy(title));
        for (pointer, value, code) in [
            ("/applicant/declaration", json!(false), "declaration_missing"),
            ("/applicant/document/expires_on", json!("2026-01-31"), "document_expired"),
            ("/applicant/proxy/tax_code", json!(active.card.tax_code), "proxy_is_holder"),
        ] {
            desk.change("/v1/revocations", &with(&form, pointer, value)).await.problem(422, code);
        }
        let operator = with(&form, "/applicant/proxy/tax_code", json!(api::OPERATOR));
        desk.change("/v1/revocations", &operator).await.problem(403, "operator_is_proxy");
        assert_eq!(active.card.look_up(&desk).await["state"], "active", "{title}");
        let said = desk.change("/v1/revocations", &form).await;
        assert_eq!(said.ok()["paper"]["applicant"], format!("proxy:{title}"));
        assert!(!said.body_text().contains(PROXY));
    }
}

/// A card that replaces another one has revoked it already: nothing is left to do at the counter.
#[tokio::test(flavor = "multi_thread")]
async fn of_a_replaced_card() {
    let home = Installation::shared().await;
    let desk = home.api("desk");
    let old = home.activated(&desk).await;
    let (_, proof) = old.card.verify(&desk, &old.cip(&home).await).await;
    let mut new = home.produced(1).remove(0);
    new.tax_code.clone_from(&old.card.tax_code);
    home.register_line(&with(&new.printed(), "/replaces", json!(old.card.team_number))).await;
    assert_eq!(old.card.look_up(&desk).await["state"], "revoked");
    let form = old.card.revocation("verification", &proof, "lost");
    desk.change("/v1/revocations", &form).await.problem(409, "card_revoked");
}
