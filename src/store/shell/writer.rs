//! The writer thread of the shell, and what it shares with its handles.

use std::sync::{
    Arc, PoisonError, RwLock, Weak,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use tokio::sync::{oneshot, watch};

use super::{Stats, pace::Pace};
use crate::{
    domain::audit::Head,
    store::{Engine, Error, Op, Outcome, Snapshot, Step, Unit},
};

/// What the writer is doing.
#[derive(Clone, Debug)]
pub(super) enum State {
    /// It is gone; why, unless it was closed.
    Ended(Option<Error>),
    /// It failed and calls the engine no more.
    Poisoned(Error),
    /// It takes units.
    Running,
}

/// What the writer tells the handles.
pub(super) struct Shared {
    pub(super) head: watch::Sender<Head>,
    pub(super) state: watch::Sender<State>,
    pub(super) counters: Counters,
}

impl Shared {
    /// The first failure stays.
    pub(super) fn poison(&self, cause: &Error) {
        self.state.send_if_modified(|state| {
            let running = matches!(state, State::Running);
            if running {
                *state = State::Poisoned(cause.clone());
            }
            running
        });
    }

    /// Stops after an error that is not over once it is told.
    pub(super) fn poison_unless_passing(&self, error: &Error) {
        match error {
            Error::Fatal(_) | Error::Stopped(_) | Error::Unknown(_) => self.poison(error),
            Error::NotWritten(_) => {}
        }
    }

    pub(super) fn end(&self) {
        self.state.send_modify(|state| *state = State::Ended(state.failure().cloned()));
    }

    pub(super) fn failure(&self) -> Option<Error> {
        self.state.borrow().failure().cloned()
    }

    pub(super) async fn wait(&self, until: impl FnMut(&State) -> bool) {
        let mut state = self.state.subscribe();
        // An error would say that the sender is gone; `self` holds it.
        drop(state.wait_for(until).await);
    }
}

impl State {
    const fn failure(&self) -> Option<&Error> {
        match self {
            Self::Ended(cause) => cause.as_ref(),
            Self::Poisoned(cause) => Some(cause),
            Self::Running => None,
        }
    }
}

pub(super) fn stopped() -> Error {
    Error::NotWritten("the store is closed".into())
}

pub(super) fn stopped_after(cause: &Error) -> Error {
    Error::NotWritten(format!("the store stopped after: {cause}"))
}

/// A unit and where its answer goes.
pub(super) struct Job {
    pub(super) unit: Unit,
    pub(super) reply: Reply,
}

/// What the writer is asked.
pub(super) enum Asked {
    /// To commit a unit.
    Commit(Job),
    /// For the records between two batches.
    Snapshot(oneshot::Sender<Snapshot>),
}

/// Answers once. Dropped without an answer it says what is true: a queued unit was not written, one that an engine
/// has seen may have been.
pub(super) struct Reply {
    to: Option<oneshot::Sender<Result<Outcome, Error>>>,
    seen_by_engine: bool,
}

impl Reply {
    pub(super) const fn new(to: oneshot::Sender<Result<Outcome, Error>>) -> Self {
        Self { to: Some(to), seen_by_engine: false }
    }

    fn send(mut self, answer: Result<Outcome, Error>) {
        self.answer(answer);
    }

    fn answer(&mut self, answer: Result<Outcome, Error>) {
        if let Some(to) = self.to.take() {
            // The caller may be gone; its unit is committed all the same.
            drop(to.send(answer));
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        self.answer(Err(if self.seen_by_engine {
            Error::Unknown("the writer was lost".into())
        } else {
            Error::NotWritten("the store stopped before this unit".into())
        }));
    }
}

/// The way into the writer; nothing once it is closed.
pub(super) type Queue = RwLock<Option<Sender<Asked>>>;

/// Shuts the way in. Nobody is halfway through it afterwards: senders hold the lock while they send.
pub(super) fn shut(queue: &Queue) {
    drop(queue.write().unwrap_or_else(PoisonError::into_inner).take());
}

/// The writer's end of the queue. However the writer goes, what is still queued gets its answer.
struct Ending {
    jobs: Receiver<Asked>,
    queue: Weak<Queue>,
    shared: Arc<Shared>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.shared.poison(&Error::Unknown("the writer thread panicked".into()));
        }
        if let Some(queue) = self.queue.upgrade() {
            shut(&queue);
        }
        self.jobs.try_iter().for_each(drop);
        self.shared.end();
    }
}

/// So many bytes are written by one batch, about: one more unit may be larger. A database that writes in the background has little in
/// flight then: seven full buffers at one time may make sled stand still for ever (`store/sled/restore.rs`).
const IN_FLIGHT: usize = 512 << 10;

/// What else a batch may take.
struct Room {
    asked: usize,
    bytes: usize,
}

impl Room {
    fn take(&mut self, asked: &Asked) {
        self.asked = self.asked.saturating_sub(1);
        if let Asked::Commit(job) = asked {
            self.bytes = self.bytes.saturating_sub(weight(&job.unit));
        }
    }

    const fn is_left(&self) -> bool {
        self.asked > 0 && self.bytes > 0
    }
}

/// About how many bytes a unit writes: its records, and an event's text, which is not written out yet.
fn weight(unit: &Unit) -> usize {
    const KEY: usize = 64;
    const EVENT: usize = 512;
    let record = |op: &Op| match op {
        Op::Put { value, .. } => value.len().saturating_add(KEY),
        Op::Charge { .. }
        | Op::Delete { .. }
        | Op::Forgive { .. }
        | Op::RenewTries { .. }
        | Op::Settle { .. }
        | Op::Spend { .. }
        | Op::Touch { .. }
        | Op::Unlock { .. } => KEY,
    };
    let records = unit.ops.iter().map(record).fold(0, usize::saturating_add);
    records.saturating_add(unit.events.len().saturating_mul(EVENT))
}

/// Commits batches until the queue is shut and empty, or until a commit whose outcome is not certain. Whenever there is nothing
/// to commit, and now and then under load, it looks at some records of a pass over all of them.
pub(super) fn run(
    engine: Box<dyn Engine>,
    jobs: Receiver<Asked>,
    queue: Weak<Queue>,
    shared: Arc<Shared>,
    batch: usize,
) {
    let ending = Ending { jobs, queue, shared };
    // Dropped before `ending`: whoever waits for the end finds the engine gone.
    let mut engine = engine;
    let mut pace = Pace::default();
    while ending.shared.failure().is_none() {
        let first = match ending.jobs.recv_timeout(pace.pause()) {
            Ok(first) => first,
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {
                if pace.idle() {
                    patrol(&mut *engine, &mut pace, &ending.shared);
                }
                continue;
            }
        };
        if ending.shared.failure().is_some() {
            return; // a reader met a damaged record meanwhile
        }
        let (mut units, mut replies, mut snapshots) = (Vec::new(), Vec::new(), Vec::new());
        let (mut next, mut room) = (Some(first), Room { asked: batch, bytes: IN_FLIGHT });
        while let Some(asked) = next {
            room.take(&asked);
            match asked {
                Asked::Commit(job) => {
                    units.push(job.unit);
                    replies.push(job.reply);
                }
                Asked::Snapshot(reply) => snapshots.push(reply),
            }
            next = if room.is_left() { ending.jobs.try_recv().ok() } else { None };
        }
        replies.iter_mut().for_each(|reply| reply.seen_by_engine = true);
        if !units.is_empty() {
            commit(&mut *engine, &units, replies, &ending.shared);
        }
        if ending.shared.failure().is_none() {
            // Who asked may be gone.
            snapshots.into_iter().for_each(|reply| drop(reply.send(engine.snapshot())));
            if pace.batch() {
                patrol(&mut *engine, &mut pace, &ending.shared);
            }
        }
    }
}

/// Takes a step of the pass over all records. Records that do not add up stop the store.
fn patrol(engine: &mut dyn Engine, pace: &mut Pace, shared: &Shared) {
    match engine.patrol() {
        Ok(Step { ended: false, .. }) => {}
        Ok(Step { records, bytes, ended: true }) => {
            shared.counters.add_patrol();
            if pace.ended() == 1 {
                tracing::info!(records, bytes, "the records of the store add up");
            } else {
                tracing::debug!(records, bytes, "the records of the store add up");
            }
        }
        Err(error) => {
            tracing::error!(%error, "a pass over all records of the store");
            shared.poison(&error);
        }
    }
}

/// Commits one batch and answers all of it.
fn commit(engine: &mut dyn Engine, units: &[Unit], replies: Vec<Reply>, shared: &Shared) {
    let answer = engine.commit(units).and_then(|outcomes| {
        let complete = outcomes.len() == units.len();
        complete.then_some(outcomes).ok_or_else(|| Error::Unknown("the engine left out an answer".into()))
    });
    match answer {
        Ok(outcomes) => {
            shared.counters.add_commit(&outcomes);
            shared.head.send_replace(engine.head());
            replies.into_iter().zip(outcomes).for_each(|(reply, outcome)| reply.send(Ok(outcome)));
        }
        Err(error) => {
            shared.counters.add_failed();
            shared.poison_unless_passing(&error);
            replies.into_iter().for_each(|reply| reply.send(Err(error.clone())));
        }
    }
}

/// Counts for the metrics.
#[derive(Default)]
pub(super) struct Counters {
    commits: AtomicU64,
    units: AtomicU64,
    refused: AtomicU64,
    failed: AtomicU64,
    busy: AtomicU64,
    largest_batch: AtomicU64,
    patrols: AtomicU64,
}

impl Counters {
    fn add_commit(&self, outcomes: &[Outcome]) {
        let refused = outcomes.iter().filter(|o| matches!(o, Outcome::Refused { .. })).count();
        self.commits.fetch_add(1, Relaxed);
        self.units.fetch_add(count(outcomes.len()), Relaxed);
        self.refused.fetch_add(count(refused), Relaxed);
        self.largest_batch.fetch_max(count(outcomes.len()), Relaxed);
    }

    fn add_failed(&self) {
        self.failed.fetch_add(1, Relaxed);
    }

    fn add_patrol(&self) {
        self.patrols.fetch_add(1, Relaxed);
    }

    pub(super) fn add_busy(&self) {
        self.busy.fetch_add(1, Relaxed);
    }

    pub(super) fn stats(&self, queued: usize) -> Stats {
        Stats {
            commits: self.commits.load(Relaxed),
            units: self.units.load(Relaxed),
            refused: self.refused.load(Relaxed),
            failed: self.failed.load(Relaxed),
            busy: self.busy.load(Relaxed),
            largest_batch: self.largest_batch.load(Relaxed),
            queued: count(queued),
            patrols: self.patrols.load(Relaxed),
        }
    }
}

fn count(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Expect, Space};

    fn asked(bytes: usize) -> Asked {
        let put = Op::Put { space: Space::Card, key: vec![1], value: vec![0; bytes], expect: Expect::Any };
        let unit = Unit { ops: vec![put, Op::Touch { key: vec![1] }], events: Vec::new() };
        Asked::Commit(Job { unit, reply: Reply::new(oneshot::channel().0) })
    }

    fn taken(room: &mut Room, bytes: usize) -> usize {
        let mut taken = 0;
        while room.is_left() {
            room.take(&asked(bytes));
            taken += 1;
        }
        taken
    }

    #[test]
    fn a_batch_is_full_of_units_or_of_bytes() {
        assert_eq!(taken(&mut Room { asked: 100, bytes: IN_FLIGHT }, 1000), 100);
        assert_eq!(taken(&mut Room { asked: 100, bytes: IN_FLIGHT }, 64 << 10), 8);
        assert_eq!(taken(&mut Room { asked: 100, bytes: IN_FLIGHT }, 1 << 20), 1, "one is always taken");
        let mut room = Room { asked: 2, bytes: 1 };
        room.take(&Asked::Snapshot(oneshot::channel().0));
        assert!(room.is_left(), "a snapshot writes nothing");
    }
}
