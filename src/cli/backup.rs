//! `sigillo backup`: a copy of the store of a running authority.

use std::{io::Write, path::PathBuf, time::Duration};

use hyper::{
    HeaderMap,
    header::{ACCEPT, HeaderValue},
};
use indicatif::{ProgressBar, ProgressStyle};

use super::{
    Failure,
    client::{Connection, block_on, download},
};
use crate::client::ClientLimits;

/// Writes a backup of a running authority to a file, encrypted to the officers of its policy set.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  sigillo backup --url https://127.0.0.1:8443 --ca ca.pem --cert backup.pem --key backup.key --out monday.backup

The caller needs the action \"backup\". The backup is the store at one moment, while it is in use; any one officer can open
it. It is an older store from then on: `serve` refuses it after a restore until officers have ordered its recovery
(`sigillo recover`), so keep the auditors' exports of the log beside it.

Exit codes: 0 done; 1 the backup broke off (the file is not kept); 64 bad options.")]
pub struct Args {
    #[command(flatten)]
    connection: Connection,
    /// File to write; it must not exist.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Runs the command and writes its answer to `out`.
pub fn run(args: &Args, out: &mut impl Write) -> Result<(), Failure> {
    let client = args.connection.client(ClientLimits::default())?;
    let spinner = ProgressBar::new_spinner()
        .with_style(ProgressStyle::with_template("{spinner} {msg} {elapsed}").map_err(Failure::failed)?)
        .with_message("receiving the backup");
    spinner.enable_steady_tick(Duration::from_millis(100));
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/octet-stream"));
    let written = block_on(download(&client, "/v1/backup", headers, &args.out, 0o600));
    spinner.finish_and_clear();
    writeln!(out, "{} bytes in {}", written?, args.out.display()).map_err(Failure::failed)
}
