//! Revocation: final, with one accepted verification of the same card, by the same caller, in time, once.

use std::pin::pin;

use sigillo::{
    domain::{
        card::{Reason, Refusal},
        id::VerificationId,
    },
    service::{Error, RevocationProof, Verdict, What},
    store::Space,
};
use tokio::task::JoinSet;

use crate::{former::between, rules::LAZIO, world::World};

/// As in the shipped policy.
const ACCEPTED_FOR_MS: u64 = 300_000;

fn unproved<T>(answer: &Result<T, Error>) -> bool {
    matches!(answer, Err(Error::NotFound(What::Verification)))
}

#[tokio::test]
async fn only_an_accepted_verification_of_this_card_by_this_caller_revokes() {
    let w = World::new().await;
    let (who, other) = (w.citizen(LAZIO).await, w.citizen(LAZIO).await);
    let rejected = w.desk.verify(&who.card, &who.wrong(5), "1").await.unwrap();
    let of_other_card = w.desk.verify(&other.card, &other.cip, "2").await.unwrap();
    let by_other_desk = w.other_desk.verify(&who.card, &who.cip, "3").await.unwrap();
    let of_nobody = w.desk.verify(&w.produced(LAZIO), &who.cip, "4").await.unwrap();
    assert_eq!((of_other_card.outcome, by_other_desk.outcome), (Verdict::Accepted, Verdict::Accepted));
    for (number, id) in [
        rejected.verification,
        of_other_card.verification,
        by_other_desk.verification,
        of_nobody.verification,
        VerificationId::new([9; 16]),
    ]
    .into_iter()
    .enumerate()
    {
        let answer = w.desk.revoke(&who.card, id, &format!("r{number}")).await;
        assert!(unproved(&answer), "{number}: {answer:?}");
    }
    assert_eq!(w.log_of("card.revoked"), ["refused: no_accepted_verification"; 5]);
    assert_eq!(w.desk.look_up(&who.card).await.unwrap().state, "active");
    w.other_desk.revoke(&who.card, by_other_desk.verification, "r").await.unwrap();
    w.desk.revoke(&other.card, of_other_card.verification, "r").await.unwrap();
}

#[tokio::test]
async fn an_acceptance_has_its_time() {
    let w = World::new().await;
    let (who, late) = (w.citizen(LAZIO).await, w.citizen(LAZIO).await);
    let (one, two) = (
        w.desk.verify(&who.card, &who.cip, "1").await.unwrap(),
        w.desk.verify(&late.card, &late.cip, "2").await.unwrap(),
    );
    w.advance_ms(ACCEPTED_FOR_MS);
    w.desk.revoke(&who.card, one.verification, "r1").await.unwrap();
    w.advance_ms(1);
    let answer = w.desk.revoke(&late.card, two.verification, "r2").await;
    assert!(unproved(&answer), "{answer:?}");
    assert_eq!(w.desk.look_up(&late.card).await.unwrap().state, "active");
    w.advance_ms(86_400_000);
    w.service.forget_expired().await.unwrap();
    assert!(
        w.all(Space::Verification).is_empty(),
        "the repeated request is forgotten by now, and this with it"
    );
}

#[tokio::test]
async fn an_acceptance_serves_once_and_what_is_revoked_stays_so() {
    let mut w = World::new().await;
    let who = w.citizen(LAZIO).await;
    let first = w.desk.verify(&who.card, &who.cip, "1").await.unwrap();
    let second = w.desk.verify(&who.card, &who.cip, "2").await.unwrap();
    w.desk.revoke_because(&who.card, first.verification, "r1", Reason::Stolen).await.unwrap();
    w.restart().await;
    let again = w.desk.revoke(&who.card, first.verification, "r2").await;
    assert!(unproved(&again), "{again:?}");
    let again = w.desk.revoke(&who.card, second.verification, "r3").await;
    assert!(matches!(again, Err(Error::Refused(Refusal::CardRevoked))), "{again:?}");
    assert_eq!(w.all(Space::Verification).len(), 1, "a refusal uses nothing up");
    assert_eq!(
        w.log_of("card.revoked"),
        ["intent", "done: stolen", "refused: no_accepted_verification", "refused: card_revoked"]
    );
}

#[tokio::test]
async fn reasons_are_the_policys() {
    let w = World::new().await;
    let who = w.citizen(LAZIO).await;
    let accepted = w.desk.verify(&who.card, &who.cip, "1").await.unwrap();
    for reason in [Reason::Renewed, Reason::Replaced] {
        let answer = w.desk.revoke_because(&who.card, accepted.verification, "r", reason).await;
        assert!(
            matches!(answer, Err(Error::Field { field: "reason", code: "unknown_reason", .. })),
            "{answer:?}"
        );
    }
    w.desk.revoke_because(&who.card, accepted.verification, "r", Reason::Deceased).await.unwrap();
    assert_eq!(w.log_of("card.revoked"), ["intent", "done: deceased"]);

    let w = World::new().await;
    w.rules.edit("authority.toml", "\"deceased\", ", "");
    let mut w = w;
    w.restart().await;
    let who = w.citizen(LAZIO).await;
    let accepted = w.desk.verify(&who.card, &who.cip, "1").await.unwrap();
    let answer = w.desk.revoke_because(&who.card, accepted.verification, "r", Reason::Deceased).await;
    assert!(matches!(answer, Err(Error::Field { .. })), "{answer:?}");
}

/// The slower of two requests with one acceptance finds it used up.
#[tokio::test]
async fn one_acceptance_at_once_revokes_once() {
    let w = World::new().await;
    let who = w.citizen(LAZIO).await;
    let accepted = w.desk.verify(&who.card, &who.cip, "1").await.unwrap();
    let mut slow = pin!(w.desk.revoke(&who.card, accepted.verification, "slow"));
    w.until_held_after_charge(slow.as_mut()).await;
    w.release().await;
    w.desk.revoke(&who.card, accepted.verification, "fast").await.unwrap();
    let lost = slow.await;
    assert!(matches!(lost, Err(Error::Conflict)), "{lost:?}");
    let outcomes = ["intent", "intent", "done: lost", "refused: changed_meanwhile"];
    assert_eq!(w.log_of("card.revoked"), outcomes);
}

/// The courier's steps, one of which changes the card too, are none that the counter is told of.
#[tokio::test]
async fn a_card_whose_delivery_moves_on_meanwhile_is_revoked_all_the_same() {
    for by_approval in [false, true] {
        let w = World::new().await;
        let (card, proof);
        if by_approval {
            card = w.registered(LAZIO).await;
            w.desk.activate(&card, "a").await.unwrap();
            let asked = w.desk.ask(&card, "q").await.unwrap();
            w.supervisor().await.approve(&asked, "s").await.unwrap();
            proof = RevocationProof::Approval(asked.id);
        } else {
            let who = w.citizen(LAZIO).await;
            w.desk.reprint(&who.card, "p").await.unwrap();
            let accepted = w.desk.verify(&who.card, &who.cip, "v").await.unwrap();
            (card, proof) = (who.card, RevocationProof::Verification(accepted.verification));
        }
        let mut revocation = pin!(w.desk.revoke_with(&card, proof, "r", Reason::Lost));
        w.until_held_after_charge(revocation.as_mut()).await;
        w.release().await; // the intent is written
        between(&w, revocation.as_mut()).await;
        revocation.await.unwrap();
        assert_eq!(w.log_of("card.revoked"), ["intent", "done: lost"], "by approval: {by_approval}");
        assert_eq!(w.desk.look_up(&card).await.unwrap().state, "revoked");
        for proofs in [Space::Approval, Space::Verification] {
            assert!(w.all(proofs).is_empty(), "used up");
        }
    }
}

/// A card that is not as the rules saw it when they let it be revoked is not revoked: the counter looks again.
#[tokio::test]
async fn a_card_that_became_active_meanwhile_is_not_revoked_on_what_was_decided_before() {
    let w = World::new().await;
    let card = w.registered(LAZIO).await;
    let asked = w.desk.ask(&card, "q").await.unwrap();
    w.supervisor().await.approve(&asked, "s").await.unwrap();
    let mut revocation = pin!(w.desk.revoke_approved(&card, asked.id, "r"));
    w.until_held_after_charge(revocation.as_mut()).await;
    w.release().await;
    w.desk.activate(&card, "a").await.unwrap();
    let lost = revocation.await;
    assert!(matches!(lost, Err(Error::Conflict)), "{lost:?}");
    assert_eq!(w.log_of("card.revoked"), ["intent", "refused: changed_meanwhile"]);
    w.desk.revoke_approved(&card, asked.id, "r2").await.unwrap();
}

/// The slower of two requests with an acceptance each finds the card revoked: it does not say that it did it.
#[tokio::test]
async fn two_acceptances_at_once_revoke_once() {
    let w = World::new().await;
    let who = w.citizen(LAZIO).await;
    let first = w.desk.verify(&who.card, &who.cip, "1").await.unwrap();
    let second = w.desk.verify(&who.card, &who.cip, "2").await.unwrap();
    let mut slow = pin!(w.desk.revoke_because(&who.card, first.verification, "slow", Reason::Stolen));
    w.until_held_after_charge(slow.as_mut()).await;
    w.release().await;
    w.desk.revoke(&who.card, second.verification, "fast").await.unwrap();
    let lost = slow.await;
    assert!(matches!(lost, Err(Error::Conflict)), "{lost:?}");
    let outcomes = ["intent", "intent", "done: lost", "refused: changed_meanwhile"];
    assert_eq!(w.log_of("card.revoked"), outcomes, "every intent has its outcome");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixteen_at_once_revoke_once() {
    let w = World::new().await;
    let who = w.citizen(LAZIO).await;
    let accepted = w.desk.verify(&who.card, &who.cip, "1").await.unwrap();
    let mut requests = JoinSet::new();
    for number in 0..16 {
        let (desk, card) = (w.desk.clone(), who.card.clone());
        requests.spawn(async move {
            desk.revoke(&card, accepted.verification, &format!("r{number}")).await.is_ok()
        });
    }
    let done = requests.join_all().await.into_iter().filter(|done| *done).count();
    assert_eq!(done, 1);
    assert_eq!(w.log_of("card.revoked").iter().filter(|text| text.starts_with("done")).count(), 1);
}
