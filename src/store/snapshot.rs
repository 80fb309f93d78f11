//! A consistent copy of a store while it is written: the records as they were between two batches.
//!
//! From the moment of the snapshot on, the writer keeps the former value of what it is about to change, until the reader
//! has passed it. Events are only ever added, so they need no keeping. A snapshot must never hold the writer up, nor take
//! memory without bound: one that falls too far behind is given up.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use super::{Error, Reader, Space, overlay::Writes, record};
use crate::domain::audit::Head;

/// Most bytes that are kept for one snapshot.
const MOST_KEPT: usize = 256 << 20;

/// A stored key, with the space's byte first, and the stored value with its version.
pub type Entry = (Vec<u8>, Vec<u8>);

#[derive(Default)]
struct Kept {
    /// Former values by stored key; nothing for a key that was not there.
    former: Writes,
    bytes: usize,
    /// Keys up to and including this one have been read.
    passed: Vec<u8>,
    /// Keys outside of these will not be read.
    only: Option<Range<Vec<u8>>>,
    given_up: bool,
}

impl Kept {
    fn will_be_read(&self, key: &[u8]) -> bool {
        key > self.passed.as_slice() && self.only.as_ref().is_none_or(|only| is_in(only, key))
    }
}

fn is_in(range: &Range<Vec<u8>>, key: &[u8]) -> bool {
    range.start.as_slice() <= key && key < range.end.as_slice()
}

fn guard(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What an engine keeps for the snapshots that are being read.
#[derive(Default)]
pub(super) struct Snapshots(Vec<Weak<Mutex<Kept>>>);

impl Snapshots {
    /// Begins one now. The engine calls it between two batches.
    pub(super) fn begin(&mut self, reader: Arc<dyn Reader>, head: Head) -> Snapshot {
        let kept = Arc::default();
        self.0.push(Arc::downgrade(&kept));
        Snapshot { reader, kept, head, spaces: Space::ALL.to_vec(), from: Vec::new() }
    }

    /// Keeps the former values of what is about to be written. `former` reads by stored key.
    pub(super) fn keep(
        &mut self,
        writes: &Writes,
        former: impl Fn(&[u8]) -> Result<Option<Vec<u8>>, Error>,
    ) -> Result<(), Error> {
        self.0.retain(|snapshot| snapshot.strong_count() > 0);
        for snapshot in self.0.iter().filter_map(Weak::upgrade) {
            let mut kept = guard(&snapshot);
            for key in writes.keys().filter(|key| !record::is_event(key)) {
                if kept.given_up || !kept.will_be_read(key) || kept.former.contains_key(key) {
                    continue;
                }
                let value = former(key)?;
                let size = key.len().saturating_add(value.as_ref().map_or(0, Vec::len)).saturating_add(64);
                kept.bytes = kept.bytes.saturating_add(size);
                kept.former.insert(key.clone(), value);
                if kept.bytes > MOST_KEPT {
                    (kept.former, kept.given_up) = (BTreeMap::new(), true);
                }
            }
        }
        Ok(())
    }
}

/// The records of one moment, read once from the first to the last.
pub struct Snapshot {
    reader: Arc<dyn Reader>,
    kept: Arc<Mutex<Kept>>,
    head: Head,
    /// Spaces still to be read, the next one first.
    spaces: Vec<Space>,
    /// Where in the first of them.
    from: Vec<u8>,
}

impl Snapshot {
    /// The same of the records of one space alone whose keys are not below `from`, and below `until`.
    #[must_use]
    pub fn within(mut self, space: Space, from: &[u8], until: &[u8]) -> Self {
        let only = record::stored_key(space, from)..record::stored_key(space, until);
        let mut kept = guard(&self.kept);
        kept.former.retain(|key, _| is_in(&only, key));
        kept.only = Some(only);
        drop(kept);
        (self.spaces, self.from) = (vec![space], from.to_vec());
        self
    }

    /// End of the log at that moment.
    pub const fn head(&self) -> Head {
        self.head
    }

    /// The next entries, about so many, in the order of their keys; nothing at the end.
    ///
    /// # Errors
    /// [`Error::NotWritten`] where too much was changed meanwhile: take another one when there is less to do.
    pub fn next(&mut self, about: usize) -> Result<Option<Vec<Entry>>, Error> {
        while let Some(space) = self.spaces.first().copied() {
            // First what is there, then what it was before: a change in between is in the second.
            let found = self.reader.scan(space, &[], &self.from, about)?;
            let mut whole = found.len() < about;
            let mut entries = BTreeMap::new();
            for record in &found {
                let (key, stored) = (record::stored_key(space, &record.key), &record.record);
                entries.insert(key, record::stored_value(stored.version, &stored.value));
            }
            let first = record::stored_key(space, &self.from);
            let last = match found.last() {
                Some(last) if !whole => record::stored_key(space, &last.key),
                Some(_) | None => record::end_of(space),
            };
            let mut kept = guard(&self.kept);
            if kept.given_up {
                return Err(Error::NotWritten("too much was changed while the snapshot was read".into()));
            }
            for (key, former) in kept.former.range(first..=last.clone()) {
                match former {
                    Some(value) => entries.insert(key.clone(), value.clone()),
                    None => entries.remove(key),
                };
            }
            let rest = kept.former.split_off(&last);
            kept.former = rest;
            kept.passed = last.clone();
            if let Some(only) = &kept.only {
                whole |= !is_in(only, &last);
                entries.retain(|key, _| is_in(only, key));
            }
            drop(kept);
            if space == Space::Event {
                entries.retain(|key, _| record::event_number(key).is_some_and(|seq| seq <= self.head.seq));
            }
            if whole {
                self.spaces.remove(0);
                self.from.clear();
            } else {
                self.from = last.get(1..).unwrap_or_default().to_vec();
                self.from.push(0);
            }
            if !entries.is_empty() {
                return Ok(Some(entries.into_iter().collect()));
            }
        }
        Ok(None)
    }
}
