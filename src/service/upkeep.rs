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
/// A checkpoint is signed when this many events have come since the last one, or after [`CHECKPOINT_EVERY`].
const CHECKPOINT_EVENTS: u64 = 1000;
const CHECKPOINT_EVERY: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_millis(25);
/// Histories and reports are brought up to the log when this many events have come, or after [`FOLLOW_EVERY`]: whoever asks
/// for one waits for what is left.
const FOLLOW_EVENTS: u64 = 1000;
const FOLLOW_EVERY: Duration = Duration::from_secs(1);
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
                let key = decoy_counter(*number);
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
        let mut signed = (self.clock.uptime(), 0);
        let mut forgot = self.clock.uptime();
        let mut followed = self.clock.uptime();
        loop {
            tokio::select! {
                () = &mut stop => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            let (now, seq) = (self.clock.uptime(), self.store.head().seq);
            let due = now.saturating_sub(signed.0) >= CHECKPOINT_EVERY
                || seq.saturating_sub(signed.1) >= CHECKPOINT_EVENTS;
            if seq > signed.1 && due {
                match self.checkpoint().await {
                    Ok(_) => signed = (now, seq),
                    Err(e) => {
                        signed.0 = now; // once a second is enough to be heard
                        tracing::error!("no checkpoint: {e}");
                    }
                }
            }
            if let Err(e) = self.reconcile().await {
                tracing::error!("use of keys without an intent is not in the log yet: {e}");
            }
            match self.follow_if_due(now.saturating_sub(followed)).await {
                Ok(true) => {}
                Ok(false) => followed = now,
                Err(e) => {
                    followed = now; // once a second is enough to be heard
                    tracing::error!("histories and reports are behind the log: {e}");
                }
            }
            if now.saturating_sub(forgot) >= FORGET_EVERY {
                forgot = now;
                if let Err(e) = self.forget_expired().await {
                    tracing::error!("expired records are still there: {e}");
                }
            }
        }
    }

    /// Follows the log if it is time; answers whether it is to be looked at again at once.
    async fn follow_if_due(&self, since: Duration) -> Result<bool, Error> {
        let behind = self.behind_log()?;
        let due = behind >= FOLLOW_EVENTS || (behind > 0 && since >= FOLLOW_EVERY);
        if due { self.follow_log(FOLLOW_STEPS).await } else { Ok(true) }
    }
}
