//! `sigillo hsm`: the key ceremony, and a look at a token.

use std::{
    io::{self, Write},
    path::PathBuf,
    time::Duration,
};

use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};

use super::reexec;
use crate::{
    hsm::{
        config::{self, Config},
        pkcs11::{
            self, Check, Device, KeyReport, Outcome, StartError, Status, TokenFacts,
            ceremony::{self, CeremonyError},
        },
    },
    sandbox,
};

/// `sigillo hsm ...`
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make the key set of a token; for the authority also the wrapped verify key.
    #[command(
        after_help = "Refuses if any key of the set is already there. The courier's token comes first:\n  \
        sigillo hsm init --config courier.toml --out courier-public\n  \
        sigillo hsm init --config authority.toml --out authority-public \\\n    \
        --transport-key courier-public/transport.pub.pem\n\n\
        Exit codes: 0 done, 1 failed or refused, 64 bad configuration."
    )]
    Init(Init),
    /// Bring the wrapped verify key into the courier's token.
    #[command(after_help = "Example:\n  \
        sigillo hsm receive --config courier.toml --wrapped authority-public/verify.wrapped\n\n\
        Exit codes: 0 done, 1 failed or refused, 64 bad configuration.")]
    Receive(Receive),
    /// Run the self-test that every start runs.
    #[command(after_help = "Example:\n  sigillo hsm selftest --config authority.toml --json\n\n\
        Exit codes: 0 passed, 1 failed, 64 bad configuration.")]
    Selftest(Look),
    /// Show token and keys, with class, attributes and check values.
    #[command(after_help = "Example:\n  sigillo hsm status --config authority.toml\n\n\
        Exit codes: 0 every key is as it must be, 1 otherwise, 64 bad configuration.")]
    Status(Look),
}

/// Arguments of `init`.
#[derive(Debug, Args)]
pub struct Init {
    /// Configuration of the token.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Directory for the public keys and the wrapped verify key; made if it is not there.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The courier's transport.pub.pem, for the authority's token.
    #[arg(long, value_name = "FILE")]
    transport_key: Option<PathBuf>,
}

/// Arguments of `receive`.
#[derive(Debug, Args)]
pub struct Receive {
    /// Configuration of the courier's token.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The file verify.wrapped that the authority's `init` wrote.
    #[arg(long, value_name = "FILE")]
    wrapped: PathBuf,
}

/// Arguments of `status` and `selftest`.
#[derive(Debug, Args)]
pub struct Look {
    /// Configuration of the token.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Write JSON, for programs.
    #[arg(long)]
    json: bool,
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The ceremony.
    #[error(transparent)]
    Ceremony(#[from] CeremonyError),
    /// The configuration is refused.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// The output could not be written.
    #[error("output: {0}")]
    Output(#[from] io::Error),
    /// The report could not be written as JSON.
    #[error("output: {0}")]
    Json(#[from] serde_json::Error),
    /// A key or a check is not as it must be; the report says which.
    #[error("{0}")]
    NotGood(&'static str),
    /// The environment that the module needs.
    #[error(transparent)]
    Reexec(#[from] reexec::Error),
    /// Core dumps or new privileges could not be given up.
    #[error(transparent)]
    Sandbox(#[from] sandbox::Error),
    /// The token.
    #[error(transparent)]
    Start(#[from] StartError),
}

impl Error {
    /// 64 (`EX_USAGE` of sysexits.h) for a refused configuration, 1 for all else.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Ceremony(CeremonyError::Config(_))
            | Self::Config(_)
            | Self::Start(StartError::Config(_)) => 64,
            Self::Ceremony(
                CeremonyError::File { .. }
                | CeremonyError::HalfWay { .. }
                | CeremonyError::Hsm(_)
                | CeremonyError::Refused(_),
            )
            | Self::Json(_)
            | Self::NotGood(_)
            | Self::Output(_)
            | Self::Reexec(_)
            | Self::Sandbox(_)
            | Self::Start(StartError::Hsm(_)) => 1,
        }
    }
}

/// Runs a command, with its report to `out`. May replace the process: call it before any thread is started.
pub fn run(command: &Command, out: &mut dyn Write) -> Result<(), Error> {
    // Every one of them asks for a PIN.
    sandbox::process::give_up()?;
    match command {
        Command::Init(args) => init(args, out),
        Command::Receive(args) => receive(args, out),
        Command::Selftest(args) => selftest(args, out),
        Command::Status(args) => status(args, out),
    }
}

fn load(file: &std::path::Path) -> Result<Config, Error> {
    let config = Config::load(file)?;
    reexec::with_environment(&config.missing_environment()?)?;
    Ok(config)
}

fn init(args: &Init, out: &mut dyn Write) -> Result<(), Error> {
    let config = load(&args.config)?;
    // Drawn on standard error, and only if that is a terminal.
    let spinner = ProgressBar::new_spinner().with_style(ProgressStyle::default_spinner());
    spinner.enable_steady_tick(Duration::from_millis(100));
    let progress = |step: &str| spinner.set_message(step.to_owned());
    let made = ceremony::init(&config, &args.out, args.transport_key.as_deref(), &progress);
    spinner.finish_and_clear();
    let made = made?;
    token_line(out, &made.token)?;
    if made.token_made {
        writeln!(out, "the token was initialised")?;
    }
    table(out, &made.keys)?;
    for file in &made.files {
        writeln!(out, "wrote {}", file.display())?;
    }
    Ok(())
}

fn receive(args: &Receive, out: &mut dyn Write) -> Result<(), Error> {
    let config = load(&args.config)?;
    let received = ceremony::receive(&config, &args.wrapped)?;
    token_line(out, &received.token)?;
    table(out, std::slice::from_ref(&received.key))?;
    Ok(())
}

fn status(args: &Look, out: &mut dyn Write) -> Result<(), Error> {
    let config = load(&args.config)?;
    let Status { token, keys } = pkcs11::status(&config)?;
    if args.json {
        let json = serde_json::json!({ "role": config.role, "token": token, "keys": keys });
        writeln!(out, "{}", serde_json::to_string_pretty(&json)?)?;
    } else {
        token_line(out, &token)?;
        table(out, &keys)?;
        for problem in keys.iter().flat_map(|key| &key.problems) {
            writeln!(out, "problem: {problem}")?;
        }
    }
    if keys.iter().all(|key| key.problems.is_empty()) {
        Ok(())
    } else {
        Err(Error::NotGood("the key set is not as it must be"))
    }
}

fn selftest(args: &Look, out: &mut dyn Write) -> Result<(), Error> {
    let config = load(&args.config)?;
    let device = Device::open_untested(&config)?;
    let checks = device.checks();
    if args.json {
        let json = serde_json::json!({ "role": config.role, "token": device.facts(), "checks": checks });
        writeln!(out, "{}", serde_json::to_string_pretty(&json)?)?;
    } else {
        token_line(out, device.facts())?;
        for Check { name, outcome, detail, .. } in checks {
            let outcome = match outcome {
                Outcome::Failed => "FAILED",
                Outcome::Note => "note",
                Outcome::Passed => "passed",
            };
            writeln!(out, "{name:<18} {outcome:<7} {detail}")?;
        }
    }
    if checks.iter().any(|check| check.outcome == Outcome::Failed) {
        return Err(Error::NotGood("the self-test failed"));
    }
    Ok(())
}

fn token_line(out: &mut dyn Write, token: &TokenFacts) -> io::Result<()> {
    writeln!(
        out,
        "token {:?}, serial {:?}, {} {}, slot {}",
        token.label, token.serial, token.manufacturer, token.model, token.slot
    )
}

fn table(out: &mut dyn Write, keys: &[KeyReport]) -> io::Result<()> {
    writeln!(out, "{:<10} {:<11} {:<17} {:<8} {:<7} attributes", "key", "class", "mechanism", "use", "kcv")?;
    for key in keys {
        let class = match key.class {
            Some(pkcs11::KeyClass::Replicated) => "replicated",
            Some(pkcs11::KeyClass::Strict) => "strict",
            None if key.present => "refused",
            None => "missing",
        };
        let attributes: Vec<&str> = [
            (key.sensitive, "sensitive"),
            (key.extractable, "extractable"),
            (key.always_sensitive, "always-sensitive"),
            (key.never_extractable, "never-extractable"),
            (key.local, "local"),
        ]
        .into_iter()
        .filter(|(flag, _)| *flag == Some(true))
        .map(|(_, name)| name)
        .collect();
        writeln!(
            out,
            "{:<10} {class:<11} {:<17} {:<8} {:<7} {}",
            key.name.label(),
            key.mechanism,
            key.uses.join("+"),
            key.kcv.as_deref().unwrap_or("-"),
            attributes.join(" ")
        )?;
    }
    Ok(())
}
