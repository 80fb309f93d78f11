//! `sigillo recover`: a store that is older than the newest checkpoint comes back into service, by order of the officers.

use std::{
    fs::{self, File},
    io::{BufReader, Read, Write},
    path::{Path, PathBuf},
};

use aws_lc_rs::{digest, rand};
use indicatif::{ProgressBar, ProgressStyle};

use super::{Failure, offline::Installation};
use crate::{
    clock::{Clock, SystemClock},
    domain::{
        audit::Head,
        checkpoint::{self, Checkpoint},
        handover::AuditKeys,
        officers::{Purpose, Signature},
        recovery::{Gap, Order, Told},
    },
    files,
    officer_key::Holder,
    service::{Parts, Recovered, Service, handed_over},
};

/// `sigillo recover ...`
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Carry out an order that enough officers have signed.
    #[command(after_help = "\
Example:
  sigillo recover apply --config serve.toml --order order.txt --evidence audit.ndjson \\
    --signature officer-1.sig --signature officer-2.sig

`serve` must not run. With evidence, exactly the cards that were touched in the gap are changed: tries spent then stay spent
and the C.I.P. is locked, revocations and activations are repeated; and an operator's card that was ended or replaced in the
gap is ended again. Without, every card that is not revoked is held: it can only be replaced; and every operator's card is
held: it acts no more until the operator has registered it again. If it breaks off, give the same order again.

Exit codes: 0 done; 1 refused or failed, and `serve` goes on refusing; 64 bad options or configuration.")]
    Apply(Apply),
    /// Look at store and token and write the order that the officers are to sign.
    #[command(after_help = "\
Examples:
  sigillo recover plan --config serve.toml --evidence audit.ndjson --out order.txt
  sigillo recover plan --config serve.toml --without-events --out order.txt

Evidence is an export of the log (`sigillo audit export`) that an auditor took after the newest checkpoint that is
known. Nothing is changed. The order says in words what it does to how many cards and operators. The officers read it, sign
it where they are (`sigillo recover sign`), and hand back their signatures. If the newest checkpoint known is not the
token's own, nobody knows how far the log went: every operator's card is then held, with evidence too.

Exit codes: 0 done; 1 there is nothing to recover, or the evidence does not hold; 64 bad options or configuration.")]
    Plan(Plan),
    /// Sign an order, as an officer.
    #[command(after_help = "\
Example:
  sigillo recover sign --order order.txt --cert officer-1.pem --key officer-1.key --out officer-1.sig

Read the order first: it is shown. The signature holds for this order only.

Exit codes: 0 done; 1 failed; 64 bad options.")]
    Sign(Sign),
}

/// What both `plan` and `apply` look at.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("gap").required(true)))]
struct Over {
    /// Configuration of `serve`.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Export of the log that covers the gap.
    #[arg(long, value_name = "FILE", group = "gap")]
    evidence: Option<PathBuf>,
    /// There is no evidence: hold every card that is not revoked, and every operator's.
    #[arg(long, group = "gap")]
    without_events: bool,
    /// A checkpoint kept elsewhere that is newer than the token's; may be given more than once.
    #[arg(long, value_name = "FILE")]
    witness: Vec<PathBuf>,
}

/// Arguments of `plan`.
#[derive(Debug, clap::Args)]
pub struct Plan {
    #[command(flatten)]
    over: Over,
    /// File to write; it must not exist.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Arguments of `sign`.
#[derive(Debug, clap::Args)]
pub struct Sign {
    /// The order.
    #[arg(long, value_name = "FILE")]
    order: PathBuf,
    /// The officer's certificate, PEM.
    #[arg(long, value_name = "FILE")]
    cert: PathBuf,
    /// Its private key, PKCS#8 PEM, mode 0400, 0440 or 0600.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// File to write; it must not exist.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Arguments of `apply`.
#[derive(Debug, clap::Args)]
pub struct Apply {
    #[command(flatten)]
    over: Over,
    /// The order.
    #[arg(long, value_name = "FILE")]
    order: PathBuf,
    /// An officer's signature; as many as the policy set needs.
    #[arg(long, value_name = "FILE", required = true)]
    signature: Vec<PathBuf>,
    /// Report as one JSON object.
    #[arg(long)]
    json: bool,
}

/// Runs the command and writes its report to `out`.
pub fn run(command: &Command, out: &mut impl Write) -> Result<(), Failure> {
    match command {
        Command::Apply(args) => apply(args, out),
        Command::Plan(args) => plan(args, out),
        Command::Sign(args) => sign(args, out),
    }
}

fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|e| Failure::failed(format!("{}: {e}", path.display())))
}

fn order(path: &Path) -> Result<(Order, String), Failure> {
    let text = read(path)?;
    let order = text.parse().map_err(|e| Failure::failed(format!("{}: {e}", path.display())))?;
    Ok((order, text))
}

impl Over {
    fn witnesses(&self) -> Result<Vec<String>, Failure> {
        self.witness.iter().map(|path| read(path)).collect()
    }
}

/// The witnesses' texts, notes by any key of the log among them.
fn checkpoints(witnesses: Vec<String>, parts: &Parts) -> Result<Vec<String>, Failure> {
    let keys = handed_over(&parts.store, &parts.log).map_err(Failure::failed)?;
    let keys = keys.unwrap_or_else(|| AuditKeys::only(&parts.audit_key));
    Ok(witnesses.into_iter().map(|text| super::audit::checkpoint_text(text, keys.newest_first())).collect())
}

fn plan(args: &Plan, out: &mut impl Write) -> Result<(), Failure> {
    let installation = Installation::load(&args.over.config)?;
    let witnesses = args.over.witnesses()?;
    let (log, policy) = (installation.config.log.clone(), installation.policy.digest().to_string());
    let (standing, evidence, effect) = installation.run(async |parts| {
        let key = parts.audit_key.clone();
        let witnesses = checkpoints(witnesses, &parts)?;
        let (service, standing) = Service::for_recovery(parts, &witnesses).await.map_err(Failure::failed)?;
        standing.needs_recovery(args.over.evidence.is_some()).map_err(Failure::failed)?;
        let known = standing.known.as_ref();
        let evidence = evidence(&args.over, &log, standing.store, known.map(|known| known.head), &key)?;
        let told = evidence.as_ref().map(|(_, told)| told);
        let effect = service.foresee(&standing, told).map_err(Failure::failed)?.effect();
        Ok((standing, evidence, effect))
    })?;
    let mut nonce = [0; 16];
    rand::fill(&mut nonce).map_err(|_| Failure::failed("the system gives no random bytes"))?;
    let order = Order {
        log,
        store: standing.store,
        known: standing.known.as_ref().map_or(Head::EMPTY, |known| known.head),
        recoveries: standing.known.as_ref().map_or(standing.recoveries, |known| known.recoveries),
        evidence: evidence.map(|(digest, _)| digest),
        effect,
        policy,
        nonce,
        at_ms: SystemClock::new().now_ms(),
    };
    files::write_new(&args.out, order.to_string().as_bytes(), 0o644).map_err(Failure::failed)?;
    if let Some(why) = &standing.refused {
        writeln!(out, "why: {why}").map_err(Failure::failed)?;
    }
    writeln!(out, "wrote {}, for the officers to sign:\n{order}", args.out.display()).map_err(Failure::failed)
}

fn sign(args: &Sign, out: &mut impl Write) -> Result<(), Failure> {
    let (order, text) = order(&args.order)?;
    let holder = Holder::load(&args.cert, &args.key).map_err(Failure::failed)?;
    let signature = holder.sign(Purpose::Recovery, &text).map_err(Failure::failed)?;
    files::write_new(&args.out, signature.to_string().as_bytes(), 0o644).map_err(Failure::failed)?;
    writeln!(out, "signed, in {}:\n{order}", args.out.display()).map_err(Failure::failed)
}

fn apply(args: &Apply, out: &mut impl Write) -> Result<(), Failure> {
    let (order, text) = order(&args.order)?;
    let signatures = args.signature.iter().map(|path| {
        let signature = read(path)?.parse::<Signature>();
        match signature {
            Ok(signature) => Ok((path.display().to_string(), signature)),
            Err(e) => Err(Failure::failed(format!("{}: {e}", path.display()))),
        }
    });
    let signatures = signatures.collect::<Result<Vec<_>, _>>()?;
    let installation = Installation::load(&args.over.config)?;
    let witnesses = args.over.witnesses()?;
    let officers = installation.policy.officers().clone();
    let officers = officers.agree(Purpose::Recovery, &text, &signatures).map_err(Failure::failed)?;
    let report = installation.run(async |parts| {
        let (key, log) = (parts.audit_key.clone(), parts.log.clone());
        let witnesses = checkpoints(witnesses, &parts)?;
        let (service, standing) = Service::for_recovery(parts, &witnesses).await.map_err(Failure::failed)?;
        let evidence = evidence(&args.over, &log, order.store, Some(order.known), &key)?;
        if evidence.as_ref().map(|(digest, _)| *digest) != order.evidence {
            return Err(Failure::failed("the order names other evidence, or none"));
        }
        let told = evidence.as_ref().map(|(_, told)| told);
        let bar = ProgressBar::new(order.effect.locked);
        let report = service.recover(&order, &standing, &officers, told, |done| bar.inc(done)).await;
        bar.finish_and_clear();
        report.map_err(Failure::failed)
    })?;
    if args.json {
        return serde_json::to_writer(&mut *out, &report)
            .map_err(Failure::failed)
            .and_then(|()| writeln!(out).map_err(Failure::failed));
    }
    say(&report, out).map_err(Failure::failed)
}

fn say(report: &Recovered, out: &mut impl Write) -> std::io::Result<()> {
    let Recovered { activated, revoked, lost, .. } = report;
    write!(out, "The store is recovered. The order:\n{}", report.effect())?;
    for (cards, what) in [
        (
            activated,
            "was activated in the gap, and is active without a C.I.P.: reprint its PIN and PUK if asked for",
        ),
        (revoked, "was revoked in the gap, and is revoked again"),
        (lost, "was registered in the gap, and is lost: import its batch again; it gets new codes"),
    ] {
        for card in cards {
            writeln!(out, "card {card} {what}")?;
        }
    }
    if report.operators_held > 0 {
        writeln!(
            out,
            "Operators whose card is held register again at their next access. A held card that is known to be lost: \
             end it first (`POST /v1/operator-registrations/end`)"
        )?;
    }
    writeln!(out, "The token has a new checkpoint: `sigillo serve` starts again.")
}

/// SHA-256 of an export, and what it tells of the gap.
type Evidence = ([u8; 32], Told);

/// SHA-256 of the evidence and what it tells of the gap, verified up to what is known; nothing without evidence.
fn evidence(
    over: &Over,
    log: &str,
    store: Head,
    known: Option<Head>,
    public_key: &[u8],
) -> Result<Option<Evidence>, Failure> {
    let Some(path) = &over.evidence else { return Ok(None) };
    let at = |e: &dyn std::error::Error| Failure::failed(format!("{}: {e}", path.display()));
    let file = File::open(path).map_err(|e| at(&e))?;
    let style = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes}").map_err(Failure::failed)?;
    let size = file.metadata().map_err(|e| at(&e))?.len();
    let progress = ProgressBar::new(size).with_style(style);
    let mut hashed = Hashed { from: progress.wrap_read(file), hash: digest::Context::new(&digest::SHA256) };
    let mut gap = Gap::after(store, known.unwrap_or(Head::EMPTY));
    let verified = checkpoint::verify_export(BufReader::new(&mut hashed), public_key, &[], |head, event| {
        gap.take(head, event);
    });
    progress.finish_and_clear();
    let Checkpoint { log: of, .. } = verified.map_err(|e| at(&e))?.newest;
    if of != log {
        return Err(Failure::failed(format!("{}: it is of log \"{of}\"", path.display())));
    }
    let told = gap.told().map_err(|e| at(&e))?;
    let mut digest = [0; 32];
    digest.copy_from_slice(hashed.hash.finish().as_ref());
    Ok(Some((digest, told)))
}

/// Hashes what is read.
struct Hashed<R> {
    from: R,
    hash: digest::Context,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.from.read(buffer)?;
        self.hash.update(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}
