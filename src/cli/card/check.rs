//! `sigillo card check`: PIN and chip fit.

use std::{io::Write, path::PathBuf};

use aws_lc_rs::rand;

use super::{Reader, pin};
use crate::{card::Use, cli::Failure, domain::officers::Purpose};

/// Arguments of `check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    reader: Reader,
    /// The PIN, in a file of mode 0400, 0440 or 0600; else it is asked for.
    #[arg(long, value_name = "FILE")]
    pin_file: Option<PathBuf>,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, out: &mut impl Write) -> Result<(), Failure> {
    let mut session = args.reader.open(Use::Alone)?;
    let certificate = session.certificate().map_err(Failure::failed)?;
    let pin = pin::ask("PIN", args.pin_file.as_deref())?;
    session.unlock(&pin).map_err(Failure::failed)?;
    drop(pin);
    let mut challenge = [0_u8; 32];
    rand::fill(&mut challenge).map_err(Failure::failed)?;
    session.sign(&certificate, Purpose::CardCheck, &hex::encode(challenge)).map_err(Failure::failed)?;
    let fingerprint = hex::encode(certificate.fingerprint());
    let said = if args.json {
        writeln!(out, "{}", serde_json::json!({ "fits": true, "certificate": fingerprint }))
    } else {
        writeln!(out, "PIN and chip fit: the card has signed a fresh challenge (certificate {fingerprint})")
    };
    said.map_err(Failure::failed)
}
