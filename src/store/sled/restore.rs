//! Makes a store from the entries of a snapshot.
//!
//! It is made beside its place and moved there when it is whole: a restore that breaks off leaves no store. It must
//! never write into one that is there.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use ::sled::Batch;

use super::{
    SledReader,
    open::{
        Config, OpenError, check_format, create_dir, io_error, lock, log_file, open_sled, parent, sync,
        sync_files,
    },
};
use crate::{
    domain::audit::Head,
    store::{Entry, Reader, durable, record},
};

/// A store that is being made.
pub struct Restore {
    dir: PathBuf,
    partial: PathBuf,
    reader: SledReader,
    log: File,
}

impl Restore {
    /// Begins one where there is nothing. Blocks.
    pub fn begin(config: &Config) -> Result<Self, OpenError> {
        let dir = config.dir.clone();
        if !durable::is_denied() {
            return Err(OpenError::Durability { dir });
        }
        let mut name = dir.file_name().unwrap_or_default().to_owned();
        name.push(".restoring");
        let partial = dir.with_file_name(name);
        for (path, why) in
            [(&dir, "there is a store already"), (&partial, "left by a restore that broke off: remove it")]
        {
            if path.exists() {
                let source = io::Error::new(io::ErrorKind::AlreadyExists, why);
                return Err(OpenError::Io { path: path.clone(), source });
            }
        }
        create_dir(&partial)?;
        let lock = lock(&partial)?;
        let db = open_sled(&Config { dir: partial.clone(), ..config.clone() })?;
        sync_files(&partial)?;
        let log = File::open(log_file(&partial)).map_err(io_error(&log_file(&partial)))?;
        Ok(Self { dir, partial, reader: SledReader { db, lock }, log })
    }

    /// Adds entries.
    pub fn write(&self, entries: Vec<Entry>) -> Result<(), OpenError> {
        let mut batch = Batch::default();
        for (key, value) in entries {
            batch.insert(key, value);
        }
        self.reader.db.apply_batch(batch).map_err(|source| self.engine(source))
    }

    /// Proves the end of the log, has `check` look at the whole, and puts the store in its place.
    pub fn finish<E: From<OpenError>>(
        self,
        check: impl FnOnce(&Arc<dyn Reader>, Head) -> Result<(), E>,
    ) -> Result<Head, E> {
        self.reader.db.flush().map_err(|source| self.engine(source))?;
        self.log.sync_all().map_err(io_error(&self.partial))?;
        let Self { dir, partial, reader, log } = self;
        check_format(&partial, &reader)?;
        let position = record::position(&reader)
            .map_err(|source| OpenError::Damaged { dir: partial.clone(), source })?;
        let reader: Arc<dyn Reader> = Arc::new(reader);
        check(&reader, position.head)?;
        drop((reader, log));
        sync_files(&partial)?;
        fs::rename(&partial, &dir).map_err(io_error(&dir))?;
        sync(parent(&dir))?;
        Ok(position.head)
    }

    fn engine(&self, source: ::sled::Error) -> OpenError {
        OpenError::Engine { dir: Path::to_path_buf(&self.partial), source }
    }
}
