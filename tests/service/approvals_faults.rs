//! Asking and signing have one commit each: it fails in every way, the process starts again, and the request is repeated.
//! One approval, signed once, whatever happened.

use std::pin::pin;

use sigillo::{
    domain::approval::NotApproved,
    service::{ApprovalView, Error},
    store::{Space, memory::Fault},
};

use crate::{post::Citizen, rules::LAZIO, rules::supervisors, world::World};

const FAULTS: [Fault; 4] = [Fault::Fatal, Fault::NotWritten, Fault::UnknownKept, Fault::UnknownLost];

async fn ready() -> (World, Citizen) {
    let w = World::new().await;
    let who = w.citizen(LAZIO).await;
    w.ledger.clear();
    (w, who)
}

fn unavailable<T: std::fmt::Debug>(answer: &Result<T, Error>) {
    assert!(matches!(answer, Err(Error::Unavailable(_))), "{answer:?}");
}

#[tokio::test]
async fn every_failure_of_the_commits_of_asking() {
    let (w, who) = ready().await;
    w.desk.ask(&who.card, "a").await.unwrap();
    assert_eq!(w.ledger.entered(), 2, "the charge, then all of it");
    for (nth, fault) in FAULTS.into_iter().flat_map(|fault| [(1, fault), (2, fault)]) {
        let (mut w, who) = ready().await;
        w.memory.fail(nth, fault);
        unavailable(&w.desk.ask(&who.card, "a").await);
        w.restart().await;
        let kept = usize::from(nth == 2 && fault == Fault::UnknownKept);
        assert_eq!(w.all(Space::Approval).len(), 2 * kept, "{fault:?}");
        let asked: ApprovalView = w.desk.ask(&who.card, "a").await.unwrap();
        assert_eq!(w.desk.ask(&who.card, "a").await.unwrap(), asked, "{fault:?}");
        assert_eq!(w.all(Space::Approval).len(), 2, "{fault:?}");
        assert_eq!(w.log_of("approval.asked"), ["done"], "{fault:?}");
        assert_eq!(w.log_of("request.replayed").len(), 1 + kept, "{fault:?}");
        w.supervisor().await.approve(&asked, "s").await.unwrap();
        w.desk.revoke_approved(&who.card, asked.id, "r").await.unwrap();
    }
}

#[tokio::test]
async fn every_failure_of_the_one_commit_of_signing() {
    for fault in FAULTS {
        let (mut w, who) = ready().await;
        let asked = w.desk.ask(&who.card, "a").await.unwrap();
        let supervisor = w.supervisor().await;
        w.memory.fail(1, fault);
        unavailable(&supervisor.approve(&asked, "s").await);
        w.restart().await;
        let kept = fault == Fault::UnknownKept;
        if !kept {
            let early = w.desk.revoke_approved(&who.card, asked.id, "early").await;
            assert!(matches!(early, Err(Error::NotApproved(NotApproved::NotSigned))), "{fault:?} {early:?}");
        }
        let signed = w.supervisor().await.approve(&asked, "s").await.unwrap();
        assert_eq!(w.supervisor().await.approve(&asked, "s").await.unwrap(), signed, "{fault:?}");
        assert_eq!(w.log_of("approval.signed"), ["done"], "{fault:?}");
        w.desk.revoke_approved(&who.card, asked.id, "r").await.unwrap();
        assert!(w.all(Space::Approval).is_empty(), "{fault:?}");
    }
}

/// The slower of two colleagues finds it signed.
#[tokio::test]
async fn two_signatures_at_once_are_one() {
    let (w, who) = ready().await;
    let asked = w.desk.ask(&who.card, "a").await.unwrap();
    let (one, two) = (w.supervisor().await, w.desk.used_by(&supervisors()[1]).await);
    let mut first = pin!(one.approve(&asked, "one"));
    w.until_held(first.as_mut()).await;
    let mut second = pin!(two.approve(&asked, "two"));
    // Decided on what is not signed yet; its commit waits behind the first.
    for _ in 0..64 {
        let ended =
            std::future::poll_fn(|cx| std::task::Poll::Ready(second.as_mut().poll(cx).is_ready())).await;
        assert!(!ended);
        tokio::task::yield_now().await;
    }
    w.memory.release();
    first.await.unwrap();
    let late = second.await;
    assert!(
        matches!(late, Err(Error::Conflict | Error::NotApproved(NotApproved::AlreadySigned))),
        "{late:?}"
    );
    assert_eq!(w.log_of("approval.signed").len(), 2);
}

/// Two revocations at one time with one approval: the slower finds it used up.
#[tokio::test]
async fn one_approval_at_once_revokes_once() {
    let (w, who) = ready().await;
    let asked = w.desk.ask(&who.card, "a").await.unwrap();
    w.supervisor().await.approve(&asked, "s").await.unwrap();
    let mut slow = pin!(w.desk.revoke_approved(&who.card, asked.id, "slow"));
    w.until_held_after_charge(slow.as_mut()).await;
    w.release().await;
    w.desk.revoke_approved(&who.card, asked.id, "fast").await.unwrap();
    let lost = slow.await;
    assert!(matches!(lost, Err(Error::Conflict)), "{lost:?}");
    let outcomes = ["intent", "intent", "done: lost", "refused: changed_meanwhile"];
    assert_eq!(w.log_of("card.revoked"), outcomes);
}
