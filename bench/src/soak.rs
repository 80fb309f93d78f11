//! `sigillo-bench soak`: the mixture for a long time, and whether memory stays where it was.
#![expect(clippy::print_stdout, reason = "who waits for so long is told how it goes")]

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use crate::{
    audit::Audit,
    load::{Pace, Plan, Windows},
    measure,
    number::{count, float},
    place::{Authority, Place, of_file},
    run::{Run, Window},
    work::cards_for,
};

/// The mixture at a rate for a long time, with memory and latencies as it goes.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples (after `demo demo --keep-running --for-load` in another terminal):
  sigillo-bench import --count 30000 --keep cards.ndjson
  sigillo-bench soak --cards cards.ndjson --pid \"$(pgrep -f 'sigillo serve')\"
  sigillo-bench soak --cards cards.ndjson --pid 4711 --minutes 480 --rate 40 --sigillo target/release/sigillo

Memory is flat if at the end it is at most --most times what it was after a quarter of the time. Exit code 1 if it is not, if it
is not known (no --pid), if a request had an error or the audit log does not verify.")]
pub(crate) struct Soak {
    #[command(flatten)]
    authority: Authority,
    /// Cards as NDJSON, registered and not yet active: 22 for each 100 turns, and some more.
    #[arg(long, value_name = "FILE")]
    cards: PathBuf,
    /// Turns a second.
    #[arg(long, default_value_t = RATE, value_name = "PER_SECOND")]
    rate: f64,
    /// How long, without the warm-up.
    #[arg(long, default_value_t = 30.0)]
    minutes: f64,
    /// Seconds before anything counts.
    #[arg(long, default_value_t = 10, value_name = "SECONDS")]
    warm_up: u64,
    /// Memory at the end by memory at the quarter, at most.
    #[arg(long, default_value_t = 1.05, value_name = "QUOTIENT")]
    most: f64,
    /// HTTP/2 instead of HTTP/1.1.
    #[arg(long)]
    http2: bool,
    /// Exports the audit log afterwards and verifies it with this program; without it, the commands for that are printed.
    #[arg(long, value_name = "FILE")]
    sigillo: Option<PathBuf>,
    /// The authority's public key of the audit log.
    #[arg(long, default_value = "demo/authority/public/audit.pub.pem", value_name = "FILE")]
    audit_key: PathBuf,
    /// A file for the export of the audit log, which is removed again.
    #[arg(long, default_value = "audit.ndjson", value_name = "FILE")]
    export: PathBuf,
    /// Adds what is measured to this file of results, for `compare` and `plot`.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

/// Turns of the mixture a second.
pub(crate) const RATE: f64 = 60.0;
/// Parts that are told.
const PARTS: u32 = 30;

impl Soak {
    /// Makes the run; its end is told by [`Soak::judge`].
    pub(crate) async fn run(&self) -> Result<Run, String> {
        if !(0.05..=100_000.0).contains(&self.minutes) {
            return Err(format!("--minutes {}: 0.05 to 100,000", self.minutes));
        }
        let time = Duration::from_secs_f64(self.minutes * 60.0);
        let warm_up = Duration::from_secs(self.warm_up);
        let cards = of_file(&self.cards)?;
        enough(float(count(cards.len())), self.rate * time.saturating_add(warm_up).as_secs_f64())
            .map_err(|why| format!("{}: {why}", self.cards.display()))?;
        let plan = Plan { pace: Pace::Open(self.rate), warm_up, time, calls: false, windows: parts(time) };
        let place = Place {
            authority: self.authority.clone(),
            cards: None,
            http2: self.http2,
            in_flight: 1,
            rate: Some(self.rate),
            warm_up: self.warm_up,
            seconds: time.as_secs(),
            out: None,
        };
        println!("mixed, {:.0} turns a second for {} minutes", self.rate, self.minutes);
        measure::mixed(&place, &Arc::new(cards), plan).await
    }

    /// Says whether it went well.
    ///
    /// # Errors
    /// Why it did not.
    pub(crate) fn judge(&self, run: &Run) -> Result<(), String> {
        let flat = flat(run, self.most);
        println!("  {}", flat.as_ref().map_or_else(|why| format!("NOT flat: {why}"), Clone::clone));
        let sigillo = self.sigillo.as_deref().unwrap_or_else(|| Path::new("sigillo"));
        let audit =
            Audit { authority: &self.authority, sigillo, key: &self.audit_key, export: self.export.clone() };
        if self.sigillo.is_some() {
            println!(
                "  {}",
                audit.verify().flatten().map_err(|why| format!("the audit log does not verify: {why}"))?
            );
        } else {
            print!("Not verified yet: the audit log.\n{}", audit.how());
        }
        whole(run, self.minutes * 60.0)?;
        flat.map(drop).map_err(|why| format!("memory is not called flat: {why}"))
    }
}

/// The parts of a long run, each told when it has ended.
pub(crate) fn parts(time: Duration) -> Windows {
    let each = time.checked_div(PARTS).unwrap_or(time);
    Windows { each, tell: Some(tell) }
}

/// Whether so many turns find a card to activate.
fn enough(cards: f64, turns: f64) -> Result<(), String> {
    let wanted = cards_for(turns);
    if cards >= wanted {
        return Ok(());
    }
    Err(format!(
        "{cards} cards, but {turns:.0} turns take {wanted}: sigillo-bench import --count {wanted} --keep FILE"
    ))
}

/// Tells how a long run goes.
pub(crate) fn tell(at: Duration, window: &Window) {
    println!("{}", line(at, window));
}

/// A part that has ended.
fn line(at: Duration, window: &Window) -> String {
    let ms = |us: u64| Duration::from_micros(us).as_secs_f64() * 1e3;
    let (minutes, seconds) = (at.as_secs() / 60, at.as_secs() % 60);
    let rate = float(window.requests) / window.seconds.max(f64::MIN_POSITIVE);
    let memory = window.resident_mib.map_or_else(|| "-".into(), |mib| format!("{mib:.1}"));
    format!(
        "  {minutes:>4}:{seconds:02}  {rate:6.1} /s  p50 {:7.1} ms  p99 {:7.1} ms  {memory:>7} MiB",
        ms(window.p50_us),
        ms(window.p99_us)
    )
}

/// Whether memory is where it was.
fn flat(run: &Run, most: f64) -> Result<String, String> {
    let growth = run.memory_growth().ok_or("memory is not known: --pid says whose")?;
    let each =
        run.memory_each().map_or_else(String::new, |bytes| format!(", {bytes:.0} B more with each turn"));
    let said = format!("memory at the end is {growth:.3} of that at the quarter (at most {most}){each}");
    if growth <= most { Ok(said) } else { Err(said) }
}

/// A run that broke off early, or had errors, shows nothing.
fn whole(run: &Run, seconds: f64) -> Result<(), String> {
    run.clone().without_errors()?;
    if run.seconds >= seconds * 0.99 {
        return Ok(());
    }
    Err(format!("it ended after {:.0} of {seconds:.0} s", run.seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(memory: &[f64]) -> Run {
        let window = |mib: &f64| Window { resident_mib: Some(*mib), ..Window::default() };
        Run { windows: memory.iter().map(window).collect(), requests: 9, seconds: 60.0, ..Run::default() }
    }

    #[test]
    fn memory_is_flat_from_the_quarter_on_and_a_warm_up_does_not_count() {
        flat(&run(&[10.0, 100.0, 101.0, 104.9]), 1.05).unwrap();
        let why = flat(&run(&[10.0, 100.0, 200.0, 105.1]), 1.05).unwrap_err();
        assert!(why.contains("1.051 of that"), "{why}");
        assert!(flat(&Run::default(), 1.05).unwrap_err().contains("--pid"));
    }

    #[test]
    fn a_run_with_errors_or_cut_short_shows_nothing() {
        whole(&run(&[]), 60.0).unwrap();
        assert!(whole(&run(&[]), 120.0).unwrap_err().contains("after 60 of 120 s"));
        assert!(whole(&Run { errors: 1, ..run(&[]) }, 60.0).unwrap_err().contains("1 errors"));
    }

    #[test]
    fn too_few_cards_are_told_before_the_hours_and_not_behind_them() {
        enough(30_000.0, 60.0 * 1800.0).unwrap();
        assert!(enough(20_000.0, 60.0 * 1800.0).unwrap_err().contains("--count 24998"));
    }

    #[test]
    fn a_part_is_a_line() {
        let window =
            Window { seconds: 2.0, requests: 120, p50_us: 12_300, p99_us: 45_600, ..Window::default() };
        let line = line(Duration::from_secs(125), &window);
        assert_eq!(line, "     2:05    60.0 /s  p50    12.3 ms  p99    45.6 ms        - MiB");
    }
}
