//! `sigillo cards export`: what the codes of a batch are derived from, in a file of its own.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
};

use hyper::{
    HeaderMap, Method,
    header::{ACCEPT, CONTENT_TYPE, HeaderValue},
};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Deserialize;

use super::lines::Batch;
use crate::{
    card_export::{MOST, Refused},
    cli::{
        Failure,
        client::{Connection, block_on},
    },
    client::{Client, ClientLimits},
};

/// Arguments of `export`.
#[derive(Debug, clap::Args)]
pub struct Export {
    #[command(flatten)]
    connection: Connection,
    /// File to write; it must not exist.
    #[arg(long, value_name = "OUT")]
    out: PathBuf,
    /// NDJSON file of the batch.
    file: PathBuf,
}

/// Time for one request.
const REQUEST_MS: u64 = 300_000;
/// Lines about lines that gave no card.
const SHOWN: usize = 1000;

/// The one kind of line that is looked at here.
#[derive(Deserialize)]
struct Line {
    refused: Refused,
}

/// Runs the command and writes its report to `out`.
pub(super) fn run(args: &Export, out: &mut impl Write) -> Result<(), Failure> {
    let limits = ClientLimits { request_ms: REQUEST_MS, ..ClientLimits::default() };
    let client = args.connection.client(limits)?;
    let mut batch = Batch::open(&args.file)?;
    let at = |e: std::io::Error| Failure::failed(format!("{}: {e}", args.out.display()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&args.out).map_err(at)?;
    let exported = block_on(export(&client, &mut batch, &mut file));
    let (cards, refused) = match exported.and_then(|it| file.sync_all().map_err(at).map(|()| it)) {
        Ok(exported) => exported,
        Err(e) => {
            fs::remove_file(&args.out).map_err(at)?;
            return Err(e);
        }
    };
    for line in refused.iter().take(SHOWN) {
        writeln!(out, "line {}: no card: {}", line.line, line.code).map_err(Failure::failed)?;
    }
    writeln!(out, "{cards} cards in {}", args.out.display()).map_err(Failure::failed)?;
    match refused.len() {
        0 => Ok(()),
        n => Err(Failure::failed(format!("{n} lines gave no card"))),
    }
}

async fn export(client: &Client, batch: &mut Batch, to: &mut File) -> Result<(usize, Vec<Refused>), Failure> {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} cards, {per_sec}, {eta} left");
    let bar = ProgressBar::new(batch.lines).with_style(style.map_err(Failure::failed)?);
    let (mut cards, mut all) = (0_usize, Vec::new());
    let (mut before, most) = (0_u64, u64::try_from(MOST).unwrap_or(u64::MAX));
    while let Some((step, count)) = batch.next(most).map_err(Failure::failed)? {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/x-ndjson"));
        let answer = client.call(Method::POST, "/v1/cards/export", headers, step).await;
        let (status, _, body) = answer.map_err(Failure::failed)?;
        if !status.is_success() {
            let said = String::from_utf8_lossy(&body);
            return Err(Failure::failed(format!(
                "the authority refused lines after {before}: {status} {said}"
            )));
        }
        to.write_all(&body).map_err(Failure::failed)?;
        for line in body.split(|byte| *byte == b'\n') {
            if line.starts_with(b"{\"card\"") {
                cards = cards.saturating_add(1);
            } else if let Ok(Line { refused }) = serde_json::from_slice(line) {
                all.push(Refused { line: refused.line.saturating_add(before), ..refused });
            }
        }
        before = before.saturating_add(count);
        bar.set_position(before);
    }
    bar.finish_and_clear();
    Ok((cards, all))
}
