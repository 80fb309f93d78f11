//! Counts for the metrics.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::Stats;
use crate::store::Outcome;

/// What a writer and its handles have done.
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
    pub(super) fn add_commit(&self, outcomes: &[Outcome]) {
        let refused = outcomes.iter().filter(|o| matches!(o, Outcome::Refused { .. })).count();
        self.commits.fetch_add(1, Relaxed);
        self.units.fetch_add(count(outcomes.len()), Relaxed);
        self.refused.fetch_add(count(refused), Relaxed);
        self.largest_batch.fetch_max(count(outcomes.len()), Relaxed);
    }

    pub(super) fn add_failed(&self) {
        self.failed.fetch_add(1, Relaxed);
    }

    pub(super) fn add_patrol(&self) {
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
