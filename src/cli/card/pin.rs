//! PIN and PUK from a person or a private file: never from the command line or the environment, never shown.

use std::path::Path;

use super::terminal;
use crate::{card::Pin, cli::Failure, files, secret::Digits};

/// Reads a code from a file of mode 0400, 0440 or 0600 (digits and perhaps a line end), or asks the terminal for it.
pub(super) fn ask(what: &str, file: Option<&Path>) -> Result<Pin, Failure> {
    let text = match file {
        Some(file) => {
            let bytes = files::read_private(file, 64).map_err(Failure::failed)?;
            let text = std::str::from_utf8(bytes.expose()).map_err(Failure::failed)?;
            terminal::owned(text.trim_end_matches(['\r', '\n']))
        }
        None => terminal::unseen(what).map_err(|e| Failure::failed(format!("{what}: {e}")))?,
    };
    let digits = Digits::parse(text).ok_or_else(|| Failure::failed(format!("{what}: only digits")))?;
    Pin::new(&digits).map_err(|e| Failure::failed(format!("{what}: {e}")))
}
