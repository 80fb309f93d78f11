//! Reinvio: the citizen has not found the message. The same once more, to the same contact.

use serde_json::json;

use super::counter::Counter;
use crate::fixture::{audit::Log, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn reinvio() {
    let counter = Counter::open().await;
    let desk = &counter.desk;
    let active = counter.home.activated(desk).await;
    let cip = active.cip(&counter.home).await;
    let path = format!("/v1/deliveries/{}", active.delivery);
    let sent = async || {
        let seen = desk.get(&path).await.ok();
        (seen["state"] == "sent").then_some(seen)
    };
    eventually("the end of the first", sent).await;

    let again = format!("{path}/resend");
    let key = crate::fixture::key();
    let resending = desk.post(&again, Some(&key), &json!({})).await;
    assert_eq!(resending.ok()["state"], "queued");
    let both = eventually("the second message", async || {
        let mails = counter.home.mails(&active.address);
        (mails.len() == 2).then_some(mails)
    })
    .await;
    for name in ["Message-ID", "Numero di controllo", "Seconda parte del PIN", "Seconda parte del C.I.P."] {
        assert_eq!(both[0].after(name), both[1].after(name), "{name}");
    }
    eventually("the end of the second", sent).await;
    assert_eq!(active.card.verify(desk, &cip).await.0, "accepted");

    // A reprint takes its place; and there is no other.
    let reprint = active.card.reprint(&active.address, "lost_paper");
    desk.change("/v1/reprints", &reprint).await.ok();
    desk.change(&again, &json!({})).await.problem(409, "delivery_superseded");
    let unknown = format!("/v1/deliveries/{}/resend", "0".repeat(32));
    desk.change(&unknown, &json!({})).await.problem(404, "delivery_not_found");
    desk.post(&again, None, &json!({})).await.problem(400, "idempotency_key_missing");
    // The id is part of the request: with the same key and body another delivery is another request.
    desk.post(&unknown, Some(&key), &json!({})).await.problem(422, "idempotency_key_reused");
    assert_eq!(desk.post(&again, Some(&key), &json!({})).await.ok(), resending.ok(), "a repetition");

    let log = Log::read(&counter.home.api("auditor")).await;
    let [event] = &log.by(&resending)[..] else { panic!("one event") };
    let members = ["kind", "outcome", "delivery"].map(|name| event.text(name));
    assert_eq!(members, ["delivery.resent", "done", &active.delivery]);
}
