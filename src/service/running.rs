//! Idempotency keys of requests that run now, so that a repetition is told to wait instead of being told that nobody
//! knows how the first one ended.

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
}

impl Running {
    fn all(&self) -> MutexGuard<'_, HashMap<Vec<u8>, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes one more request with this key.
    pub(super) fn enter(&self, key: &[u8]) -> Runs {
        let mut all = self.all();
        let count = all.entry(key.to_vec()).or_default();
        *count = count.saturating_add(1);
        Runs { all: self.clone(), key: key.to_vec() }
    }

    /// Requests with this key.
    pub(super) fn count(&self, key: &[u8]) -> usize {
        self.all().get(key).copied().unwrap_or(0)
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
    fn counted_while_they_run() {
        let running = Running::default();
        let first = running.enter(b"k");
        let second = running.enter(b"k");
        let other = running.enter(b"l");
        assert_eq!((running.count(b"k"), running.count(b"l"), running.count(b"m")), (2, 1, 0));
        drop(first);
        drop(other);
        assert_eq!((running.count(b"k"), running.count(b"l")), (1, 0));
        drop(second);
        assert!(running.all().is_empty(), "nothing is left behind");
    }
}
