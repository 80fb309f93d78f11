//! Every call of the token fails in every way, in the middle of every operation; and a token that is known to be down.

use std::{pin::pin, task::Poll};

use sigillo::{
    hsm::{self, State},
    service::{Error, LineOutcome},
};

use crate::{
    faults::{Job, Ready},
    people::line,
    rules::{LAZIO, LOMBARDIA},
    world::World,
};

fn errors() -> [hsm::Error; 4] {
    let text = || "fault on demand".to_owned();
    [hsm::Error::Bug(text()), hsm::Error::Busy, hsm::Error::Unavailable(text()), hsm::Error::WrongKey(text())]
}

fn matches_fault(answer: &Error, fault: &hsm::Error) -> bool {
    match fault {
        hsm::Error::Bug(_) => matches!(answer, Error::Bug(_)),
        hsm::Error::Busy | hsm::Error::Unavailable(_) | hsm::Error::WrongKey(_) => {
            matches!(answer, Error::Unavailable(_))
        }
    }
}

#[tokio::test]
async fn every_call_of_every_operation() {
    for job in Job::ALL {
        let ready = Ready::new(job).await;
        ready.ask(job, "no fault").await.unwrap();
        assert_eq!(ready.w.hands.calls(), job.calls(), "{job:?}");
        for nth in 1..=job.calls().len() {
            for fault in errors() {
                call(job, nth, fault).await;
            }
        }
    }
}

async fn call(job: Job, nth: usize, fault: hsm::Error) {
    let what = format!("{job:?}, call {nth} {fault:?}");
    let mut ready = Ready::new(job).await;
    let before = ready.w.events().len();
    ready.w.hands.fail(nth, fault.clone());
    let failed = ready.ask(job, "the key").await.unwrap_err();
    assert!(matches_fault(&failed, &fault), "{what}: {failed:?}");
    assert_eq!(ready.effects(job), 0, "{what}");
    // Calls of the index key come before the intent, the others after it.
    if job.calls()[nth - 1] == "index" {
        assert_eq!((ready.w.events().len(), ready.spent(job)), (before, 0), "{what}: nothing has begun");
        ready.ask(job, "the key").await.expect(&what);
        assert_eq!((ready.effects(job), ready.spent(job)), (1, usize::from(job == Job::Verify)), "{what}");
    } else {
        assert_eq!(ready.w.events().len(), before + 1, "{what}: the intent is durable");
        ready.w.restart().await;
        ready.stays_unknown(job, "the key").await;
    }
}

#[tokio::test]
async fn every_call_of_a_repeated_hand_out() {
    for job in [Job::Activate, Job::Reprint] {
        let calls = job.calls().iter().filter(|name| **name != "verify").count();
        for nth in 1..=calls {
            for fault in errors() {
                let ready = Ready::new(job).await;
                let first = ready.ask(job, "the key").await.unwrap();
                ready.w.hands.clear();
                ready.w.hands.fail(nth, fault.clone());
                let failed = ready.ask(job, "the key").await.unwrap_err();
                assert!(matches_fault(&failed, &fault), "{job:?} {nth} {fault:?}: {failed:?}");
                assert_eq!(ready.ask(job, "the key").await.unwrap(), first);
                assert_eq!(ready.effects(job), 1);
            }
        }
    }
}

#[tokio::test]
async fn every_call_of_a_registration() {
    let w = World::new().await;
    let lines = |w: &World| [line(&w.produced(LAZIO)), line(&w.produced(LOMBARDIA))];
    w.hands.clear();
    w.bureau.register(&lines(&w)).await.unwrap();
    let calls = w.hands.calls();
    assert_eq!(calls, ["index", "index", "index", "index", "index", "index", "random"]);
    for nth in 1..=calls.len() {
        for fault in errors() {
            let (lines, before) = (lines(&w), w.events().len());
            w.hands.clear();
            w.hands.fail(nth, fault.clone());
            let failed = w.bureau.register(&lines).await.unwrap_err();
            assert!(matches_fault(&failed, &fault), "{nth} {fault:?}: {failed:?}");
            assert_eq!(w.events().len(), before, "{nth} {fault:?}: no card");
            assert_eq!(w.bureau.register(&lines).await.unwrap(), [LineOutcome::Registered; 2]);
        }
    }
}

/// The courier's side asks nothing of the authority's token: second parts and their tags are made elsewhere.
#[tokio::test]
async fn deliveries_ask_the_token_nothing() {
    let w = World::new().await;
    let card = w.registered(LAZIO).await;
    w.desk.activate(&card, "a").await.unwrap();
    w.hands.clear();
    assert_eq!(w.deliver().await.len(), 1);
    assert_eq!(w.hands.calls(), [""; 0]);
}

/// A call that fails makes the pool look at its token.
async fn until_down(w: &World) {
    w.hands.fail(1, hsm::Error::Unavailable("fault on demand".into()));
    let failed: Result<[u8; 1], _> = w.service.hsm().random().await;
    assert!(failed.is_err());
    while w.service.hsm().state() != State::Down {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_token_known_to_be_down_refuses_before_anything() {
    for job in Job::ALL {
        let mut ready = Ready::new(job).await;
        let before = ready.w.events().len();
        ready.w.token.set_down(true);
        until_down(&ready.w).await;
        let refused = ready.ask(job, "the key").await;
        assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
        assert_eq!((ready.w.events().len(), ready.effects(job), ready.spent(job)), (before, 0, 0), "{job:?}");
        ready.w.token.set_down(false);
        ready.w.restart().await;
        ready.ask(job, "the key").await.unwrap();
        assert_eq!((ready.effects(job), ready.spent(job)), (1, usize::from(job == Job::Verify)), "{job:?}");
    }
}

/// The token goes between the calls of the index key and the intent: still no try is spent.
#[tokio::test]
async fn a_token_lost_just_before_the_intent_costs_no_try() {
    for job in Job::ALL {
        let ready = Ready::new(job).await;
        let before = ready.w.events().len();
        {
            let mut asked = pin!(ready.ask(job, "the key"));
            ready.w.token.hold();
            let ended = std::future::poll_fn(|cx| Poll::Ready(asked.as_mut().poll(cx).is_ready())).await;
            assert!(!ended, "{job:?}: it waits for the index key");
            ready.w.token.lose_token();
            ready.w.token.release();
            let index = job.calls().iter().filter(|name| **name == "index").count();
            while ready.w.hands.calls().len() < index {
                tokio::task::yield_now().await;
            }
            until_down(&ready.w).await;
            let refused = asked.await;
            assert!(matches!(refused, Err(Error::Unavailable(_))), "{job:?}: {refused:?}");
        }
        assert_eq!((ready.w.events().len(), ready.effects(job), ready.spent(job)), (before, 0, 0), "{job:?}");
    }
}
