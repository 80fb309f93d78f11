//! Batches of cards of nobody, of any size, for `sigillo cards import`.

use std::{
    io::{self, BufWriter, Write},
    process::ExitCode,
};

use clap::Parser;
use sigillo::{
    api::cards::NewCard,
    domain::{fictional, team::Region},
};

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
    match write(count, seed, BufWriter::new(io::stdout().lock())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn write(count: u64, seed: u64, mut to: impl Write) -> io::Result<()> {
    let regions: Vec<Region> = Region::KNOWN.iter().map(|(region, _)| *region).collect();
    for card in fictional::cards(seed, count, &regions) {
        let line = NewCard {
            tax_code: card.tax_code.as_str().into(),
            team_number: card.team_number.as_str().into(),
            expires_on: card.expiry.to_string(),
            renews: None,
            replaces: None,
        };
        serde_json::to_writer(&mut to, &line)?;
        to.write_all(b"\n")?;
    }
    to.flush()
}
