//! Unlock (I4): guesses are forgiven by two people, seldom, and never what counts against the life of a C.I.P.

use std::pin::pin;

use sigillo::{
    domain::{
        approval::NotApproved, card::Refusal, fictional::FictionalCard, id::ApprovalId, tries::NotUnlocked,
    },
    service::{ApprovalRequest, ApprovalView, Error, UnlockRequest, Unlocked, Verdict},
    store::{Space, memory::Fault},
};
use tokio::task::JoinSet;

use crate::{
    people::{Client, data},
    post::Citizen,
    rules::{LAZIO, LOMBARDIA, SICILIA},
    world::World,
};

const REASON: &str = "holder_mistyped";
const DAY_MS: u64 = 86_400_000;

impl Client {
    pub(crate) async fn unlock(
        &self,
        card: &FictionalCard,
        approval: Option<ApprovalId>,
        key: &str,
    ) -> Result<Unlocked, Error> {
        self.unlock_because(card, approval, key, REASON).await
    }

    async fn unlock_because(
        &self,
        card: &FictionalCard,
        approval: Option<ApprovalId>,
        key: &str,
        reason: &str,
    ) -> Result<Unlocked, Error> {
        let request = UnlockRequest { card: data(card), reason: reason.to_owned(), approval };
        self.service.unlock(self.call(key, &format!("{approval:?} {reason}")), request).await
    }

    /// Asks a colleague to approve the unlock of a card.
    pub(crate) async fn ask_unlock(&self, card: &FictionalCard, key: &str) -> Result<ApprovalView, Error> {
        let request = ApprovalRequest::Unlock { team: card.team_number.clone(), reason: REASON.to_owned() };
        self.service.ask_approval(self.call(key, card.team_number.as_str()), request).await
    }
}

impl World {
    /// Guesses wrong until the C.I.P. is locked.
    pub(crate) async fn lock(&self, who: &Citizen, key: &str) {
        let mut number = 0;
        while self.tries(&who.card).left() > 0 {
            let answer = self.desk.verify(&who.card, &who.wrong(0), &format!("{key} {number}")).await;
            assert_eq!(answer.unwrap().outcome, Verdict::Rejected);
            number += 1;
        }
    }

    /// An approved unlock, asked for and signed.
    pub(crate) async fn approved_unlock(&self, card: &FictionalCard, key: &str) -> ApprovalId {
        let asked = self.desk.ask_unlock(card, &format!("{key} asked")).await.unwrap();
        self.supervisor().await.approve(&asked, &format!("{key} signed")).await.unwrap();
        asked.id
    }

    async fn unlocked(&self, card: &FictionalCard, key: &str) -> Result<Unlocked, Error> {
        let approval = self.approved_unlock(card, key).await;
        self.desk.unlock(card, Some(approval), key).await
    }
}

#[track_caller]
fn refused<T: std::fmt::Debug>(answer: &Result<T, Error>, why: NotUnlocked) {
    assert!(matches!(answer, Err(Error::NotUnlocked(is)) if *is == why), "{answer:?} should be {why:?}");
}

#[tokio::test]
async fn two_people_unlock_and_the_right_code_is_right_again() {
    let w = World::new().await;
    let who = w.citizen(LAZIO).await;
    refused(&w.desk.ask_unlock(&who.card, "early").await, NotUnlocked::NotLocked);
    w.lock(&who, "guess").await;
    let view = w.desk.look_up(&who.card).await.unwrap();
    assert_eq!((view.cip_tries_left, view.cip_lock), (Some(0), Some("in_a_row")));

    let alone = w.desk.unlock(&who.card, None, "alone").await;
    let rule = "no_unlock_without_approval";
    assert!(matches!(&alone, Err(Error::NotAllowedOnCard(named)) if named == rule), "{alone:?}");
    let asked = w.desk.ask_unlock(&who.card, "a").await.unwrap();
    let words = "action: forgive the wrong guesses that lock the C.I.P. of a card";
    assert!(asked.text.lines().any(|line| line == words), "{}", asked.text);
    let unsigned = w.desk.unlock(&who.card, Some(asked.id), "unsigned").await;
    assert!(matches!(unsigned, Err(Error::NotApproved(NotApproved::NotSigned))), "{unsigned:?}");
    w.supervisor().await.approve(&asked, "s").await.unwrap();
    let other_reason = w.desk.unlock_because(&who.card, Some(asked.id), "other", "after_recovery").await;
    assert!(matches!(other_reason, Err(Error::NotApproved(NotApproved::OtherRequest))), "{other_reason:?}");
    let no_reason = w.desk.unlock_because(&who.card, Some(asked.id), "none", "lost").await;
    assert!(matches!(no_reason, Err(Error::Field { code: "unknown_reason", .. })), "{no_reason:?}");

    let answer = w.desk.unlock(&who.card, Some(asked.id), "u").await.unwrap();
    assert_eq!(answer.tries_left, 5);
    w.advance_ms(1);
    assert_eq!(w.desk.unlock(&who.card, Some(asked.id), "u").await.unwrap(), answer, "a repetition");
    assert!(w.all(Space::Approval).is_empty(), "used up, with its place");
    let view = w.desk.look_up(&who.card).await.unwrap();
    assert_eq!((view.cip_tries_left, view.cip_lock), (Some(5), None));
    let accepted = w.desk.verify(&who.card, &who.cip, "right").await.unwrap();
    assert_eq!(accepted.outcome, Verdict::Accepted);
    assert_eq!(w.tries(&who.card).wrong(), 5, "the life remembers");

    assert_eq!(
        w.log_of("cip.unlocked"),
        [
            "refused: not_allowed_on_card",
            "refused: approval_not_signed",
            "refused: approval_other_request",
            "done: holder_mistyped"
        ]
    );
    let done =
        w.events().into_iter().find(|e| e["kind"] == "cip.unlocked" && e["outcome"] == "done").unwrap();
    assert_eq!(done["approval"], asked.id.to_string());
    assert_ne!(done["approver"], done["operator"]);
    assert_eq!(w.log_of("request.replayed").len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_guesses_around_an_unlock_get_no_more_than_twice_the_limit() {
    let w = World::new().await;
    let who = w.citizen(LAZIO).await;
    let early = w.citizen(LAZIO).await;
    w.lock(&early, "early").await;
    // It was locked when it was asked for; the guesses run while it is done.
    for number in 0..5 {
        w.desk.verify(&who.card, &who.wrong(0), &format!("before {number}")).await.unwrap();
    }
    let approval = w.approved_unlock(&who.card, "u").await;
    let mut guesses = JoinSet::new();
    for number in 0..64 {
        let (desk, card, code) = (w.desk.clone(), who.card.clone(), who.wrong(number % 8));
        guesses.spawn(async move {
            desk.verify(&card, &code, &format!("guess {number}")).await.map(|answer| answer.outcome)
        });
    }
    let (desk, card) = (w.desk.clone(), who.card.clone());
    guesses.spawn(async move {
        desk.unlock(&card, Some(approval), "u").await.unwrap();
        Ok(Verdict::Rejected)
    });
    for answer in guesses.join_all().await {
        assert_eq!(answer.unwrap(), Verdict::Rejected);
    }
    w.lock(&who, "rest").await;
    let tries = w.tries(&who.card);
    assert_eq!((tries.left(), tries.wrong()), (0, 10), "five and five, however they were spread");
    assert_eq!(w.tries(&early.card).wrong(), 5, "another card's unlock gives nothing");
}

#[tokio::test]
async fn no_unlock_gives_back_the_life_of_a_cip() {
    let w = World::new().await;
    let who = w.citizen(SICILIA).await; // three in a row, seven in its life
    for round in 0..2 {
        w.lock(&who, &format!("round {round}")).await;
        let left = w.unlocked(&who.card, &format!("u{round}")).await.unwrap().tries_left;
        assert_eq!(left, [3, 1][round]);
    }
    w.lock(&who, "last").await;
    let view = w.desk.look_up(&who.card).await.unwrap();
    assert_eq!((view.cip_tries_left, view.cip_lock), (Some(0), Some("lifetime")));
    refused(&w.desk.ask_unlock(&who.card, "no").await, NotUnlocked::LifetimeReached);
    assert_eq!((w.tries(&who.card).wrong(), w.tickets().len()), (7, 7));
}

#[tokio::test]
async fn a_card_is_unlocked_so_often_in_a_month_and_no_more() {
    let w = World::new().await;
    let who = w.citizen(LAZIO).await;
    for round in 0..3 {
        w.lock(&who, &format!("round {round}")).await;
        w.unlocked(&who.card, &format!("u{round}")).await.unwrap();
    }
    w.lock(&who, "again").await;
    refused(&w.desk.ask_unlock(&who.card, "a").await, NotUnlocked::TooMany);
    w.advance_ms(30 * DAY_MS - 1);
    refused(&w.desk.ask_unlock(&who.card, "b").await, NotUnlocked::TooMany);
    w.advance_ms(1);
    w.unlocked(&who.card, "month").await.unwrap();
    assert_eq!(
        w.log_of("approval.asked").iter().filter(|text| *text == "refused: unlocks_too_many").count(),
        2
    );
}

#[tokio::test]
async fn cards_without_a_cip_to_unlock() {
    let w = World::new().await;
    let registered = w.registered(LAZIO).await;
    let without = w.citizen(LOMBARDIA).await;
    let revoked = w.citizen(LAZIO).await;
    w.lock(&revoked, "lock").await;
    let approval = w.approved_unlock(&revoked.card, "u").await;
    let asked = w.desk.ask(&revoked.card, "r").await.unwrap();
    w.supervisor().await.approve(&asked, "rs").await.unwrap();
    w.desk.revoke_approved(&revoked.card, asked.id, "r").await.unwrap();
    let late = w.desk.unlock(&revoked.card, Some(approval), "late").await;
    assert!(matches!(late, Err(Error::Refused(Refusal::CardRevoked))), "{late:?}");
    for (card, refusal) in [(&registered, Refusal::CardNotActive), (&without.card, Refusal::NoCip)] {
        let answer = w.desk.ask_unlock(card, card.team_number.as_str()).await;
        assert!(matches!(answer, Err(Error::Refused(is)) if is == refusal), "{answer:?}");
    }
    let unknown = w.desk.unlock(&w.produced(LAZIO), Some(approval), "unknown").await;
    assert!(matches!(unknown, Err(Error::NotFound(_))), "{unknown:?}");
}

/// It has one commit after the charge, which fails in every way; the process starts again and the request is repeated.
#[tokio::test]
async fn every_failure_of_the_commits_of_an_unlock() {
    for nth in [1, 2] {
        for fault in [Fault::Fatal, Fault::NotWritten, Fault::UnknownKept, Fault::UnknownLost] {
            let mut w = World::new().await;
            let who = w.citizen(LAZIO).await;
            w.lock(&who, "lock").await;
            let approval = w.approved_unlock(&who.card, "u").await;
            w.memory.fail(nth, fault);
            let failed = w.desk.unlock(&who.card, Some(approval), "u").await;
            assert!(matches!(failed, Err(Error::Unavailable(_))), "{nth} {fault:?}: {failed:?}");
            w.restart().await;
            let happened = nth == 2 && fault == Fault::UnknownKept;
            assert_eq!(w.tries(&who.card).left(), if happened { 5 } else { 0 }, "{nth} {fault:?}");
            let answer = w.desk.unlock(&who.card, Some(approval), "u").await.unwrap();
            assert_eq!(w.desk.unlock(&who.card, Some(approval), "u").await.unwrap(), answer);
            assert_eq!(w.log_of("cip.unlocked"), ["done: holder_mistyped"]);
            assert_eq!(w.log_of("request.replayed").len(), 1 + usize::from(happened));
            assert_eq!((w.tries(&who.card).left(), w.all(Space::Approval).len()), (5, 0));
        }
    }
}

/// Two at one time with an approval each: one unlocks, the other is told and changes nothing.
#[tokio::test]
async fn two_unlocks_at_once_are_one() {
    let w = World::new().await;
    let who = w.citizen(LAZIO).await;
    w.lock(&who, "lock").await;
    let (one, two) = (w.approved_unlock(&who.card, "1").await, w.approved_unlock(&who.card, "2").await);
    let mut slow = pin!(w.desk.unlock(&who.card, Some(one), "slow"));
    w.until_held_after_charge(slow.as_mut()).await;
    // Its commit is at the gate; another one, decided on the same records, comes behind it.
    let mut late = pin!(w.desk.unlock(&who.card, Some(two), "late"));
    for _ in 0..64 {
        let ended =
            std::future::poll_fn(|cx| std::task::Poll::Ready(late.as_mut().poll(cx).is_ready())).await;
        assert!(!ended);
        tokio::task::yield_now().await;
    }
    w.memory.release();
    slow.await.unwrap();
    let late = late.await;
    assert!(matches!(late, Err(Error::Conflict | Error::NotUnlocked(NotUnlocked::NotLocked))), "{late:?}");
    assert_eq!(w.log_of("cip.unlocked").iter().filter(|text| text.starts_with("done")).count(), 1);
    assert_eq!(w.all(Space::Approval).len(), 2, "the other approval stays unused");
}
