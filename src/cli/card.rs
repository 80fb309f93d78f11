//! `sigillo card`: smart cards at the counter, through the system's PC/SC service.

pub mod approve;
pub mod check;
pub mod login;
pub mod read;
pub mod register;
pub mod unblock;

mod connection;
mod pin;
mod terminal;

use std::{io::Write, time::Duration};

use super::Failure;
use crate::{
    card::{Session, Use, Wanted},
    clock::SystemClock,
};

/// Exit code of a card that was read and does not fit.
const DOES_NOT_FIT: u8 = 2;

/// `sigillo card ...`
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Sign what a colleague asks for, as the second pair of eyes (four eyes).
    #[command(after_help = "\
Examples:
  sigillo card approve --url https://authority.example.it:8444 --ca server-ca.pem 5f0e9c1ab6d24f3c8e70a1b2c3d4e5f6
  sigillo card approve --url https://authority.example.it:8444 --ca server-ca.pem --pin-file pin.txt --yes \\
    5f0e9c1ab6d24f3c8e70a1b2c3d4e5f6

The id is what the colleague's front end shows. The whole text is shown; the card signs it after a yes. A text that is
not that of this approval, or that a terminal would not show as it is, is never signed. Nobody approves what they asked
for. The answer is JSON on standard output.

Exit codes: 0 signed; 1 failed, refused, or not agreed to; 64 bad options.")]
    Approve(approve::Args),
    /// Prove that PIN and chip fit: the card signs a fresh challenge.
    #[command(after_help = "\
Examples:
  sigillo card check
  sigillo card check --pin-file pin.txt --json

A wrong PIN costs one of the card's tries; the card says how many are left.

Exit codes: 0 the PIN is right and the key is that of the certificate; 1 failed, wrong PIN among others; 64 bad options.")]
    Check(check::Args),
    /// Log in to a server with the card as the client's key, and show its answer to a GET.
    #[command(after_help = "\
Examples:
  sigillo card login --url https://authority.example.it:8444 --ca server-ca.pem
  sigillo card login --url https://authority.example.it:8444 --ca server-ca.pem --path /v1/openapi.json

The card signs the handshake (TLS 1.3, or 1.2); the PIN goes to the card only. /v1/session says who the server sees,
whether the card is registered, and what is allowed.

Exit codes: 0 the server answered with success; 1 failed, or it answered otherwise; 64 bad options.")]
    Login(login::Args),
    /// Read what the card says without a PIN, and compare its parts.
    #[command(after_help = "\
Examples:
  sigillo card read
  sigillo card read --json --wait 60 --printed 80380000900090510553

Compares certificate, EF.ID_Carta, EF.Dati_personali and, with --printed, the number on the plastic. Whether the
certificate's authority is trusted and it is not revoked is not looked at: the authority does that.

Exit codes: 0 all fits; 1 no card, or it could not be read; 2 the card was read and something does not fit; 64 bad
options.")]
    Read(read::Args),
    /// Register the card as the one that its holder acts with (Registra CNS).
    #[command(after_help = "\
Examples:
  sigillo card register --url https://authority.example.it:8444 --ca server-ca.pem
  sigillo card register --url https://authority.example.it:8444 --ca server-ca.pem --pin-file pin.txt --wait 60

For operators whom the policy lists. The card logs in and signs the authority's text, which is shown; a text that names
another holder or card, or that a terminal would not show as it is, is never signed. Another card that was registered is
refused from then on. One PIN for both; the answer is JSON on standard output.

Exit codes: 0 registered; 1 failed or refused; 64 bad options.")]
    Register(register::Args),
    /// Set a new PIN by the PUK.
    #[command(after_help = "\
Examples:
  sigillo card unblock
  sigillo card unblock --puk-file puk.txt --new-pin-file pin.txt

A wrong PUK costs one of its tries; when none is left the card must be replaced.

Exit codes: 0 done; 1 failed, wrong PUK among others; 64 bad options.")]
    Unblock(unblock::Args),
}

/// Runs the command.
///
/// # Errors
/// [`Failure`].
pub fn run(command: &Command, out: &mut impl Write) -> Result<(), Failure> {
    match command {
        Command::Approve(args) => approve::run(args, out),
        Command::Check(args) => check::run(args, out),
        Command::Login(args) => login::run(args, out),
        Command::Read(args) => read::run(args, out),
        Command::Register(args) => register::run(args, out),
        Command::Unblock(args) => unblock::run(args, out),
    }
}

/// Which card.
#[derive(Debug, clap::Args)]
struct Reader {
    /// Reader to use, by its name or a part of it, where several hold a card.
    #[arg(long, value_name = "NAME")]
    reader: Option<String>,
    /// Wait for a reader and a card, up to this long.
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    wait: u32,
}

impl Reader {
    fn open(&self, with: Use) -> Result<Session, Failure> {
        let wait = Duration::from_secs(self.wait.into());
        let wanted = Wanted { reader: self.reader.as_deref(), wait };
        Session::open(&wanted, with, &SystemClock::new()).map_err(Failure::failed)
    }
}
