//! Every commit of the courier's side fails in every way. Leases and reports have no key: the fence of the hold makes
//! a repetition safe.

use sigillo::{
    service::{DeliveryOutcome, Error, Verdict, What},
    store::memory::Fault,
};

use crate::{
    people::first,
    post::{prepared, second_part},
    rules::LAZIO,
    world::World,
};

const FAULTS: [Fault; 4] = [Fault::Fatal, Fault::NotWritten, Fault::UnknownKept, Fault::UnknownLost];

#[tokio::test]
async fn a_lease_that_fails_loses_nothing() {
    // First the cursor of the outbox is moved on, then the delivery is leased.
    for (nth, fault) in [1, 2].into_iter().flat_map(|nth| FAULTS.map(|fault| (nth, fault))) {
        let what = format!("commit {nth} {fault:?}");
        let mut w = World::new().await;
        let card = w.registered(LAZIO).await;
        w.desk.activate(&card, "a").await.unwrap();
        w.memory.fail(nth, fault);
        let failed = w.post.lease(9).await;
        assert!(matches!(failed, Err(Error::Unavailable(_))), "{what}: {failed:?}");
        w.restart().await;
        let leased = nth == 2 && fault == Fault::UnknownKept;
        if leased {
            assert!(w.post.lease(9).await.unwrap().is_empty(), "{what}: held by who got no answer");
            w.advance_ms(120_000);
        }
        let lease = w.lease_one().await;
        assert_eq!(lease.attempt, 1, "{what}: nothing was prepared");
        assert_eq!(w.log_of("delivery.queued").len(), 1, "{what}");
    }
}

#[tokio::test]
async fn a_lease_has_two_commits() {
    let w = World::new().await;
    let card = w.registered(LAZIO).await;
    w.desk.activate(&card, "a").await.unwrap();
    w.ledger.clear();
    w.lease_one().await;
    assert_eq!(w.ledger.entered(), 2);
}

#[tokio::test]
async fn a_tag_whose_report_fails_is_brought_again() {
    for fault in FAULTS {
        let mut w = World::new().await;
        let card = w.registered(LAZIO).await;
        let paper = w.desk.activate(&card, "a").await.unwrap();
        let lease = w.lease_one().await;
        let held = (lease.lease, lease.delivery);
        let second = second_part(&lease, sigillo::domain::template::CodeName::Cip).unwrap();
        let cip = format!(
            "{}{}",
            first(&paper, sigillo::domain::template::CodeName::Cip).unwrap(),
            second.expose()
        );
        w.memory.fail(1, fault);
        let failed = w.post.report(held, prepared(&lease)).await;
        assert!(matches!(failed, Err(Error::Unavailable(_))), "{fault:?}: {failed:?}");
        w.restart().await;
        let known = fault == Fault::UnknownKept;
        assert_eq!(w.card(&card).cip_second_tag().is_some(), known, "{fault:?}");
        let verdict = w.desk.verify(&card, &cip, "v").await.unwrap().outcome;
        assert_eq!(verdict == Verdict::Accepted, known, "{fault:?}");
        assert_eq!(w.post.report(held, prepared(&lease)).await.unwrap(), "leased", "{fault:?}");
        assert_eq!(w.desk.verify(&card, &cip, "w").await.unwrap().outcome, Verdict::Accepted, "{fault:?}");
    }
}

fn ends() -> [(DeliveryOutcome, &'static str); 4] {
    [
        (DeliveryOutcome::Sent, "sent"),
        (DeliveryOutcome::Delivered, "delivered"),
        (DeliveryOutcome::Failed("no such mailbox".into()), "failed"),
        (DeliveryOutcome::Retry("relay busy".into()), "queued"),
    ]
}

#[tokio::test]
async fn an_end_whose_report_fails_is_told_again_or_was_heard() {
    for fault in FAULTS {
        for (number, (outcome, state)) in ends().into_iter().enumerate() {
            let what = format!("{state} {fault:?}");
            let mut w = World::new().await;
            let card = w.registered(LAZIO).await;
            w.desk.activate(&card, "a").await.unwrap();
            let lease = w.lease_one().await;
            let held = (lease.lease, lease.delivery);
            w.post.report(held, prepared(&lease)).await.unwrap();
            w.memory.fail(1, fault);
            let failed = w.post.report(held, outcome).await;
            assert!(matches!(failed, Err(Error::Unavailable(_))), "{what}: {failed:?}");
            w.restart().await;
            let again = w.post.report(held, ends().into_iter().nth(number).unwrap().0).await;
            // Its last holder may tell an end again; what is to be tried again gave the hold up.
            if fault == Fault::UnknownKept && state == "queued" {
                assert!(matches!(again, Err(Error::NotFound(What::Lease))), "{what}: {again:?}");
            } else {
                assert_eq!(again.unwrap(), state, "{what}");
            }
            assert_eq!(w.seen(lease.delivery).await, (state, 1), "{what}");
            assert!(w.has_contact(lease.delivery), "{what}: to be sent, or kept for a resend");
            assert_eq!(w.log_of("delivery.reported").len(), 2, "{what}: prepared, and the end");
        }
    }
}
