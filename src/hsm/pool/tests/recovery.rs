//! A lost token comes back in the same process, or stays away for a reason; a call that hangs is given up.

use super::{super::*, LIMITS, secret, until};
use crate::hsm::{Role, soft::SoftHsm};

fn start(workers: usize, limits: PoolLimits) -> (SoftHsm, Hsm) {
    let soft = SoftHsm::new(Role::Authority).unwrap();
    let hsm = Hsm::supervised(soft.tokens(workers), soft.source(workers), limits).unwrap();
    (soft, hsm)
}

fn absent() -> OpenError {
    OpenError::Again(Error::Unavailable("not there yet".into()))
}

/// The software token refuses to be opened while a worker of before holds it: that it is up again says that all had
/// let go.
#[tokio::test]
async fn a_token_that_is_back_is_opened_and_works_again() {
    let (soft, hsm) = start(3, LIMITS);
    let before = hsm.mac(MacKey::Print, secret("a")).await.unwrap();
    soft.lose_token();
    until("down", || hsm.state() == State::Down).await;
    until("an opening that fails", || soft.openings() > 0).await;
    assert_eq!((hsm.state(), hsm.recoveries()), (State::Down, 0));
    assert!(matches!(hsm.refuse_if_down(), Err(Error::Unavailable(_))));

    soft.find_token();
    until("up again", || hsm.state() == State::Up).await;
    hsm.refuse_if_down().unwrap();
    let after = hsm.mac(MacKey::Print, secret("a")).await.unwrap();
    assert!(crate::hsm::tag_matches(&after, before.expose()));
    assert_eq!((hsm.recoveries(), hsm.is_given_up()), (1, false));
    assert_eq!(hsm.counts()[0], (MacKey::Print, 2), "counts outlive the loss");

    soft.lose_token();
    until("down again", || hsm.state() == State::Down).await;
    soft.find_token();
    until("up once more", || hsm.state() == State::Up).await;
    assert_eq!(hsm.recoveries(), 2);
    assert!(hsm.close().await);
}

#[tokio::test]
async fn openings_that_fail_are_tried_again_and_say_why() {
    let (soft, hsm) = start(1, LIMITS);
    soft.fail_openings([absent(), absent()]);
    soft.lose_token();
    until("down", || hsm.state() == State::Down).await;
    soft.find_token();
    until("the reason", || hsm.refuse_if_down().is_err_and(|e| e.to_string().contains("not there yet")))
        .await;
    until("up again", || hsm.state() == State::Up).await;
    assert_eq!((soft.openings(), hsm.recoveries()), (3, 1));
}

#[tokio::test]
async fn a_token_that_is_refused_is_never_opened_again() {
    let (soft, hsm) = start(1, LIMITS);
    soft.fail_openings([OpenError::Fatal(Error::WrongKey("key \"verify\" is another".into()))]);
    soft.lose_token();
    until("the refusal", || hsm.refuse_if_down().is_err_and(|e| e.to_string().contains("another"))).await;
    soft.find_token();
    let calls = soft.calls();
    for _ in 0..50 {
        let refused = hsm.mac(MacKey::Print, secret("a")).await.unwrap_err();
        assert!(refused.to_string().contains("key \"verify\" is another"), "{refused}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!((hsm.state(), soft.openings(), soft.calls()), (State::Down, 1, calls));
    assert!(!hsm.is_given_up(), "it goes on saying why");
}

#[tokio::test]
async fn a_module_that_hangs_for_too_long_is_given_up() {
    let (soft, hsm) = start(2, PoolLimits { give_up: Duration::from_secs(1), ..LIMITS });
    soft.hold();
    let hung = hsm.mac(MacKey::Print, secret("a"));
    assert!(matches!(hung.await, Err(Error::Unavailable(_))), "answered at the deadline");
    assert!(!hsm.is_given_up());
    until("degraded", || hsm.state() == State::Degraded).await;
    tokio::time::timeout(Duration::from_secs(10), hsm.given_up()).await.unwrap();
    assert!(hsm.is_given_up());
    let refused = hsm.refuse_if_down().unwrap_err();
    assert!(refused.to_string().contains("still inside the module"), "{refused}");
    assert!(!hsm.close().await, "nothing can be closed under the call");
    soft.release();
}

/// One of two workers hangs, the other answers every probe: the pool would wear out one worker at a time.
#[tokio::test]
async fn one_hung_call_is_given_up_though_others_answer() {
    let (soft, hsm) = start(2, PoolLimits { give_up: Duration::from_secs(1), ..LIMITS });
    soft.hold_one();
    assert!(matches!(hsm.mac(MacKey::Print, secret("a")).await, Err(Error::Unavailable(_))));
    until("up by the other's answers", || hsm.state() == State::Up).await;
    tokio::time::timeout(Duration::from_secs(10), hsm.given_up()).await.unwrap();
    soft.release();
}

/// The hung call comes back before it is given up: no restart, and the token is opened anew if it was lost.
#[tokio::test]
async fn a_module_that_comes_back_in_time_is_not_given_up() {
    let (soft, hsm) = start(1, LIMITS);
    soft.hold();
    until("degraded", || hsm.state() == State::Degraded).await;
    soft.lose_token();
    soft.release();
    until("down", || hsm.state() == State::Down).await;
    soft.find_token();
    until("up again", || hsm.state() == State::Up).await;
    assert_eq!((hsm.recoveries(), hsm.is_given_up()), (1, false));
}

/// A call that looked before the token was lost and came to the queue after the workers had gone is told at once, not at
/// its deadline.
#[tokio::test]
async fn calls_that_come_to_a_queue_without_workers_are_refused() {
    let (soft, hsm) = start(1, LIMITS);
    soft.fail_openings([OpenError::Fatal(Error::WrongKey("gone".into()))]);
    soft.lose_token();
    until("an opening", || soft.openings() > 0).await;
    let (reply, answer) = oneshot::channel::<()>();
    let job: Job = Box::new(move |_token| {
        drop(reply);
        Ok(())
    });
    hsm.inner.jobs.try_send(job).unwrap();
    tokio::time::timeout(Duration::from_secs(10), answer).await.unwrap().unwrap_err();
}

/// The supervisor asks once per period whether a probe was answered: a token that was lost and is back within one period
/// is not late.
#[test]
fn a_token_that_was_lost_or_opened_has_answered() {
    let (wake, _woken) = bounded(1);
    let shared = Shared::new(Duration::from_secs(3600), wake);
    assert!(!shared.take_answered());
    shared.on(Event::Lost, "gone");
    assert!(shared.take_answered() && !shared.take_answered());
    for event in [Event::Gone, Event::Opened] {
        shared.on(event, "");
    }
    assert!(shared.take_answered());
    assert_eq!((shared.state(), shared.recoveries()), (State::Up, 1));
}
