//! When the writer takes a step of the pass over all records, and when it waits for a batch to grow. In steps and waits alone: it
//! must never ask for the time.
//!
//! The first pass is of what the disk gave at the start, which is when sled drops what it cannot read: it takes every moment in
//! which nothing else is to be done. Later ones look for what goes bad in a running process, and have time.

use std::time::Duration;

/// Between steps of later passes: 64 records each make about 1,300 a second, ten million in two hours, and no load to speak of.
const STEP_EVERY: Duration = Duration::from_millis(50);
/// Batches in a row after which a step is taken though units wait, so that a pass ends under any load: 64 hashes beside 16
/// flushes.
const LOAD: u32 = 16;
/// Between passes: so many seconds without a unit, or batches. An hour of rest; under load the next one may as well begin.
const REST: u32 = 3_600;
const REST_BEAT: Duration = Duration::from_secs(1);

/// How long a batch waits for others: its syncs cost the same whatever is in it, and who comes meanwhile would pay them again. The two
/// waits of a verification are a tenth of the tick on which its answer leaves.
const GATHER: Duration = Duration::from_millis(1);
/// Units of a batch that show that others come: who is alone waits no second time.
const COMPANY: usize = 2;
/// Units that share their syncs well enough.
const ENOUGH: usize = 64;
/// Batches that do not wait, after a wait that brought nothing: all that could come was there.
const NOBODY: u32 = 16;

/// Where the writer is between passes and steps.
#[derive(Debug, Default)]
pub(super) struct Pace {
    passes: u64,
    /// Batches since the last step.
    batches: u32,
    /// What is left of the rest.
    rest: u32,
    /// Units of the last batch.
    units: usize,
    /// Batches that do not wait.
    hurry: u32,
}

impl Pace {
    /// How long the queue is to be empty before [`Pace::idle`].
    pub(super) const fn pause(&self) -> Duration {
        match (self.rest, self.passes) {
            (0, 0) => Duration::ZERO,
            (0, _) => STEP_EVERY,
            _ => REST_BEAT,
        }
    }

    /// The queue was empty for that long: whether a step is due.
    pub(super) const fn idle(&mut self) -> bool {
        self.batches = 0;
        !self.rested()
    }

    /// How long a batch for which so many units are queued is to wait for more, if it is to wait.
    pub(super) const fn gather(&self, queued: usize) -> Option<Duration> {
        let waits = self.units >= COMPANY && queued < ENOUGH && self.hurry == 0;
        if waits { Some(GATHER) } else { None }
    }

    /// It has waited: how many units were queued before, and are now.
    pub(super) const fn gathered(&mut self, before: usize, after: usize) {
        if after <= before {
            // The batch that has waited is none of them.
            self.hurry = NOBODY.saturating_add(1);
        }
    }

    /// A batch of so many units was committed: whether a step is due.
    pub(super) const fn batch(&mut self, units: usize) -> bool {
        self.units = units;
        self.hurry = self.hurry.saturating_sub(1);
        if self.rested() {
            return false;
        }
        self.batches = self.batches.saturating_add(1);
        let due = self.batches >= LOAD;
        if due {
            self.batches = 0;
        }
        due
    }

    /// A pass has ended; how many have by now.
    pub(super) const fn ended(&mut self) -> u64 {
        self.passes = self.passes.saturating_add(1);
        (self.batches, self.rest) = (0, REST);
        self.passes
    }

    /// Whether this beat was one of the rest.
    const fn rested(&mut self) -> bool {
        let resting = self.rest > 0;
        self.rest = self.rest.saturating_sub(1);
        resting
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_pass_takes_every_idle_moment() {
        let mut pace = Pace::default();
        assert_eq!(pace.pause(), Duration::ZERO);
        assert!((0..100).all(|_| pace.idle()));
    }

    #[test]
    fn under_load_a_step_is_due_after_so_many_batches() {
        let mut pace = Pace::default();
        for _ in 0..3 {
            assert!((1..LOAD).all(|_| !pace.batch(1)));
            assert!(pace.batch(1));
        }
        // An idle step counts as well.
        assert!(!pace.batch(1) && pace.idle());
        assert!((1..LOAD).all(|_| !pace.batch(1)));
        assert!(pace.batch(1));
    }

    #[test]
    fn a_batch_waits_only_where_others_come() {
        let mut pace = Pace::default();
        assert_eq!(pace.gather(1), None);
        pace.batch(1);
        assert_eq!(pace.gather(1), None);
        pace.batch(2);
        assert_eq!([pace.gather(1), pace.gather(63), pace.gather(64)], [Some(GATHER), Some(GATHER), None]);
        pace.gathered(1, 2);
        pace.batch(2);
        assert_eq!(pace.gather(1), Some(GATHER));
    }

    #[test]
    fn a_wait_that_brought_nobody_is_not_repeated_soon() {
        let mut pace = Pace::default();
        pace.batch(40);
        // As the writer does it: wait, commit.
        assert_eq!(pace.gather(40), Some(GATHER));
        pace.gathered(40, 40);
        pace.batch(40);
        for _ in 0..NOBODY {
            assert_eq!(pace.gather(40), None);
            pace.batch(40);
        }
        assert_eq!(pace.gather(40), Some(GATHER));
    }

    #[test]
    fn after_a_pass_it_rests_and_then_goes_slowly() {
        let mut pace = Pace::default();
        assert_eq!(pace.ended(), 1);
        for beat in 0..REST {
            assert_eq!(pace.pause(), REST_BEAT);
            assert!(if beat % 2 == 0 { !pace.idle() } else { !pace.batch(1) });
        }
        assert_eq!(pace.pause(), STEP_EVERY);
        assert!(pace.idle() && pace.idle());
        assert_eq!((pace.ended(), pace.pause()), (2, REST_BEAT));
    }
}
