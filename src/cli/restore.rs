//! `sigillo restore`: a store from a backup.

use std::{
    fs::File,
    io::{BufReader, Write},
    path::PathBuf,
    sync::Arc,
};

use indicatif::{ProgressBar, ProgressStyle};

use super::{Failure, audit::public_key, give_up, serve::config::Config, whole_log::whole_log};
use crate::{
    backup::BackupReader,
    domain::{audit::Head, checkpoint::Checkpoint},
    officer_key::Holder,
    store::{Reader, durable, sled},
};

/// Makes the store of a configuration from a backup, with an officer's key.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  sigillo restore --config serve.toml --backup monday.backup --cert officer-1.pem --key officer-1.key \\
    --public-key audit.pub.pem

Writes the directory that `store.directory` names, which must not exist; there is no store until everything was verified:
the authority's signature over all records, the sum over them that the store kept, and the log.
What happened since the backup is missing in it: `serve` refuses it until officers have ordered its recovery
(`sigillo recover plan --help`).

A restore that is refused leaves nothing. What one that was killed has left (the directory's name with `.restoring`) is
removed by the next one, which says so.

Exit codes: 0 done; 1 the backup cannot be opened or does not hold, or there is a store; 64 bad options or configuration; 75 a write
to the new store did not come back: to be started again.")]
pub struct Args {
    /// Configuration of `serve` whose store is to be made.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The backup.
    #[arg(long, value_name = "FILE")]
    backup: PathBuf,
    /// An officer's certificate, PEM.
    #[arg(long, value_name = "FILE")]
    cert: PathBuf,
    /// Its private key, PKCS#8 PEM, mode 0400, 0440 or 0600.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Public half of the audit key of the authority that the backup must be of, PEM. Take it from where it is kept, not from
    /// beside the backup.
    #[arg(long, value_name = "FILE")]
    public_key: PathBuf,
}

/// Entries written in one step.
const STEP: usize = 1024;

/// Runs the command and writes its answer to `out`.
pub fn run(args: &Args, out: &mut impl Write) -> Result<(), Failure> {
    let config = Config::load(&args.config).map_err(Failure::config)?;
    let public = public_key(&args.public_key)?;
    let holder = Holder::load(&args.cert, &args.key).map_err(Failure::failed)?;
    let at = |e: &dyn std::error::Error| Failure::failed(format!("{}: {e}", args.backup.display()));
    let file = File::open(&args.backup).map_err(|e| at(&e))?;
    let size = file.metadata().map_err(|e| at(&e))?.len();
    let style = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes}").map_err(Failure::failed)?;
    let progress = ProgressBar::new(size).with_style(style);
    let from = BufReader::new(progress.wrap_read(file));
    let mut backup = BackupReader::open(from, &holder, &public).map_err(|e| at(&e))?;
    let checkpoint = backup.checkpoint().clone();
    if checkpoint.log != config.log || backup.log() != config.log {
        let (log, of) = (&config.log, &checkpoint.log);
        return Err(Failure::failed(format!(
            "the backup is of log \"{of}\", the configuration names \"{log}\""
        )));
    }
    durable::deny_sync_file_range().map_err(Failure::failed)?;
    let mut restore = sled::Restore::begin(&config.store(), give_up::at_once).map_err(Failure::failed)?;
    let filled = fill(&mut restore, &mut backup).map_err(|e| at(&e));
    progress.finish_and_clear();
    let done = filled.and_then(|entries| {
        let head = restore.finish(|reader, head| check(reader, head, &checkpoint).map_err(Broken))?;
        Ok((entries, head))
    });
    let (entries, head) = done?;
    writeln!(
        out,
        "restored {entries} records up to event {} of {}: `serve` refuses them until officers have ordered the \
         recovery, unless nothing has happened since",
        head.seq, checkpoint.time
    )
    .map_err(Failure::failed)
}

/// Why the store that was made is not the one that was backed up.
struct Broken(String);

impl From<sled::OpenError> for Broken {
    fn from(e: sled::OpenError) -> Self {
        Self(e.to_string())
    }
}

impl From<Broken> for Failure {
    fn from(Broken(why): Broken) -> Self {
        Self::failed(why)
    }
}

/// Why a restore ended before it was whole.
#[derive(Debug, thiserror::Error)]
enum Stopped {
    #[error(transparent)]
    Backup(#[from] crate::backup::Error),
    #[error(transparent)]
    Store(#[from] sled::OpenError),
}

fn fill(restore: &mut sled::Restore, backup: &mut BackupReader<impl std::io::Read>) -> Result<u64, Stopped> {
    let mut count = 0_u64;
    while let Some(entries) = backup.next(STEP)? {
        count = count.saturating_add(u64::try_from(entries.len()).unwrap_or(u64::MAX));
        restore.write(entries)?;
    }
    Ok(count)
}

/// The whole log is chained, and ends where the checkpoint says.
fn check(reader: &Arc<dyn Reader>, end: Head, checkpoint: &Checkpoint) -> Result<(), String> {
    let head = whole_log(&**reader, |_events| ())?;
    if head != end || head != checkpoint.head {
        return Err("the log does not end where the backup's checkpoint says".into());
    }
    Ok(())
}
