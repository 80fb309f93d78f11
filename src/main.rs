//! `sigillo`: the command line.

use std::{
    io::{self, IsTerminal, Write},
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use mimalloc::MiMalloc;
use sigillo::cli::{self, Failure};
use tracing_subscriber::EnvFilter;
use zeroizing_alloc::ZeroAlloc;

/// Freed memory is wiped, whichever library had it: answers with first parts, messages with second parts and their
/// TLS records pass through buffers that nobody here owns (SECURITY.md, residual memory). A block that grows is always another
/// one, so that the allocator's speed counts twice.
#[global_allocator]
static WIPING: ZeroAlloc<MiMalloc> = ZeroAlloc(MiMalloc);

/// Credential authority for the Italian health card (TS-CNS): codes made in an HSM, split, delivered on two channels,
/// verified in constant time.
#[derive(Debug, Parser)]
#[command(version, term_width = 120)]
struct Arguments {
    /// What goes to the log, on standard error: error, warn, info, debug, or by target as in `sigillo=debug`.
    /// Default: info; for `recover` warn, so that what officers read is not lost among it.
    #[arg(long, global = true, value_name = "FILTER")]
    log_level: Option<String>,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The audit log: export, and verification offline.
    #[command(subcommand)]
    Audit(cli::audit::Command),
    Backup(cli::backup::Args),
    /// Smart cards in a reader: who they are of, login, PIN and PUK.
    #[command(subcommand)]
    Card(cli::card::Command),
    /// Produced cards: registration from a file.
    #[command(subcommand)]
    Cards(cli::cards::Command),
    Courier(cli::courier::Args),
    /// The HSM token: key ceremony, status, self-test.
    #[command(subcommand)]
    Hsm(cli::hsm::Command),
    Init(cli::init::Args),
    /// Chips' codes, offline, with both tokens, for the card bureau.
    #[command(subcommand)]
    Personalise(cli::personalise::Command),
    /// Policy sets: signatures of the officers, activation.
    #[command(subcommand)]
    Policy(cli::policy::Command),
    /// The way back from an older store, by order of the security officers.
    #[command(subcommand)]
    Recover(cli::recover::Command),
    Restore(cli::restore::Args),
    Serve(cli::serve::Args),
    /// The store of a stopped service: whether everything in it is as it was written.
    #[command(subcommand)]
    Store(cli::store::Command),
}

fn main() -> ExitCode {
    sigillo::panics::abort_unless_caught();
    let Arguments { log_level, command } = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(help) => {
            let bad = help.use_stderr();
            return match cli::unread(help.print(), ()) {
                Ok(()) if !bad => ExitCode::SUCCESS,
                Ok(()) => ExitCode::from(64),
                Err(_) => ExitCode::FAILURE,
            };
        }
    };
    let quiet = matches!(command, Command::Recover(_));
    let log_level = log_level.unwrap_or_else(|| if quiet { "warn" } else { "info" }.to_owned());
    // cryptoki reports mechanisms that it does not know as errors: noise at every start.
    let filter = EnvFilter::try_new(format!("{log_level},cryptoki=off"));
    let filter = match filter {
        Ok(filter) => filter,
        Err(e) => return ended(Err(Failure::config(format!("--log-level: {e}")))),
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr)
        .init();
    let mut out = cli::Out::new(io::stdout().lock());
    ended(match command {
        Command::Audit(command) => cli::audit::run(&command, &mut out),
        Command::Backup(args) => cli::backup::run(&args, &mut out),
        Command::Card(command) => cli::card::run(&command, &mut out),
        Command::Cards(command) => cli::cards::run(&command, &mut out),
        Command::Courier(args) => cli::courier::enter(args).map_err(Failure::from),
        Command::Hsm(command) => cli::hsm::run(&command, &mut out).map_err(Failure::from),
        Command::Init(args) => cli::init::run(&args, &mut out),
        Command::Personalise(command) => cli::personalise::run(&command, &mut out),
        Command::Policy(command) => cli::policy::run(&command, &mut out),
        Command::Recover(command) => cli::recover::run(&command, &mut out),
        Command::Restore(args) => cli::restore::run(&args, &mut out),
        Command::Serve(args) => cli::serve::run(&args, &mut out),
        Command::Store(command) => cli::store::run(&command, &mut out),
    })
}

fn ended(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let code = failure.exit_code();
            // Standard error is the last resort; if it is closed, the exit code still says it.
            match writeln!(io::stderr(), "sigillo: {failure}") {
                Ok(()) | Err(_) if code == cli::GIVEN_UP => {
                    // At an orderly exit the handlers of the library would run under the call that hangs in it.
                    signal_hook::low_level::exit(code.into())
                }
                Ok(()) | Err(_) => ExitCode::from(code),
            }
        }
    }
}
