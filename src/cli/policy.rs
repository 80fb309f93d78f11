//! `sigillo policy`: what security officers do with a policy set.

pub mod activate;
pub mod sign;

use std::io::Write;

use super::Failure;

/// `sigillo policy ...`
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Put a signed policy set in the place of the one that `serve` reads.
    #[command(after_help = activate::HELP)]
    Activate(activate::Args),
    /// Sign a policy set, as an officer.
    #[command(after_help = sign::HELP)]
    Sign(sign::Args),
}

/// Runs the command and writes its report to `out`.
pub fn run(command: &Command, out: &mut impl Write) -> Result<(), Failure> {
    match command {
        Command::Activate(args) => activate::run(args, out),
        Command::Sign(args) => sign::run(args, out),
    }
}
