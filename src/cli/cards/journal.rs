//! How far an import has come: a small file beside the batch, replaced after each step that the authority has answered. It is
//! taken away when the import is done. A step that was carried out and not written down is sent again, and changes nothing.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{api::cards::BadLine, cli::Failure, files::write_new};

/// Warnings that are kept.
const WARNINGS: usize = 100;

/// What was done so far.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Done {
    /// SHA-256 of the batch, hexadecimal.
    pub(super) sha256: String,
    /// The authority that it goes to.
    pub(super) url: String,
    /// Lines that were answered.
    pub(super) lines: u64,
    /// Bytes that they take in the batch.
    pub(super) bytes: u64,
    /// New cards.
    pub(super) registered: u64,
    /// Cards that were there before.
    pub(super) unchanged: u64,
    /// Lines that were rejected.
    pub(super) rejected: u64,
    /// Bytes of the file of rejected lines.
    pub(super) rejected_bytes: u64,
    /// Lines with something unusual.
    pub(super) warned: u64,
    /// The first of them.
    pub(super) warnings: Vec<BadLine>,
}

impl Done {
    pub(super) fn warn(&mut self, line: BadLine) {
        self.warned = self.warned.saturating_add(1);
        if self.warnings.len() < WARNINGS {
            self.warnings.push(line);
        }
    }
}

/// The file.
pub(super) struct Journal(PathBuf);

impl Journal {
    /// What an earlier import of this very file to this authority has done; nothing if there was none, or it came to its end.
    pub(super) fn read(&self, sha256: &str, url: &str) -> Result<Option<Done>, Failure> {
        let at = |why: &dyn std::fmt::Display| Failure::failed(format!("{}: {why}", self.0.display()));
        let text = match fs::read(&self.0) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(at(&e)),
        };
        let done: Done = serde_json::from_slice(&text)
            .map_err(|e| at(&format!("not what an import writes ({e}); --from-start begins anew")))?;
        if done.sha256 != sha256 {
            return Err(at(&format!(
                "the import that stopped after line {} was of another file: this one was changed since. Import the \
                 file as it was, or all of this one with --from-start: what is registered stays so",
                done.lines
            )));
        }
        if done.url != url {
            return Err(at(&format!(
                "the import that stopped went to {}; --from-start begins anew",
                done.url
            )));
        }
        Ok(Some(done))
    }

    /// Of this batch.
    pub(super) fn beside(batch: &Path) -> Self {
        Self(with_ending(batch, ".import"))
    }

    /// Replaces it; durable then.
    pub(super) fn write(&self, done: &Done) -> Result<(), Failure> {
        let at = |why: &dyn std::fmt::Display| Failure::failed(format!("{}: {why}", self.0.display()));
        let new = with_ending(&self.0, ".new");
        if new.exists() {
            fs::remove_file(&new).map_err(|e| at(&e))?;
        }
        let text = serde_json::to_vec(done).map_err(|e| at(&e))?;
        write_new(&new, &text, 0o600).map_err(|e| at(&e))?;
        fs::rename(&new, &self.0).map_err(|e| at(&e))
    }

    /// Takes it away.
    pub(super) fn remove(&self) -> Result<(), Failure> {
        match fs::remove_file(&self.0) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                Err(Failure::failed(format!("{}: {e}", self.0.display())))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

pub(super) fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// The file of rejected lines: one JSON object each. It is there only if a line was rejected.
pub(super) struct Rejected {
    path: PathBuf,
    file: Option<File>,
    pub(super) bytes: u64,
}

impl Rejected {
    /// Goes on after so many bytes; what a step that is sent again has left after them goes. From 0 it begins anew.
    pub(super) fn open(path: PathBuf, bytes: u64) -> Result<Self, Failure> {
        let at = |e: io::Error| Failure::failed(format!("{}: {e}", path.display()));
        if bytes == 0 {
            if path.exists() {
                fs::remove_file(&path).map_err(at)?;
            }
            return Ok(Self { path, file: None, bytes });
        }
        let file = OpenOptions::new().append(true).open(&path).map_err(at)?;
        if file.metadata().map_err(at)?.len() < bytes {
            return Err(Failure::failed(format!("{}: it is shorter than it was", path.display())));
        }
        file.set_len(bytes).map_err(at)?;
        Ok(Self { path, file: Some(file), bytes })
    }

    /// Its path.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Adds lines; durable then.
    pub(super) fn add(&mut self, lines: &[BadLine]) -> Result<(), Failure> {
        if lines.is_empty() {
            return Ok(());
        }
        let at = |e: io::Error| Failure::failed(format!("{}: {e}", self.path.display()));
        let mut text = Vec::new();
        for line in lines {
            serde_json::to_writer(&mut text, line).map_err(Failure::failed)?;
            text.push(b'\n');
        }
        if self.file.is_none() {
            let mut options = OpenOptions::new();
            self.file = Some(options.append(true).create_new(true).open(&self.path).map_err(at)?);
        }
        if let Some(file) = &mut self.file {
            file.write_all(&text).and_then(|()| file.sync_all()).map_err(at)?;
        }
        self.bytes = self.bytes.saturating_add(u64::try_from(text.len()).unwrap_or(0));
        Ok(())
    }
}
