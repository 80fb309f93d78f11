//! The one shell around every engine: a bounded queue, one writer thread, group commit.
//!
//! It must never lose a unit without an answer, call an engine again after an unknown outcome, or block the caller's
//! thread on a write.

mod counters;
mod pace;
mod room;
mod shared;
mod writer;

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use crossbeam_channel::{Sender, TrySendError};
use tokio::sync::oneshot;

use self::shared::{Asked, Job, Queue, Reply, Shared, State, shut, stopped};
use super::{
    Engine, Error, Found, Outcome, Reader, Snapshot, Space, Unit, Versioned, record,
    watchdog::{self, Watchdog},
};
use crate::domain::audit::Head;

/// How much the shell takes.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Units that wait; one more is refused as busy. At least 1.
    pub queue: usize,
    /// Units committed together. At least 1.
    pub batch: usize,
    /// A turn of the writer (a commit, snapshots, a step of the pass over all records) that lasts for so long, or up to a quarter
    /// longer, is given up.
    pub patience: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { queue: 4096, batch: 1024, patience: watchdog::PATIENCE }
    }
}

/// What the shell has done since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Batches that became durable: each is one flush.
    pub commits: u64,
    /// Units in them; `units / commits` is the mean size of a batch.
    pub units: u64,
    /// Units among those that were refused by a guard.
    pub refused: u64,
    /// Batches that an engine did not write.
    pub failed: u64,
    /// Units turned away because the queue was full.
    pub busy: u64,
    /// Units of the greatest batch.
    pub largest_batch: u64,
    /// Units that wait now.
    pub queued: u64,
    /// Passes over all records that ended, and found that they add up.
    pub patrols: u64,
}

/// A store: reads and durable writes. Clones are the same store; the last one dropped stops the writer.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    /// The writer holds it weakly: the last handle dropped shuts it.
    queue: Arc<Queue>,
    reader: Arc<dyn Reader>,
    shared: Arc<Shared>,
}

impl Store {
    /// Starts the writer thread and its watchdog. If the system gives no thread the store is stopped from the start.
    pub fn start(engine: Box<dyn Engine>, reader: Arc<dyn Reader>, limits: Limits) -> Self {
        Self::start_with(engine, reader, limits, || ())
    }

    /// As [`Store::start`]. `last` is called, on the watchdog's thread, after a call to the engine was given up and who waited for it
    /// was answered. Reads may hang as well then, whichever thread they are on: a process that must end ends there.
    pub fn start_with(
        engine: Box<dyn Engine>,
        reader: Arc<dyn Reader>,
        limits: Limits,
        last: impl FnOnce() + Send + 'static,
    ) -> Self {
        let (sender, jobs) = crossbeam_channel::bounded(limits.queue.max(1));
        let shared = Arc::new(Shared::new(engine.head()));
        let queue = Arc::new(Queue::new(Some(sender)));
        let give_up = {
            let (queue, jobs, shared) = (Arc::downgrade(&queue), jobs.clone(), Arc::clone(&shared));
            let reader = Arc::downgrade(&reader);
            move || {
                shared.give_up(&queue, &jobs, &reader);
                last();
            }
        };
        let (weak, writer) = (Arc::downgrade(&queue), Arc::clone(&shared));
        let spawned = Watchdog::start(limits.patience, give_up).and_then(|watchdog| {
            std::thread::Builder::new()
                .name("store".into())
                .spawn(move || writer::run(engine, jobs, weak, writer, limits.batch.max(1), watchdog))
        });
        if let Err(error) = spawned {
            shared.poison(&Error::NotWritten(format!("cannot start the writer thread: {error}")));
            shared.end();
        }
        Self(Arc::new(Inner { queue, reader, shared }))
    }

    /// Has the unit committed; the answer is durable. Never blocks: a full queue is [`Error::NotWritten`].
    ///
    /// Once polled, the unit is committed even if the future is dropped.
    pub async fn submit(&self, unit: Unit) -> Result<Outcome, Error> {
        record::check(&unit)?;
        let (reply, answer) = oneshot::channel();
        self.enqueue(Asked::Commit(Job { unit, reply: Reply::new(reply) }))?;
        answer.await.unwrap_or_else(|_| Err(Error::Unknown("the writer gave no answer".into())))
    }

    /// The records as they are after every commit that was acknowledged before this call, and before some later one:
    /// to be read while others are committed.
    pub async fn snapshot(&self) -> Result<Snapshot, Error> {
        let (reply, answer) = oneshot::channel();
        self.enqueue(Asked::Snapshot(reply))?;
        answer.await.map_err(|_| stopped(self.failure().as_ref()))
    }

    fn enqueue(&self, job: Asked) -> Result<(), Error> {
        if let Some(cause) = self.0.shared.failure() {
            return Err(stopped(Some(&cause)));
        }
        let queue = self.0.queue.read().unwrap_or_else(PoisonError::into_inner);
        let Some(sender) = queue.as_ref() else { return Err(stopped(None)) };
        sender.try_send(job).map_err(|refused| match refused {
            TrySendError::Disconnected(_) => stopped(None),
            TrySendError::Full(_) => {
                self.0.shared.counters.add_busy();
                Error::NotWritten("busy: the queue of the store is full".into())
            }
        })
    }

    /// One record. Blocks for a read of the disk at most.
    pub fn get(&self, space: Space, key: &[u8]) -> Result<Option<Versioned>, Error> {
        self.read(|reader| reader.get(space, key))
    }

    /// Up to `limit` records by prefix, from a key on, as [`Reader::scan`] says.
    pub fn scan(&self, space: Space, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<Found>, Error> {
        self.read(|reader| reader.scan(space, prefix, from, limit))
    }

    /// The same from the other end, as [`Reader::scan_back`] says.
    pub fn scan_back(
        &self,
        space: Space,
        prefix: &[u8],
        below: &[u8],
        limit: usize,
    ) -> Result<Vec<Found>, Error> {
        self.read(|reader| reader.scan_back(space, prefix, below, limit))
    }

    /// The record with the greatest key.
    pub fn last(&self, space: Space) -> Result<Option<Found>, Error> {
        self.read(|reader| reader.last(space))
    }

    /// A damaged record and a failed disk stop the store; a stopped store shows nothing, since it may not be what the disk holds.
    fn read<T>(&self, read: impl FnOnce(&dyn Reader) -> Result<T, Error>) -> Result<T, Error> {
        match self.0.shared.failure() {
            Some(Error::Fatal(damage)) => return Err(Error::Fatal(damage)),
            Some(cause) => return Err(Error::Stopped(cause.to_string())),
            None => {}
        }
        read(&*self.0.reader).inspect_err(|error| self.0.shared.poison_unless_passing(error))
    }

    /// The audit chain's head after the last durable commit.
    pub fn head(&self) -> Head {
        *self.0.shared.head.borrow()
    }

    /// Whether units are taken.
    pub fn is_up(&self) -> bool {
        let open = self.0.queue.read().unwrap_or_else(PoisonError::into_inner).is_some();
        open && matches!(*self.0.shared.state.borrow(), State::Running)
    }

    /// Why the store has stopped by itself; nothing while it runs and after [`Store::close`].
    pub fn failure(&self) -> Option<Error> {
        self.0.shared.failure()
    }

    /// Waits until the store takes no more units: it failed, or was closed.
    pub async fn stopped(&self) {
        self.0.shared.wait(|state| !matches!(state, State::Running)).await;
    }

    /// Takes no more units, has the queued ones committed, and waits until the engine is dropped, or does not come back.
    pub async fn close(&self) {
        shut(&self.0.queue);
        self.0.shared.wait(|state| matches!(state, State::Ended(_) | State::Stuck(_))).await;
    }

    /// Whether a call to the engine did not come back. It is still in it: nothing but the end of the process ends it.
    pub fn stands_still(&self) -> bool {
        matches!(*self.0.shared.state.borrow(), State::Stuck(_))
    }

    /// What it has done so far.
    pub fn stats(&self) -> Stats {
        let queue = self.0.queue.read().unwrap_or_else(PoisonError::into_inner);
        self.0.shared.counters.stats(queue.as_ref().map_or(0, Sender::len))
    }
}
