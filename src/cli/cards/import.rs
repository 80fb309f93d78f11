//! `sigillo cards import`: step by step, each answered by the authority and then written down.

use std::{
    io::{self, IsTerminal, Write},
    path::PathBuf,
    time::Duration,
};

use hyper::{
    HeaderMap, Method,
    header::{CONTENT_TYPE, HeaderValue},
};
use indicatif::{ProgressBar, ProgressStyle};

use super::{
    journal::{Done, Journal, Rejected, with_ending},
    lines::Batch,
    report::{Measured, report},
};
use crate::{
    api::cards::{BadLine, Registered},
    cli::{
        Failure,
        client::{Connection, block_on},
    },
    client::{Client, ClientLimits},
    clock::{Clock, SystemClock},
};

/// Arguments of `import`.
#[derive(Debug, clap::Args)]
pub struct Import {
    #[command(flatten)]
    connection: Connection,
    /// Report as one JSON object.
    #[arg(long)]
    json: bool,
    /// File for the lines that are rejected; there only if there are any. Default: FILE.rejected.
    #[arg(long, value_name = "REJECTED")]
    rejected: Option<PathBuf>,
    /// Begin at the first line, whatever an earlier import came to: after a recovery of the authority, for instance.
    #[arg(long)]
    from_start: bool,
    /// Directory of the authority's store, if it is on this machine: says how much of the disk a card takes.
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    /// Process of the authority, if it is on this machine: says how much memory it took at most.
    #[arg(long, value_name = "PID")]
    server_pid: Option<u32>,
    /// NDJSON file.
    file: PathBuf,
}

/// Lines of one request.
const STEP: u64 = 1000;
/// Time for one request: a slow token takes some ms for each line.
const REQUEST_MS: u64 = 120_000;
/// Parts of the file after each of which a line is written where there is no terminal.
const PARTS: u64 = 20;

/// Runs the command and writes its report to `out`.
pub(super) fn run(args: &Import, out: &mut impl Write) -> Result<(), Failure> {
    let client =
        args.connection.client(ClientLimits { request_ms: REQUEST_MS, ..ClientLimits::default() })?;
    let mut batch = Batch::open(&args.file)?;
    let journal = Journal::beside(&args.file);
    let before = if args.from_start { None } else { journal.read(&batch.sha256, &args.connection.url)? };
    let mut done = match before {
        Some(done) => {
            let (line, rest) = (done.lines, batch.lines.saturating_sub(done.lines));
            say(&format!("it goes on after line {line}, {rest} lines are left"))?;
            done
        }
        None => Done { sha256: batch.sha256.clone(), url: args.connection.url.clone(), ..Done::default() },
    };
    batch.go_to(done.bytes).map_err(Failure::failed)?;
    let rejected = args.rejected.clone().unwrap_or_else(|| with_ending(&args.file, ".rejected"));
    let mut rejected = Rejected::open(rejected, done.rejected_bytes)?;
    let measured = Measured::begin(done.lines, args.store.as_deref())?;
    let clock = SystemClock::new();
    let begun = clock.uptime();
    block_on(import(&client, &mut batch, &journal, &mut done, &mut rejected))?;
    let took = clock.uptime().saturating_sub(begun);
    journal.remove()?;
    let measured = measured.end(&done, took, args.server_pid)?;
    report(&done, &measured, rejected.path(), args.json, out)?;
    match done.rejected {
        0 => Ok(()),
        n => Err(Failure::failed(format!("{n} lines were not registered"))),
    }
}

async fn import(
    client: &Client,
    batch: &mut Batch,
    journal: &Journal,
    done: &mut Done,
    rejected: &mut Rejected,
) -> Result<(), Failure> {
    let mut progress = Progress::new(batch.lines, done.lines)?;
    while let Some((step, count)) = batch.next(STEP).map_err(Failure::failed)? {
        let after = done.lines;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
        let (status, _, body) = client.call(Method::POST, "/v1/cards", headers, step).await.map_err(|e| {
            Failure::failed(format!("{e} (after line {after}: give it again, and it goes on there)"))
        })?;
        if !status.is_success() {
            let said = String::from_utf8_lossy(&body);
            let then = if status.is_client_error() { "mend that; then" } else { "give it again, and" };
            return Err(Failure::failed(format!(
                "the authority refused lines after {after}: {status} {said} ({then} it goes on there)"
            )));
        }
        let part: Registered = serde_json::from_slice(&body).map_err(Failure::failed)?;
        let moved = |line: BadLine| BadLine { line: line.line.saturating_add(after), ..line };
        let bad: Vec<BadLine> = part.rejected.into_iter().map(moved).collect();
        rejected.add(&bad)?;
        done.registered = done.registered.saturating_add(part.registered);
        done.unchanged = done.unchanged.saturating_add(part.unchanged);
        done.rejected = done.rejected.saturating_add(u64::try_from(bad.len()).unwrap_or(0));
        done.rejected_bytes = rejected.bytes;
        part.warnings.into_iter().map(moved).for_each(|line| done.warn(line));
        done.lines = after.saturating_add(count);
        done.bytes = batch.offset;
        journal.write(done)?;
        progress.at(done.lines)?;
    }
    progress.bar.finish_and_clear();
    Ok(())
}

/// A bar on a terminal, now and then a line elsewhere. Both on standard error.
struct Progress {
    bar: ProgressBar,
    clock: SystemClock,
    begun: Duration,
    first: u64,
    lines: u64,
    /// Where the next line is due; nothing on a terminal.
    next: Option<u64>,
}

impl Progress {
    fn new(lines: u64, first: u64) -> Result<Self, Failure> {
        let style = "{bar:40} {pos}/{len} cards, {per_sec}, {eta} left";
        let style = ProgressStyle::with_template(style).map_err(Failure::failed)?;
        let bar = ProgressBar::new(lines).with_style(style).with_position(first);
        let clock = SystemClock::new();
        let begun = clock.uptime();
        let part = lines.div_ceil(PARTS).max(STEP);
        let next = (!io::stderr().is_terminal()).then(|| first.saturating_add(part));
        Ok(Self { bar, clock, begun, first, lines, next })
    }

    fn at(&mut self, line: u64) -> Result<(), Failure> {
        self.bar.set_position(line);
        let Some(due) = self.next.filter(|due| *due <= line && line < self.lines) else { return Ok(()) };
        self.next = Some(due.saturating_add(self.lines.div_ceil(PARTS).max(STEP)));
        let millis = self.clock.uptime().saturating_sub(self.begun).as_millis().max(1);
        let done = u128::from(line.saturating_sub(self.first));
        let rate = done.saturating_mul(1000).checked_div(millis).unwrap_or(0).max(1);
        let left = u128::from(self.lines.saturating_sub(line)).checked_div(rate).unwrap_or(0);
        say(&format!("{line} of {} cards, {rate} a second, {left} s left", self.lines))
    }
}

/// Says something on standard error; who has closed it is not told.
fn say(text: &str) -> Result<(), Failure> {
    crate::cli::unread(writeln!(io::stderr(), "sigillo: {text}"), ()).map_err(Failure::failed)
}
