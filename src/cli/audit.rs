//! `sigillo audit`: export of the log, and its verification with nothing but a copy and a public key.

pub mod note;
pub mod replace_key;

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, BufWriter, Write},
    path::{Path, PathBuf},
};

use hyper::HeaderMap;
use indicatif::{ProgressBar, ProgressStyle};
use rustls_pki_types::{SubjectPublicKeyInfoDer, pem::PemObject};

use super::{
    Failure,
    client::{Connection, block_on, download},
};
use crate::{
    api,
    client::ClientLimits,
    courier::judge::KEPT_OF_AUTHORITY,
    domain::{
        self,
        checkpoint::{self, Checkpoint, Verified},
        handover::key_id,
        operations::{Account, Bounds},
    },
    files,
    store::{Space, durable, logged_event, sled},
};

/// Events read at a time.
const STEP: usize = 1024;

/// `sigillo audit ...`
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Write the log of a running authority to a file.
    #[command(after_help = "\
Example:
  sigillo audit export --url https://127.0.0.1:8443 --ca ca.pem \\
    --cert auditor.pem --key auditor.key --out audit.ndjson

Exit codes: 0 done; 1 the export broke off (the file is not kept); 64 bad options.")]
    Export(Export),
    /// Write the log of a store to a file, offline: of a stopped courier or authority, or of a copy of its store.
    #[command(after_help = "\
Example:
  sigillo audit export-store --store courier/state --out courier-audit.ndjson
  sigillo audit verify --public-key courier/public/audit.pub.pem courier-audit.ndjson

The newest checkpoint stands where it belongs. Events after it, which a process that was killed may leave, are in
the file and vouched for by nothing: `verify` says so; the next start signs them.

Exit codes: 0 done; 1 no store there, in use, or damaged; 64 bad options.")]
    ExportStore(ExportStore),
    /// Count the operations with the keys of codes that an export accounts for.
    #[command(after_help = "\
Example:
  sigillo audit operations audit.ndjson
  sigillo audit operations courier-audit.ndjson

Compare `since the last start` with sigillo_hsm_operations_total of that process, and the total with the counters of the
HSM if it has any, less the checks of each start. More operations than the upper bound mean that a key was used without
an intent. Verify the export first: this command looks at counts, not at signatures.

Exit codes: 0 done; 1 the file cannot be read, or an outcome does not fit its intent; 64 bad options.")]
    Operations(Counting),
    /// Write a checkpoint as a signed note (c2sp.org/signed-note), and say its key as verifiers of notes take it.
    #[command(after_help = "\
Example:
  curl ... https://127.0.0.1:8443/v1/audit/checkpoint > checkpoint.json
  sigillo audit note --public-key audit.pub.pem --out checkpoint.note checkpoint.json
  sigillo audit verify --public-key audit.pub.pem --witness checkpoint.note audit.ndjson

The text is the checkpoint's own, and so is the signature (ECDSA P-256, signature type 2). A witness may add its own
signatures; `audit verify` and `recover` take the note as any checkpoint kept elsewhere. It is no tlog-checkpoint: the log
is a chain and has no tree.

Exit codes: 0 done; 1 the checkpoint does not hold under this key, or a file cannot be read or written; 64 bad options.")]
    Note(note::Note),
    /// Replace the authority's audit key by a new one, which the log says itself.
    #[command(after_help = "\
Example:
  sigillo audit replace-key --config serve.toml --out audit.pub.pem

`serve` must not run. Makes a new key in the token, writes the handover to the log under both keys, signs a new
checkpoint, destroys the former private half, and writes the public halves, the new one first. If it breaks off, give the
same command again: until it has come to its end, `serve` and every other command refuse the token.

Afterwards put the file where the courier's `authority.audit_key` names it, start both again, and take a backup.
`audit verify` takes the former public key or the new one.

Exit codes: 0 done; 1 refused or failed; 64 bad options or configuration.")]
    ReplaceKey(replace_key::ReplaceKey),
    /// Verify an export offline: every link, every checkpoint, no event missing.
    #[command(after_help = "\
Example:
  sigillo audit verify --public-key audit.pub.pem audit.ndjson
  sigillo audit verify --public-key audit.pub.pem --witness checkpoint-of-yesterday.txt audit.ndjson

An export alone shows changes, removals in the middle and reordering. That its end was not cut off only a
checkpoint kept elsewhere can show: keep the answer of /v1/audit/checkpoint now and then, and give one that is
older than the export with --witness.

Exit codes: 0 the log holds; 1 it does not, or cannot be read; 64 bad options.")]
    Verify(Verify),
    /// Write the newest checkpoint of the authority that a stopped courier keeps, as a witness.
    #[command(after_help = "\
Example:
  sigillo audit witness --store courier/state --out authority-checkpoint.txt
  sigillo recover plan --config serve.toml --evidence audit.ndjson --witness authority-checkpoint.txt --out order.txt

`recover plan`, `recover apply` and `audit verify` take it as any checkpoint kept elsewhere, and check its signature.

Exit codes: 0 done; 1 no store there, in use, or nothing kept in it yet; 64 bad options.")]
    Witness(Witness),
}

/// Arguments of `export`.
#[derive(Debug, clap::Args)]
pub struct Export {
    #[command(flatten)]
    connection: Connection,
    /// File to write; it must not exist.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Arguments of `export-store`.
#[derive(Debug, clap::Args)]
pub struct ExportStore {
    /// Directory of the store.
    #[arg(long, value_name = "DIR")]
    store: PathBuf,
    /// File to write; it must not exist.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Arguments of `verify`.
#[derive(Debug, clap::Args)]
pub struct Verify {
    /// Public half of the authority's audit key, PEM: the one in force or any before it. Of several in the file the first one.
    #[arg(long, value_name = "FILE")]
    public_key: PathBuf,
    /// A checkpoint kept elsewhere; may be given more than once.
    #[arg(long, value_name = "FILE")]
    witness: Vec<PathBuf>,
    /// Answer as one JSON object.
    #[arg(long)]
    json: bool,
    /// The export.
    file: PathBuf,
}

/// Arguments of `witness`.
#[derive(Debug, clap::Args)]
pub struct Witness {
    /// Directory of the courier's store.
    #[arg(long, value_name = "DIR")]
    store: PathBuf,
    /// File to write; it must not exist.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Arguments of `operations`.
#[derive(Debug, clap::Args)]
pub struct Counting {
    /// Answer as one JSON object.
    #[arg(long)]
    json: bool,
    /// The export.
    file: PathBuf,
}

/// Runs the command and writes its answer to `out`.
pub fn run(command: &Command, out: &mut impl Write) -> Result<(), Failure> {
    match command {
        Command::Export(args) => export(args, out),
        Command::ExportStore(args) => export_store(args, out),
        Command::Note(args) => note::run(args, out),
        Command::Operations(args) => operations(args, out),
        Command::ReplaceKey(args) => replace_key::run(args, out),
        Command::Verify(args) => verify(args, out),
        Command::Witness(args) => witness(args, out),
    }
}

fn export(args: &Export, out: &mut impl Write) -> Result<(), Failure> {
    let client = args.connection.client(ClientLimits::default())?;
    let written = block_on(download(&client, "/v1/audit/events", HeaderMap::new(), &args.out, 0o644))?;
    writeln!(out, "{} bytes in {}", written, args.out.display()).map_err(Failure::failed)
}

/// Even a store that was found damaged: its log, and what is kept in it of another's, prove themselves.
fn looked_at(dir: &Path) -> sled::Config {
    sled::Config { even_damaged: true, ..sled::Config::new(dir) }
}

fn export_store(args: &ExportStore, out: &mut impl Write) -> Result<(), Failure> {
    durable::deny_sync_file_range().map_err(Failure::failed)?;
    let (engine, reader) = sled::open(&looked_at(&args.store)).map_err(Failure::failed)?;
    let at = |e: &dyn std::error::Error| Failure::failed(format!("{}: {e}", args.out.display()));
    let mut file = BufWriter::new(File::create_new(&args.out).map_err(|e| at(&e))?);
    let checkpoint = reader.get(Space::Checkpoint, b"latest").map_err(Failure::failed)?;
    let checkpoint = checkpoint.map(|found| String::from_utf8_lossy(&found.value).into_owned());
    let signed = checkpoint.as_deref().and_then(checkpoint::sequence);
    let last = engine.head().seq;
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} events").map_err(Failure::failed)?;
    let progress = ProgressBar::new(last).with_style(style);
    let mut seq = 0_u64;
    while seq < last {
        let from = seq.saturating_add(1).to_be_bytes();
        let found = reader.scan(Space::Event, &[], &from, STEP).map_err(Failure::failed)?;
        if found.is_empty() {
            return Err(Failure::failed("the store's log has a gap"));
        }
        for entry in &found {
            let (hash, event) = logged_event(&entry.record.value)
                .ok_or_else(|| Failure::failed("an event of another form"))?;
            let event = String::from_utf8_lossy(event);
            let hash = hex::encode(hash);
            writeln!(file, "{{\"hash\":\"{hash}\",\"event\":{event}}}").map_err(|e| at(&e))?;
            seq = seq.saturating_add(1);
            if let Some(text) = checkpoint.as_ref().filter(|_| signed == Some(seq)) {
                writeln!(file, "{}", serde_json::json!({ "checkpoint": text })).map_err(|e| at(&e))?;
            }
        }
        progress.set_position(seq);
    }
    progress.finish_and_clear();
    let file = file.into_inner().map_err(|e| at(&e))?;
    file.sync_all().map_err(|e| at(&e))?;
    writeln!(out, "{last} events in {}", args.out.display()).map_err(Failure::failed)
}

fn verify(args: &Verify, out: &mut impl Write) -> Result<(), Failure> {
    let pinned = public_key(&args.public_key)?;
    let known = public_keys(&args.public_key)?;
    let read = |path: &PathBuf| {
        fs::read_to_string(path).map_err(|e| Failure::failed(format!("{}: {e}", path.display())))
    };
    let witnesses: Vec<String> = args
        .witness
        .iter()
        .map(|path| read(path).map(|text| checkpoint_text(text, known.iter().map(Vec::as_slice))))
        .collect::<Result<_, _>>()?;
    for (path, text) in args.witness.iter().zip(&witnesses) {
        checkpoint::well_formed(text).map_err(|e| Failure::failed(format!("{}: {e}", path.display())))?;
    }
    let file =
        File::open(&args.file).map_err(|e| Failure::failed(format!("{}: {e}", args.file.display())))?;
    let size = file.metadata().map_err(Failure::failed)?.len();
    let style = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes}").map_err(Failure::failed)?;
    let progress = ProgressBar::new(size).with_style(style);
    let result =
        checkpoint::verify_export(BufReader::new(progress.wrap_read(file)), &pinned, &witnesses, |_, _| ());
    progress.finish_and_clear();
    let Verified { newest, lost, keys } = result.map_err(Failure::failed)?;
    let Checkpoint { log, head, policy, sequence: _, recoveries, time } = newest;
    let (seq, key, count) = (head.seq, key_id(keys.now()), keys.count());
    if args.json {
        let answer = serde_json::json!({ "holds": true, "log": log, "events": seq, "policy": policy, "recoveries": recoveries, "lost": lost.len(), "time": time, "audit_key": key, "audit_keys": count });
        return writeln!(out, "{answer}").map_err(Failure::failed);
    }
    let vouched = match witnesses.len().saturating_sub(lost.len()) {
        0 => "no checkpoint kept elsewhere was given, so a cut-off end would not show".to_owned(),
        n => format!("{n} checkpoints kept elsewhere agree"),
    };
    for checkpoint in &lost {
        let (seq, time) = (checkpoint.head.seq, &checkpoint.time);
        writeln!(out, "the checkpoint of event {seq}, signed at {time}, is of a branch that officers ended by a recovery")
            .map_err(Failure::failed)?;
    }
    writeln!(
        out,
        "log {log} holds: {seq} events, signed at {time} with audit key {key}, number {count} of this log; {vouched}"
    )
    .map_err(Failure::failed)
}

fn witness(args: &Witness, out: &mut impl Write) -> Result<(), Failure> {
    durable::deny_sync_file_range().map_err(Failure::failed)?;
    let (_engine, reader) = sled::open(&looked_at(&args.store)).map_err(Failure::failed)?;
    let kept = reader.get(Space::Checkpoint, KEPT_OF_AUTHORITY).map_err(Failure::failed)?;
    let kept = kept.ok_or_else(|| {
        Failure::failed(format!("{}: no checkpoint of an authority is kept there", args.store.display()))
    })?;
    files::write_new(&args.out, &kept.value, 0o644).map_err(Failure::failed)?;
    let seq = checkpoint::sequence(&String::from_utf8_lossy(&kept.value)).unwrap_or_default();
    writeln!(out, "the checkpoint of event {seq} in {}", args.out.display()).map_err(Failure::failed)
}

fn operations(args: &Counting, out: &mut impl Write) -> Result<(), Failure> {
    let at = |line: u64, e: &dyn std::fmt::Display| {
        Failure::failed(format!("{}:{line}: {e}", args.file.display()))
    };
    let file =
        File::open(&args.file).map_err(|e| Failure::failed(format!("{}: {e}", args.file.display())))?;
    let mut account = Account::default();
    for (number, line) in (1_u64..).zip(BufReader::new(file).lines()) {
        let line = line.map_err(|e| at(number, &e))?;
        let line: ExportLine<'_> = serde_json::from_str(&line).map_err(|e| at(number, &e))?;
        if let Some(event) = line.event {
            account.take(event.get()).map_err(|e| at(number, &e))?;
        }
    }
    let (now, total) = (account.since_start(), account.total());
    if args.json {
        let answer = serde_json::json!({ "since_start": now, "total": total });
        return writeln!(out, "{answer}").map_err(Failure::failed);
    }
    for (what, Bounds { least, most, unfinished }) in [("since the last start", now), ("total", total)] {
        writeln!(
            out,
            "{what}: print {}, deliver {}, verify {}; {unfinished} intents without a count",
            range(least.print, most.print),
            range(least.deliver, most.deliver),
            range(least.verify, most.verify)
        )
        .map_err(Failure::failed)?;
    }
    Ok(())
}

/// A line of an export; a checkpoint has no event.
#[derive(serde::Deserialize)]
struct ExportLine<'a> {
    #[serde(borrow)]
    event: Option<&'a serde_json::value::RawValue>,
}

fn range(least: u64, most: u64) -> String {
    if least == most { least.to_string() } else { format!("{least} to {most}") }
}

/// The text of a checkpoint: as it is, in the API's answer, or in a signed note by one of these keys.
pub(super) fn checkpoint_text<'a>(text: String, mut keys: impl Iterator<Item = &'a [u8]>) -> String {
    let text = serde_json::from_str::<api::codes::Checkpoint>(&text).map_or(text, |answer| answer.checkpoint);
    keys.find_map(|key| domain::note::checkpoint(&text, key)).unwrap_or(text)
}

/// Every key of a file, the newest first. What is shown as new must be the first one's.
fn public_keys(path: &Path) -> Result<Vec<Vec<u8>>, Failure> {
    let keys = SubjectPublicKeyInfoDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let keys = keys.map_err(|e| Failure::config(format!("{}: {e}", path.display())))?;
    Ok(keys.iter().map(|key| key.to_vec()).collect())
}

/// The first key of a file.
pub(super) fn public_key(path: &Path) -> Result<Vec<u8>, Failure> {
    let der = SubjectPublicKeyInfoDer::from_pem_file(path);
    der.map(|der| der.to_vec()).map_err(|e| Failure::config(format!("{}: {e}", path.display())))
}
