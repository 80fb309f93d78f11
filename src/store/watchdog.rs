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

/// A database that is at one piece of work for so long, or a quarter longer, stands still. A disk that is slow takes seconds; one
/// whose path fails over may take tens of them.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Looks within it. A process that was stopped for a while, or its whole machine, has missed one of them at most.
const LOOKS: u32 = 4;

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
    /// Calls `still` once, on the watchdog's thread, when one turn has lasted for `patience` or up to a quarter longer; nothing is
    /// watched afterwards.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(patience: Duration, still: impl FnOnce() + Send + 'static) -> io::Result<Self> {
        let (alive, over) = crossbeam_channel::bounded(0);
        let turns = Arc::new(AtomicU64::new(0));
        let seen = Arc::clone(&turns);
        let pause = patience.checked_div(LOOKS).unwrap_or(patience);
        std::thread::Builder::new().name("watchdog".into()).spawn(move || {
            let mut look = Look::default();
            while over.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                if look.at(seen.load(Relaxed)) {
                    return still();
                }
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

/// What the last looks have seen.
#[derive(Debug, Default)]
struct Look {
    turn: u64,
    /// Looks that have seen this turn, the first one left out.
    again: u32,
}

impl Look {
    /// Looks at the count of turns; whether the turn that it is in has lasted for too long.
    const fn at(&mut self, turn: u64) -> bool {
        self.again = if turn % 2 == 1 && turn == self.turn { self.again.saturating_add(1) } else { 0 };
        self.turn = turn;
        self.again >= LOOKS
    }
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
        let mut look = Look::default();
        let mut seen = |turns: &AtomicU64| look.at(turns.load(Relaxed));
        assert!((0..10).all(|_| !seen(&dog.turns)), "at rest");
        for _ in 0..10 {
            let turn = dog.turn();
            assert!((0..4).all(|_| !seen(turn.0)), "for four looks");
        }
        let turn = dog.turn();
        assert_eq!([(); 5].map(|()| seen(turn.0)), [false, false, false, false, true]);
        drop(turn);
        assert!((0..10).all(|_| !seen(&dog.turns)), "at rest again");
        drop(dog);
        // The thread ends without a word.
        assert!(barked.recv().is_err());
    }
}
