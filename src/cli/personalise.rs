//! `sigillo personalise`: the codes of produced cards for the bureau that writes the chips, offline, with both tokens.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use indicatif::{ProgressBar, ProgressStyle};

use super::{Failure, audit::public_key, reexec};
use crate::{
    clock::{Clock, SystemClock},
    hsm::{Role, config::Config},
    personalise::{self, Order, check, half, halves::FAILED},
    sandbox::process,
};

/// `sigillo personalise ...`
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Check what `make` has made: both signatures, and every file.
    #[command(after_help = "\
Example:
  sigillo personalise check --public-key authority-audit.pub.pem --courier-key courier-audit.pub.pem batch-17

The bureau does this before it opens a file. The same without this program:
  openssl dgst -sha256 -verify authority-audit.pub.pem -signature batch-17/manifest.sig batch-17/manifest.txt
  sha256sum batch-17/*.p7m        # compare with the lines `file` of manifest.txt
  openssl cms -decrypt -inform DER -in batch-17/cards-0001.p7m -recip bureau.pem -inkey bureau.key

Exit codes: 0 it holds; 1 it does not; 64 bad options.")]
    Check(Check),
    /// The process of one token: started by `make`.
    #[command(hide = true)]
    Half(Half),
    /// Join PIN and PUK of exported cards and encrypt them to the bureau's certificate.
    #[command(after_help = "\
Example:
  sigillo cards export --url https://127.0.0.1:8443 --ca ca.pem --cert personalisation.pem \\
    --key personalisation.key --out batch-17.cards batch-17.ndjson
  sigillo personalise make --authority authority/hsm.toml --courier courier/hsm.toml --cards batch-17.cards \\
    --certificate bureau.pem --certificate-sha256 0b5c...2940 --journal personalise.ndjson --out batch-17

On a machine without a network, with both tokens and an officer for each: their PINs come from where the configurations say. The
directory is there whole, or not at all: cards-NNNN.p7m (CMS EnvelopedData, AES-256-CBC, RSA-OAEP; inside, CSV with
team_number,pin,puk), manifest.txt, and its signatures by both tokens. Nothing else is written but the log of runs, which has the
form of an export of the audit log: `sigillo audit verify` and `sigillo audit operations` read it.

Exit codes: 0 done; 1 refused or failed, and there is no directory; 64 bad options or configuration.")]
    Make(Make),
}

/// Arguments of `check`.
#[derive(Debug, clap::Args)]
pub struct Check {
    /// Public half of the authority's audit key, PEM. Take it from where it is kept, not from beside the files.
    #[arg(long, value_name = "FILE")]
    public_key: PathBuf,
    /// Public half of the courier's audit key, PEM.
    #[arg(long, value_name = "FILE")]
    courier_key: Option<PathBuf>,
    /// The directory.
    directory: PathBuf,
}

/// Arguments of `half`.
#[derive(Debug, clap::Args)]
pub struct Half {
    /// Which one.
    #[arg(long, value_parser = role)]
    role: Role,
    /// Configuration of the token.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Go on where memory cannot be locked.
    #[arg(long)]
    may_swap: bool,
}

/// Arguments of `make`.
#[derive(Debug, clap::Args)]
pub struct Make {
    /// Configuration of the authority's token.
    #[arg(long, value_name = "FILE")]
    authority: PathBuf,
    /// Configuration of the courier's token.
    #[arg(long, value_name = "FILE")]
    courier: PathBuf,
    /// What `sigillo cards export` has written.
    #[arg(long, value_name = "FILE")]
    cards: PathBuf,
    /// The bureau's certificate, PEM: RSA of 2048 bits or more, keyEncipherment.
    #[arg(long, value_name = "FILE")]
    certificate: PathBuf,
    /// Its SHA-256 in hexadecimal, as the bureau has told it on another way (openssl x509 -outform DER | sha256sum).
    #[arg(long, value_name = "HEX", value_parser = fingerprint)]
    certificate_sha256: Fingerprint,
    /// Log of all runs with these tokens; made if it is not there.
    #[arg(long, value_name = "FILE")]
    journal: PathBuf,
    /// Directory to make; it must not exist.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Go on where this process may not lock its memory, so that codes could be swapped out: for demonstrations.
    #[arg(long)]
    may_swap: bool,
    /// Report as one JSON object.
    #[arg(long)]
    json: bool,
}

/// SHA-256 of a certificate.
#[derive(Clone, Copy, Debug)]
struct Fingerprint([u8; 32]);

fn fingerprint(text: &str) -> Result<Fingerprint, &'static str> {
    let mut out = [0; 32];
    hex::decode_to_slice(text.replace(':', ""), &mut out).map_err(|_| "64 hexadecimal digits")?;
    Ok(Fingerprint(out))
}

fn role(text: &str) -> Result<Role, &'static str> {
    [Role::Authority, Role::Courier].into_iter().find(|role| role.to_string() == text).ok_or("a role")
}

/// Runs the command and writes its report to `out`. May replace the process: call it before any thread is started.
pub fn run(command: &Command, out: &mut impl Write) -> Result<(), Failure> {
    match command {
        Command::Check(args) => checked(args, out),
        Command::Half(args) => serve_half(args, out),
        Command::Make(args) => make(args, out),
    }
}

fn checked(args: &Check, out: &mut impl Write) -> Result<(), Failure> {
    let authority = public_key(&args.public_key)?;
    let courier = args.courier_key.as_deref().map(public_key).transpose()?;
    let manifest = check::check(&args.directory, &authority, courier.as_deref())?;
    write!(out, "{} holds:\n{manifest}", args.directory.display()).map_err(Failure::failed)
}

/// No dumps and no swap: codes or parts of them will be in this process's memory.
fn keep_to_memory(may_swap: bool) -> Result<(), Failure> {
    process::give_up().map_err(Failure::failed)?;
    match process::lock_memory() {
        Err(_) if may_swap => Ok(()),
        Err(e) => Err(Failure::failed(format!("{e} (for a demonstration: --may-swap)"))),
        Ok(()) => Ok(()),
    }
}

/// What goes wrong is told to the process that asks, in the last line.
fn serve_half(args: &Half, out: &mut impl Write) -> Result<(), Failure> {
    let told = |out: &mut dyn Write, is_configuration: bool, why: &dyn std::fmt::Display| {
        let [configuration, token] = FAILED;
        let prefix = if is_configuration { configuration } else { token };
        let line = format!("{prefix}{}\n", why.to_string().replace('\n', " "));
        out.write_all(line.as_bytes()).and_then(|()| out.flush()).map_err(Failure::failed)
    };
    let config = match Config::load(&args.config) {
        Ok(config) => config,
        Err(e) => return told(out, true, &e),
    };
    if let Err(e) = half::check_role(&config, args.role) {
        return told(out, true, &e);
    }
    match config.missing_environment() {
        Ok(missing) => {
            if let Err(e) = reexec::with_environment(&missing) {
                return told(out, false, &e);
            }
        }
        Err(e) => return told(out, true, &e),
    }
    if let Err(e) = keep_to_memory(args.may_swap) {
        return told(out, false, &e);
    }
    match half::serve(&config, io::stdin().lock(), &mut *out) {
        Ok(()) => Ok(()),
        Err(e) => told(out, e.is_configuration(), &e),
    }
}

fn make(args: &Make, out: &mut impl Write) -> Result<(), Failure> {
    keep_to_memory(args.may_swap)?;
    let Fingerprint(fingerprint) = args.certificate_sha256;
    let order = Order {
        authority: args.authority.clone(),
        courier: args.courier.clone(),
        cards: args.cards.clone(),
        certificate: args.certificate.clone(),
        fingerprint,
        journal: args.journal.clone(),
        out: args.out.clone(),
        may_swap: args.may_swap,
        now_ms: SystemClock::new().now_ms(),
    };
    let style = "{bar:40} {pos}/{len} cards, {per_sec}, {eta} left";
    let style = ProgressStyle::with_template(style).map_err(Failure::failed)?;
    let bar = ProgressBar::new(0).with_style(style);
    let made = personalise::make(&order, |done, all| {
        bar.set_length(all);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    let made = made?;
    if args.json {
        serde_json::to_writer(&mut *out, &made).map_err(Failure::failed)?;
        return writeln!(out).map_err(Failure::failed);
    }
    writeln!(
        out,
        "{} cards in {} files, encrypted to {}\nrun {} in {}: {}\n{} lines of the export gave no card",
        made.cards,
        made.files,
        made.recipient,
        made.request,
        args.journal.display(),
        made.operations,
        made.refused
    )
    .map_err(Failure::failed)
}

impl From<personalise::Error> for Failure {
    fn from(e: personalise::Error) -> Self {
        match &e {
            personalise::Error::Half { is_configuration: true, .. } => Self::config(e),
            personalise::Error::Export { .. }
            | personalise::Error::File(_)
            | personalise::Error::Half { .. }
            | personalise::Error::Io { .. }
            | personalise::Error::Journal { .. }
            | personalise::Error::Recipient { .. }
            | personalise::Error::Refused(_) => Self::failed(e),
        }
    }
}
