//! Adapter: the store on one machine, in sled 0.34.7.
//!
//! sled loses acknowledged writes unless it is handled as here: `sync_file_range` denied (see [`super::durable`]),
//! one writer with the synchronous `flush` (`flush_async` deadlocks), its background thread left on (it alone
//! collects garbage), directories synced once created, panics on damaged files caught ([`panics::caught`]). It must never commit
//! after a failed write.

mod damage;
mod open;
mod packs;
mod restore;
mod sums;

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
};

use ::sled::Db;

pub use self::{
    damage::found as found_damaged,
    open::{Config, Missing, OpenError, look, open},
    restore::Restore,
};
use super::{
    Engine, Error, Found, Outcome, Reader, Snapshot, Space, Step, Unit, Versioned,
    overlay::{self, Writes},
    patrol::{Looked, Patrol},
    record,
    snapshot::Snapshots,
};
use crate::{domain::audit::Head, panics};

const MIB: u64 = 1 << 20;

/// Fields are dropped in their order: sled first, then the lock.
struct SledReader {
    db: Db,
    #[expect(dead_code, reason = "held, so that nobody else opens the directory")]
    lock: File,
}

/// A disk that fails damages nothing by that. sled keeps its first such error, and reads tell of it as well.
fn unreadable(error: ::sled::Error) -> Error {
    let said = format!("sled cannot read: {error}");
    if matches!(error, ::sled::Error::Io(_)) { Error::Stopped(said) } else { Error::Fatal(said) }
}

/// Reads; sled panics on some damage.
fn read<T>(act: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    panics::caught(act).unwrap_or_else(|said| Err(Error::Fatal(format!("sled cannot read: {said}"))))
}

fn found((key, value): packs::Entry) -> Result<Found, Error> {
    let (_space, key) = key.split_first().ok_or_else(|| Error::Fatal("an empty key".into()))?;
    Ok(Found { key: key.to_vec(), record: record::versioned(&value)? })
}

impl Reader for SledReader {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Versioned>, Error> {
        read(|| {
            let key = record::stored_key(space, key);
            let stored = if space == Space::Event {
                packs::event(&self.db, &key)?
            } else {
                self.db.get(key).map_err(unreadable)?
            };
            stored.as_deref().map(record::versioned).transpose()
        })
    }

    fn scan(&self, space: Space, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<Found>, Error> {
        let prefix_key = record::stored_key(space, prefix);
        let start = prefix_key.clone().max(record::stored_key(space, from));
        read(|| {
            packs::records(&self.db, start)
                .take_while(|entry| !entry.as_ref().is_ok_and(|(key, _)| !key.starts_with(&prefix_key)))
                .take(limit)
                .map(|entry| found(entry?))
                .collect()
        })
    }

    fn scan_back(
        &self,
        space: Space,
        prefix: &[u8],
        below: &[u8],
        limit: usize,
    ) -> Result<Vec<Found>, Error> {
        let prefix_key = record::stored_key(space, prefix);
        read(|| {
            packs::records_back(&self.db, record::stored_key(space, below))
                .take_while(|entry| !entry.as_ref().is_ok_and(|(key, _)| !key.starts_with(&prefix_key)))
                .take(limit)
                .map(|entry| found(entry?))
                .collect()
        })
    }

    fn last(&self, space: Space) -> Result<Option<Found>, Error> {
        read(|| packs::last(&self.db, space)?.map(found).transpose())
    }
}

struct SledEngine {
    reader: Arc<SledReader>,
    /// A second handle on sled's file. An error of the disk is told once per handle: sled's background thread may be
    /// told of one that belongs to a commit, and drops it. This one is told of all of them.
    log: File,
    dir: PathBuf,
    reserve: u64,
    position: record::Position,
    patrol: Patrol,
    snapshots: Snapshots,
    /// Set by the first failed write: what the page cache holds after it says nothing about the disk.
    failed: Option<String>,
}

/// Refuses where the disk has less free space than this, in bytes.
fn check_space(dir: &Path, reserve: u64) -> Result<(), Error> {
    let disk = rustix::fs::statvfs(dir)
        .map_err(|e| Error::NotWritten(format!("cannot tell the free space of the disk: {e}")))?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if free < reserve {
        let (free, reserve) = (free / MIB, reserve / MIB);
        return Err(Error::NotWritten(format!(
            "disk has {free} MiB free, less than {reserve} MiB kept back"
        )));
    }
    Ok(())
}

impl SledEngine {
    fn write(&self, writes: Writes) -> Result<(), String> {
        let db = &self.reader.db;
        panics::caught(|| db.apply_batch(packs::batch(writes)))
            .and_then(|done| done.map_err(|e| e.to_string()))
            .map_err(|e| format!("sled cannot write: {e}"))?;
        panics::caught(|| db.flush())
            .and_then(|done| done.map_err(|e| e.to_string()))
            .map_err(|e| format!("sled cannot flush: {e}"))?;
        self.log.sync_data().map_err(|e| format!("cannot sync the log: {e}"))
    }

    /// sled syncs its log once more when it is dropped, and panics where that fails. After a failed write it stays, with its
    /// lock, until the process ends.
    fn never_let_go(&self) {
        #[expect(clippy::mem_forget, reason = "what must not be dropped")]
        std::mem::forget(Arc::<SledReader>::clone(&self.reader));
    }
}

impl Engine for SledEngine {
    fn commit(&mut self, units: &[Unit]) -> Result<Vec<Outcome>, Error> {
        if let Some(cause) = &self.failed {
            return Err(Error::NotWritten(format!("stopped after an earlier failure: {cause}")));
        }
        check_space(&self.dir, self.reserve)?;
        let mut batch = overlay::evaluate(units, &*self.reader, self.position)?;
        if !batch.writes.is_empty() {
            let db = &self.reader.db;
            let mut writes = std::mem::take(&mut batch.writes);
            let former = |key: &[u8]| match batch.former(key) {
                Some(seen) => Ok(seen),
                None => read(|| Ok(db.get(key).map_err(unreadable)?.map(|value| value.to_vec()))),
            };
            let change = self.patrol.change(&mut writes, batch.position.unit, former)?;
            self.snapshots.keep(&writes, former)?;
            self.write(writes).map_err(|cause| {
                self.never_let_go();
                self.failed = Some(cause.clone());
                Error::Unknown(cause)
            })?;
            self.patrol.apply(change);
        }
        self.position = batch.position;
        Ok(batch.outcomes)
    }

    fn head(&self) -> Head {
        self.position.head
    }

    fn patrol(&mut self) -> Result<Step, Error> {
        let (patrol, db) = (&mut self.patrol, &self.reader.db);
        match read(|| patrol.look(packs::records(db, patrol.place())))? {
            Looked::Sound(step) => Ok(step),
            Looked::Damage(found) => {
                damage::keep(&self.dir, &found);
                Err(Error::Fatal(found))
            }
        }
    }

    fn snapshot(&mut self) -> Snapshot {
        let reader = Arc::<SledReader>::clone(&self.reader);
        self.snapshots.begin(reader, self.position.head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_fails_is_not_damage() {
        let disk = ::sled::Error::Io(std::io::ErrorKind::StorageFull.into());
        assert!(matches!(unreadable(disk), Error::Stopped(_)));
        assert!(matches!(unreadable(::sled::Error::ReportableBug("page".into())), Error::Fatal(_)));
    }
}
