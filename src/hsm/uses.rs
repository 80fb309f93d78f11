//! Uses of the keys of codes: what durable intents account for, to be compared with what the pool has sent. A use is
//! entered when it is sent, not when it is asked for: what was never sent hides nothing. A surplus means that somebody in
//! this process asked a key of codes without an intent. It counts; it never asks a key.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use super::{Hsm, MacKey};
use crate::domain::operations::{MOST_PER_INTENT, Operations};

/// Counts by key of codes: of one intent, or of all that this process had.
#[derive(Debug, Default)]
pub struct Uses {
    print: AtomicU64,
    deliver: AtomicU64,
    verify: AtomicU64,
    /// The surplus that was reported last.
    reported: AtomicU64,
}

impl Uses {
    /// Counts one, before it is sent; whether a single intent entitles to it. Keys that are not keys of codes are not
    /// for intents.
    pub fn count(&self, key: MacKey) -> bool {
        let counter = match key {
            MacKey::Print => &self.print,
            MacKey::Deliver => &self.deliver,
            MacKey::Verify => &self.verify,
            MacKey::Index | MacKey::Judge => return false,
        };
        counter.fetch_add(1, SeqCst) < MOST_PER_INTENT
    }

    /// The counts now.
    pub fn read(&self) -> Operations {
        Operations {
            print: self.print.load(SeqCst),
            deliver: self.deliver.load(SeqCst),
            verify: self.verify.load(SeqCst),
        }
    }

    /// What `hsm` has sent and these do not account for. Anything but zero is an alarm.
    pub fn unaccounted(&self, hsm: &Hsm) -> Operations {
        // The pool first: a call is accounted for before it is counted as sent.
        let sent = hsm.counts();
        let of = |wanted| sent.iter().find(|(key, _)| *key == wanted).map_or(0, |(_, count)| *count);
        let accounted = self.read();
        Operations {
            print: of(MacKey::Print).saturating_sub(accounted.print),
            deliver: of(MacKey::Deliver).saturating_sub(accounted.deliver),
            verify: of(MacKey::Verify).saturating_sub(accounted.verify),
        }
    }

    /// A surplus that is larger than the one reported last.
    pub fn news(&self, hsm: &Hsm) -> Option<Operations> {
        let surplus = self.unaccounted(hsm);
        (surplus.sum() > self.reported.load(SeqCst)).then_some(surplus)
    }

    /// This surplus is in the log.
    pub fn reported(&self, surplus: Operations) {
        self.reported.store(surplus.sum(), SeqCst);
    }
}
