//! Adapter for tests: a store in memory, with faults on demand and a gate in front of its commits.
//!
//! The memory outlives its engines, as a disk does: open it again to see what a restart would find.

use std::{
    collections::BTreeMap,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use super::{
    Engine, Error, Found, Opened, Outcome, Reader, Snapshot, Space, Unit, Versioned, overlay, record,
    snapshot::Snapshots,
};
use crate::domain::audit::Head;

/// How a commit goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A damaged record was met; nothing is written.
    Fatal,
    /// Nothing is written, and the engine knows it.
    NotWritten,
    /// Everything is written, and the engine does not know it.
    UnknownKept,
    /// Nothing is written, and the engine does not know it.
    UnknownLost,
}

/// A store in memory. Clones are the same memory.
#[derive(Clone, Default)]
pub struct Memory(Arc<Shared>);

#[derive(Default)]
struct Shared {
    records: Mutex<BTreeMap<Vec<u8>, Vec<u8>>>,
    control: Mutex<Control>,
    changed: Condvar,
}

#[derive(Default)]
struct Control {
    /// Commits until the fault, and the fault.
    fault: Option<(u64, Fault)>,
    held: bool,
    /// Whether a commit waits at the gate.
    waiting: bool,
    scans_held: bool,
}

fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Memory {
    /// An empty memory.
    pub fn new() -> Self {
        Self::default()
    }

    /// Another memory with the same records, as a copy of a disk.
    #[must_use]
    pub fn copy(&self) -> Self {
        let records = guard(&self.0.records).clone();
        Self(Arc::new(Shared { records: Mutex::new(records), ..Shared::default() }))
    }

    /// Opens it, as often as one likes, and proves the end of its audit log.
    pub fn open(&self) -> Result<Opened, Error> {
        {
            let mut records = guard(&self.0.records);
            if records.is_empty() {
                let head = record::stored_value(record::Position::START.unit, &record::head(&Head::EMPTY));
                records.insert(record::stored_key(Space::Meta, record::HEAD_KEY), head);
            }
        }
        let position = record::position(self)?;
        Ok((
            Box::new(MemoryEngine { memory: self.clone(), position, snapshots: Snapshots::default() }),
            Arc::new(self.clone()),
        ))
    }

    /// The `nth` commit from now has this fault; 1 is the next one.
    pub fn fail(&self, nth: u64, fault: Fault) {
        guard(&self.0.control).fault = nth.checked_sub(1).map(|before| (before, fault));
    }

    /// Holds every commit at a gate, until [`Memory::release`].
    pub fn hold(&self) {
        guard(&self.0.control).held = true;
    }

    /// Blocks until a commit waits at the gate.
    pub fn wait_held(&self) {
        let control = guard(&self.0.control);
        drop(self.0.changed.wait_while(control, |c| !c.waiting).unwrap_or_else(PoisonError::into_inner));
    }

    /// Opens the gate.
    pub fn release(&self) {
        guard(&self.0.control).held = false;
        self.0.changed.notify_all();
    }

    /// Holds every scan, until `false`, as a slow disk does.
    pub fn hold_scans(&self, hold: bool) {
        guard(&self.0.control).scans_held = hold;
        self.0.changed.notify_all();
    }

    /// Overwrites or removes a record behind the store's back.
    pub fn tamper(&self, space: Space, key: &[u8], value: Option<&[u8]>) {
        let (key, mut records) = (record::stored_key(space, key), guard(&self.0.records));
        match value {
            Some(value) => drop(records.insert(key, record::stored_value(u64::MAX, value))),
            None => drop(records.remove(&key)),
        }
    }

    /// Waits at the gate, then says whether this commit has a fault.
    fn next_fault(&self) -> Option<Fault> {
        let mut control = guard(&self.0.control);
        control.waiting = control.held;
        self.0.changed.notify_all();
        control = self.0.changed.wait_while(control, |c| c.held).unwrap_or_else(PoisonError::into_inner);
        control.waiting = false;
        let (before, fault) = control.fault.take()?;
        match before.checked_sub(1) {
            Some(before) => {
                control.fault = Some((before, fault));
                None
            }
            None => Some(fault),
        }
    }
}

fn found((key, value): (&Vec<u8>, &Vec<u8>)) -> Result<Found, Error> {
    let (_space, key) = key.split_first().ok_or_else(|| Error::Fatal("an empty key".into()))?;
    Ok(Found { key: key.to_vec(), record: record::versioned(value)? })
}

impl Reader for Memory {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Versioned>, Error> {
        let records = guard(&self.0.records);
        records.get(&record::stored_key(space, key)).map(|v| record::versioned(v)).transpose()
    }

    fn scan(&self, space: Space, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<Found>, Error> {
        let control = guard(&self.0.control);
        drop(self.0.changed.wait_while(control, |c| c.scans_held).unwrap_or_else(PoisonError::into_inner));
        let prefix_key = record::stored_key(space, prefix);
        let start = prefix_key.clone().max(record::stored_key(space, from));
        let records = guard(&self.0.records);
        records
            .range(start..)
            .take_while(|(k, _)| k.starts_with(&prefix_key))
            .take(limit)
            .map(found)
            .collect()
    }

    fn scan_back(
        &self,
        space: Space,
        prefix: &[u8],
        below: &[u8],
        limit: usize,
    ) -> Result<Vec<Found>, Error> {
        let prefix_key = record::stored_key(space, prefix);
        let records = guard(&self.0.records);
        records
            .range(..record::stored_key(space, below))
            .rev()
            .take_while(|(k, _)| k.starts_with(&prefix_key))
            .take(limit)
            .map(found)
            .collect()
    }

    fn last(&self, space: Space) -> Result<Option<Found>, Error> {
        let prefix = record::stored_key(space, &[]);
        let records = guard(&self.0.records);
        let last = records.range(prefix.clone()..).take_while(|(k, _)| k.starts_with(&prefix)).last();
        last.map(found).transpose()
    }
}

struct MemoryEngine {
    memory: Memory,
    position: record::Position,
    snapshots: Snapshots,
}

impl MemoryEngine {
    fn apply(&mut self, units: &[Unit]) -> Result<Vec<Outcome>, Error> {
        let batch = overlay::evaluate(units, &self.memory, self.position)?;
        let mut records = guard(&self.memory.0.records);
        self.snapshots.keep(&batch.writes, |key| Ok(records.get(key).cloned()))?;
        for (key, value) in batch.writes {
            match value {
                Some(value) => records.insert(key, value),
                None => records.remove(&key),
            };
        }
        self.position = batch.position;
        Ok(batch.outcomes)
    }
}

impl Engine for MemoryEngine {
    fn commit(&mut self, units: &[Unit]) -> Result<Vec<Outcome>, Error> {
        match self.memory.next_fault() {
            None => self.apply(units),
            Some(Fault::Fatal) => Err(Error::Fatal("fault on demand".into())),
            Some(Fault::NotWritten) => Err(Error::NotWritten("fault on demand".into())),
            Some(Fault::UnknownKept) => {
                self.apply(units)?;
                Err(Error::Unknown("fault on demand".into()))
            }
            Some(Fault::UnknownLost) => Err(Error::Unknown("fault on demand".into())),
        }
    }

    fn head(&self) -> Head {
        self.position.head
    }

    fn snapshot(&mut self) -> Snapshot {
        self.snapshots.begin(Arc::new(self.memory.clone()), self.position.head)
    }
}
