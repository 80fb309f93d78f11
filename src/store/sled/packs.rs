//! Events as they lie in sled: those of one batch together, some KiB in one record.
//!
//! A leaf of sled's tree has at most sixteen records and is written anew with every tenth change: many small ones, each put
//! behind the last, cost more than what is in them. Above this file an event is a record as any other. A pack lies under `e`, the
//! number of its last event (8 bytes) and how many it has (2 bytes); its value is the stored value of each, with its length before
//! it (4 bytes). An event that comes alone lies as it is, as all did before format 3.

use ::sled::{Batch, Db, IVec};

use super::unreadable;
use crate::store::{Error, Space, overlay::Writes, record};

/// About most bytes of a pack: sixteen of them in a leaf are far below what makes sled put it into a file of its own, which it does
/// not sync.
const PACK: usize = 8 << 10;

/// A stored key and a stored value.
pub(super) type Entry = (IVec, IVec);

/// Bytes of a length.
const LENGTH: usize = 4;

/// Events that follow each other.
#[derive(Default)]
struct Pack {
    last: u64,
    events: Vec<(Vec<u8>, Vec<u8>)>,
    bytes: usize,
}

impl Pack {
    fn follows(&self, number: u64, bytes: usize) -> bool {
        self.last.checked_add(1) == Some(number) && self.bytes.saturating_add(bytes) <= PACK
    }

    fn add(&mut self, number: u64, key: Vec<u8>, value: Vec<u8>) {
        self.bytes = self.bytes.saturating_add(LENGTH).saturating_add(value.len());
        self.last = number;
        self.events.push((key, value));
    }

    /// Key and value; nothing where one event is better off alone, or a number does not fit.
    fn packed(&self) -> Option<(Vec<u8>, Vec<u8>)> {
        let count = u16::try_from(self.events.len()).ok().filter(|count| *count > 1)?;
        let mut value = Vec::with_capacity(self.bytes);
        for (_, event) in &self.events {
            value.extend(u32::try_from(event.len()).ok()?.to_be_bytes());
            value.extend(event);
        }
        let key = [self.last.to_be_bytes().as_slice(), &count.to_be_bytes()].concat();
        Some((record::stored_key(Space::Event, &key), value))
    }

    /// Every event goes into the batch, together or alone.
    fn close(&mut self, batch: &mut Batch) {
        let pack = std::mem::take(self);
        match pack.packed() {
            Some((key, value)) => batch.insert(key, value),
            None => pack.events.into_iter().for_each(|(key, value)| batch.insert(key, value)),
        }
    }
}

/// The writes as one change of sled's: all or nothing.
pub(super) fn batch(writes: Writes) -> Batch {
    let (mut batch, mut pack) = (Batch::default(), Pack::default());
    for (key, value) in writes {
        let Some(value) = value else {
            batch.remove(key);
            continue;
        };
        let Some(number) = record::event_number(&key) else {
            batch.insert(key, value);
            continue;
        };
        if !pack.follows(number, value.len()) {
            pack.close(&mut batch);
        }
        pack.add(number, key, value);
    }
    pack.close(&mut batch);
    batch
}

/// What one of sled's entries stands for, in the order of the keys.
enum Unpacked {
    One(Option<Result<Entry, Error>>),
    Pack(std::vec::IntoIter<Result<Entry, Error>>),
}

impl Iterator for Unpacked {
    type Item = Result<Entry, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::One(one) => one.take(),
            Self::Pack(pack) => pack.next(),
        }
    }
}

impl DoubleEndedIterator for Unpacked {
    fn next_back(&mut self) -> Option<Self::Item> {
        match self {
            Self::One(one) => one.take(),
            Self::Pack(pack) => pack.next_back(),
        }
    }
}

fn unpacked(entry: Result<Entry, ::sled::Error>) -> Unpacked {
    match entry {
        Ok((key, value)) if record::is_event(&key) && record::event_number(&key).is_none() => {
            match unpack(&key, &value) {
                Some(pack) => Unpacked::Pack(pack.into_iter()),
                None => Unpacked::One(Some(Err(Error::Fatal("a pack of events is damaged".into())))),
            }
        }
        entry => Unpacked::One(Some(entry.map_err(unreadable))),
    }
}

/// The events of a pack; nothing if it is not whole.
fn unpack(key: &[u8], value: &IVec) -> Option<Vec<Result<Entry, Error>>> {
    let (_, key) = key.split_first()?;
    let (last, count) = key.split_first_chunk::<8>()?;
    let (last, count) = (u64::from_be_bytes(*last), u16::from_be_bytes(count.try_into().ok()?));
    let mut number = last.checked_add(1)?.checked_sub(u64::from(count))?;
    let mut events = Vec::with_capacity(usize::from(count));
    let mut place = 0_usize;
    while number <= last {
        let rest = value.get(place..)?;
        let (length, rest) = rest.split_first_chunk::<LENGTH>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        rest.get(..length)?;
        let from = place.checked_add(LENGTH)?;
        let stored_key = record::stored_key(Space::Event, &number.to_be_bytes());
        events.push(Ok((stored_key.into(), value.subslice(from, length))));
        place = from.checked_add(length)?;
        number = number.checked_add(1)?;
    }
    (place == value.len() && count > 0).then_some(events)
}

/// The records from a stored key on.
pub(super) fn records(db: &Db, from: Vec<u8>) -> impl Iterator<Item = Result<Entry, Error>> {
    // A pack lies behind the last of its events, and none of another begins before that.
    let entries = db.range(from.clone()..).flat_map(unpacked);
    entries.skip_while(move |entry| entry.as_ref().is_ok_and(|(key, _)| **key < *from))
}

/// The records below a stored key, the greatest first.
pub(super) fn records_back(db: &Db, below: Vec<u8>) -> impl Iterator<Item = Result<Entry, Error>> {
    let around = if record::is_event(&below) { db.range(below.clone()..).next() } else { None };
    let around = around.into_iter().flat_map(|entry| unpacked(entry).rev());
    let entries = around.chain(db.range(..below.clone()).rev().flat_map(|entry| unpacked(entry).rev()));
    entries.skip_while(move |entry| entry.as_ref().is_ok_and(|(key, _)| **key >= *below))
}

/// The event under this stored key.
pub(super) fn event(db: &Db, key: &[u8]) -> Result<Option<IVec>, Error> {
    match records(db, key.to_vec()).next().transpose()? {
        Some((found, value)) if *found == *key => Ok(Some(value)),
        Some(_) | None => Ok(None),
    }
}

/// The record with the greatest key of a space.
pub(super) fn last(db: &Db, space: Space) -> Result<Option<Entry>, Error> {
    let last = db.scan_prefix(record::stored_key(space, &[])).next_back();
    last.and_then(|entry| unpacked(entry).next_back()).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u64) -> Vec<u8> {
        record::stored_key(Space::Event, &number.to_be_bytes())
    }

    /// A value of an event that is told from every other.
    fn value(number: u64) -> Vec<u8> {
        let length = usize::try_from(number % 7).unwrap().saturating_add(200);
        vec![u8::try_from(number % 251).unwrap(); length]
    }

    fn writes(numbers: impl IntoIterator<Item = u64>) -> Writes {
        numbers.into_iter().map(|number| (key(number), Some(value(number)))).collect()
    }

    /// Events of many batches, with a card below and a delivery above them.
    fn filled() -> (tempfile::TempDir, Db) {
        let dir = tempfile::tempdir().unwrap();
        let db = ::sled::open(dir.path()).unwrap();
        for (from, to) in [(1, 1), (2, 3), (4, 103), (104, 104), (105, 300)] {
            let mut writes = writes(from..=to);
            writes.insert(b"c1".to_vec(), Some(b"card".to_vec()));
            writes.insert(b"f1".to_vec(), Some(b"above".to_vec()));
            db.apply_batch(batch(writes)).unwrap();
        }
        (dir, db)
    }

    fn numbers(entries: impl Iterator<Item = Result<Entry, Error>>) -> Vec<u64> {
        let events = entries.map(Result::unwrap).filter(|(key, _)| record::is_event(key));
        events
            .map(|(key, found)| {
                let number = record::event_number(&key).unwrap();
                assert_eq!(*found, *value(number), "{number}");
                number
            })
            .collect()
    }

    #[test]
    fn every_event_is_found_from_everywhere() {
        let (_dir, db) = filled();
        assert!(db.len() < 15, "{} records for 300 events, a card and a delivery", db.len());
        for from in 0..=302 {
            let least = from.max(1);
            assert_eq!(numbers(records(&db, key(from))), (least..=300).collect::<Vec<_>>(), "from {from}");
            let back = numbers(records_back(&db, key(from)));
            let below = from.min(301);
            assert_eq!(back, (1..below).rev().collect::<Vec<_>>(), "below {from}");
            let found = event(&db, &key(from)).unwrap();
            assert_eq!(found.as_deref(), (1..=300).contains(&from).then(|| value(from)).as_deref());
        }
        // As a pass goes on behind a record that it has looked at.
        let behind = [key(50), vec![0]].concat();
        assert_eq!(numbers(records(&db, behind)), (51..=300).collect::<Vec<_>>());
        assert_eq!(*last(&db, Space::Event).unwrap().unwrap().0, *key(300));
        assert_eq!(*last(&db, Space::Card).unwrap().unwrap().1, *b"card");
        assert_eq!(last(&db, Space::Tries).unwrap(), None);
        let all: Vec<_> = records(&db, Vec::new()).map(|entry| entry.unwrap().0).collect();
        assert_eq!((all.len(), &*all[0], &*all[301]), (302, b"c1".as_slice(), b"f1".as_slice()));
        assert!(all.is_sorted());
        let back: Vec<_> = records_back(&db, b"g".to_vec()).map(|entry| entry.unwrap().0).collect();
        assert!(back.iter().eq(all.iter().rev()));
    }

    #[test]
    fn a_gap_and_a_large_event_begin_a_new_pack() {
        let dir = tempfile::tempdir().unwrap();
        let db = ::sled::open(dir.path()).unwrap();
        let mut writes = writes([1, 2, 4, 5, 6]);
        writes.insert(key(6), Some(vec![6; PACK]));
        db.apply_batch(batch(writes)).unwrap();
        let physical: Vec<_> = db.iter().keys().map(|key| key.unwrap().len()).collect();
        assert_eq!(physical, [11, 11, 9], "two packs, and one that is too large for any");
        let found: Vec<_> = records(&db, key(1)).map(|entry| entry.unwrap().1.len()).collect();
        assert_eq!(found, [201, 202, 204, 205, PACK]);
    }

    #[test]
    fn a_pack_that_is_not_whole_is_damage() {
        let pack = |key: &[u8], value: &[u8]| {
            let mut found = unpacked(Ok((key.into(), value.into())));
            (found.next(), found.next())
        };
        let mut sound = Pack::default();
        sound.add(8, key(8), b"eight".to_vec());
        sound.add(9, key(9), b"nine".to_vec());
        let (_, sound) = sound.packed().unwrap();
        let name = |last: u64, count: &[u8]| [key(last), count.to_vec()].concat();
        assert!(matches!(pack(&name(9, &[0, 2]), &sound), (Some(Ok(_)), Some(Ok(_)))));
        let short = &sound[..sound.len() - 1];
        let long = [sound.as_slice(), b"x"].concat();
        for (name, value) in [
            (name(9, &[0, 2]), short),
            (name(9, &[0, 2]), &long),
            (name(9, &[0, 3]), &sound),
            (name(9, &[0, 1]), &sound),
            (name(9, &[0, 0]), b""),
            (name(1, &[0, 3]), &sound),
            (name(9, &[2]), &sound),
            (b"e".to_vec(), &sound),
        ] {
            let found = pack(&name, value);
            assert!(matches!(found, (Some(Err(Error::Fatal(_))), None)), "{name:?}: {found:?}");
        }
    }
}
