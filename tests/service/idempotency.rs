//! Retries are safe: a repeated request has no second effect, and another request is never taken for it (I9).

use std::pin::pin;

use sigillo::{
    domain::{card::Reason, card::Refusal},
    policy::act,
    secret::Digits,
    service::{Call, Error, Purpose, Verdict, VerificationRequest},
    store::Space,
};
use tokio::task::JoinSet;

use crate::{people::printed, rules::LAZIO, world::World};

/// How long the shipped policy remembers a key.
const KEEP_MS: u64 = 24 * 3_600_000;

#[tokio::test]
async fn a_repeated_activation_gives_the_same_paper_and_sends_nothing() {
    let mut w = World::new().await;
    let card = w.registered(LAZIO).await;
    let first = printed(&w.desk.activate(&card, "a").await.unwrap());
    let record = w.card(&card);
    assert_eq!(printed(&w.desk.activate(&card, "a").await.unwrap()), first);
    assert_eq!(w.log_of("request.replayed"), ["done"]);
    assert_eq!(w.log_of("delivery.queued"), ["done"]);
    assert_eq!(w.deliver().await.len(), 1, "one message");
    w.restart().await;
    w.advance_ms(KEEP_MS - 1);
    assert_eq!(w.service.forget_expired().await.unwrap(), 0);
    assert_eq!(printed(&w.desk.activate(&card, "a").await.unwrap()), first);
    assert_eq!(w.log_of("request.replayed"), ["done", "done"]);
    assert!(w.deliver().await.is_empty());
    assert_eq!(w.all(Space::Delivery).len(), 1);
    assert_eq!(w.log_of("card.activated").iter().filter(|o| *o == "done").count(), 1);
    let after = w.card(&card);
    assert!(after.state() == record.state() && after.cip_first_tag() == record.cip_first_tag());
}

#[tokio::test]
async fn a_repeated_verification_and_revocation_are_answered_as_before() {
    let w = World::new().await;
    let who = w.citizen(LAZIO).await;
    let wrong = w.desk.verify(&who.card, &who.wrong(2), "v").await.unwrap();
    let right = w.desk.verify(&who.card, &who.cip, "w").await.unwrap();
    let revoked = w.desk.revoke(&who.card, right.verification, "r").await.unwrap();
    w.advance_ms(60_000);
    for _ in 0..3 {
        let again = w.desk.verify(&who.card, &who.wrong(2), "v").await.unwrap();
        assert_eq!((again.outcome, again.verification), (wrong.outcome, wrong.verification));
        let again = w.desk.verify(&who.card, &who.cip, "w").await.unwrap();
        assert_eq!((again.outcome, again.verification), (Verdict::Accepted, right.verification));
        let again = w.desk.revoke(&who.card, right.verification, "r").await.unwrap();
        assert_eq!(again.at_ms, revoked.at_ms);
    }
    assert_eq!(w.tickets(), [1, 2]);
    assert_eq!(w.log_of("request.replayed").len(), 9);
    assert_eq!(w.log_of("card.revoked"), ["intent", "done: lost"]);
}

#[tokio::test]
async fn a_key_for_another_request_is_refused() {
    let w = World::new().await;
    let who = w.citizen(LAZIO).await;
    let (one, two) = (w.registered(LAZIO).await, w.registered(LAZIO).await);
    w.desk.activate(&one, "a").await.unwrap();
    assert!(matches!(w.desk.activate(&two, "a").await, Err(Error::KeyReused)));
    assert_eq!(w.desk.look_up(&two).await.unwrap().state, "registered");

    w.desk.reprint(&one, "p").await.unwrap();
    assert!(matches!(w.desk.reprint(&who.card, "p").await, Err(Error::KeyReused)));

    let right = w.desk.verify(&who.card, &who.cip, "v").await.unwrap();
    let before = w.tickets();
    assert!(matches!(w.desk.verify(&who.card, &who.wrong(0), "v").await, Err(Error::KeyReused)));
    assert!(matches!(w.desk.verify(&one, &who.cip, "v").await, Err(Error::KeyReused)));
    assert_eq!(w.tickets(), before, "refused before anything is spent");

    w.desk.revoke(&who.card, right.verification, "r").await.unwrap();
    let other = w.desk.revoke_because(&who.card, right.verification, "r", Reason::Stolen).await;
    assert!(matches!(other, Err(Error::KeyReused)), "{other:?}");
}

#[tokio::test]
async fn keys_of_callers_and_actions_do_not_meet() {
    let w = World::new().await;
    let who = w.citizen(LAZIO).await;
    let card = w.registered(LAZIO).await;
    let first = printed(&w.desk.activate(&card, "same").await.unwrap());
    let second = printed(&w.desk.reprint(&card, "same").await.unwrap());
    assert_ne!(first.1, second.1, "a reprint is not the activation repeated");
    let third = printed(&w.other_desk.reprint(&card, "same").await.unwrap());
    assert_ne!(second.1, third.1);

    let mine = w.desk.verify(&who.card, &who.wrong(0), "same").await.unwrap();
    let theirs = w.other_desk.verify(&who.card, &who.wrong(0), "same").await.unwrap();
    assert_ne!(mine.verification, theirs.verification);
    assert_eq!(w.tickets(), [1, 2]);
    assert!(w.log_of("request.replayed").is_empty());
}

#[tokio::test]
async fn an_answered_key_is_forgotten_in_time() {
    let w = World::new().await;
    let who = w.citizen(LAZIO).await;
    let card = w.registered(LAZIO).await;
    w.desk.activate(&card, "a").await.unwrap();
    let answer = w.desk.verify(&who.card, &who.wrong(0), "v").await.unwrap();
    let kept = (w.all(Space::Idem).len(), w.all(Space::Verification).len());
    assert_eq!(kept, (5, 1), "two are of the operator's registration");

    w.advance_ms(KEEP_MS - 1);
    assert_eq!(w.service.forget_expired().await.unwrap(), 0, "a verification is kept with its answer");
    let again = w.desk.verify(&who.card, &who.wrong(0), "v").await.unwrap();
    assert_eq!((again.outcome, again.verification), (answer.outcome, answer.verification));
    w.advance_ms(1);
    assert_eq!(w.service.forget_expired().await.unwrap(), 6, "and the contact of what was sent");
    let left = (w.all(Space::Idem).len(), w.all(Space::Verification).len(), w.all(Space::Expiry).len());
    assert_eq!(
        left,
        (0, 0, 4),
        "the dossiers of two activations are kept for longer, and two deliveries expire later"
    );

    let new = w.desk.verify(&who.card, &who.wrong(0), "v").await.unwrap();
    assert_ne!(new.verification, answer.verification);
    assert_eq!(w.tickets(), [1, 2], "a forgotten key is a new one, and costs a try");
    let again = w.desk.activate(&card, "a").await;
    assert!(matches!(again, Err(Error::Refused(Refusal::CardAlreadyActive))), "{again:?}");
}

/// More than one step of upkeep at once, and nothing that has still time.
#[tokio::test]
async fn a_thousand_expired_records_are_forgotten() {
    let w = World::new().await;
    let nobody = w.produced(LAZIO);
    for number in 0..600 {
        w.desk.verify(&nobody, "1", &format!("{number}")).await.unwrap();
    }
    w.advance_ms(KEEP_MS / 2);
    assert_eq!(w.service.forget_expired().await.unwrap(), 0);
    w.desk.verify(&nobody, "1", "late").await.unwrap();
    w.advance_ms(KEEP_MS / 2);
    assert_eq!(
        w.service.forget_expired().await.unwrap(),
        602,
        "keys with their verifications, and the operator's two"
    );
    let left = (w.all(Space::Idem).len(), w.all(Space::Verification).len(), w.all(Space::Expiry).len());
    assert_eq!(left, (1, 1, 1));
}

#[tokio::test]
async fn without_a_key_nothing_is_done() {
    let w = World::new().await;
    let who = w.citizen(LAZIO).await;
    let before = w.events().len();
    let call: Call<act::Verify> = Call { key: None, ..w.desk.call("", "") };
    let code = Digits::parse(who.cip.clone()).unwrap();
    let request =
        VerificationRequest { team: who.card.team_number.clone(), code, purpose: Purpose::Revocation };
    assert!(matches!(w.service.verify(call, request).await, Err(Error::KeyMissing)));
    assert_eq!(w.events().len(), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_key_activates_once_however_often_it_is_sent_at_once() {
    let w = World::new().await;
    let card = w.registered(LAZIO).await;
    let mut requests = JoinSet::new();
    for _ in 0..32 {
        let (desk, card) = (w.desk.clone(), card.clone());
        requests.spawn(async move { desk.activate(&card, "one key").await.map(|p| printed(&p)) });
    }
    let mut papers = Vec::new();
    for answer in requests.join_all().await {
        match answer {
            Ok(paper) => papers.push(paper),
            Err(Error::InProgress) => {} // the first is still at it
            Err(other) => panic!("{other:?}"),
        }
    }
    papers.dedup();
    assert_eq!(papers.len(), 1);
    assert_eq!(w.all(Space::Delivery).len(), 1);
    assert_eq!(w.log_of("delivery.queued").len(), 1);
}

/// A repetition that comes before the first request has even an intent decides nothing: the card is about to be another.
#[tokio::test]
async fn a_repetition_waits_for_the_first_from_its_first_step_on() {
    let w = World::new().await;
    let card = w.registered(LAZIO).await;
    let mut first = pin!(w.desk.activate(&card, "one key"));
    w.until_held(first.as_mut()).await; // its look-up is being charged
    let second = w.desk.activate(&card, "one key").await;
    assert!(matches!(second, Err(Error::InProgress)), "{second:?}");
    w.release().await;
    let paper = printed(&first.await.unwrap());
    assert_eq!(printed(&w.desk.activate(&card, "one key").await.unwrap()), paper);
    assert_eq!(w.log_of("card.activated"), ["intent", "done"]);
}

/// Two keys for one card: one wins, the other has done nothing and may be used again.
#[tokio::test]
async fn two_activations_at_once_leave_one() {
    let w = World::new().await;
    let card = w.registered(LAZIO).await;
    let mut late = pin!(w.desk.activate(&card, "late"));
    w.until_held_after_charge(late.as_mut()).await;
    w.release().await;
    let paper = printed(&w.desk.activate(&card, "early").await.unwrap());
    let lost = late.await;
    assert!(matches!(lost, Err(Error::Conflict)), "{lost:?}");
    assert_eq!(w.all(Space::Delivery).len(), 1);
    let outcomes = ["intent", "intent", "done", "refused: changed_meanwhile"];
    assert_eq!(w.log_of("card.activated"), outcomes);
    let again = w.desk.activate(&card, "late").await;
    assert!(matches!(again, Err(Error::Refused(Refusal::CardAlreadyActive))), "{again:?}");
    assert_eq!(printed(&w.desk.activate(&card, "early").await.unwrap()), paper);
}
