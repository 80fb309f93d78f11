//! What one batch may take.

use super::shared::Asked;
use crate::store::{Op, Unit};

/// So many bytes are written by one batch, about: one more unit may be larger. A database that writes in the background has little in
/// flight then: seven full buffers at one time may make sled stand still for ever (`store/sled/restore.rs`).
const IN_FLIGHT: usize = 512 << 10;

/// What else a batch may take.
pub(super) struct Room {
    asked: usize,
    bytes: usize,
}

impl Room {
    /// Room for so many things that are asked for.
    pub(super) const fn new(asked: usize) -> Self {
        Self { asked, bytes: IN_FLIGHT }
    }

    pub(super) fn take(&mut self, asked: &Asked) {
        self.asked = self.asked.saturating_sub(1);
        if let Asked::Commit(job) = asked {
            self.bytes = self.bytes.saturating_sub(weight(&job.unit));
        }
    }

    pub(super) const fn is_left(&self) -> bool {
        self.asked > 0 && self.bytes > 0
    }
}

/// About how many bytes a unit writes: its records, and an event's text, which is not written out yet.
fn weight(unit: &Unit) -> usize {
    const KEY: usize = 64;
    const EVENT: usize = 512;
    let record = |op: &Op| match op {
        Op::Put { value, .. } => value.len().saturating_add(KEY),
        Op::Charge { .. }
        | Op::Delete { .. }
        | Op::Forgive { .. }
        | Op::RenewTries { .. }
        | Op::Settle { .. }
        | Op::Spend { .. }
        | Op::Touch { .. }
        | Op::Unlock { .. } => KEY,
    };
    let records = unit.ops.iter().map(record).fold(0, usize::saturating_add);
    records.saturating_add(unit.events.len().saturating_mul(EVENT))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot;

    use crate::store::{
        Expect, Space,
        shell::shared::{Job, Reply},
    };

    fn asked(bytes: usize) -> Asked {
        let put = Op::Put { space: Space::Card, key: vec![1], value: vec![0; bytes], expect: Expect::Any };
        let unit = Unit { ops: vec![put, Op::Touch { key: vec![1] }], events: Vec::new() };
        Asked::Commit(Job { unit, reply: Reply::new(oneshot::channel().0) })
    }

    fn taken(room: &mut Room, bytes: usize) -> usize {
        std::iter::from_fn(|| room.is_left().then(|| room.take(&asked(bytes)))).count()
    }

    #[test]
    fn a_batch_is_full_of_units_or_of_bytes() {
        assert_eq!(taken(&mut Room { asked: 100, bytes: IN_FLIGHT }, 1000), 100);
        assert_eq!(taken(&mut Room { asked: 100, bytes: IN_FLIGHT }, 64 << 10), 8);
        assert_eq!(taken(&mut Room { asked: 100, bytes: IN_FLIGHT }, 1 << 20), 1, "one is always taken");
        let mut room = Room { asked: 2, bytes: 1 };
        room.take(&Asked::Snapshot(oneshot::channel().0));
        assert!(room.is_left(), "a snapshot writes nothing");
    }
}
