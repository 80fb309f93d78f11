//! `sigillo cards`: registering produced cards from a file.

use std::{
    fs,
    io::{self, Write},
    path::PathBuf,
};

use hyper::{
    HeaderMap, Method,
    header::{CONTENT_TYPE, HeaderValue},
};
use indicatif::ProgressBar;

use super::{
    Failure,
    client::{Connection, block_on},
};
use crate::{
    api::cards::{BadLine, Registered},
    client::{Client, ClientLimits},
};

/// `sigillo cards ...`
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Register the cards of an NDJSON file, one card a line.
    #[command(after_help = "\
Example:
  sigillo cards import --url https://127.0.0.1:8443 --ca ca.pem \\
    --cert bureau.pem --key bureau.key cards.ndjson

A line: {\"tax_code\": \"...\", \"team_number\": \"...\", \"expires_on\": \"2031-05-31\"}, and \"renews\" or
\"replaces\" with the number of the former card. Good lines go in, bad ones are reported; a rerun is safe.

Exit codes: 0 every line is registered; 1 some are not, or the authority did not answer; 64 bad options.")]
    Import(Import),
}

/// Arguments of `import`.
#[derive(Debug, clap::Args)]
pub struct Import {
    #[command(flatten)]
    connection: Connection,
    /// Report as one JSON object.
    #[arg(long)]
    json: bool,
    /// NDJSON file.
    file: PathBuf,
}

/// Lines of one request.
const STEP: usize = 500;

/// Runs the command and writes its report to `out`.
pub fn run(command: &Command, out: &mut impl Write) -> Result<(), Failure> {
    let Command::Import(args) = command;
    let text = fs::read_to_string(&args.file)
        .map_err(|e| Failure::failed(format!("{}: {e}", args.file.display())))?;
    let client = args.connection.client(ClientLimits::default())?;
    let total = block_on(import(&client, &text))?;
    report(&total, args.json, out).map_err(Failure::failed)?;
    match total.rejected.len() {
        0 => Ok(()),
        n => Err(Failure::failed(format!("{n} lines were not registered"))),
    }
}

async fn import(client: &Client, text: &str) -> Result<Registered, Failure> {
    let lines: Vec<&str> = text.lines().collect();
    let progress = ProgressBar::new(u64::try_from(lines.len()).unwrap_or(u64::MAX));
    let mut total = Registered::default();
    let mut before = 0_u64;
    for step in lines.chunks(STEP) {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
        let (status, _, body) = client
            .call(Method::POST, "/v1/cards", headers, step.join("\n"))
            .await
            .map_err(|e| Failure::failed(format!("{e} (after line {before}; a rerun is safe)")))?;
        if !status.is_success() {
            let said = String::from_utf8_lossy(&body);
            return Err(Failure::failed(format!(
                "the authority refused lines after {before}: {status} {said}"
            )));
        }
        let part: Registered = serde_json::from_slice(&body).map_err(Failure::failed)?;
        let moved = |line: BadLine| BadLine { line: line.line.saturating_add(before), ..line };
        total.registered = total.registered.saturating_add(part.registered);
        total.unchanged = total.unchanged.saturating_add(part.unchanged);
        total.rejected.extend(part.rejected.into_iter().map(moved));
        total.warnings.extend(part.warnings.into_iter().map(moved));
        let done = u64::try_from(step.len()).unwrap_or(0);
        before = before.saturating_add(done);
        progress.inc(done);
    }
    progress.finish_and_clear();
    Ok(total)
}

fn report(total: &Registered, json: bool, out: &mut impl Write) -> io::Result<()> {
    if json {
        serde_json::to_writer(&mut *out, total)?;
        return writeln!(out);
    }
    for (kind, lines) in [("warning", &total.warnings), ("rejected", &total.rejected)] {
        for line in lines {
            let field = line.field.as_deref().unwrap_or("");
            writeln!(out, "line {}: {kind}: {} {field} {}", line.line, line.code, line.detail)?;
        }
    }
    let (new, old, bad) = (total.registered, total.unchanged, total.rejected.len());
    writeln!(out, "{new} registered, {old} registered before, {bad} rejected")
}
