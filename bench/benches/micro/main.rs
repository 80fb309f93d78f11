//! What the smallest parts cost: wall-clock time (divan), and instructions (callgrind), which a noisy machine does not change.
//!
//! `cargo bench --bench micro` measures times, `cargo bench --bench micro -- instructions` counts. Both first make a token of
//! their own, and start this program again with the variables that its module reads.
#![expect(clippy::print_stdout, reason = "the figures are what this program is for")]

mod cases;
mod count;
mod place;

use std::process::ExitCode;

use clap::Parser;

/// Counts the instructions of a turn of each case, and compares them with the baseline.
#[derive(Debug, Parser)]
#[command(after_help = "\
Examples:
  cargo bench -p sigillo-bench --bench micro -- instructions
  cargo bench -p sigillo-bench --bench micro -- instructions --only store
  cargo bench -p sigillo-bench --bench micro -- instructions --record

Exit code 1 if a case costs more than the baseline by more than its tolerance, or is not in it.")]
struct Instructions {
    /// Writes what is counted into the baseline, for the profile of this build.
    #[arg(long)]
    record: bool,
    /// Only cases whose name has this in it; then nothing can be recorded.
    #[arg(long, value_name = "TEXT", conflicts_with = "record")]
    only: Option<String>,
    /// The baseline.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/instructions.toml"), value_name = "FILE")]
    baseline: std::path::PathBuf,
}

fn main() -> ExitCode {
    // What cargo adds for every harness.
    let arguments: Vec<String> = std::env::args().filter(|argument| argument != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.get(1..) {
        Some(["case", name, turns]) => cases::run(name, turns),
        Some(["instructions", ..]) => count::all(&Instructions::parse_from(words.into_iter().skip(1))),
        Some(_) | None if place::is_ready() => {
            divan::main();
            Ok(())
        }
        Some(_) | None => place::make().and_then(|place| place.again()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            println!("{why}");
            ExitCode::FAILURE
        }
    }
}

#[divan::bench(args = cases::names())]
fn micro(bencher: divan::Bencher<'_, '_>, name: &str) {
    #[expect(
        clippy::expect_used,
        reason = "without the case there is nothing to measure; the reason is told"
    )]
    let mut turn = cases::find(name).and_then(|case| (case.make)()).expect("the case can be set up");
    #[expect(clippy::expect_used, reason = "a turn that fails is not one whose time means something")]
    bencher.bench_local(|| turn().expect("the turn is done"));
}
