//! Adapter for tests: a store in memory, with faults on demand and a gate in front of its commits.
//!
//! The memory outlives its engines, as a disk does: open it again to see what a restart would find.

use std::{
    collections::BTreeMap,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use super::{
    Engine, Error, Found, Opened, Outcome, Reader, Snapshot, Space, Step, Unit, Versioned,
    overlay::{self, Writes},
    patrol::{Looked, Patrol, sum_key},
    record,
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
    records: Mutex<Records>,
    control: Mutex<Control>,
    changed: Condvar,
}

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

#[derive(Default)]
struct Records {
    map: Map,
    patrol: Patrol,
    /// What a pass has found, in words.
    damage: Option<String>,
}

impl Records {
    fn former(map: &Map) -> impl Fn(&[u8]) -> Result<Option<Vec<u8>>, Error> {
        |key| Ok(map.get(key).cloned())
    }

    /// Writes, and the sum with it.
    fn write(&mut self, mut writes: Writes, unit: u64, snapshots: &mut Snapshots) -> Result<(), Error> {
        let change = self.patrol.change(&mut writes, unit, Self::former(&self.map))?;
        snapshots.keep(&writes, Self::former(&self.map))?;
        for (key, value) in writes {
            match value {
                Some(value) => self.map.insert(key, value),
                None => self.map.remove(&key),
            };
        }
        self.patrol.apply(change);
        Ok(())
    }
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
        let (map, damage) = {
            let records = guard(&self.0.records);
            (records.map.clone(), records.damage.clone())
        };
        let records = Records { map, damage, ..Records::default() };
        Self(Arc::new(Shared { records: Mutex::new(records), ..Shared::default() }))
    }

    /// Opens it, as often as one likes, and proves the end of its audit log.
    pub fn open(&self) -> Result<Opened, Error> {
        {
            let mut records = guard(&self.0.records);
            if let Some(damage) = &records.damage {
                return Err(Error::Fatal(damage.clone()));
            }
            if records.map.is_empty() {
                let unit = record::Position::START.unit;
                let head = record::stored_value(unit, &record::head(&Head::EMPTY));
                let key = record::stored_key(Space::Meta, record::HEAD_KEY);
                records.write(Writes::from([(key, Some(head))]), unit, &mut Snapshots::default())?;
            }
            records.patrol = Patrol::open(records.map.get(&sum_key()).map(Vec::as_slice))?;
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

    /// Overwrites or removes a record behind the store's back, with its sum, as whoever can write a store does.
    pub fn tamper(&self, space: Space, key: &[u8], value: Option<&[u8]>) {
        let key = record::stored_key(space, key);
        let value = value.map(|value| record::stored_value(u64::MAX, value));
        let mut records = guard(&self.0.records);
        let written = records.write(Writes::from([(key, value)]), u64::MAX, &mut Snapshots::default());
        assert_eq!(written, Ok(()), "a memory is read and written without fail");
    }

    /// Overwrites or removes a record without its sum, as a bad disk does.
    pub fn rot(&self, space: Space, key: &[u8], value: Option<&[u8]>) {
        let (key, mut records) = (record::stored_key(space, key), guard(&self.0.records));
        match value {
            Some(value) => drop(records.map.insert(key, record::stored_value(u64::MAX, value))),
            None => drop(records.map.remove(&key)),
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
        records.map.get(&record::stored_key(space, key)).map(|v| record::versioned(v)).transpose()
    }

    fn scan(&self, space: Space, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<Found>, Error> {
        let control = guard(&self.0.control);
        drop(self.0.changed.wait_while(control, |c| c.scans_held).unwrap_or_else(PoisonError::into_inner));
        let prefix_key = record::stored_key(space, prefix);
        let start = prefix_key.clone().max(record::stored_key(space, from));
        let records = guard(&self.0.records);
        records
            .map
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
            .map
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
        let last = records.map.range(prefix.clone()..).take_while(|(k, _)| k.starts_with(&prefix)).last();
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
        if !batch.writes.is_empty() {
            records.write(batch.writes, batch.position.unit, &mut self.snapshots)?;
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

    fn patrol(&mut self) -> Result<Step, Error> {
        let mut records = guard(&self.memory.0.records);
        let Records { map, patrol, damage } = &mut *records;
        match patrol.look(map.range(patrol.place()..).map(Ok))? {
            Looked::Sound(step) => Ok(step),
            Looked::Damage(found) => {
                *damage = Some(found.clone());
                Err(Error::Fatal(found))
            }
        }
    }

    fn snapshot(&mut self) -> Snapshot {
        self.snapshots.begin(Arc::new(self.memory.clone()), self.position.head)
    }
}
