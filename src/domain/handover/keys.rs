//! The audit keys of one log, and where each was in force.

use super::{BadHandover, FIRST, Handover};
use crate::domain::checkpoint::{Broken, Checkpoint, Unchecked};

/// The audit keys of a log, from its first one on. One without a handover has one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditKeys {
    /// Those that are gone, with the last place of each; the oldest first.
    former: Vec<(Vec<u8>, (u64, u64))>,
    now: Vec<u8>,
}

impl AuditKeys {
    /// A key that never was another one.
    pub fn only(key: &[u8]) -> Self {
        Self { former: Vec::new(), now: key.to_vec() }
    }

    /// The keys of this log that handovers lead through, the oldest first. Nothing where there is none.
    ///
    /// # Errors
    /// One is of another log, or does not go on where the one before it ended.
    pub fn through(log: &str, handovers: &[Handover]) -> Result<Option<Self>, BadHandover> {
        let mut all: Option<Self> = None;
        for handover in handovers {
            if handover.log != log {
                return Err(BadHandover::OtherLog);
            }
            let keys = all.get_or_insert_with(|| Self::only(&handover.from));
            keys.hand_over(handover)?;
        }
        Ok(all)
    }

    /// As [`AuditKeys::through`], of texts one after another.
    ///
    /// # Errors
    /// One does not hold.
    pub fn read(log: &str, record: &str) -> Result<Option<Self>, BadHandover> {
        let starts: Vec<usize> = record.match_indices(FIRST).map(|(at, _)| at).collect();
        let ends = starts.iter().copied().skip(1).chain([record.len()]);
        let texts = starts.iter().zip(ends).filter_map(|(from, to)| record.get(*from..to));
        let handovers = texts.map(Handover::open).collect::<Result<Vec<_>, _>>()?;
        if starts.first() != Some(&0) {
            return Err(BadHandover::Form("first line"));
        }
        Self::through(log, &handovers)
    }

    /// The key that this one names comes next.
    ///
    /// # Errors
    /// The key that goes is not the one in force, or the place is none after the one before.
    pub fn hand_over(&mut self, handover: &Handover) -> Result<(), BadHandover> {
        if handover.from != self.now {
            return Err(BadHandover::NotInForce);
        }
        if self.former.last().is_some_and(|(_, last)| *last >= handover.age()) {
            return Err(BadHandover::OtherPlace);
        }
        self.former.push((std::mem::replace(&mut self.now, handover.to.clone()), handover.age()));
        Ok(())
    }

    /// The key in force.
    pub fn now(&self) -> &[u8] {
        &self.now
    }

    /// All, the newest first.
    pub fn newest_first(&self) -> impl Iterator<Item = &[u8]> {
        let former = self.former.iter().rev().map(|(key, _)| key.as_slice());
        std::iter::once(self.now()).chain(former)
    }

    /// How many there were.
    pub fn count(&self) -> usize {
        self.former.len().saturating_add(1)
    }

    /// The key in force at an event of this log's own chain.
    pub(in crate::domain) fn at_event(&self, seq: u64) -> &[u8] {
        self.first(|(_, last)| seq <= *last)
    }

    /// The key in force at a place of whatever branch, as [`Checkpoint::age`] gives it.
    pub(in crate::domain) fn at(&self, age: (u64, u64)) -> &[u8] {
        self.first(|last| age <= *last)
    }

    fn first(&self, ends: impl Fn(&(u64, u64)) -> bool) -> &[u8] {
        self.former.iter().find(|(_, last)| ends(last)).map_or(&self.now, |(key, _)| key)
    }

    /// Reads a checkpoint that somebody kept: signed by the key that was in force where it says that it was.
    ///
    /// # Errors
    /// As [`Checkpoint::open`].
    pub fn open(&self, text: &str) -> Result<Checkpoint, Broken> {
        let unchecked = Unchecked::read(text)?;
        let key = self.at(unchecked.checkpoint.age());
        unchecked.check(key, self)
    }
}
