//! `sigillo store`: a look at a whole store, before it is served or after something happened to its disk.

use std::{io::Write, path::PathBuf};

use indicatif::{ProgressBar, ProgressStyle};

use super::{Failure, serve::config::Config, whole_log::whole_log};
use crate::store::{Engine, Error, Step, durable, sled};

/// `sigillo store ...`
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Look at every record of a store whose service is stopped: whether they add up, and whether the log holds.
    #[command(after_help = "\
Examples:
  sigillo store check --config serve.toml
  sigillo store check --store courier/state

`serve` and `courier` do the same in the background, first right after their start. This command does it before, all at once.

A store that does not add up has lost or changed records that somebody was told of. Every later start refuses it. The way back
is a backup (`sigillo restore --help`); take its log with you as evidence first, with `sigillo audit export-store`: a log that
holds is good, whatever became of other records.

Exit codes: 0 all of it holds; 1 it does not, or there is no store there, or it is in use; 64 bad options or configuration.")]
    Check(Check),
}

/// Arguments of `check`.
#[derive(Debug, clap::Args)]
#[group(id = "which", required = true, multiple = false)]
pub struct Check {
    /// Configuration of `serve` whose store is looked at.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Directory of the store, as of a courier.
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
}

/// Runs the command and writes its answer to `out`.
pub fn run(command: &Command, out: &mut impl Write) -> Result<(), Failure> {
    match command {
        Command::Check(args) => check(args, out),
    }
}

fn check(args: &Check, out: &mut impl Write) -> Result<(), Failure> {
    let config = match (&args.config, &args.store) {
        (Some(file), _) => Config::load(file).map_err(Failure::config)?.store(),
        (None, Some(dir)) => sled::Config::new(dir),
        (None, None) => return Err(Failure::config("name a store: --config FILE or --store DIR")),
    };
    let config = sled::Config { even_damaged: true, ..config };
    durable::deny_sync_file_range().map_err(Failure::failed)?;
    let (mut engine, reader) = sled::open(&config).map_err(Failure::failed)?;
    let found_before = sled::found_damaged(&config.dir).map_err(Failure::failed)?;
    let (dir, last) = (config.dir.display(), engine.head());

    let records = records(&mut *engine)?;
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} events").map_err(Failure::failed)?;
    let progress = ProgressBar::new(last.seq).with_style(style);
    let log = whole_log(&*reader, |events| progress.set_position(events));
    progress.finish_and_clear();
    let log = log.and_then(|head| {
        if head == last {
            Ok(head.seq)
        } else {
            Err(format!("its event {} is not the head, which is event {}", head.seq, last.seq))
        }
    });

    let mut wrong = Vec::new();
    match (records, found_before) {
        (Ok(Step { records, bytes, .. }), None) => {
            writeln!(out, "{dir}: {records} records, {bytes} bytes: the sum holds")
                .map_err(Failure::failed)?;
        }
        (Ok(_), Some(before)) => {
            wrong.push(format!("its records add up now, but a pass has found before: {before}"));
        }
        (Err(error), _) => wrong.push(error.to_string()),
    }
    match log {
        Ok(events) => {
            writeln!(out, "{dir}: log of {events} events: each is chained to the one before, up to the head")
                .map_err(Failure::failed)?
        }
        Err(why) => wrong.push(format!("its log does not hold: {why}")),
    }
    if wrong.is_empty() {
        return Ok(());
    }
    Err(Failure::failed(format!(
        "{dir}: {}. Nothing serves it any more; a backup brings it back: `sigillo restore --help`",
        wrong.join("; ")
    )))
}

/// One pass over all records, by the steps that a service takes.
fn records(engine: &mut dyn Engine) -> Result<Result<Step, Error>, Failure> {
    let style = ProgressStyle::with_template("{spinner} {pos} records").map_err(Failure::failed)?;
    let progress = ProgressBar::no_length().with_style(style);
    let pass = loop {
        match engine.patrol() {
            Ok(step) if !step.ended => progress.set_position(step.records),
            ended => break ended,
        }
    };
    progress.finish_and_clear();
    Ok(pass)
}
