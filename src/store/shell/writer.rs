//! The writer thread of the shell.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::{
    pace::Pace,
    room::Room,
    shared::{Asked, Queue, Shared, shut},
};
use crate::store::{Engine, Error, Step, Unit, watchdog::Watchdog};

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
        drop(std::mem::take(&mut *self.shared.hand()));
        self.shared.end();
    }
}

/// Commits batches until the queue is shut and empty, or until a commit whose outcome is not certain. Whenever there is nothing
/// to commit, and now and then under load, it looks at some records of a pass over all of them.
pub(super) fn run(
    engine: Box<dyn Engine>,
    jobs: Receiver<Asked>,
    queue: Weak<Queue>,
    shared: Arc<Shared>,
    batch: usize,
    mut watchdog: Watchdog,
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
                    let _turn = watchdog.turn();
                    patrol(&mut *engine, &mut pace, &ending.shared);
                }
                continue;
            }
        };
        gather(&ending.jobs, &mut pace, std::thread::sleep);
        let Some(units) = take(first, &ending, batch) else { return };
        let _turn = watchdog.turn();
        if !units.is_empty() {
            commit(&mut *engine, &units, &ending.shared);
        }
        if ending.shared.failure().is_none() {
            let snapshots = std::mem::take(&mut ending.shared.hand().snapshots);
            // Who asked may be gone.
            snapshots.into_iter().for_each(|reply| drop(reply.send(engine.snapshot())));
            if pace.batch(units.len()) {
                patrol(&mut *engine, &mut pace, &ending.shared);
            }
        }
    }
}

/// Lets the queue grow behind what was taken from it, where that pays.
fn gather(jobs: &Receiver<Asked>, pace: &mut Pace, wait: impl FnOnce(Duration)) {
    let before = jobs.len();
    if let Some(time) = pace.gather(before.saturating_add(1)) {
        wait(time);
        pace.gathered(before, jobs.len());
    }
}

/// Takes what is queued, as far as there is room, into the hand, and gives the units; nothing where the store has failed meanwhile:
/// a reader met a damaged record, or the watchdog has emptied the hand for the last time.
fn take(first: Asked, ending: &Ending, batch: usize) -> Option<Vec<Unit>> {
    let mut units = Vec::new();
    let mut hand = ending.shared.hand();
    if ending.shared.failure().is_some() {
        return None;
    }
    let (mut next, mut room) = (Some(first), Room::new(batch));
    while let Some(asked) = next {
        room.take(&asked);
        match asked {
            Asked::Commit(mut job) => {
                units.push(job.unit);
                job.reply.seen();
                hand.replies.push(job.reply);
            }
            Asked::Snapshot(reply) => hand.snapshots.push(reply),
        }
        next = if room.is_left() { ending.jobs.try_recv().ok() } else { None };
    }
    Some(units)
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
fn commit(engine: &mut dyn Engine, units: &[Unit], shared: &Shared) {
    let answer = engine.commit(units).and_then(|outcomes| {
        let complete = outcomes.len() == units.len();
        complete.then_some(outcomes).ok_or_else(|| Error::Unknown("the engine left out an answer".into()))
    });
    // None where the watchdog has answered them.
    let replies = std::mem::take(&mut shared.hand().replies);
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

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    /// What comes in a wait is what makes the next one worth while.
    #[test]
    fn a_batch_waits_again_only_where_somebody_came_meanwhile() {
        let (queue, jobs) = crossbeam_channel::unbounded();
        let ask = || queue.send(Asked::Snapshot(oneshot::channel().0)).unwrap();
        let mut pace = Pace::default();
        let mut batch = |comes: bool| {
            let mut waited = false;
            gather(&jobs, &mut pace, |_| {
                waited = true;
                if comes {
                    ask();
                }
            });
            pace.batch(jobs.try_iter().count().saturating_add(2));
            waited
        };
        assert!(!batch(true), "nothing says yet that others come");
        assert!(batch(true) && batch(true) && batch(false));
        assert!(!batch(true), "nobody came in the last wait");
    }
}
