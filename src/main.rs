//! `sigillo`: the command line.

use std::{io::Write, process::ExitCode};

use clap::{Parser, Subcommand};
use sigillo::cli;

/// Credential authority for the Italian health card (TS-CNS).
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The HSM token: key ceremony, status, self-test.
    #[command(subcommand)]
    Hsm(cli::hsm::Command),
}

fn main() -> ExitCode {
    let Arguments { command } = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(help) => {
            let bad = help.use_stderr();
            return match help.print() {
                Ok(()) if !bad => ExitCode::SUCCESS,
                Ok(()) => ExitCode::from(64),
                Err(_) => ExitCode::FAILURE,
            };
        }
    };
    let done = match &command {
        Command::Hsm(command) => cli::hsm::run(command, &mut std::io::stdout().lock()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let code = ExitCode::from(error.exit_code());
            // Standard error is the last resort; if it is closed, the exit code still says it.
            match writeln!(std::io::stderr(), "sigillo: {error}") {
                Ok(()) | Err(_) => code,
            }
        }
    }
}
