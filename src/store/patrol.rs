//! The sum over all records, kept with every commit, and passes over the records that compare it.
//!
//! Pure and the same for every engine. A pass goes through the keys in order, some at a time, between batches. What it has added
//! up is the sum of the records below its place as they are now: a commit that changes one of them changes that sum too. So a
//! pass needs no snapshot, and at its end both sums must be the same.

use super::{Error, Space, after, overlay::Writes, record, sum::Sum};

/// Most records, and about most bytes, of one step: what a unit may have to wait for besides the batch before it.
const STEP: (u64, u64) = (64, 64 << 10);

/// How far a pass has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// Records looked at in this pass.
    pub records: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
    /// Whether that was all of them, and they add up.
    pub ended: bool,
}

/// What a step has found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Looked {
    /// All records were looked at and do not add up; in words.
    Damage(String),
    /// Nothing to be said against.
    Sound(Step),
}

/// The sum, and the pass that is under way.
#[derive(Debug, Default)]
pub(super) struct Patrol {
    sum: Sum,
    /// Keys below this one have been looked at.
    place: Vec<u8>,
    /// Sum of the records below it.
    below: Sum,
    step: Step,
}

/// What a batch makes of the sums, once it is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change {
    sum: Sum,
    below: Sum,
}

impl Patrol {
    /// Goes on with the sum of a store: the stored value of its record.
    pub(super) fn open(stored: Option<&[u8]>) -> Result<Self, Error> {
        let damaged = |what: &str| Error::Fatal(format!("sum over all records: {what}"));
        let stored = record::versioned(stored.ok_or_else(|| damaged("missing"))?)?;
        let sum = Sum::decode(&stored.value).ok_or_else(|| damaged("wrong size"))?;
        Ok(Self { sum, ..Self::default() })
    }

    /// Adds the sum's record to what is about to be written by unit number `unit`. `former` reads by stored key. To be
    /// followed by [`Patrol::apply`] once it is written.
    pub(super) fn change(
        &self,
        writes: &mut Writes,
        unit: u64,
        former: impl Fn(&[u8]) -> Result<Option<Vec<u8>>, Error>,
    ) -> Result<Change, Error> {
        let mut change = Change { sum: self.sum, below: self.below };
        for (key, new) in &*writes {
            // An event is only ever added. One that was there all the same would show in the next pass.
            let old = if record::is_event(key) { None } else { former(key)? };
            let changed = Sum::EMPTY.replace(key, old.as_deref(), new.as_deref());
            change.sum = change.sum.plus(changed);
            if *key < self.place {
                change.below = change.below.plus(changed);
            }
        }
        let value = record::stored_value(unit, &change.sum.encode());
        writes.insert(sum_key(), Some(value));
        Ok(change)
    }

    /// What was about to be written is written.
    pub(super) const fn apply(&mut self, change: Change) {
        (self.sum, self.below) = (change.sum, change.below);
    }

    /// Where the pass goes on: the least stored key that it has not looked at.
    pub(super) fn place(&self) -> Vec<u8> {
        self.place.clone()
    }

    /// Takes the next records, which begin at [`Patrol::place`], as far as one step goes. After the last one the sums are
    /// compared and the next pass begins.
    pub(super) fn look<K: AsRef<[u8]>, V: AsRef<[u8]>>(
        &mut self,
        records: impl IntoIterator<Item = Result<(K, V), Error>>,
    ) -> Result<Looked, Error> {
        let (most, about) =
            (self.step.records.saturating_add(STEP.0), self.step.bytes.saturating_add(STEP.1));
        for found in records {
            let (key, value) = found?;
            self.take(key.as_ref(), value.as_ref());
            if self.step.records >= most || self.step.bytes >= about {
                self.place = after(key.as_ref());
                return Ok(Looked::Sound(self.step));
            }
        }
        let (step, adds_up) = (Step { ended: true, ..self.step }, self.below == self.sum);
        (self.place, self.below, self.step) = (Vec::new(), Sum::EMPTY, Step::default());
        if adds_up {
            return Ok(Looked::Sound(step));
        }
        let Step { records, bytes, ended: _ } = step;
        Ok(Looked::Damage(format!(
            "its {records} records ({bytes} bytes) do not add up to the sum that every commit keeps: some were lost, changed or \
             added behind the program, by a disk, a memory or a hand"
        )))
    }

    /// As [`Patrol::look`], of all records at once.
    pub(super) fn look_at_all<K: AsRef<[u8]>, V: AsRef<[u8]>>(
        &mut self,
        records: impl IntoIterator<Item = Result<(K, V), Error>>,
    ) -> Result<Looked, Error> {
        let mut records = records.into_iter();
        loop {
            let looked = self.look(&mut records)?;
            if !matches!(looked, Looked::Sound(Step { ended: false, .. })) {
                return Ok(looked);
            }
        }
    }

    /// The sum of records that have none yet, which is to be put among them with a first [`Patrol::change`].
    pub(super) fn begin<K: AsRef<[u8]>, V: AsRef<[u8]>>(
        records: impl IntoIterator<Item = Result<(K, V), Error>>,
    ) -> Result<Self, Error> {
        let mut all = Self::default();
        for found in records {
            let (key, value) = found?;
            all.take(key.as_ref(), value.as_ref());
        }
        Ok(Self { sum: all.below, ..Self::default() })
    }

    fn take(&mut self, key: &[u8], value: &[u8]) {
        let size = u64::try_from(key.len().saturating_add(value.len())).unwrap_or(u64::MAX);
        self.step.records = self.step.records.saturating_add(1);
        self.step.bytes = self.step.bytes.saturating_add(size);
        if key != sum_key() {
            self.below = self.below.replace(key, None, Some(value));
        }
    }
}

/// Stored key of the sum. It is not in the sum.
pub(super) fn sum_key() -> Vec<u8> {
    record::stored_key(Space::Meta, record::SUM_KEY)
}
