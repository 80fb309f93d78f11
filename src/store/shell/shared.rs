//! What the writer and the handles of a store share.

use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, Weak};

use crossbeam_channel::{Receiver, Sender};
use tokio::sync::{oneshot, watch};

use super::counters::Counters;
use crate::{
    domain::audit::Head,
    store::{Error, Outcome, Reader, Snapshot, Unit},
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
    /// It is in a call to the engine that does not come back. This stays.
    Stuck(Error),
}

/// What the writer tells the handles.
pub(super) struct Shared {
    /// What the writer has taken and not answered.
    hand: Mutex<Hand>,
    pub(super) head: watch::Sender<Head>,
    pub(super) state: watch::Sender<State>,
    pub(super) counters: Counters,
}

impl Shared {
    pub(super) fn new(head: Head) -> Self {
        Self {
            hand: Mutex::default(),
            head: watch::Sender::new(head),
            state: watch::Sender::new(State::Running),
            counters: Counters::default(),
        }
    }

    /// Also of a writer that panicked: it is answered for all the same.
    pub(super) fn hand(&self) -> MutexGuard<'_, Hand> {
        self.hand.lock().unwrap_or_else(PoisonError::into_inner)
    }

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
        self.state.send_modify(|state| {
            if !matches!(state, State::Stuck(_)) {
                *state = State::Ended(state.failure().cloned());
            }
        });
    }

    /// The engine does not come back. Who waits for it is answered, and nothing that it has open is ever closed: that could wait for
    /// what hangs.
    pub(super) fn give_up(&self, queue: &Weak<Queue>, jobs: &Receiver<Asked>, reader: &Weak<dyn Reader>) {
        if let Some(reader) = reader.upgrade() {
            #[expect(clippy::mem_forget, reason = "what must not be dropped")]
            std::mem::forget(reader);
        }
        let cause = Error::Unknown("a call to the database does not come back".into());
        let taken = {
            let mut hand = self.hand();
            self.state.send_modify(|state| {
                *state = State::Stuck(state.failure().unwrap_or(&cause).clone());
            });
            std::mem::take(&mut *hand)
        };
        drop(taken);
        if let Some(queue) = queue.upgrade() {
            shut(&queue);
        }
        jobs.try_iter().for_each(drop);
        // Last: whoever reads the log may hang as well.
        tracing::error!("the store stands still: {cause}");
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
            Self::Poisoned(cause) | Self::Stuck(cause) => Some(cause),
            Self::Running => None,
        }
    }
}

/// What a unit is told that is not taken.
pub(super) fn stopped(cause: Option<&Error>) -> Error {
    Error::NotWritten(match cause {
        Some(cause) => format!("the store stopped after: {cause}"),
        None => "the store is closed".into(),
    })
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

/// What the writer has taken, until it is answered. Dropped, it says what is true.
#[derive(Default)]
pub(super) struct Hand {
    pub(super) replies: Vec<Reply>,
    pub(super) snapshots: Vec<oneshot::Sender<Snapshot>>,
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

    /// An engine is about to see the unit.
    pub(super) const fn seen(&mut self) {
        self.seen_by_engine = true;
    }

    pub(super) fn send(mut self, answer: Result<Outcome, Error>) {
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn what_is_given_up_stays_so() {
        let shared = Shared::new(Head::EMPTY);
        let stuck = || matches!(*shared.state.borrow(), State::Stuck(_));
        assert!(shared.failure().is_none() && !stuck());
        let (_, jobs) = crossbeam_channel::bounded(1);
        let (_engine, reader) = crate::store::memory::Memory::new().open().unwrap();
        let weak = Arc::downgrade(&reader);
        shared.give_up(&Weak::new(), &jobs, &weak);
        drop(reader);
        assert!(weak.upgrade().is_some(), "it is never closed");
        // The call comes back after all, and the writer ends.
        shared.poison(&Error::Fatal("later".into()));
        shared.end();
        assert!(stuck());
        assert!(matches!(shared.failure(), Some(Error::Unknown(_))));
    }
}
