//! What a gateway learns after it has taken a message: delivered or failed, in any order with the courier's own word.

use sigillo::{
    domain::template::CodeName::{Cip, Pin, Puk},
    service::{DeliveryOutcome, Error},
    store::{Space, memory::Memory},
};

use crate::{
    deliveries::{lost, retry},
    post::prepared,
    reprints::codes,
    rules::{LAZIO, Rules},
    world::World,
};

fn failed() -> DeliveryOutcome {
    DeliveryOutcome::Failed("SMS gateway: not delivered (status 2)".into())
}

fn returned() -> DeliveryOutcome {
    DeliveryOutcome::Returned("SMS gateway: no answer".into())
}

#[tokio::test]
async fn what_was_sent_can_fail_and_a_reprint_then_carries_the_cip_again() {
    let w = World::new().await;
    let card = w.registered(LAZIO).await;
    let paper = w.desk.activate_by_sms(&card, "+393331234567").await.unwrap();
    let id = paper.delivery.unwrap();
    let lease = w.lease_one().await;
    assert_eq!(w.tell(&lease, prepared(&lease)).await.unwrap(), "leased");
    assert_eq!(w.tell(&lease, DeliveryOutcome::Sent).await.unwrap(), "sent");
    assert!(w.has_contact(id), "kept for a resend");
    assert_eq!(w.tell(&lease, failed()).await.unwrap(), "failed");
    let view = w.desk.delivery(id).await.unwrap();
    assert_eq!((view.state, view.attempts, view.channel.as_str()), ("failed", 1, "sms"));
    assert_eq!(view.reason.as_deref(), Some("SMS gateway: not delivered (status 2)"));
    assert!(w.all(Space::Due).is_empty());

    w.desk.reprint(&card, "p").await.unwrap();
    assert_eq!(codes(&w.lease_one().await), [Cip, Pin, Puk]);
}

/// The courier's word and the gateway's, in every order that a network makes of them.
#[tokio::test]
async fn a_delivery_only_moves_on_and_its_first_end_stays() {
    use DeliveryOutcome::{Delivered, Sent};
    for (said, states) in [
        (vec![Sent, Sent, Delivered, Delivered], vec!["sent", "sent", "delivered", "delivered"]),
        (vec![Delivered, Sent, Delivered], vec!["delivered", "delivered", "delivered"]),
        (vec![Sent, failed(), failed(), Sent], vec!["sent", "failed", "failed", "failed"]),
        (vec![failed(), Sent], vec!["failed", "failed"]),
        (vec![Sent, Delivered, failed()], vec!["sent", "delivered", "lost"]),
        (vec![failed(), Delivered], vec!["failed", "lost"]),
        (vec![Delivered, retry(), returned()], vec!["delivered", "lost", "lost"]),
        (vec![failed(), retry(), returned()], vec!["failed", "lost", "lost"]),
        (vec![Sent, retry(), returned()], vec!["sent", "lost", "lost"]),
        // The courier had no answer and gave it back: what the gateway says of that attempt comes too late.
        (vec![returned(), Delivered, failed(), Sent], vec!["queued", "lost", "lost", "lost"]),
    ] {
        let w = World::new().await;
        let id = w.queued(LAZIO).await;
        let lease = w.lease_one().await;
        assert_eq!(w.tell(&lease, prepared(&lease)).await.unwrap(), "leased");
        let mut last = "leased";
        for (outcome, state) in said.into_iter().zip(states) {
            let what = format!("{outcome:?}");
            let answer = w.tell(&lease, outcome).await;
            if state == "lost" {
                assert!(lost(&answer), "{what}: {answer:?}");
            } else {
                last = answer.unwrap();
                assert_eq!(last, state, "{what}");
            }
            assert_eq!(w.seen(id).await.0, last);
        }
        if last != "queued" {
            w.forgets_contact(id).await;
        }
    }
}

/// The message of an older hold says nothing about the delivery's present one.
#[tokio::test]
async fn an_end_of_an_older_hold_is_not_the_end() {
    let w = World::new().await;
    let id = w.queued(LAZIO).await;
    let first = w.lease_one().await;
    w.tell(&first, prepared(&first)).await.unwrap();
    w.advance_ms(120_000);
    let second = w.lease_one().await;
    w.tell(&second, prepared(&second)).await.unwrap();
    w.tell(&second, DeliveryOutcome::Sent).await.unwrap();
    for outcome in [DeliveryOutcome::Delivered, failed()] {
        assert!(lost(&w.tell(&first, outcome).await));
    }
    assert_eq!(w.seen(id).await.0, "sent");
    assert_eq!(w.tell(&second, failed()).await.unwrap(), "failed");
}

#[tokio::test]
async fn a_channel_that_the_policy_does_not_list_is_refused_before_anything_is_done() {
    let rules = Rules::new();
    rules.edit("authority.toml", "channels = [\"email\", \"sms\"]", "channels = [\"email\"]");
    let w = World::over(Memory::new(), rules).await;
    let card = w.registered(LAZIO).await;
    let refused = w.desk.activate_by_sms(&card, "+393331234567").await;
    let field = "contact.channel";
    assert!(
        matches!(refused, Err(Error::Field { field: f, code: "channel_not_allowed", .. }) if f == field),
        "{refused:?}"
    );
    assert!(w.all(Space::Delivery).is_empty() && w.log_of("card.activated").is_empty());
    w.desk.activate(&card, "a").await.unwrap();
}
