//! Witnesses keep the newest checkpoint too: what token and store forget together, they know (I13).

use std::{
    pin::pin,
    sync::{Arc, Mutex},
};

use sigillo::{
    domain::going_back::GoneBack,
    hsm::Place,
    service::{Error, Service, Unspent, Verdict},
    store::{Space, memory::Memory},
    witness::{Answer, Fault, FileWitness, Witness},
};
use tokio::sync::Semaphore;

use crate::{presented::signed, rules::LAZIO, world::World};

/// A witness in memory, with faults on demand.
struct Notary {
    kept: Mutex<Option<String>>,
    /// Every text that it was given, in order.
    given: Mutex<Vec<String>>,
    refuses: Mutex<bool>,
    /// It gives no answer to the next call of `keep`, and carries it out after the one that follows.
    is_late: Mutex<bool>,
    late: Mutex<Option<String>>,
    /// Places for calls of `keep`; without one it hangs.
    open: Semaphore,
}

impl Notary {
    fn new() -> Arc<Self> {
        let (kept, given, refuses, is_late, late) = Default::default();
        Arc::new(Self { kept, given, refuses, is_late, late, open: Semaphore::new(Semaphore::MAX_PERMITS) })
    }

    fn kept(&self) -> String {
        self.kept.lock().unwrap().clone().unwrap()
    }

    fn refuse(&self, refuse: bool) {
        *self.refuses.lock().unwrap() = refuse;
    }

    fn answer<T>(&self, value: T) -> Result<T, Fault> {
        if *self.refuses.lock().unwrap() { Err(Fault("it does not want to".into())) } else { Ok(value) }
    }
}

impl Witness for Notary {
    fn name(&self) -> &'static str {
        "notary"
    }

    fn read(&self) -> Answer<'_, Option<String>> {
        Box::pin(async { self.answer(self.kept.lock().unwrap().clone()) })
    }

    fn keep(&self, text: String) -> Answer<'_, ()> {
        Box::pin(async {
            drop(self.open.acquire().await.unwrap());
            self.given.lock().unwrap().push(text.clone());
            self.answer(())?;
            if std::mem::take(&mut *self.is_late.lock().unwrap()) {
                *self.late.lock().unwrap() = Some(text);
                return Err(Fault("no answer in time".into()));
            }
            let late = self.late.lock().unwrap().take();
            *self.kept.lock().unwrap() = Some(late.unwrap_or(text));
            Ok(())
        })
    }
}

/// A new installation with this witness, and a citizen in it.
async fn world(notary: &Arc<Notary>) -> World {
    let mut w = World::new().await;
    w.memory = Memory::new();
    for place in Place::ALL {
        w.token.tamper_mark(place, Some(Vec::new()));
    }
    w.witnesses = vec![Arc::<Notary>::clone(notary)];
    w.restart().await;
    w.desk.register_operator().await.unwrap();
    w
}

async fn mark(service: &Service) -> String {
    let (text, _) = service.checkpoint().await.unwrap();
    service.tell_witnesses().await.unwrap();
    text
}

#[tokio::test]
async fn store_and_token_of_yesterday_are_refused() {
    let notary = Notary::new();
    let mut w = world(&notary).await;
    let who = w.citizen(LAZIO).await;
    assert_eq!(mark(&w.service).await, notary.kept());
    let (store, token) = (w.memory.copy(), w.token.marks());
    for n in 0..3 {
        w.desk.verify(&who.card, "00000000", &format!("w{n}")).await.unwrap();
    }
    mark(&w.service).await;
    let (today, newest) = (w.memory.clone(), w.token.marks());
    let witnessed = notary.kept();

    w.memory = store;
    for (place, text) in Place::ALL.into_iter().zip(token) {
        w.token.tamper_mark(place, text);
    }
    for _ in 0..2 {
        let refused = w.try_restart().await.unwrap_err();
        assert!(matches!(refused, Error::GoneBack(GoneBack::Older { .. })), "{refused}");
    }
    assert_eq!(notary.kept(), witnessed, "a refused start tells the witness nothing");
    w.memory = today;
    for (place, text) in Place::ALL.into_iter().zip(newest) {
        w.token.tamper_mark(place, text);
    }
    w.restart().await;
    assert_eq!(w.tries(&who.card).wrong(), 3);
}

#[tokio::test]
async fn an_older_witness_does_not_speak_for_an_older_store() {
    let notary = Notary::new();
    let mut w = world(&notary).await;
    w.citizen(LAZIO).await;
    let older = mark(&w.service).await;
    let store = w.memory.copy();
    w.citizen(LAZIO).await;
    mark(&w.service).await;
    *notary.kept.lock().unwrap() = Some(older);
    let today = std::mem::replace(&mut w.memory, store);
    let refused = w.try_restart().await.unwrap_err();
    assert!(matches!(refused, Error::GoneBack(GoneBack::Older { .. })), "the token is newer: {refused}");
    w.memory = today;
    w.restart().await;
    assert_eq!(notary.kept(), *notary.given.lock().unwrap().last().unwrap());
    assert_eq!(w.service.behind_witnesses().next().unwrap().waiting.as_millis(), 0);
}

/// The witness was put back with store and token, and vouches for the longer branch since; the token has the courier's
/// checkpoint, of the right one.
#[tokio::test]
async fn a_witness_of_a_longer_branch_does_not_hide_the_right_one() {
    let notary = Notary::new();
    let mut w = world(&notary).await;
    let who = w.citizen(LAZIO).await;
    let yesterday = mark(&w.service).await;
    let (store, token) = (w.memory.copy(), w.token.marks());
    w.desk.verify(&who.card, "00000000", "w").await.unwrap();
    let right = mark(&w.service).await;

    w.memory = store;
    for (place, text) in Place::ALL.into_iter().zip(token) {
        w.token.tamper_mark(place, text);
    }
    *notary.kept.lock().unwrap() = Some(yesterday);
    w.restart().await;
    for n in 0..9 {
        w.desk.verify(&who.card, &who.cip, &format!("v{n}")).await.unwrap();
    }
    mark(&w.service).await;
    let refused = w.post.lease_with(1, Some(&right)).await.unwrap_err();
    assert!(matches!(refused, Error::GoneBack(GoneBack::Forked { .. })), "{refused}");
    let refused = w.try_restart().await.unwrap_err();
    assert!(matches!(refused, Error::GoneBack(GoneBack::Forked { .. })), "{refused}");
    let (_, standing) = Service::for_recovery(w.parts().await, &[]).await.unwrap();
    assert!(
        right.contains(&hex::encode(standing.known.unwrap().head.hash)),
        "the gap is that of the right branch"
    );
    assert!(matches!(standing.refused, Some(GoneBack::Forked { .. })));
}

/// What a witness keeps from before a recovery may be of the branch that the officers ended.
#[tokio::test]
async fn a_witness_from_before_a_recovery_says_nothing_beside_a_token_from_after_it() {
    let notary = Notary::new();
    let mut w = world(&notary).await;
    w.memory.tamper(Space::Checkpoint, b"recoveries", Some(&1_u64.to_be_bytes()));
    mark(&w.service).await;
    let ended = signed(&w.token, "test", 900_000, 0);
    *notary.kept.lock().unwrap() = Some(ended);
    w.restart().await;
    let ahead = signed(&w.token, "test", 1, 2);
    *notary.kept.lock().unwrap() = Some(ahead);
    let refused = w.try_restart().await.unwrap_err();
    assert!(matches!(refused, Error::GoneBack(GoneBack::Recovered { recoveries: 1, known: 2 })), "{refused}");
}

#[tokio::test]
async fn a_witness_that_cannot_be_asked_or_has_forgotten_stops_the_start() {
    let notary = Notary::new();
    let mut w = world(&notary).await;
    w.citizen(LAZIO).await;
    let newest = mark(&w.service).await;
    for (kept, refuses, said) in [
        (Some(newest.clone()), true, "does not want to"),
        (None, false, "keeps no checkpoint, and the log is not new"),
        (Some(String::new()), false, "not signed by the audit key"),
        (Some(newest.replace("log test", "log tent")), false, "not signed by the audit key"),
    ] {
        *notary.kept.lock().unwrap() = kept;
        notary.refuse(refuses);
        let refused = w.try_restart().await.unwrap_err();
        assert!(matches!(&refused, Error::Witness(what) if what.contains(said)), "{refused}");
    }
    // What an operator does for a new witness.
    notary.refuse(false);
    *notary.kept.lock().unwrap() = Some(newest);
    w.restart().await;
}

#[tokio::test]
async fn an_empty_store_beside_a_witness_that_remembers_is_refused() {
    let notary = Notary::new();
    let mut w = world(&notary).await;
    w.citizen(LAZIO).await;
    mark(&w.service).await;
    w.memory = Memory::new();
    for place in Place::ALL {
        w.token.tamper_mark(place, Some(Vec::new()));
    }
    let refused = w.try_restart().await.unwrap_err();
    assert!(matches!(refused, Error::GoneBack(GoneBack::Older { end: 0, .. })), "{refused}");
}

#[tokio::test]
async fn nothing_is_spent_while_a_witness_takes_nothing() {
    let notary = Notary::new();
    let w = world(&notary).await;
    let who = w.citizen(LAZIO).await;
    mark(&w.service).await;
    notary.refuse(true);
    w.service.checkpoint().await.unwrap();
    w.service.tell_witnesses().await.unwrap_err();
    w.advance_ms(10_000);
    w.desk.verify(&who.card, "00000000", "a").await.unwrap();
    w.service.checkpoint().await.unwrap();
    assert_eq!(w.service.spends(), Ok(()));
    w.advance_ms(1);
    assert_eq!(w.service.spends(), Err(Unspent::Unwitnessed("notary")), "what /readyz says");
    let behind = w.service.behind_witnesses().next().unwrap();
    assert!((behind.waiting.as_millis(), behind.events > 0) == (10_001, true), "{behind:?}");
    let refused = w.desk.verify(&who.card, &who.cip, "b").await.unwrap_err();
    assert!(matches!(&refused, Error::Unavailable(what) if what.contains("notary")), "{refused}");
    assert_eq!(w.tries(&who.card).wrong(), 1);

    notary.refuse(false);
    w.service.tell_witnesses().await.unwrap();
    assert_eq!(w.service.spends(), Ok(()));
    assert_eq!(w.desk.verify(&who.card, &who.cip, "b").await.unwrap().outcome, Verdict::Accepted);
}

#[tokio::test]
async fn a_witness_that_hangs_does_not_hold_up_the_token_and_hears_the_newest_only() {
    let notary = Notary::new();
    let w = world(&notary).await;
    notary.given.lock().unwrap().clear();
    notary.open.forget_permits(Semaphore::MAX_PERMITS);
    w.citizen(LAZIO).await;
    let (first, _) = w.service.checkpoint().await.unwrap();
    let mut told = pin!(w.service.tell_witnesses());
    let ended = std::future::poll_fn(|cx| std::task::Poll::Ready(told.as_mut().poll(cx).is_ready())).await;
    assert!(!ended, "it hangs");
    let mut last = String::new();
    for _ in 0..3 {
        w.citizen(LAZIO).await;
        (last, _) = w.service.checkpoint().await.unwrap();
    }
    assert_eq!(w.service.unmarked(), 0, "the token has them all");
    notary.open.add_permits(1);
    told.await.unwrap();
    w.service.tell_witnesses().await.unwrap();
    w.service.tell_witnesses().await.unwrap();
    assert_eq!(*notary.given.lock().unwrap(), [first, last]);
}

/// It takes what it is told, but each takes its time: what it has waited for counts from the first that it does not have.
#[tokio::test]
async fn a_witness_that_is_slow_has_ten_seconds_and_no_more() {
    let notary = Notary::new();
    let w = world(&notary).await;
    let who = w.citizen(LAZIO).await;
    mark(&w.service).await;
    notary.open.forget_permits(Semaphore::MAX_PERMITS);
    w.service.checkpoint().await.unwrap();
    let mut told = pin!(w.service.tell_witnesses());
    let ended = std::future::poll_fn(|cx| std::task::Poll::Ready(told.as_mut().poll(cx).is_ready())).await;
    assert!(!ended, "it takes its time");
    for passed_ms in [1_000, 8_500] {
        w.advance_ms(passed_ms);
        w.service.checkpoint().await.unwrap();
    }
    notary.open.add_permits(1);
    told.await.unwrap();
    notary.open.forget_permits(1);
    assert_eq!(w.service.behind_witnesses().next().unwrap().waiting.as_millis(), 8_500);

    let mut told = pin!(w.service.tell_witnesses());
    let ended = std::future::poll_fn(|cx| std::task::Poll::Ready(told.as_mut().poll(cx).is_ready())).await;
    assert!(!ended, "and again");
    w.advance_ms(1_500);
    w.desk.verify(&who.card, "00000000", "a").await.unwrap();
    w.advance_ms(1);
    let refused = w.desk.verify(&who.card, "00000000", "b").await.unwrap_err();
    assert!(matches!(&refused, Error::Unavailable(what) if what.contains("notary")), "{refused}");
    notary.open.add_permits(1);
    told.await.unwrap();
    assert_eq!(w.service.behind_witnesses().next().unwrap().waiting.as_millis(), 0);
}

#[tokio::test]
async fn what_a_witness_carries_out_late_is_found_and_put_right() {
    let notary = Notary::new();
    let w = world(&notary).await;
    mark(&w.service).await;
    notary.given.lock().unwrap().clear();
    *notary.is_late.lock().unwrap() = true;
    let (older, _) = w.service.checkpoint().await.unwrap();
    w.service.tell_witnesses().await.unwrap_err();
    let newest = mark(&w.service).await;
    assert_eq!(notary.kept(), newest, "not what came late");
    for _ in 0..2 {
        w.service.tell_witnesses().await.unwrap();
    }
    let after = mark(&w.service).await;
    let given = [older, newest.clone(), newest, after];
    assert_eq!(*notary.given.lock().unwrap(), given, "and an idle authority tells nothing more");
}

#[tokio::test]
async fn a_file_is_told_by_itself_and_read_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("checkpoint");
    let mut w = world(&Notary::new()).await;
    w.citizen(LAZIO).await;
    let (text, _) = w.service.checkpoint().await.unwrap();
    w.witnesses = vec![Arc::new(FileWitness::new(file.clone()))];
    let refused = w.try_restart().await.unwrap_err();
    assert!(refused.to_string().contains("keeps no checkpoint"), "{refused}");
    std::fs::write(&file, text).unwrap();
    w.restart().await;
    w.citizen(LAZIO).await;
    let (newest, _) = w.service.checkpoint().await.unwrap();
    let told = async {
        while std::fs::read_to_string(&file).unwrap() != newest {
            tokio::task::yield_now().await;
        }
    };
    w.service.inform_witnesses(told).await;
    assert_eq!(std::fs::read_to_string(&file).unwrap(), newest);
}
