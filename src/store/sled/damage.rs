//! What a pass over all records has found, kept in a file beside sled's: a store that was found damaged is never served again.
//!
//! Not a record, since nothing is to be written into what is damaged. A store that is restored is another directory, without it.
//! Who removes the file has gained nothing: the next pass finds the same.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::Path,
};

use super::open::{OpenError, io_error, sync};

/// The file's name; its text is what was found.
const FILE: &str = "damaged";

/// Keeps a finding. A disk that does not take it is told of in the log: the first pass after the next start finds the same.
pub(super) fn keep(dir: &Path, what: &str) {
    let path = dir.join(FILE);
    let written = File::create(&path).and_then(|mut file| {
        writeln!(file, "{what}")?;
        file.sync_all()
    });
    if let Err(error) = written.map_err(io_error(&path)).and_then(|()| sync(dir)) {
        tracing::error!(%error, "that the store is damaged could not be kept");
    }
}

/// What a pass over the store in this directory has found once, in words; nothing where none has.
///
/// # Errors
/// [`OpenError::Io`]: it cannot be read.
pub fn found(dir: &Path) -> Result<Option<String>, OpenError> {
    let path = dir.join(FILE);
    match fs::read(&path) {
        // A file that was cut off in the middle says it as well.
        Ok(text) => Ok(Some(String::from_utf8_lossy(&text).trim_end().to_owned())),
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(e) => Err(io_error(&path)(e)),
    }
}
