//! Wakes waiters at their moments, as exactly as the kernel's high-resolution timer does.
//!
//! The runtime's own timers have steps of a millisecond, and the wait for their next step is counted from the moment at which a
//! thread of the runtime went to sleep, rounded up to a whole millisecond: how long a request was evaluated, modulo a millisecond,
//! would be seen in the moment at which its answer leaves (I6). Here one thread of its own sleeps until the next moment.

use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

/// One waiter. The earlier, the greater: the heap gives the greatest.
#[derive(Debug)]
struct Waiter {
    at: Reverse<Instant>,
    wake: oneshot::Sender<()>,
}

impl Ord for Waiter {
    fn cmp(&self, other: &Self) -> Ordering {
        self.at.cmp(&other.at)
    }
}

impl PartialOrd for Waiter {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Waiter {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Waiter {}

#[derive(Debug, Default)]
struct Waiting {
    waiters: BinaryHeap<Waiter>,
    over: bool,
}

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes whoever is due, until it is over; who waits then is woken at once.
    fn run(&self) {
        let mut waiting = self.lock();
        while !waiting.over {
            let now = now();
            let due = waiting.waiters.peek().map(|next| next.at.0.saturating_duration_since(now));
            waiting = match due {
                Some(Duration::ZERO) => {
                    if let Some(waiter) = waiting.waiters.pop() {
                        // One that does not wait any more is nobody's loss.
                        let _gone = waiter.wake.send(());
                    }
                    waiting
                }
                Some(until) => {
                    self.changed.wait_timeout(waiting, until).unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner),
            };
        }
        waiting.waiters.clear();
    }
}

#[expect(clippy::disallowed_methods, reason = "waits for real time, as an adapter of the clock port")]
fn now() -> Instant {
    Instant::now()
}

/// The thread that wakes. Dropping it wakes all that wait.
#[derive(Debug)]
pub struct Alarm {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Alarm {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start() -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let own = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("alarm".into()).spawn(move || own.run())?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Waits for so long from now, never less, but where the alarm is dropped meanwhile.
    pub async fn after(&self, wait: Duration) {
        // A moment that no clock reaches is not asked for.
        let Some(at) = now().checked_add(wait) else { return };
        let (wake, woken) = oneshot::channel();
        let first = {
            let mut waiting = self.shared.lock();
            waiting.waiters.push(Waiter { at: Reverse(at), wake });
            waiting.waiters.peek().is_some_and(|next| next.at.0 == at)
        };
        if first {
            self.shared.changed.notify_one();
        }
        // An error says that it is over.
        let _over = woken.await;
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.shared.lock().over = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            // It has nothing that can panic, and nobody to tell of it here.
            let _ended = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_is_the_next() {
        let (from, (wake, _woken)) = (now(), oneshot::channel());
        let mut waiters = BinaryHeap::from([Waiter { at: Reverse(from + Duration::from_millis(3)), wake }]);
        for ms in [5, 1, 4, 2] {
            waiters
                .push(Waiter { at: Reverse(from + Duration::from_millis(ms)), wake: oneshot::channel().0 });
        }
        let order: Vec<_> = std::iter::from_fn(|| waiters.pop()).map(|waiter| waiter.at.0 - from).collect();
        assert_eq!(order, [1, 2, 3, 4, 5].map(Duration::from_millis));
    }

    #[tokio::test]
    async fn each_waits_for_its_own_moment_and_never_less() {
        let (alarm, from) = (Alarm::start().unwrap(), now());
        let wait = async |ms| {
            let wait = Duration::from_millis(ms);
            alarm.after(wait).await;
            assert!(now() >= from + wait, "{ms}");
        };
        // The later ones are there first: each earlier one wakes the thread once more.
        tokio::join!(wait(50), wait(30), wait(20), wait(10));
        alarm.after(Duration::ZERO).await;
    }

    #[tokio::test]
    async fn who_does_not_wait_any_more_holds_nobody_up() {
        let alarm = Alarm::start().unwrap();
        let gone = tokio::time::timeout(Duration::from_millis(1), alarm.after(Duration::from_millis(20)));
        assert!(gone.await.is_err());
        alarm.after(Duration::from_millis(40)).await;
        assert!(alarm.shared.lock().waiters.is_empty());
    }

    #[tokio::test]
    async fn its_end_wakes_all() {
        let alarm = Alarm::start().unwrap();
        let (wake, woken) = oneshot::channel();
        let at = Reverse(now() + Duration::from_secs(3600));
        alarm.shared.lock().waiters.push(Waiter { at, wake });
        drop(alarm);
        assert!(woken.await.is_err());
    }
}
