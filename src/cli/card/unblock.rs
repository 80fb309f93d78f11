//! `sigillo card unblock`: a new PIN by the PUK.

use std::{io::Write, path::PathBuf};

use super::{Reader, pin};
use crate::{card::Use, cli::Failure};

/// Arguments of `unblock`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    reader: Reader,
    /// The PUK, in a file of mode 0400, 0440 or 0600; else it is asked for.
    #[arg(long, value_name = "FILE")]
    puk_file: Option<PathBuf>,
    /// The new PIN, likewise.
    #[arg(long, value_name = "FILE")]
    new_pin_file: Option<PathBuf>,
}

pub(super) fn run(args: &Args, out: &mut impl Write) -> Result<(), Failure> {
    let mut session = args.reader.open(Use::Alone)?;
    let puk = pin::ask("PUK", args.puk_file.as_deref())?;
    let new = pin::ask("New PIN", args.new_pin_file.as_deref())?;
    if args.new_pin_file.is_none() && !new.is_same(&pin::ask("New PIN again", None)?) {
        return Err(Failure::failed("the new PINs differ: nothing was sent to the card"));
    }
    session.unblock(&puk, &new).map_err(Failure::failed)?;
    writeln!(out, "the card has a new PIN and all its tries").map_err(Failure::failed)
}
