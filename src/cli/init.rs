//! `sigillo init`: an empty store, or a whole installation for a demonstration.

mod demo;

use std::{
    io::Write,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use super::{
    Failure, courier,
    offline::{Remembered, remembered},
    reexec,
    serve::config::Config,
};
use crate::{
    domain::checkpoint::Checkpoint,
    hsm,
    store::{durable, sled},
};

/// Makes an empty store for `serve` or for `courier`, or with --demo a whole installation for this machine alone.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sigillo init --config serve.toml
  sigillo init --courier courier.toml
  sigillo init --demo demo

`serve` and `courier` never make a store by themselves: an empty store where there should be one has lost every
card, or has forgotten who was sent what.

--config looks at the token and the witnesses first: where one of them remembers a log, `serve` would refuse an empty store,
and none is made. A log whose store is lost goes on from a backup: `sigillo restore --help`.

--demo makes two software tokens with their key sets, a development PKI, configurations, policies, a mail
relay's certificate, a Kannel for SMS and 1,000 fictional cards. Its PINs are random and lie beside the tokens: never for real cards.

Exit codes: 0 done; 1 something is there already or is remembered, or could not be made; 64 bad configuration.")]
pub struct Args {
    /// Configuration of `serve` whose store is to be made.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["courier", "demo"], required_unless_present_any = ["courier", "demo"])]
    config: Option<PathBuf>,

    /// Configuration of `courier` whose store is to be made.
    #[arg(long, value_name = "FILE", conflicts_with = "demo")]
    courier: Option<PathBuf>,

    /// Directory of the demonstration; must not exist.
    #[arg(long, value_name = "DIR")]
    demo: Option<PathBuf>,

    /// Cards in the demonstration's batch file.
    #[arg(long, default_value_t = 1000, requires = "demo")]
    cards: u64,

    /// Where the demonstration's API listens.
    #[arg(long, default_value = "127.0.0.1:8443", requires = "demo")]
    listen: SocketAddr,

    /// Where its operators connect with their own cards.
    #[arg(long, default_value = "127.0.0.1:8444", requires = "demo")]
    direct: SocketAddr,

    /// Where its internal listener is.
    #[arg(long, default_value = "127.0.0.1:9464", requires = "demo")]
    internal: SocketAddr,

    /// Where its mail relay is.
    #[arg(long, default_value = "127.0.0.1:2525", requires = "demo")]
    smtp: SocketAddr,

    /// Where its SMS gateway (Kannel) is.
    #[arg(long, default_value = "127.0.0.1:13013", requires = "demo")]
    sms: SocketAddr,

    /// Where the SMS gateway reports what became of a message.
    #[arg(long, default_value = "127.0.0.1:13099", requires = "demo")]
    receipts: SocketAddr,
}

/// Runs the command and writes what it made to `out`.
pub fn run(args: &Args, out: &mut impl Write) -> Result<(), Failure> {
    match (&args.config, &args.courier, &args.demo) {
        (Some(file), ..) => authority(file, out),
        (None, Some(file), _) => empty_store(courier::store_of(file)?, out),
        (None, None, Some(directory)) => demo::make(directory, args, out),
        (None, None, None) => Err(Failure::config("--config, --courier or --demo")),
    }
}

/// An empty store for `serve`, unless its token or a witness remembers a log: `serve` would refuse that store.
fn authority(file: &Path, out: &mut impl Write) -> Result<(), Failure> {
    let config = Config::load(file).map_err(Failure::config)?;
    let hsm = hsm::config::Config::load(&config.hsm).map_err(Failure::config)?;
    let missing = hsm.missing_environment().map_err(Failure::config)?;
    reexec::with_environment(&missing).map_err(Failure::failed)?;
    refuse_if_there(&config.store())?;
    match remembered(&config, &hsm) {
        Ok(None) => {}
        Ok(Some(Remembered { by, newest: Checkpoint { log, head, time, .. } })) => {
            let by = if by == "token" { by.to_owned() } else { format!("witness ({by})") };
            return Err(Failure::failed(format!(
                "the {by} remembers log \"{log}\" up to event {} (signed at {time}): `serve` would refuse an empty store \
                 beside it. Nothing was made. If that log's store is lost, `sigillo restore` makes one of a backup, and \
                 `sigillo recover` brings it back. A new authority takes a token of its own (`sigillo hsm init`) and \
                 witnesses that keep nothing",
                head.seq
            )));
        }
        Err(error) => tracing::warn!(
            "whether token and witnesses remember a log is not known: {error}. If one does, `serve` refuses the new store"
        ),
    }
    empty_store(config.store(), out)
}

fn refuse_if_there(config: &sled::Config) -> Result<(), Failure> {
    if config.dir.exists() {
        return Err(Failure::failed(format!("{} is there already", config.dir.display())));
    }
    Ok(())
}

/// Makes a store where there is none, for good: nothing else ever does.
fn empty_store(config: sled::Config, out: &mut impl Write) -> Result<(), Failure> {
    durable::deny_sync_file_range().map_err(Failure::failed)?;
    refuse_if_there(&config)?;
    let made = sled::open(&sled::Config { missing: sled::Missing::Create, ..config });
    drop(made.map_err(Failure::failed)?);
    writeln!(out, "an empty store is ready").map_err(Failure::failed)
}
