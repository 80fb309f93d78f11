//! What the shell does when an engine fails or is slow.

use std::{future::Future, pin::pin, sync::Arc, task::Poll, time::Duration};

use sigillo::store::{
    Engine, Error, Expect, Limits, Op, Outcome, Space, Store, Unit,
    memory::{Fault, Memory},
};
use tokio::task::JoinHandle;

use super::setup::{add_tries, event, ops, prove_log, put, spend, start, start_with, ticket, tries};

fn card(n: u8) -> Unit {
    Unit { ops: vec![put(Space::Card, &[n], b"", Expect::Absent)], events: vec![event(false)] }
}

fn spawn(store: &Store, unit: Unit) -> JoinHandle<Result<Outcome, Error>> {
    let store = store.clone();
    tokio::spawn(async move { store.submit(unit).await })
}

/// Submits a unit and returns once it is queued.
async fn queue(store: &Store, unit: Unit) -> JoinHandle<Result<Outcome, Error>> {
    let before = store.stats().queued;
    let task = spawn(store, unit);
    while store.stats().queued == before {
        tokio::task::yield_now().await;
    }
    task
}

/// Has one commit wait at the gate.
async fn hold(memory: &Memory, store: &Store, unit: Unit) -> JoinHandle<Result<Outcome, Error>> {
    memory.hold();
    let task = spawn(store, unit);
    let gate = memory.clone();
    tokio::task::spawn_blocking(move || gate.wait_held()).await.unwrap();
    task
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certain_failure_changes_nothing_and_passes() {
    let memory = Memory::new();
    let store = start(&memory);
    memory.fail(2, Fault::NotWritten);
    assert!(store.submit(card(1)).await.is_ok());
    assert!(matches!(store.submit(card(2)).await, Err(Error::NotWritten(_))));
    assert!(store.is_up());
    assert_eq!(store.get(Space::Card, &[2]), Ok(None));
    assert_eq!(store.submit(card(2)).await, Ok(Outcome::Applied { ticket: None, seq: 2 }));
    assert_eq!(prove_log(&store).len(), 2);
    assert_eq!((store.stats().commits, store.stats().failed), (2, 1));
}

/// A try that may have been spent stays spent; one that was not is not told to be.
async fn poisoned(fault: Fault, left_after_restart: u32) {
    let memory = Memory::new();
    let store = start(&memory);
    add_tries(&store, b"card", 5).await;
    ticket(store.submit(spend(b"card")).await).unwrap();
    let durable = store.head();

    memory.fail(1, fault);
    let first = hold(&memory, &store, spend(b"card")).await;
    let queued = queue(&store, spend(b"card")).await;
    let stopped = tokio::spawn({
        let store = store.clone();
        async move { store.stopped().await }
    });
    memory.release();

    match (fault, first.await.unwrap()) {
        (Fault::Fatal, Err(Error::Fatal(_))) => {}
        (Fault::UnknownKept | Fault::UnknownLost, Err(Error::Unknown(_))) => {}
        (_, answer) => panic!("{fault:?}: {answer:?}"),
    }
    stopped.await.unwrap();
    let queued = queued.await.unwrap();
    assert!(matches!(queued, Err(Error::NotWritten(_))), "{queued:?}");
    let late = store.submit(spend(b"card")).await;
    assert!(matches!(late, Err(Error::NotWritten(_))), "{late:?}");
    assert!(!store.is_up());
    assert!(store.failure().is_some());
    assert!(store.get(Space::Tries, b"card").is_err(), "what it would read may not be on the disk");
    assert_eq!(store.head(), durable);
    store.close().await;

    let again = start(&memory);
    assert_eq!(tries(&again, b"card").left(), left_after_restart);
    prove_log(&again);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_and_lost_stops_the_store() {
    poisoned(Fault::UnknownLost, 4).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_though_kept_stops_the_store() {
    poisoned(Fault::UnknownKept, 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_met_in_a_commit_stops_the_store() {
    poisoned(Fault::Fatal, 4).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_met_by_a_reader_stops_the_store() {
    let memory = Memory::new();
    let (engine, _) = memory.open().unwrap();
    let store = Store::start(engine, Arc::new(Unreadable), Limits::default());
    assert!(store.is_up());
    assert!(matches!(store.get(Space::Card, b"k"), Err(Error::Fatal(_))));
    store.stopped().await;
    assert!(matches!(store.submit(card(1)).await, Err(Error::NotWritten(_))));
    store.close().await;
}

struct Unreadable;

impl sigillo::store::Reader for Unreadable {
    fn get(&self, _: Space, _: &[u8]) -> Result<Option<sigillo::store::Versioned>, Error> {
        Err(Error::Fatal("unreadable".into()))
    }

    fn scan(&self, _: Space, _: &[u8], _: &[u8], _: usize) -> Result<Vec<sigillo::store::Found>, Error> {
        Err(Error::Fatal("unreadable".into()))
    }

    fn scan_back(&self, _: Space, _: &[u8], _: &[u8], _: usize) -> Result<Vec<sigillo::store::Found>, Error> {
        Err(Error::Fatal("unreadable".into()))
    }

    fn last(&self, _: Space) -> Result<Option<sigillo::store::Found>, Error> {
        Err(Error::Fatal("unreadable".into()))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_is_busy_at_once() {
    let memory = Memory::new();
    let store = start_with(&memory, Limits { queue: 2, batch: 8, ..Limits::default() });
    let first = hold(&memory, &store, card(0)).await;
    let (second, third) = (queue(&store, card(1)).await, queue(&store, card(2)).await);
    let busy = store.submit(card(3)).await;
    assert!(matches!(&busy, Err(Error::NotWritten(why)) if why.contains("busy")), "{busy:?}");
    assert_eq!((store.stats().busy, store.stats().queued), (1, 2));
    memory.release();
    for (task, seq) in [(first, 1), (second, 2), (third, 3)] {
        assert_eq!(task.await.unwrap(), Ok(Outcome::Applied { ticket: None, seq }));
    }
    assert_eq!(store.get(Space::Card, &[3]), Ok(None));
    let stats = store.stats();
    assert_eq!((stats.commits, stats.units, stats.largest_batch), (2, 3, 2), "what waited went together");
    assert!(store.submit(card(3)).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_has_its_limit() {
    let memory = Memory::new();
    let store = start_with(&memory, Limits { queue: 9, batch: 2, ..Limits::default() });
    let mut tasks = vec![hold(&memory, &store, card(0)).await];
    for n in 1..=5 {
        tasks.push(queue(&store, card(n)).await);
    }
    memory.release();
    for task in tasks {
        assert!(task.await.unwrap().is_ok());
    }
    let stats = store.stats();
    assert_eq!((stats.commits, stats.units, stats.largest_batch), (4, 6, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_unit_does_not_refuse_its_batch() {
    let memory = Memory::new();
    let store = start(&memory);
    let first = hold(&memory, &store, card(0)).await;
    let again = queue(&store, card(0)).await;
    let other = queue(&store, card(1)).await;
    memory.release();
    assert_eq!(first.await.unwrap(), Ok(Outcome::Applied { ticket: None, seq: 1 }));
    assert_eq!(again.await.unwrap(), Ok(Outcome::Refused { op: 0 }));
    assert_eq!(other.await.unwrap(), Ok(Outcome::Applied { ticket: None, seq: 2 }));
    assert_eq!((store.stats().refused, store.stats().units), (1, 3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_goes_away_changes_nothing() {
    let memory = Memory::new();
    let store = start(&memory);
    add_tries(&store, b"card", 5).await;
    memory.hold();
    {
        let mut submit = pin!(store.submit(spend(b"card")));
        let polled = std::future::poll_fn(|cx| Poll::Ready(submit.as_mut().poll(cx).is_ready())).await;
        assert!(!polled, "the commit waits");
    }
    memory.release();
    store.close().await;
    assert_eq!(tries(&start(&memory), b"card").left(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_handle_dropped_drops_the_engine() {
    let memory = Memory::new();
    let (engine, reader) = memory.open().unwrap();
    let (dropped, wait) = tokio::sync::oneshot::channel();
    let store = Store::start(Box::new(Watched(engine, Some(dropped))), reader, Limits::default());
    let clone = store.clone();
    drop(store);
    assert!(clone.submit(card(1)).await.is_ok());
    drop(clone);
    wait.await.unwrap();
}

/// An engine that says when it is dropped, and panics when it is asked to touch a record.
struct Watched(Box<dyn Engine>, Option<tokio::sync::oneshot::Sender<()>>);

impl Engine for Watched {
    fn commit(&mut self, units: &[Unit]) -> Result<Vec<Outcome>, Error> {
        let touches = units.iter().flat_map(|u| &u.ops).any(|op| matches!(op, Op::Touch { .. }));
        assert!(!touches, "a bug of an engine");
        self.0.commit(units)
    }

    fn head(&self) -> sigillo::domain::audit::Head {
        self.0.head()
    }

    fn patrol(&mut self) -> Result<sigillo::store::Step, Error> {
        self.0.patrol()
    }

    fn snapshot(&mut self) -> sigillo::store::Snapshot {
        self.0.snapshot()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if let Some(dropped) = self.1.take() {
            let _told = dropped.send(());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bug_of_an_engine_is_an_unknown_outcome() {
    let (engine, reader) = Memory::new().open().unwrap();
    let store = Store::start(Box::new(Watched(engine, None)), reader, Limits::default());
    let answer = store.submit(ops([Op::Touch { key: b"k".to_vec() }])).await;
    assert!(matches!(answer, Err(Error::Unknown(_))), "{answer:?}");
    store.stopped().await;
    store.close().await;
    assert!(store.failure().is_some());
    assert!(matches!(store.submit(card(1)).await, Err(Error::NotWritten(_))));
}

/// An engine whose commits wait for a word each, and say when they are there. Without a word they wait for ever.
struct Gated {
    engine: Box<dyn Engine>,
    word: crossbeam_channel::Receiver<()>,
    there: crossbeam_channel::Sender<()>,
    /// Its passes over all records wait as well.
    patrols: bool,
}

impl Gated {
    fn wait(&self) {
        self.there.send(()).unwrap();
        self.word.recv().unwrap();
    }
}

impl Engine for Gated {
    fn commit(&mut self, units: &[Unit]) -> Result<Vec<Outcome>, Error> {
        self.wait();
        self.engine.commit(units)
    }

    fn head(&self) -> sigillo::domain::audit::Head {
        self.engine.head()
    }

    fn patrol(&mut self) -> Result<sigillo::store::Step, Error> {
        if self.patrols {
            self.wait();
        }
        self.engine.patrol()
    }

    fn snapshot(&mut self) -> sigillo::store::Snapshot {
        self.engine.snapshot()
    }
}

/// A store on a gated engine, the words for it, its arrivals, and what is called last.
struct Gate {
    store: Store,
    say: crossbeam_channel::Sender<()>,
    there: crossbeam_channel::Receiver<()>,
    last: tokio::sync::oneshot::Receiver<()>,
}

impl Gate {
    fn start(memory: &Memory, patrols: bool, patience: Duration) -> Self {
        let (engine, reader) = memory.open().unwrap();
        let (say, word) = crossbeam_channel::unbounded();
        let (arrive, there) = crossbeam_channel::unbounded();
        let (called, last) = tokio::sync::oneshot::channel();
        let engine = Gated { engine, word, there: arrive, patrols };
        let limits = Limits { patience, ..Limits::default() };
        let store = Store::start_with(Box::new(engine), reader, limits, move || called.send(()).unwrap());
        Self { store, say, there, last }
    }

    async fn arrival(&self) {
        let there = self.there.clone();
        tokio::task::spawn_blocking(move || there.recv().unwrap()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_does_not_come_back_is_given_up() {
    let memory = Memory::new();
    let gate = Gate::start(&memory, false, Duration::from_secs(2));
    let store = &gate.store;
    let first = spawn(store, card(1));
    gate.arrival().await;
    let seen = queue(store, card(2)).await;
    let snapshot = store.clone();
    let snapshot = tokio::spawn(async move { snapshot.snapshot().await });
    while store.stats().queued < 2 {
        tokio::task::yield_now().await;
    }
    gate.say.send(()).unwrap();
    assert!(first.await.unwrap().is_ok());
    gate.arrival().await;
    // The writer has both in its hand and never comes back; this one waits in the queue.
    let queued = queue(store, card(3)).await;

    assert!(matches!(seen.await.unwrap(), Err(Error::Unknown(_))), "it may be written yet");
    assert!(matches!(queued.await.unwrap(), Err(Error::NotWritten(_))), "the engine never saw it");
    assert!(snapshot.await.unwrap().is_err());
    gate.last.await.unwrap();
    store.stopped().await;
    store.close().await;
    assert!(store.stands_still() && !store.is_up());
    assert!(matches!(store.failure(), Some(Error::Unknown(_))));
    assert!(matches!(store.get(Space::Card, &[1]), Err(Error::Stopped(_))));
    assert!(matches!(store.submit(card(4)).await, Err(Error::NotWritten(_))));
    let after = start(&memory);
    assert!(after.get(Space::Card, &[1]).unwrap().is_some());
    assert_eq!((after.get(Space::Card, &[2]), after.get(Space::Card, &[3])), (Ok(None), Ok(None)));
    after.close().await;
    assert!(!after.stands_still());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pass_over_the_records_that_does_not_come_back_is_given_up() {
    let gate = Gate::start(&Memory::new(), true, Duration::from_millis(20));
    gate.arrival().await;
    gate.store.stopped().await;
    gate.last.await.unwrap();
    assert!(gate.store.stands_still());
}
