//! Deliveries: what the operator sees of them, over a relay that defers and one that refuses, and hold by hold.

use serde_json::{Value, json};

use crate::fixture::{Activated, Api, Installation, audit::Log, eventually};

async fn view(desk: &Api, delivery: &str) -> Value {
    desk.get(&format!("/v1/deliveries/{delivery}")).await.ok()
}

async fn ended(desk: &Api, active: &Activated) -> Value {
    eventually("the end of a delivery", async || {
        let view = view(desk, &active.delivery).await;
        ["sent", "failed"].contains(&view["state"].as_str().unwrap()).then_some(view)
    })
    .await
}

/// The states that the events of a delivery name, in their order.
fn states<'a>(log: &'a Log, delivery: &str) -> Vec<&'a str> {
    let of_it = log.0.iter().filter(|event| event.text("delivery") == delivery);
    of_it.map(|event| event.text("state")).filter(|state| !state.is_empty()).collect()
}

async fn activate(home: &Installation, desk: &Api, address: &str) -> Activated {
    let card = home.cards(1).await.remove(0);
    Activated::new(&card, address, &desk.change("/v1/activations", &card.activation(address)).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_the_relay_defers_arrives_later() {
    let home = Installation::shared().await;
    let desk = home.api("desk");
    let active = activate(&home, &desk, "dopo@rinvio.esempio.it").await;
    let view = ended(&desk, &active).await;
    assert_eq!((&view["state"], &view["attempts"]), (&json!("sent"), &json!(2)), "{view}");
    assert_eq!((&view["channel"], &view["control"]), (&json!("email"), &json!(active.control)));
    let log = Log::read(&home.api("auditor")).await;
    // Held, prepared, put off; held, prepared, sent.
    assert_eq!(states(&log, &active.delivery), ["leased", "leased", "queued", "leased", "leased", "sent"]);
    let reason = log.of("delivery.reported").find(|event| event.text("delivery") == active.delivery);
    assert_eq!(reason.unwrap().text("reason"), "");
    let put_off = log.0.iter().find(|e| e.text("delivery") == active.delivery && e.text("state") == "queued");
    assert!(put_off.unwrap().text("reason").contains("451"), "{put_off:?}");
    let cip = active.cip(&home).await;
    assert_eq!(active.card.verify(&desk, &cip).await.0, "accepted");
    assert_eq!(home.mails(&active.address).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_the_relay_refuses_has_failed_and_a_reprint_mends_it() {
    let home = Installation::shared().await;
    let desk = home.api("desk");
    let active = activate(&home, &desk, "ignoto@rifiuto.esempio.it").await;
    let seen = ended(&desk, &active).await;
    assert_eq!((&seen["state"], &seen["attempts"]), (&json!("failed"), &json!(1)), "{seen}");
    let reason = seen["reason"].as_str().unwrap();
    assert!(reason.contains("550") && !reason.contains("ignoto"), "{reason}");

    let reprint = active.card.reprint("noto@rifiuto.esempio.it", "message_not_received");
    let answer = desk.change("/v1/reprints", &reprint).await;
    let again = Activated::new(&active.card, "noto@rifiuto.esempio.it", &answer);
    assert_eq!(again.first_parts, active.first_parts);
    assert_ne!(again.delivery, active.delivery);
    assert_eq!(again.card.look_up(&desk).await["delivery"], again.delivery);
    let cip = again.cip(&home).await;
    assert_eq!(again.card.verify(&desk, &cip).await.0, "accepted");
    assert_eq!(view(&desk, &active.delivery).await["state"], "failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn holds_by_hand() {
    let home = Installation::serving().await;
    let (desk, courier) = (home.api("desk"), home.api("courier"));
    let active = home.activated(&desk).await;
    let lease = async || {
        eventually("a due delivery", async || {
            let answer = courier.post("/v1/courier/leases", None, &json!({ "limit": 10 })).await.ok();
            answer["leases"].as_array().unwrap().first().cloned()
        })
        .await
    };
    let report = async |lease: &Value, body: Value| {
        let mut body = body;
        body["delivery"] = lease["delivery"].clone();
        let path = format!("/v1/courier/leases/{}/report", lease["lease"].as_str().unwrap());
        courier.post(&path, None, &body).await
    };
    let state = async || {
        let view = view(&desk, &active.delivery).await;
        (
            view["state"].as_str().unwrap().to_owned(),
            view["attempts"].as_u64().unwrap(),
            view["reason"].clone(),
        )
    };
    assert_eq!(state().await, ("queued".into(), 0, Value::Null));
    let first = lease().await;
    assert_eq!(first["delivery"], active.delivery);
    assert_eq!(state().await, ("leased".into(), 1, Value::Null));
    report(&first, json!({ "status": "retry", "reason": "later" })).await.ok();
    assert_eq!(state().await, ("queued".into(), 1, json!("later")));
    // The hold is over; its holder can say nothing more.
    report(&first, json!({ "status": "sent" })).await.problem(409, "lease_lost");

    // What the courier's policy holds back is shown as that, until when it says, and is no attempt.
    let held = lease().await;
    let until = json!({ "status": "waiting", "reason": "the contact has changed: waiting until then" });
    let refused = report(&held, until.clone()).await.problem(422, "invalid_value");
    assert_eq!(refused.as_deref(), Some("$.until_ms"));
    let mut until = until;
    until["until_ms"] = json!(1);
    report(&held, until).await.ok();
    assert_eq!(state().await, ("waiting".into(), 1, json!("the contact has changed: waiting until then")));

    let second = lease().await;
    assert_ne!(first["lease"], second["lease"]);
    // No C.I.P. is accepted before the authority has the tag of its second part, and none is without that tag.
    let prepared = report(&second, json!({ "status": "prepared" })).await;
    assert_eq!(prepared.problem(422, "tag_not_expected").as_deref(), Some("$.second_part_tag"));
    let tag = json!({ "status": "prepared", "generation": 1, "second_part_tag": "00".repeat(32) });
    report(&second, tag).await.ok();
    assert_eq!(state().await.0, "leased");
    assert_eq!(report(&second, json!({ "status": "sent" })).await.ok()["state"], "sent");
    let (now, attempts, _) = state().await;
    assert_eq!((now.as_str(), attempts), ("sent", 2));
    assert_eq!(report(&second, json!({ "status": "delivered" })).await.ok()["state"], "delivered");
    report(&second, json!({ "status": "failed" })).await.problem(409, "lease_lost");
    assert_eq!(state().await.0, "delivered");
    desk.get(&format!("/v1/deliveries/{}", "0".repeat(32))).await.problem(404, "delivery_not_found");
}
