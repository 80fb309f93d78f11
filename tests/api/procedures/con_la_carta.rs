//! A citizen's whole way at one counter, with the operator's smart card alone: pcscd and OpenSC between, no front end.

use serde_json::json;

use crate::fixture::{Activated, audit::Log, cards::in_person, counter::Scene};

#[tokio::test(flavor = "multi_thread")]
async fn a_citizens_whole_way_by_the_operators_card() {
    let scene = Scene::at_work().await;
    let desk = scene.api();
    let card = scene.home.cards(1).await.remove(0);

    // Attivazione: look-up, summary, outcome, paper.
    assert_eq!(card.look_up(&desk).await["state"], "registered");
    let mut form = card.activation("carta@esempio.it");
    form["preview"] = json!(true);
    assert_eq!(desk.post("/v1/activations", None, &form).await.ok()["lacks"], json!([]));
    form["preview"] = json!(false);
    let activation = desk.change("/v1/activations", &form).await;
    let active = Activated::new(&card, "carta@esempio.it", &activation);
    let cip = active.cip(&scene.home).await;

    // Consensi FSE.
    let mut consent = card.printed();
    consent["applicant"] = in_person();
    consent["consents"] = json!({ "consultazione": { "choice": "grant", "text": "consultazione/1" } });
    desk.change("/v1/consents", &consent).await.ok();
    let seen = desk.post("/v1/consents/lookup", None, &card.printed()).await.ok();
    let kinds = seen["consents"].as_array().unwrap();
    assert!(kinds.iter().any(|one| one["kind"] == "consultazione" && one["state"] == "granted"), "{kinds:?}");

    // Ristampa PIN/PUK: the same codes.
    let again = desk.change("/v1/reprints", &card.reprint("carta@esempio.it", "lost_paper")).await.ok();
    assert_eq!(again["first_parts"]["PIN"], active.first_parts["PIN"]);

    // Revoca, with the C.I.P.
    let (outcome, proof) = card.verify(&desk, &cip).await;
    assert_eq!(outcome, "accepted");
    let revoked = desk.change("/v1/revocations", &card.revocation("verification", &proof, "stolen")).await;
    assert_eq!(revoked.ok()["state"], "revoked");

    // Storico.
    let history = desk.post("/v1/history", None, &card.printed()).await.ok();
    let entries = history["page"]["entries"].as_array().unwrap();
    for kind in ["card.activated", "codes.reprinted", "card.revoked"] {
        assert!(entries.iter().any(|entry| entry["kind"] == kind), "{kind} in {entries:?}");
    }
    // All of it is the operator's, at the entrance for cards.
    let log = Log::read(&scene.home.api("auditor")).await;
    for answer in [&activation, &revoked] {
        assert!(log.by(answer).iter().all(|event| event.text("caller") == "direct"));
    }
}
