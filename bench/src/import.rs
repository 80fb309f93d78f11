//! `sigillo-bench import`: what the registration of a produced card costs.

use std::{fmt, fs::File, io::BufWriter, path::PathBuf, sync::atomic::Ordering, time::Duration};

use sigillo_bench::cards::{cards, write};

use crate::{
    load::{self, Pace, Plan, Windows},
    meter::size,
    number::{float, per},
    place::{Authority, http},
    run::Run,
    soak,
    work::Register,
};

/// Registers fictional cards by `POST /v1/cards`, as the bureau does.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sigillo-bench import --count 100000 --pid 4711 --internal 127.0.0.1:9464 --store demo/authority/store
  sigillo-bench import --count 20000 --keep cards.ndjson       # for --cards of activate, courier, mixed and soak
  sigillo-bench import --from 20000 --count 20000 --in-flight 4

The cards are made here, the same for the same seed and numbers. Cards that are registered already are an error, since they
cost less: begin behind them with --from, or take another --seed.")]
pub(crate) struct Import {
    #[command(flatten)]
    pub(crate) authority: Authority,
    /// How many cards.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    pub(crate) count: u64,
    /// Number of the first of them.
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) from: u64,
    /// Another seed, other cards.
    #[arg(long, default_value_t = SEED)]
    pub(crate) seed: u64,
    /// Cards of one request. `sigillo cards import` has 1000.
    #[arg(long, default_value_t = 1000, value_name = "N")]
    pub(crate) step: usize,
    /// Requests in flight. `sigillo cards import` has one.
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(crate) in_flight: usize,
    /// HTTP/2 instead of HTTP/1.1.
    #[arg(long)]
    pub(crate) http2: bool,
    /// Directory of the authority's store, if it is on this machine: how much of the disk a card takes.
    #[arg(long, value_name = "DIR")]
    pub(crate) store: Option<PathBuf>,
    /// Writes the cards to this new file too.
    #[arg(long, value_name = "FILE")]
    pub(crate) keep: Option<PathBuf>,
    /// Adds what is measured to this file of results, for `compare` and `plot`. Its requests are steps, not cards.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

/// Seed of cards that are registered for load: not the one of demonstrations and `cards`.
pub(crate) const SEED: u64 = 41;

/// What a registration measured.
#[derive(Clone, Debug)]
pub(crate) struct Imported {
    /// Of steps.
    pub(crate) run: Run,
    /// Cards that the authority took.
    pub(crate) cards: u64,
    /// Bytes on the disk that the store has more.
    pub(crate) stored: Option<u64>,
}

impl Imported {
    /// Cards a second.
    pub(crate) fn per_second(&self) -> Option<f64> {
        per(float(self.cards), self.run.seconds)
    }

    /// Bytes on the disk for a card.
    pub(crate) fn stored_each(&self) -> Option<f64> {
        per(float(self.stored?), float(self.cards))
    }

    /// A figure of each step, for each card.
    fn each(&self, of_step: Option<f64>) -> Option<f64> {
        per(of_step? * float(self.run.requests), float(self.cards))
    }
}

impl fmt::Display for Imported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or_dash = |value: Option<f64>| value.map_or_else(|| "-".into(), |value| format!("{value:.2}"));
        writeln!(f, "{}", self.run)?;
        write!(
            f,
            "  {} cards, {} /s; each card: server {} us of CPU, HSM calls {}, commits {}, bytes to disk {}, bytes on disk {}",
            self.cards,
            or_dash(self.per_second()),
            or_dash(self.each(self.run.server_us)),
            or_dash(self.each(self.run.hsm_calls)),
            or_dash(self.each(self.run.commits)),
            or_dash(self.each(self.run.written)),
            or_dash(self.stored_each()),
        )
    }
}

/// More cards are told of as they go, by requests.
const MANY: u64 = 50_000;
const TOLD_EACH: Duration = Duration::from_secs(20);

/// Registers and measures.
///
/// # Errors
/// Not all cards were taken as new ones.
pub(crate) async fn import(import: &Import) -> Result<Imported, String> {
    let Import { authority, count, from, seed, step, in_flight, http2, store, .. } = import;
    let to = from.saturating_add(*count);
    if let Some(file) = &import.keep {
        let fault = |e: std::io::Error| format!("--keep {}: {e}", file.display());
        let kept = BufWriter::new(File::create_new(file).map_err(fault)?);
        write(cards(*seed, *from, to), kept).map_err(fault)?;
    }
    let stored = || store.as_deref().map(|at| size(at).map_err(|e| format!("{}: {e}", at.display())));
    let before = stored().transpose()?;
    let work = Register::new(authority.bureau(*http2)?, cards(*seed, *from, to), *step);
    let taken = work.taken();
    let plan = Plan {
        pace: Pace::Closed(*in_flight),
        warm_up: Duration::ZERO,
        time: Duration::MAX,
        calls: false,
        windows: if *count > MANY {
            Windows { each: TOLD_EACH, tell: Some(soak::tell) }
        } else {
            Windows::SHORT
        },
    };
    let what = format!("import of {step} cards a request, {}", http(*http2));
    let run = load::run(&what, work, plan, &authority.server()).await?.without_errors()?;
    let after = stored().transpose()?;
    let stored = after.zip(before).map(|(after, before)| after.saturating_sub(before));
    match taken.load(Ordering::Relaxed) {
        cards if cards == *count => Ok(Imported { run, cards, stored }),
        cards => Err(format!("{cards} of {count} cards were registered")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_steps_become_those_of_cards() {
        let run = Run { requests: 3, seconds: 2.0, server_us: Some(1000.0), ..Run::default() };
        let done = Imported { run, cards: 2500, stored: Some(500_000) };
        let text = done.to_string();
        let line = text.lines().last().unwrap();
        assert!(
            line.starts_with("  2500 cards, 1250.00 /s; each card: server 1.20 us of CPU, HSM calls -"),
            "{line}"
        );
        assert!(line.ends_with("bytes on disk 200.00"), "{line}");
        assert_eq!(Imported { stored: None, ..done }.stored_each(), None);
    }
}
