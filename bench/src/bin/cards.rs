//! Batches of cards of nobody, of any size, for `sigillo cards import`.

use std::{
    io::{self, BufWriter},
    process::ExitCode,
};

use clap::Parser;
use sigillo_bench::cards::{cards, write};

/// Writes fictional cards as NDJSON, the same for the same seed. Numbers are all different; every check character holds.
#[derive(Debug, Parser)]
#[command(after_help = "\
Example:
  cargo run --release -p sigillo-bench --bin cards -- 1000000 > million.ndjson")]
struct Arguments {
    /// How many cards, at most 10^9.
    count: u64,
    /// Another seed, other cards.
    #[arg(long, default_value_t = 2026)]
    seed: u64,
}

fn main() -> ExitCode {
    let Arguments { count, seed } = Arguments::parse();
    match write(cards(seed, 0, count), BufWriter::new(io::stdout().lock())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
