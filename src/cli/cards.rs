//! `sigillo cards`: produced cards, from a file to the authority, and back what their chips' codes are derived from.

pub mod export;
pub mod import;
mod journal;
mod lines;
mod report;

use std::io::Write;

use super::Failure;

/// `sigillo cards ...`
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Write what the codes of registered cards are derived from, for `sigillo personalise`.
    #[command(after_help = "\
Example:
  sigillo cards export --url https://127.0.0.1:8443 --ca ca.pem --cert personalisation.pem \\
    --key personalisation.key --out batch-17.cards batch-17.ndjson

The batch is the one that was imported. The caller needs the action \"export_cards\", and every card is an event of the audit log.
The file has no code and no part of one; it is signed by the authority, and opens nothing without both tokens. Cards that are
active or revoked, or not registered, are not in it: they are listed, with their lines.

Exit codes: 0 every line is in it; 1 some are not, and the file has the others; 1 too where the export broke off, and there is
no file; 64 bad options.")]
    Export(export::Export),
    /// Register the cards of an NDJSON file, one card a line.
    #[command(after_help = "\
Examples:
  sigillo cards import --url https://127.0.0.1:8443 --ca ca.pem \\
    --cert bureau.pem --key bureau.key cards.ndjson
  sigillo cards import --url https://127.0.0.1:8443 --ca ca.pem --cert bureau.pem --key bureau.key \\
    --rejected bad.ndjson --json cards.ndjson

A line: {\"tax_code\": \"...\", \"team_number\": \"...\", \"expires_on\": \"2031-05-31\"}, and \"renews\" or
\"replaces\" with the number of the former card. Good lines go in, bad ones are written to the file of rejected lines, each with
line, code and reason.

An import that ends early, however it ends, goes on where it stopped when it is given again: FILE.import says how far it came,
and of which file (SHA-256), so that a file that was changed meanwhile is refused. No card is registered twice. The file
of any length is read as it goes. Without a terminal progress is written as lines.

Exit codes: 0 every line is registered; 1 some are not, the authority did not answer, or the file was changed; 64 bad
options.")]
    Import(import::Import),
}

/// Runs the command and writes its report to `out`.
pub fn run(command: &Command, out: &mut impl Write) -> Result<(), Failure> {
    match command {
        Command::Export(args) => export::run(args, out),
        Command::Import(args) => import::run(args, out),
    }
}
