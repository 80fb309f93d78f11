//! Cambio del contatto: the message came back, since the address was mistyped. The paper is at the citizen's home.

use serde_json::json;

use super::counter::Counter;
use crate::fixture::{Activated, audit::Log, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn cambio_del_contatto() {
    let counter = Counter::open().await;
    let desk = &counter.desk;
    let card = counter.home.cards(1).await.remove(0);
    let mistyped = "ignoto@esempio.it";
    let answer = desk.change("/v1/activations", &card.activation(mistyped)).await;
    let active = Activated::new(&card, mistyped, &answer);
    let state = async |delivery: &str| {
        let seen = desk.get(&format!("/v1/deliveries/{delivery}")).await.ok();
        seen["state"].as_str().unwrap().to_owned()
    };
    eventually("a refusal of the relay", async || (state(&active.delivery).await == "failed").then_some(()))
        .await;

    // (1) C.F., TEAM number, expiry; the reason; the right contact.
    let right = "noto-e-giusto@esempio.it";
    let mut body = card.printed();
    body["contact"] = json!({ "channel": "email", "address": right });
    body["reason"] = json!("forgotten");
    assert_eq!(desk.change("/v1/contacts", &body).await.problem(422, "unknown_reason").unwrap(), "$.reason");
    body["reason"] = json!("bounced");
    let mut bad = body.clone();
    bad["contact"]["address"] = json!("nessuno");
    assert_eq!(
        desk.change("/v1/contacts", &bad).await.problem(422, "invalid_value").unwrap(),
        "$.contact.address"
    );
    let changing = desk.change("/v1/contacts", &body).await;
    let changed = changing.ok();
    // (2) No paper: the number on the one that was handed over is the message's.
    assert_eq!(changed["control"], active.control.as_str());
    let delivery = changed["delivery"].as_str().unwrap();
    assert_ne!(delivery, active.delivery);
    let moved = Activated { address: right.into(), delivery: delivery.into(), ..active.clone() };
    let cip = moved.cip(&counter.home).await;
    assert_eq!(card.verify(desk, &cip).await.0, "accepted");
    assert_eq!(card.look_up(desk).await["delivery"], delivery);
    assert_eq!(state(&active.delivery).await, "failed");

    // (3) What has left is not called back: it is sent again, or reprinted.
    eventually("the end", async || (state(delivery).await == "sent").then_some(())).await;
    desk.change("/v1/contacts", &body).await.problem(409, "delivery_sent");
    let nobody = counter.home.cards(1).await.remove(0);
    let mut early = nobody.printed();
    early["contact"] = json!({ "channel": "email", "address": right });
    early["reason"] = json!("bounced");
    desk.change("/v1/contacts", &early).await.problem(409, "card_not_active");

    let log = Log::read(&counter.home.api("auditor")).await;
    let kinds: Vec<_> = log.by(&changing).iter().map(|event| event.text("kind")).collect();
    assert_eq!(kinds, ["delivery.queued", "contact.changed"]);
    let event = log.of("contact.changed").next().unwrap();
    let members = ["outcome", "reason", "delivery", "former"].map(|name| event.text(name));
    assert_eq!(members, ["done", "bounced", delivery, &active.delivery]);
}
