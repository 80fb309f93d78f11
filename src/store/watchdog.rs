//! Notices a database that stands still: a call into it that does not come back.
//!
//! Such a call cannot be cancelled. What can be done is to answer those who wait, and to end the process.

use std::{
    convert::Infallible,
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use crossbeam_channel::{RecvTimeoutError, Sender};

/// A database that is at one piece of work for so long, at most for twice as long, stands still. A disk that is slow takes
/// seconds; one whose path fails over may take tens of them.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A thread that looks now and then whether the work goes on. Dropping it ends the thread.
#[derive(Debug)]
pub struct Watchdog {
    /// Odd while something is at work.
    turns: Arc<AtomicU64>,
    _alive: Sender<Infallible>,
}

/// One piece of work, until it is dropped.
#[derive(Debug)]
pub struct Turn<'a>(&'a AtomicU64);

impl Watchdog {
    /// Calls `still` once, on the watchdog's thread, when one turn has lasted for `patience`, at most for twice as long; nothing is
    /// watched afterwards.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(patience: Duration, still: impl FnOnce() + Send + 'static) -> io::Result<Self> {
        let (alive, over) = crossbeam_channel::bounded(0);
        let turns = Arc::new(AtomicU64::new(0));
        let seen = Arc::clone(&turns);
        std::thread::Builder::new().name("watchdog".into()).spawn(move || {
            let mut before = 0;
            while over.recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
                let turn = seen.load(Relaxed);
                if is_the_same(before, turn) {
                    return still();
                }
                before = turn;
            }
        })?;
        Ok(Self { turns, _alive: alive })
    }

    /// Something is at work from now on, until the turn is dropped.
    pub fn turn(&mut self) -> Turn<'_> {
        self.turns.fetch_add(1, Relaxed);
        Turn(&self.turns)
    }
}

/// Whether one turn has lasted from one look to the next.
const fn is_the_same(before: u64, now: u64) -> bool {
    now % 2 == 1 && now == before
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A watchdog, and the end of a channel that says when it barked.
    fn dog(patience: Duration) -> (Watchdog, crossbeam_channel::Receiver<()>) {
        let (bark, barked) = crossbeam_channel::bounded(1);
        (Watchdog::start(patience, move || bark.send(()).unwrap()).unwrap(), barked)
    }

    #[test]
    fn a_turn_that_does_not_end_is_noticed() {
        let (mut dog, barked) = dog(Duration::from_millis(5));
        drop(dog.turn());
        let _turn = dog.turn();
        assert_eq!(barked.recv(), Ok(()));
    }

    #[test]
    fn rest_and_other_turns_are_no_stillness() {
        let (mut dog, barked) = dog(PATIENCE);
        let mut looks = vec![dog.turns.load(Relaxed)];
        for _ in 0..2 {
            let turn = dog.turn();
            looks.push(turn.0.load(Relaxed));
            drop(turn);
            looks.push(dog.turns.load(Relaxed));
        }
        for (n, before) in looks.iter().enumerate() {
            for (m, now) in looks.iter().enumerate() {
                // Every other look was in a turn, and only the one that it was in is the same.
                assert_eq!(is_the_same(*before, *now), n == m && n % 2 == 1, "{before} {now}");
            }
        }
        drop(dog);
        // The thread ends without a word.
        assert!(barked.recv().is_err());
    }
}
