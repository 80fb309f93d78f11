//! How records lie in a database, the same for every engine: keys, values, events, the chain's head.
//!
//! A stored key is the space's byte and the key. A stored value is the number of the unit that wrote it (8 bytes)
//! and the record; this holds for every space. It must never know an engine.

use super::{Error, Op, Reader, Space, Unit, Versioned};
use crate::domain::audit::Head;

/// Longest key, in bytes.
pub const KEY_MAX: usize = 512;
/// Longest record, in bytes: well below what makes sled put a value into a file of its own, which it does not sync.
pub const VALUE_MAX: usize = 32 << 10;
/// Most bytes of text in one event.
pub const EVENT_TEXT_MAX: usize = 8 << 10;
/// Most operations, and most events, of one unit.
pub const UNIT_MAX: usize = 1024;

/// Format of the whole store; another one is refused at open. A program of a former one would not find events that lie in packs.
pub(super) const FORMAT: u32 = 3;
/// The format in which each event lies by itself: it is brought to the one of today at open.
pub(super) const FORMAT_WITHOUT_PACKS: u32 = 2;
/// The one before it, without a sum over all records: so is this one.
pub(super) const FORMAT_WITHOUT_SUM: u32 = 1;
/// Key of the format's number (4 bytes) in [`Space::Meta`].
pub(super) const FORMAT_KEY: &[u8] = b"format";
/// Key of the chain's head in [`Space::Meta`]: sequence number (8 bytes), hash (32 bytes). Every batch that
/// writes anything writes it too; its version is the number of the last unit.
pub(super) const HEAD_KEY: &[u8] = b"head";
/// Key of the sum over all other records (16 bytes) in [`Space::Meta`]. Every batch that writes anything writes it too.
pub(super) const SUM_KEY: &[u8] = b"sum";

/// Where the store stands: the chain's head, and the number of the last unit that wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) head: Head,
    pub(super) unit: u64,
}

impl Position {
    pub(super) const START: Self = Self { head: Head::EMPTY, unit: 0 };
}

/// A record of [`Space::Event`]: the chain's hash up to it, and the event's bytes. Nothing if it is not one.
pub fn logged_event(record: &[u8]) -> Option<(&[u8; 32], &[u8])> {
    record.split_first_chunk::<32>()
}

pub(super) fn event(hash: &[u8; 32], bytes: &[u8]) -> Vec<u8> {
    [hash.as_slice(), bytes].concat()
}

pub(super) fn head(head: &Head) -> Vec<u8> {
    [head.seq.to_be_bytes().as_slice(), &head.hash].concat()
}

pub(super) fn stored_key(space: Space, key: &[u8]) -> Vec<u8> {
    [&[space_byte(space)], key].concat()
}

pub(super) fn stored_value(unit: u64, record: &[u8]) -> Vec<u8> {
    [unit.to_be_bytes().as_slice(), record].concat()
}

/// Greater than every stored key of a space: keys are at most [`KEY_MAX`] long.
pub(super) fn end_of(space: Space) -> Vec<u8> {
    stored_key(space, &[0xff; KEY_MAX])
}

/// Whether a stored key is an event's.
pub(super) fn is_event(key: &[u8]) -> bool {
    key.first() == Some(&space_byte(Space::Event))
}

/// The number of an event by its stored key.
pub(super) fn event_number(key: &[u8]) -> Option<u64> {
    let (_, number) = key.split_first().filter(|_| is_event(key))?;
    number.try_into().ok().map(u64::from_be_bytes)
}

/// Splits a stored value.
pub(super) fn versioned(stored: &[u8]) -> Result<Versioned, Error> {
    let (version, value) =
        stored.split_first_chunk::<8>().ok_or_else(|| Error::Fatal("a record without a version".into()))?;
    Ok(Versioned { version: u64::from_be_bytes(*version), value: value.to_vec() })
}

#[expect(clippy::as_conversions, reason = "the discriminant of a repr(u8) enum is its byte")]
const fn space_byte(space: Space) -> u8 {
    space as u8
}

/// Reads where the store stands and proves it against the last event of the log, which in turn is proved against
/// the hash of the one before.
pub(super) fn position(reader: &dyn Reader) -> Result<Position, Error> {
    let damaged = |what: &str| Error::Fatal(format!("head of the audit log: {what}"));
    let stored = reader.get(Space::Meta, HEAD_KEY)?.ok_or_else(|| damaged("missing"))?;
    let (seq, hash) = stored.value.split_first_chunk::<8>().ok_or_else(|| damaged("too short"))?;
    let hash = hash.try_into().map_err(|_| damaged("wrong size"))?;
    let head = Head { seq: u64::from_be_bytes(*seq), hash };

    let proved = match reader.last(Space::Event)? {
        None => Head::EMPTY,
        Some(last) => {
            let seq = last.key.as_slice().try_into().map_err(|_| damaged("last event has no number"))?;
            let before = match u64::from_be_bytes(seq).checked_sub(1) {
                None => return Err(damaged("last event has number 0")),
                Some(0) => Head::EMPTY,
                Some(seq) => {
                    let record = reader.get(Space::Event, &seq.to_be_bytes())?;
                    let record = record.ok_or_else(|| damaged("last event but one is missing"))?;
                    let (hash, _) = logged_event(&record.value)
                        .ok_or_else(|| damaged("last event but one is too short"))?;
                    Head { seq, hash: *hash }
                }
            };
            let (hash, bytes) =
                logged_event(&last.record.value).ok_or_else(|| damaged("last event is too short"))?;
            let after = before.next(bytes).ok_or_else(|| damaged("no number left"))?;
            if after.hash != *hash {
                return Err(damaged("last event is not the one that was chained"));
            }
            after
        }
    };
    if proved != head {
        return Err(damaged(&format!("says {head:?}, but the log ends at {proved:?}")));
    }
    Ok(Position { head, unit: stored.version })
}

/// Refuses a unit that no engine may see.
pub(super) fn check(unit: &Unit) -> Result<(), Error> {
    let refuse = |what: &str| Err(Error::NotWritten(format!("unit refused: {what}")));
    if unit.ops.len() > UNIT_MAX || unit.events.len() > UNIT_MAX {
        return refuse("too many operations or events");
    }
    if unit.ops.iter().filter(|op| matches!(op, Op::Spend { .. })).nth(1).is_some() {
        return refuse("it spends more than one try");
    }
    for op in &unit.ops {
        let (space, key, value) = match op {
            Op::Charge { key, .. } | Op::Settle { key, .. } => (Space::Budget, key, None),
            Op::Delete { space, key, .. } => (*space, key, None),
            Op::Put { space, key, value, .. } => (*space, key, Some(value)),
            Op::Forgive { key, .. }
            | Op::RenewTries { key }
            | Op::Spend { key }
            | Op::Touch { key }
            | Op::Unlock { key } => (Space::Tries, key, None),
        };
        if matches!(space, Space::Event | Space::Meta) {
            return refuse("events and meta records are the store's own");
        }
        if key.len() > KEY_MAX {
            return refuse("a key is too long");
        }
        if value.is_some_and(|v| v.len() > VALUE_MAX) {
            return refuse("a record is too long");
        }
    }
    for event in &unit.events {
        let detail = event.detail.iter().flat_map(|(name, value)| [name.len(), value.len()]);
        let length =
            detail.chain([event.caller.len(), event.policy.len()]).fold(0_usize, usize::saturating_add);
        if length > EVENT_TEXT_MAX {
            return refuse("an event is too long");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A backup is written space by space, and read back only in the order of its keys.
    #[test]
    fn spaces_are_in_the_order_of_their_bytes() {
        assert!(Space::ALL.is_sorted_by_key(|space| space_byte(*space)));
    }
}
