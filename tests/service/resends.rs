//! A resend: the very same message to the same contact, while the policy keeps that.

use std::pin::pin;

use sigillo::{
    domain::{
        delivery::NotSentAgain,
        id::DeliveryId,
        template::CodeName::{Cip, Pin, Puk},
    },
    service::{DeliveryOutcome, Error, LeasedDelivery, Resent, What},
    store::{Space, memory::Fault},
};

use crate::{
    contacts::OTHER,
    deliveries::{lost, retry},
    people::Client,
    post::{prepared, second_part},
    reprints::codes,
    rules::LAZIO,
    world::World,
};

/// As in the shipped policy.
pub(crate) const KEEP_MS: u64 = 24 * 3_600_000;

impl Client {
    pub(crate) async fn resend(&self, id: DeliveryId, key: &str) -> Result<Resent, Error> {
        self.service.resend(self.call_of(key, id, "{}"), id).await
    }
}

impl World {
    async fn sent(&self, region: &str) -> LeasedDelivery {
        self.queued(region).await;
        self.deliver().await.remove(0)
    }

    /// Whether the contact goes when the policy's time is over, and not before.
    pub(crate) async fn forgets_contact(&self, id: DeliveryId) {
        self.advance_ms(KEEP_MS - 1);
        self.service.forget_expired().await.unwrap();
        assert!(self.has_contact(id), "kept for a resend");
        self.advance_ms(1);
        self.service.forget_expired().await.unwrap();
        assert!(!self.has_contact(id), "and no longer");
    }
}

#[track_caller]
fn refused<T: std::fmt::Debug>(answer: &Result<T, Error>, why: NotSentAgain) {
    assert!(matches!(answer, Err(Error::NotSentAgain(is)) if *is == why), "{answer:?} should be {why:?}");
}

#[tokio::test]
async fn the_very_same_message_is_sent_once_more() {
    let w = World::new().await;
    let first = w.sent(LAZIO).await;
    w.advance_ms(3_600_000);
    let answer = w.desk.resend(first.delivery, "r").await.unwrap();
    w.advance_ms(1);
    assert_eq!(w.desk.resend(first.delivery, "r").await.unwrap(), answer, "a repetition");
    assert_eq!(w.seen(first.delivery).await, ("queued", 0));
    assert!(lost(&w.tell(&first, DeliveryOutcome::Delivered).await), "of the former hold");

    let again = w.deliver().await.remove(0);
    let what = |lease: &LeasedDelivery| {
        let parts =
            lease.codes.iter().map(|(code, ..)| second_part(lease, *code).unwrap().expose().to_owned());
        let parts: Vec<_> = parts.collect();
        (
            lease.delivery,
            lease.message.clone(),
            lease.control.clone(),
            lease.contact.clone(),
            codes(lease),
            parts,
        )
    };
    assert_eq!(what(&again), what(&first));
    assert_ne!(again.lease, first.lease);
    assert_eq!(w.seen(first.delivery).await, ("sent", 1));
    assert!(w.post.lease(9).await.unwrap().is_empty());
    assert_eq!(w.log_of("delivery.resent"), ["done"]);

    // What arrived and what failed may be sent again too, each time for as long as the contact is kept.
    w.tell(&again, DeliveryOutcome::Delivered).await.unwrap();
    w.desk.resend(first.delivery, "s").await.unwrap();
    let third = w.lease_one().await;
    w.tell(&third, DeliveryOutcome::Failed("no such mailbox".into())).await.unwrap();
    w.desk.resend(first.delivery, "t").await.unwrap();
    w.deliver().await;
    w.forgets_contact(first.delivery).await;
    refused(&w.desk.resend(first.delivery, "u").await, NotSentAgain::ContactGone);
}

#[tokio::test]
async fn what_is_not_sent_again() {
    let w = World::new().await;
    let unknown = w.desk.resend(DeliveryId::new([9; 16]), "unknown").await;
    assert!(matches!(unknown, Err(Error::NotFound(What::Delivery))), "{unknown:?}");
    let card = w.registered(LAZIO).await;
    let id = w.desk.activate(&card, "a").await.unwrap().delivery.unwrap();
    refused(&w.desk.resend(id, "queued").await, NotSentAgain::UnderWay);
    let lease = w.lease_one().await;
    refused(&w.desk.resend(id, "leased").await, NotSentAgain::UnderWay);
    w.tell(&lease, prepared(&lease)).await.unwrap();
    w.tell(&lease, DeliveryOutcome::Sent).await.unwrap();
    w.desk.resend(id, "one").await.unwrap();
    w.deliver().await;
    let other = w.sent(LAZIO).await;
    let reused = w.desk.resend(other.delivery, "one").await;
    assert!(matches!(reused, Err(Error::KeyReused)), "a key is of one delivery: {reused:?}");
    // A reprint takes its place, and its contact goes with that.
    let later = w.desk.reprint(&card, "p").await.unwrap().delivery.unwrap();
    refused(&w.desk.resend(id, "former").await, NotSentAgain::Superseded);
    assert!(!w.has_contact(id) && w.has_contact(later));
    w.deliver().await;
    w.desk.resend(later, "later").await.unwrap();
    w.deliver().await;

    let asked = w.desk.ask(&card, "ask").await.unwrap();
    w.supervisor().await.approve(&asked, "s").await.unwrap();
    w.desk.revoke_approved(&card, asked.id, "r").await.unwrap();
    assert!(!w.has_contact(later), "nothing is sent for a card that is revoked");
    let late = w.desk.resend(later, "late").await;
    assert!(matches!(late, Err(Error::Refused(_))), "{late:?}");
    let reasons: Vec<_> = w.log_of("delivery.resent").into_iter().filter(|text| text != "done").collect();
    assert_eq!(
        reasons,
        [
            "refused: delivery_not_found",
            "refused: delivery_under_way",
            "refused: delivery_under_way",
            "refused: delivery_superseded",
            "refused: card_revoked"
        ]
    );
}

#[tokio::test]
async fn a_policy_that_keeps_no_contact_leaves_none_to_resend_to() {
    let mut w = World::new().await;
    w.rules.edit("authority.toml", "keep_contact_h = 24", "keep_contact_h = 0");
    w.restart().await;
    let lease = w.sent(LAZIO).await;
    assert!(!w.has_contact(lease.delivery), "gone with the sending");
    refused(&w.desk.resend(lease.delivery, "r").await, NotSentAgain::ContactGone);
}

/// What could not be sent in time is given up; a message that may be leaving is waited for.
#[tokio::test]
async fn a_delivery_expires_when_nobody_sends_it() {
    const EXPIRES_MS: u64 = 336 * 3_600_000;
    let w = World::new().await;
    let id = w.queued(LAZIO).await;
    w.advance_ms(EXPIRES_MS - 1);
    w.service.forget_expired().await.unwrap();
    assert_eq!(w.seen(id).await.0, "queued");
    let lease = w.lease_one().await;
    w.tell(&lease, prepared(&lease)).await.unwrap();
    w.advance_ms(1);
    w.service.forget_expired().await.unwrap();
    assert_eq!(w.seen(id).await.0, "leased", "it may be leaving");
    assert_eq!(w.tell(&lease, retry()).await.unwrap(), "queued");
    w.advance_ms(120_000);
    w.service.forget_expired().await.unwrap();
    let view = w.desk.delivery(id).await.unwrap();
    assert_eq!((view.state, view.reason.as_deref()), ("failed", Some("expired")));
    assert!(w.post.lease(9).await.unwrap().is_empty());
    assert_eq!((w.all(Space::Due).len(), w.log_of("delivery.expired")), (0, vec!["done".into()]));

    // It was nobody's fault: it can be sent again, with a time of its own.
    w.desk.resend(id, "r").await.unwrap();
    w.advance_ms(EXPIRES_MS - 1);
    w.service.forget_expired().await.unwrap();
    assert_eq!(w.seen(id).await.0, "queued");
    w.advance_ms(1);
    // A courier that comes when the time is over gets nothing, whoever has noticed it first.
    assert!(w.post.lease(9).await.unwrap().is_empty());
    assert_eq!(w.seen(id).await.0, "failed");
    w.service.forget_expired().await.unwrap();
    assert_eq!(w.log_of("delivery.expired").len(), 2);
    w.forgets_contact(id).await;
}

#[tokio::test]
async fn every_failure_of_the_commits_of_a_resend() {
    for nth in [1, 2] {
        for fault in [Fault::Fatal, Fault::NotWritten, Fault::UnknownKept, Fault::UnknownLost] {
            let mut w = World::new().await;
            let id = w.sent(LAZIO).await.delivery;
            w.memory.fail(nth, fault);
            let failed = w.desk.resend(id, "r").await;
            assert!(matches!(failed, Err(Error::Unavailable(_))), "{nth} {fault:?}: {failed:?}");
            w.restart().await;
            let happened = nth == 2 && fault == Fault::UnknownKept;
            assert_eq!(w.seen(id).await.0, if happened { "queued" } else { "sent" }, "{nth} {fault:?}");
            w.desk.resend(id, "r").await.unwrap();
            assert_eq!((w.deliver().await.len(), w.log_of("delivery.resent").len()), (1, 1));
        }
    }
}

/// Two at one time: one message more, and the other operator is told.
#[tokio::test]
async fn two_resends_at_once_are_one() {
    let w = World::new().await;
    let id = w.sent(LAZIO).await.delivery;
    let mut slow = pin!(w.desk.resend(id, "slow"));
    w.until_held_after_charge(slow.as_mut()).await;
    let mut late = pin!(w.desk.resend(id, "late"));
    for _ in 0..64 {
        let ended =
            std::future::poll_fn(|cx| std::task::Poll::Ready(late.as_mut().poll(cx).is_ready())).await;
        assert!(!ended);
        tokio::task::yield_now().await;
    }
    w.memory.release();
    slow.await.unwrap();
    let late = late.await;
    assert!(matches!(late, Err(Error::Conflict | Error::NotSentAgain(NotSentAgain::UnderWay))), "{late:?}");
    assert_eq!((w.deliver().await.len(), w.seen(id).await), (1, ("sent", 1)));
}

/// What a gateway has had stays sent, whatever becomes of a copy: else whoever asks for one could have it go elsewhere.
#[tokio::test]
async fn a_resend_makes_nothing_that_was_sent_unsent() {
    let w = World::new().await;
    let card = w.registered(LAZIO).await;
    let id = w.desk.activate(&card, "a").await.unwrap().delivery.unwrap();
    w.deliver().await;
    w.desk.resend(id, "r").await.unwrap();
    assert_eq!(w.seen(id).await.0, "queued");
    refused(&w.desk.change_contact(&card, OTHER, "queued").await, NotSentAgain::Sent);
    let copy = w.lease_one().await;
    refused(&w.desk.change_contact(&card, OTHER, "leased").await, NotSentAgain::Sent);
    let until_ms = crate::world::NOW_MS + 3_600_000;
    let waiting = DeliveryOutcome::Waiting { reason: "limit".into(), until_ms };
    w.tell(&copy, waiting).await.unwrap();
    refused(&w.desk.change_contact(&card, OTHER, "waiting").await, NotSentAgain::Sent);
    // The courier gives the copy up: the first one is still where it was sent.
    w.advance_ms(3_600_000);
    let copy = w.lease_one().await;
    w.tell(&copy, DeliveryOutcome::Failed("not allowed by the policy".into())).await.unwrap();
    refused(&w.desk.change_contact(&card, OTHER, "failed").await, NotSentAgain::Sent);
    // And no reprint hands the C.I.P. out anew.
    w.desk.reprint(&card, "p").await.unwrap();
    assert_eq!(codes(&w.deliver().await[0]), [Pin, Puk]);
}

#[tokio::test]
async fn what_a_gateway_takes_back_has_not_arrived_and_may_go_elsewhere() {
    let w = World::new().await;
    let card = w.registered(LAZIO).await;
    let id = w.desk.activate(&card, "a").await.unwrap().delivery.unwrap();
    w.deliver().await;
    w.desk.resend(id, "r").await.unwrap();
    let copy = w.deliver().await.remove(0);
    refused(&w.desk.change_contact(&card, OTHER, "sent").await, NotSentAgain::Sent);
    w.tell(&copy, DeliveryOutcome::Failed("no such mailbox".into())).await.unwrap();
    w.desk.change_contact(&card, OTHER, "bounced").await.unwrap();
    assert_eq!(codes(&w.deliver().await[0]), [Cip, Pin, Puk]);
}
