//! Files that the commands read, for fuzz targets (`fuzz/`).

use std::path::Path;

use super::{audit, serve::config::Config};

/// The configuration of `serve`.
///
/// # Errors
/// What the command would say.
pub fn configuration(file: &Path) -> Result<(), String> {
    Config::load(file).map(drop).map_err(|bad| bad.to_string())
}

/// The checkpoint in a file of a witness: as it is, in the API's answer, or in a signed note.
pub fn witness(text: &str, audit_key: &[u8]) -> String {
    audit::checkpoint_text(text.to_owned(), std::iter::once(audit_key))
}
