//! Idempotency keys of requests that run now, so that of several with one key only the first decides anything: a repetition
//! that looks at the card while the first one changes it would be refused for what the first has done.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// How many running requests have a key, by its store key.
#[derive(Clone, Debug, Default)]
pub(super) struct Running(Arc<Mutex<HashMap<Vec<u8>, usize>>>);

/// One request runs with this key until it is dropped.
#[derive(Debug)]
pub(super) struct Runs {
    all: Running,
    key: Vec<u8>,
    alone: bool,
}

impl Running {
    fn all(&self) -> MutexGuard<'_, HashMap<Vec<u8>, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes one more request with this key. To be called before the key's record is read.
    pub(super) fn enter(&self, key: &[u8]) -> Runs {
        let mut all = self.all();
        let count = all.entry(key.to_vec()).or_default();
        let alone = *count == 0;
        *count = count.saturating_add(1);
        Runs { all: self.clone(), key: key.to_vec(), alone }
    }
}

impl Runs {
    /// Whether no other request ran with this key when it came. Of those that run at one time at most one is told so.
    pub(super) const fn came_alone(&self) -> bool {
        self.alone
    }
}

impl Drop for Runs {
    fn drop(&mut self) {
        let mut all = self.all.all();
        if let Some(count) = all.get_mut(&self.key) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                all.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_came_alone() {
        let running = Running::default();
        let first = running.enter(b"k");
        let second = running.enter(b"k");
        let other = running.enter(b"l");
        assert_eq!((first.came_alone(), second.came_alone(), other.came_alone()), (true, false, true));
        drop(first);
        assert!(!running.enter(b"k").came_alone(), "the second is there still");
        drop((second, other));
        assert!(running.enter(b"k").came_alone());
        assert!(running.all().is_empty(), "nothing is left behind");
    }
}
