//! Makes a store from the entries of a snapshot.
//!
//! It is made beside its place and moved there when it is whole: a restore that breaks off leaves no store, and one that is
//! refused leaves nothing. It must never write into a store that is there.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    SledReader,
    open::{
        Config, LOCK, OpenError, check_format, create_dir, io_error, lock, log_file, open_sled, parent,
        sums_error, sync, sync_files,
    },
    packs, sums,
};
use crate::{
    domain::audit::Head,
    store::{
        Entry, Reader, durable, record,
        watchdog::{PATIENCE, Watchdog},
    },
};

/// A store that is being made. Dropped before it is finished, it is removed.
pub struct Restore {
    dir: PathBuf,
    watchdog: Watchdog,
    reader: SledReader,
    log: File,
    /// Removed when nothing has it open any more.
    partial: Partial,
    /// Last: the directory around it, locked against other restores.
    place: File,
}

/// The directory of a store that is not whole. Removed when it is dropped, unless it was moved to its place.
struct Partial {
    path: PathBuf,
    moved: bool,
}

/// So many bytes are written between two flushes, at most: half of one of sled's segments.
const IN_FLIGHT: usize = 256 << 10;

/// A thread of sled may still write the last file into a directory that is being removed.
const REMOVALS: usize = 5;

impl Drop for Partial {
    fn drop(&mut self) {
        if self.moved {
            return;
        }
        let mut removed = fs::remove_dir_all(&self.path);
        for _ in 1..REMOVALS {
            if removed.is_ok() {
                break;
            }
            removed = fs::remove_dir_all(&self.path);
        }
        if let Err(error) = removed {
            tracing::error!("{}: left by this restore, remove it: {error}", self.path.display());
        }
    }
}

impl Restore {
    /// Begins one where there is nothing. Blocks. `still` is called, on a thread of its own, when a write or a flush does not come
    /// back (`store/watchdog.rs`).
    pub fn begin(config: &Config, still: impl FnOnce() + Send + 'static) -> Result<Self, OpenError> {
        let dir = config.dir.clone();
        if !durable::is_denied() {
            return Err(OpenError::Durability { dir });
        }
        let mut name = dir.file_name().unwrap_or_default().to_owned();
        name.push(".restoring");
        let partial = dir.with_file_name(name);
        let taken = |path: &Path, why| {
            let source = io::Error::new(io::ErrorKind::AlreadyExists, why);
            OpenError::Io { path: path.to_path_buf(), source }
        };
        // From the first look to the last move, so that no two restores take each other's directory for a leftover.
        let around = parent(&dir);
        let place = File::open(around).map_err(io_error(around))?;
        place.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => taken(around, "another restore is at work there"),
            TryLockError::Error(source) => OpenError::Io { path: around.to_path_buf(), source },
        })?;
        if dir.exists() {
            return Err(taken(&dir, "there is a store already"));
        }
        if partial.exists() {
            if !partial.join(LOCK).exists() {
                return Err(taken(
                    &partial,
                    "it is in the way, and no restore has made it: move it elsewhere",
                ));
            }
            // Whoever is at work in it would hold it.
            drop(lock(&partial)?);
            tracing::warn!(
                "{}: left by a restore that was ended before its time, removed",
                partial.display()
            );
            fs::remove_dir_all(&partial).map_err(io_error(&partial))?;
        }
        create_dir(&partial)?;
        let partial = Partial { path: partial, moved: false };
        let lock = lock(&partial.path)?;
        let reader =
            SledReader { db: open_sled(&Config { dir: partial.path.clone(), ..config.clone() })?, lock };
        sync_files(&partial.path)?;
        let log_file = log_file(&partial.path);
        let log = File::open(&log_file).map_err(io_error(&log_file))?;
        let watchdog = Watchdog::start(PATIENCE, still).map_err(io_error(&dir))?;
        Ok(Self { dir, watchdog, reader, log, partial, place })
    }

    /// Adds entries: a chunk of a backup, or as much as you like.
    ///
    /// sled stands still for ever where seven of its threads wait for its accountant of segments, and who holds that waits for the
    /// file to be cut, which an eighth is to do. Few bytes between two flushes leave that many nothing to write.
    pub fn write(&mut self, entries: Vec<Entry>) -> Result<(), OpenError> {
        let (mut some, mut bytes) = (Vec::new(), 0_usize);
        for (key, value) in entries {
            bytes = bytes.saturating_add(key.len()).saturating_add(value.len());
            some.push((key, value));
            if bytes >= IN_FLIGHT {
                self.write_some(std::mem::take(&mut some))?;
                bytes = 0;
            }
        }
        self.write_some(some)
    }

    fn write_some(&mut self, entries: Vec<Entry>) -> Result<(), OpenError> {
        let writes = entries.into_iter().map(|(key, value)| (key, Some(value))).collect();
        let _turn = self.watchdog.turn();
        let db = &self.reader.db;
        let written = db.apply_batch(packs::batch(writes)).and_then(|()| db.flush().map(drop));
        written.map_err(engine(&self.partial.path))
    }

    /// Proves the end of the log, compares all records to their sum, has `check` look at the whole, and puts the store in its place.
    pub fn finish<E: From<OpenError>>(
        mut self,
        check: impl FnOnce(&Arc<dyn Reader>, Head) -> Result<(), E>,
    ) -> Result<Head, E> {
        let turn = self.watchdog.turn();
        self.reader.db.flush().map_err(engine(&self.partial.path))?;
        self.log.sync_all().map_err(io_error(&self.partial.path))?;
        drop(turn);
        // What is dropped last comes first.
        let Self { place: _place, mut partial, dir, watchdog: _watchdog, reader, log } = self;
        let format = check_format(&partial.path, &reader)?;
        let position = record::position(&reader).map_err(sums_error(&partial.path))?;
        // A snapshot has the sum of its moment. One of a store without a sum gets it now.
        if format != record::FORMAT_WITHOUT_SUM {
            sums::whole(&reader.db).map_err(sums_error(&partial.path))?;
        }
        if format != record::FORMAT {
            sums::bring(&reader.db, &log, &position, format).map_err(sums_error(&partial.path))?;
        }
        let reader: Arc<dyn Reader> = Arc::new(reader);
        check(&reader, position.head)?;
        drop((reader, log));
        sync_files(&partial.path)?;
        fs::rename(&partial.path, &dir).map_err(io_error(&dir))?;
        partial.moved = true;
        sync(parent(&dir))?;
        Ok(position.head)
    }
}

fn engine(dir: &Path) -> impl FnOnce(::sled::Error) -> OpenError {
    |source| OpenError::Engine { dir: dir.to_path_buf(), source }
}
