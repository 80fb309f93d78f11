//! What the service does by itself: decoy counters at the start, checkpoints, forgetting what has expired.

use std::time::Duration;

use super::{Error, Service, commitments::decoy_counter};
use crate::{
    domain::tries::Tries,
    policy::Policy,
    store::{Expect, Op, Space, Unit},
};

/// Changes in one commit of upkeep.
const STEP: usize = 512;
/// A checkpoint is signed when this many events have come since the last one, or after [`EVERY`].
const CHECKPOINT_EVENTS: u64 = 1000;
const EVERY: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_millis(25);
/// Histories and reports are brought up to the log when this many events have come, or after [`EVERY`]: whoever asks
/// for one waits for what is left.
const FOLLOW_EVENTS: u64 = 1000;
/// Commits in a row for that, so that nothing else here waits for long.
const FOLLOW_STEPS: usize = 8;
const FORGET_EVERY: Duration = Duration::from_secs(60);

impl Service {
    /// Makes the decoy counters that are missing, like a card's of the default template.
    pub(super) async fn make_decoys(&self, policy: &Policy) -> Result<(), Error> {
        let numbers: Vec<u32> = (0..policy.parameters().verification.decoys).collect();
        let value = Tries::new(policy.default_template().tries()).encode();
        for step in numbers.chunks(STEP) {
            let mut unit = Unit::default();
            for number in step {
                let key = decoy_counter(*number).to_vec();
                if self.store.get(Space::Tries, &key)?.is_none() {
                    let value = value.to_vec();
                    unit.ops.push(Op::Put { space: Space::Tries, key, value, expect: Expect::Absent });
                }
            }
            if !unit.ops.is_empty() {
                self.commit(unit).await?.map_err(|g| Error::Bug(format!("decoy counters: {g:?}")))?;
            }
        }
        Ok(())
    }

    /// Runs until `stop`: signs checkpoints at least every second and every 1,000 events while there are new ones,
    /// brings histories and reports up to the log, and forgets what has expired.
    pub async fn upkeep(&self, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        let start = self.clock.uptime();
        let (mut signing, mut following, mut accounting) =
            (Pace::from(start), Pace::from(start), Pace::from(start));
        let (mut signed, mut forgot) = (0, start);
        loop {
            tokio::select! {
                () = &mut stop => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            let (now, seq) = (self.clock.uptime(), self.store.head().seq);
            if seq > signed && signing.due(now, seq.saturating_sub(signed) >= CHECKPOINT_EVENTS) {
                let outcome = self.checkpoint().await;
                signing.went(now, outcome.is_ok());
                match outcome {
                    Ok(_) => signed = seq,
                    Err(e) => tracing::error!("no checkpoint: {e}"),
                }
            }
            if accounting.due(now, true) {
                let outcome = self.reconcile().await;
                accounting.went(now, outcome.is_ok());
                if let Err(e) = outcome {
                    tracing::error!("use of keys without an intent is not in the log yet: {e}");
                }
            }
            if let Err(e) = self.follow_if_due(&mut following, now).await {
                tracing::error!("histories and reports are behind the log: {e}");
            }
            if now.saturating_sub(forgot) >= FORGET_EVERY {
                forgot = now;
                if let Err(e) = self.forget_expired().await {
                    tracing::error!("expired records are still there: {e}");
                }
            }
        }
    }

    /// Follows the log if it is time.
    async fn follow_if_due(&self, pace: &mut Pace, now: Duration) -> Result<(), Error> {
        let behind = self.behind_log();
        let (some, many) =
            behind.as_ref().map_or((true, false), |behind| (*behind > 0, *behind >= FOLLOW_EVENTS));
        if !some || !pace.due(now, many) {
            return Ok(());
        }
        let outcome = match behind {
            Ok(_) => self.follow_log(FOLLOW_STEPS).await,
            Err(e) => Err(e),
        };
        // What is left over is many, or waits for its second.
        pace.went(now, outcome.is_ok());
        outcome.map(drop)
    }
}

/// When something is done that is done every second, or at once when there is much of it. What failed rests for its second,
/// however much there is: the log of a store that takes nothing is not to be filled with that.
#[derive(Debug)]
struct Pace {
    last: Duration,
    failed: bool,
}

impl Pace {
    const fn from(now: Duration) -> Self {
        Self { last: now, failed: false }
    }

    fn due(&self, now: Duration, much: bool) -> bool {
        (much && !self.failed) || now.saturating_sub(self.last) >= EVERY
    }

    const fn went(&mut self, now: Duration, well: bool) {
        (self.last, self.failed) = (now, !well);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn much_is_done_at_once_and_what_failed_rests_for_a_second() {
        let ms = Duration::from_millis;
        let mut pace = Pace::from(ms(500));
        assert!(!pace.due(ms(1499), false) && pace.due(ms(1500), false) && pace.due(ms(500), true));
        pace.went(ms(2000), false);
        assert!(!pace.due(ms(2999), true) && pace.due(ms(3000), true));
        pace.went(ms(3000), true);
        assert!(pace.due(ms(3000), true) && !pace.due(ms(3999), false));
    }
}
