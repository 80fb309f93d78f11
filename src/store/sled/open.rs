//! Opens the sled store, or refuses with a reason.
//!
//! It must never begin a new store where one was expected, nor open one that is open, damaged, of another format, or
//! that would lose writes in a power cut.

use std::{
    fs::{self, DirBuilder, File, TryLockError},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use ::sled::Db;
use rustix::fs::Access;

use super::{MIB, SledEngine, SledReader, check_space, damage, sums};
use crate::{
    panics,
    store::{Error, Opened, Reader, Space, durable, record, snapshot::Snapshots},
};

/// What to do where there is no store yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Make an empty one.
    Create,
    /// Refuse: a service that finds no store must not begin a new one.
    Refuse,
}

/// Where the store lies and what it may use.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its directory, of its own, on a local file system.
    pub dir: PathBuf,
    /// Page cache, in MiB.
    pub cache_mib: u64,
    /// Free space of the disk below which nothing is written, in MiB.
    pub reserve_mib: u64,
    /// What to do where there is no store yet.
    pub missing: Missing,
    /// Whether one that was found damaged is opened all the same: to be looked at, never to be served.
    pub even_damaged: bool,
}

impl Config {
    /// Default of [`Config::cache_mib`].
    pub const CACHE_MIB: u64 = 256;
    /// Default of [`Config::reserve_mib`].
    pub const RESERVE_MIB: u64 = 64;

    /// A directory with the defaults; refuses where there is no store.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            cache_mib: Self::CACHE_MIB,
            reserve_mib: Self::RESERVE_MIB,
            missing: Missing::Refuse,
            even_damaged: false,
        }
    }
}

/// Why a store was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The records contradict each other, or sled cannot make sense of its files. Restore.
    #[error("{}: {source}. A backup brings it back: `sigillo restore --help`", dir.display())]
    Damaged {
        /// The store's directory.
        dir: PathBuf,
        /// What was found.
        source: Error,
    },
    /// sled would lose writes in a power cut: call [`durable::deny_sync_file_range`] first.
    #[error("store in {} not opened: sync_file_range is not denied, writes would not be durable", dir.display())]
    Durability {
        /// The store's directory.
        dir: PathBuf,
    },
    /// sled cannot read its files.
    #[error("store in {}: {source}. If its files are damaged, a backup brings it back: `sigillo restore --help`", dir.display())]
    Engine {
        /// The store's directory.
        dir: PathBuf,
        /// What sled says.
        source: ::sled::Error,
    },
    /// Made by another version of this program, or by another program.
    #[error("store in {} has format {found}, this program reads format {}", dir.display(), record::FORMAT)]
    Format {
        /// The store's directory.
        dir: PathBuf,
        /// The format that it names, or `none`.
        found: String,
    },
    /// Another process, or another part of this one, has it open.
    #[error("store in {} is already open, here or in another process", dir.display())]
    InUse {
        /// The store's directory.
        dir: PathBuf,
    },
    /// A file or directory cannot be used.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// There is no store.
    #[error("no store in {}: for a new installation `sigillo init` makes one, once; a store that was lost comes back with `sigillo restore`", dir.display())]
    Missing {
        /// Where it was looked for.
        dir: PathBuf,
    },
}

/// Opens the store, or makes it, and proves the end of its audit log. Blocks.
///
/// The directory stays locked until both the engine and the reader are dropped.
pub fn open(config: &Config) -> Result<Opened, OpenError> {
    let dir = config.dir.clone();
    if !durable::is_denied() {
        return Err(OpenError::Durability { dir });
    }
    if config.missing == Missing::Refuse && !log_file(&dir).exists() {
        return Err(OpenError::Missing { dir });
    }
    create_dir(&dir)?;
    let lock = lock(&dir)?;
    if !config.even_damaged {
        refuse_damaged(&dir)?;
    }
    let db = open_sled(config)?;
    sync_files(&dir)?;
    let log = File::open(log_file(&dir)).map_err(io_error(&log_file(&dir)))?;

    if panics::caught(|| db.is_empty()).map_err(|said| unreadable(&dir, &said))? {
        if config.missing == Missing::Refuse {
            return Err(OpenError::Missing { dir });
        }
        sums::initialise(&db).map_err(sums_error(&dir))?;
        log.sync_all().map_err(io_error(&log_file(&dir)))?;
    }
    let reader = Arc::new(SledReader { db, lock });
    let format = check_format(&dir, &*reader)?;
    let position = record::position(&*reader).map_err(sums_error(&dir))?;
    if format != record::FORMAT {
        tracing::info!(dir = %dir.display(), from = format, to = record::FORMAT, "a store is brought to today's format");
        sums::bring(&reader.db, &log, &position, format).map_err(sums_error(&dir))?;
    }
    let patrol = sums::open(&reader.db).map_err(sums_error(&dir))?;
    let engine = SledEngine {
        reader: Arc::clone(&reader),
        log,
        dir,
        reserve: config.reserve_mib.saturating_mul(MIB),
        position,
        patrol,
        snapshots: Snapshots::default(),
        failed: None,
    };
    Ok((Box::new(engine), reader))
}

/// What [`open`] would refuse, as far as it can be seen without opening anything for writing, and while a service runs.
pub fn look(config: &Config) -> Vec<String> {
    let (dir, data) = (&config.dir, log_file(&config.dir));
    match fs::metadata(&data) {
        Ok(_) => {}
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return vec![OpenError::Missing { dir: dir.clone() }.to_string()];
        }
        Err(e) => return vec![io_error(&data)(e).to_string()],
    }
    let all = Access::READ_OK | Access::WRITE_OK;
    let mut needed = vec![
        (parent(dir).to_path_buf(), Access::READ_OK | Access::EXEC_OK),
        (dir.clone(), all | Access::EXEC_OK),
        (data, all),
        (dir.join("conf"), all),
        (dir.join("blobs"), all | Access::EXEC_OK),
    ];
    // Made by whoever opens it, where it is missing.
    needed.extend(Some((dir.join(LOCK), Access::WRITE_OK)).filter(|(lock, _)| lock.exists()));
    let denied = needed.into_iter().filter_map(|(path, access)| {
        let answer = rustix::fs::access(&path, access);
        answer.err().map(|error| io_error(&path)(error.into()).to_string())
    });
    let space = check_space(dir, config.reserve_mib.saturating_mul(MIB));
    let sound = refuse_damaged(dir).err().map(|error| error.to_string());
    denied.chain(space.err().map(|error| error.to_string())).chain(sound).collect()
}

/// Refuses a store that a pass over its records found damaged once.
fn refuse_damaged(dir: &Path) -> Result<(), OpenError> {
    damage::found(dir)?.map_or(Ok(()), |found| {
        Err(OpenError::Damaged { dir: dir.to_path_buf(), source: Error::Fatal(found) })
    })
}

/// What cannot be read is damage; what cannot be written is not.
pub(super) fn sums_error(dir: &Path) -> impl FnOnce(Error) -> OpenError {
    let dir = dir.to_path_buf();
    move |source| match source {
        Error::Fatal(_) => OpenError::Damaged { dir, source },
        Error::NotWritten(_) | Error::Stopped(_) | Error::Unknown(_) => {
            OpenError::Io { path: dir, source: io::Error::other(source) }
        }
    }
}

pub(super) fn io_error(path: &Path) -> impl FnOnce(io::Error) -> OpenError {
    let path = path.to_path_buf();
    move |source| OpenError::Io { path, source }
}

/// sled's one data file.
pub(super) fn log_file(dir: &Path) -> PathBuf {
    dir.join("db")
}

/// The file that is locked while somebody has the directory.
pub(super) const LOCK: &str = "lock";

/// A lock may outlive its holder for a moment: one of sled's threads drops the last reference to it, or a child
/// process has not yet let go of what it inherited. So many attempts, so far apart.
const PATIENCE: (u32, Duration) = (100, Duration::from_millis(10));

/// Tries until there is an answer, or says that the store is in use.
fn patiently<T>(dir: &Path, attempt: impl Fn() -> Result<Option<T>, OpenError>) -> Result<T, OpenError> {
    let (attempts, pause) = PATIENCE;
    for _ in 0..attempts {
        if let Some(done) = attempt()? {
            return Ok(done);
        }
        std::thread::sleep(pause);
    }
    Err(OpenError::InUse { dir: dir.to_path_buf() })
}

/// sled has a lock of its own, which it takes after its first writes and whose error has no type.
pub(super) fn lock(dir: &Path) -> Result<File, OpenError> {
    let path = dir.join(LOCK);
    let file =
        File::options().create(true).truncate(false).write(true).open(&path).map_err(io_error(&path))?;
    patiently(dir, || match file.try_lock() {
        Ok(()) => Ok(Some(())),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(source)) => Err(OpenError::Io { path: path.clone(), source }),
    })?;
    Ok(file)
}

/// Makes the directory and those above it that are missing, for the owner only, durably.
pub(super) fn create_dir(dir: &Path) -> Result<(), OpenError> {
    let missing: Vec<_> = dir.ancestors().take_while(|above| !is_here(above)).collect();
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(io_error(dir))?;
    missing.into_iter().try_for_each(|made| sync(parent(made)))
}

fn is_here(dir: &Path) -> bool {
    dir.as_os_str().is_empty() || dir.exists()
}

/// The directory that holds the name of this one.
pub(super) fn parent(dir: &Path) -> &Path {
    dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}

pub(super) fn sync(path: &Path) -> Result<(), OpenError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(io_error(path))
}

/// sled syncs neither its settings nor the names of its files.
pub(super) fn sync_files(dir: &Path) -> Result<(), OpenError> {
    sync(&dir.join("conf"))?;
    sync(&dir.join("blobs"))?;
    sync(dir)?;
    sync(parent(dir))
}

pub(super) fn open_sled(config: &Config) -> Result<Db, OpenError> {
    let dir = &config.dir;
    let sled = ::sled::Config::new().path(dir).cache_capacity(config.cache_mib.saturating_mul(MIB));
    patiently(dir, || match panics::caught(|| sled.open()) {
        Ok(Ok(db)) => Ok(Some(db)),
        Ok(Err(error)) if is_locked(&error) => Ok(None),
        Ok(Err(source)) => Err(OpenError::Engine { dir: dir.clone(), source }),
        Err(said) => Err(unreadable(dir, &said)),
    })
}

/// sled panics on some damage.
fn unreadable(dir: &Path, said: &str) -> OpenError {
    OpenError::Damaged {
        dir: dir.to_path_buf(),
        source: Error::Fatal(format!("sled cannot read it: {said}")),
    }
}

/// sled gives this error no kind of its own.
fn is_locked(error: &::sled::Error) -> bool {
    matches!(error, ::sled::Error::Io(e) if e.to_string().starts_with("could not acquire lock"))
}

/// The format of the store: today's, or one that is brought to it.
pub(super) fn check_format(dir: &Path, reader: &dyn Reader) -> Result<u32, OpenError> {
    let format = reader.get(Space::Meta, record::FORMAT_KEY).map_err(sums_error(dir))?;
    let found = match format {
        None => "none".to_owned(),
        Some(format) => match format.value.as_slice().try_into().map(u32::from_be_bytes) {
            Ok(known @ (record::FORMAT | record::FORMAT_WITHOUT_PACKS | record::FORMAT_WITHOUT_SUM)) => {
                return Ok(known);
            }
            Ok(other) => other.to_string(),
            Err(_) => "of another program".to_owned(),
        },
    };
    Err(OpenError::Format { dir: dir.to_path_buf(), found })
}
