//! TOML files of the command line: read strictly, refused with file, line and reason.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use crate::files;

/// Why a file was refused.
#[derive(Debug, thiserror::Error)]
#[error("{}{}: {reason}", file.display(), line.map(|n| format!(", line {n}")).unwrap_or_default())]
pub(in crate::cli) struct BadFile {
    /// The file.
    pub(in crate::cli) file: PathBuf,
    /// Its line, from 1, where one is at fault.
    pub(in crate::cli) line: Option<usize>,
    /// What is wrong.
    pub(in crate::cli) reason: String,
}

impl BadFile {
    pub(super) fn new(file: &Path, reason: impl Into<String>) -> Self {
        Self { file: file.into(), line: None, reason: reason.into() }
    }
}

/// Reads a file of at most 1 MiB.
pub(super) fn read<T: DeserializeOwned>(file: &Path) -> Result<T, BadFile> {
    let bytes = files::read_public(file, 1 << 20).map_err(|e| BadFile::new(file, e.reason.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|_| BadFile::new(file, "not UTF-8"))?;
    toml::from_str(&text).map_err(|e| BadFile {
        file: file.into(),
        line: e.span().map(|s| text.bytes().take(s.start).filter(|b| *b == b'\n').count().saturating_add(1)),
        reason: e.message().to_owned(),
    })
}

/// A path of a file's text, relative to the file.
pub(super) fn beside(file: &Path, path: PathBuf) -> PathBuf {
    file.parent().map(|directory| directory.join(&path)).unwrap_or(path)
}
