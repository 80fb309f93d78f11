//! Operations with the keys of codes: what intents account for, and what the pool has sent. A surplus means that
//! somebody in this process asked a key of codes without a durable intent.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use super::{Error, Service};
use crate::{
    domain::{
        audit::{Kind, Outcome},
        operations::{MOST_PER_INTENT, Operations},
    },
    hsm::MacKey,
};

/// Counts of operations by key of codes.
#[derive(Debug, Default)]
pub(super) struct Used {
    print: AtomicU64,
    verify: AtomicU64,
    /// The surplus that was reported last.
    reported: AtomicU64,
}

impl Used {
    /// Counts one; whether a single intent entitles to it. Keys that are not keys of codes are not for intents.
    pub(super) fn count(&self, key: MacKey) -> bool {
        let counters = [(MacKey::Print, &self.print), (MacKey::Verify, &self.verify)];
        let counter = counters.into_iter().find(|(of, _)| *of == key);
        counter.is_some_and(|(_, counter)| counter.fetch_add(1, SeqCst) < MOST_PER_INTENT)
    }

    pub(super) fn read(&self) -> Operations {
        Operations { print: self.print.load(SeqCst), verify: self.verify.load(SeqCst) }
    }
}

impl Service {
    /// Operations with keys of codes that the pool has sent and no intent accounts for. Anything but zero is an alarm.
    pub fn unaccounted(&self) -> Operations {
        // The pool first: a call is accounted for before it is sent.
        let sent = self.hsm.counts();
        let of = |wanted| sent.iter().find(|(key, _)| *key == wanted).map_or(0, |(_, count)| *count);
        let accounted = self.accounted.read();
        Operations {
            print: of(MacKey::Print).saturating_sub(accounted.print),
            verify: of(MacKey::Verify).saturating_sub(accounted.verify),
        }
    }

    /// Raises the alarm once for every surplus: the log of the process and an event.
    pub async fn reconcile(&self) -> Result<(), Error> {
        let surplus = self.unaccounted();
        let sum = surplus.print.saturating_add(surplus.verify);
        if self.accounted.reported.load(SeqCst) >= sum {
            return Ok(());
        }
        tracing::error!(%surplus, "keys of codes were used without an intent");
        let event = self.own_event(Kind::OperationsUnaccounted, Outcome::Done)?;
        self.record(event.with("surplus", surplus.to_string())).await?;
        self.accounted.reported.store(sum, SeqCst);
        Ok(())
    }
}
