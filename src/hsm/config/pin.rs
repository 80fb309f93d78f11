//! Where a token's PIN comes from, and the rules its file must keep.

use std::{
    io::Read,
    ops::Range,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use toml::Spanned;
use zeroize::Zeroizing;

use crate::secret::SecretBytes;

/// Longest PIN, with room for a line end and for seeing that it is too long.
const MAX_LEN: usize = 255;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    file: Option<PathBuf>,
    credential: Option<String>,
}

/// Where a PIN is. Reading it yields the PIN, or the file at fault and why.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// A name below `$CREDENTIALS_DIRECTORY` (systemd.exec(5), "Credentials"); the service manager guards it.
    Credential(String),
    /// A file that only its owner may read.
    File(PathBuf),
}

impl Source {
    pub(super) fn new(raw: Spanned<Raw>, base: &Path) -> Result<Self, (Range<usize>, &'static str)> {
        let span = raw.span();
        match raw.into_inner() {
            Raw { file: Some(file), credential: None } => Ok(Self::File(base.join(file))),
            Raw { file: None, credential: Some(name) } => {
                if name.is_empty() || name.contains('/') || name.starts_with('.') {
                    return Err((span, "credential must be a plain name"));
                }
                Ok(Self::Credential(name))
            }
            Raw { file: Some(_), credential: Some(_) } => Err((span, "give file or credential, not both")),
            Raw { file: None, credential: None } => Err((span, "give file or credential")),
        }
    }

    /// The file, if it can be said where it is.
    pub(super) fn path(&self) -> Option<PathBuf> {
        match self {
            Self::Credential(name) => {
                super::variable("CREDENTIALS_DIRECTORY").map(|directory| Path::new(&directory).join(name))
            }
            Self::File(path) => Some(path.clone()),
        }
    }

    pub(super) fn read(&self) -> Result<SecretBytes, (PathBuf, String)> {
        let guarded = matches!(self, Self::Credential(_));
        let path = self.path().ok_or_else(|| {
            let what = "no $CREDENTIALS_DIRECTORY: not started by the service manager";
            (self.name(), what.to_owned())
        })?;
        read(&path, guarded).map_err(|reason| (path, reason))
    }

    fn name(&self) -> PathBuf {
        match self {
            Self::Credential(name) => PathBuf::from(name),
            Self::File(path) => path.clone(),
        }
    }
}

fn read(path: &Path, guarded: bool) -> Result<SecretBytes, String> {
    let open = std::fs::File::open(path).map_err(|error| format!("PIN file cannot be opened: {error}"))?;
    // The opened file is what is looked at: its name could be given to another one in between.
    let facts = open.metadata().map_err(|error| format!("PIN file: {error}"))?;
    if !facts.is_file() {
        return Err("PIN file is not a regular file".into());
    }
    if !guarded {
        let mode = facts.mode() & 0o7777;
        if mode != 0o400 && mode != 0o600 {
            return Err(format!("PIN file has mode {mode:04o}; it must be 0400 or 0600"));
        }
        let us = rustix::process::geteuid();
        if facts.uid() != us.as_raw() && facts.uid() != 0 {
            return Err("PIN file belongs neither to this user nor to root".into());
        }
    }
    // One allocation, so that no copy of the PIN is left behind by growth.
    let mut bytes = Zeroizing::new(vec![0_u8; MAX_LEN.saturating_add(3)]);
    let mut length: usize = 0;
    loop {
        let rest = bytes.get_mut(length..).unwrap_or_default();
        if rest.is_empty() {
            break;
        }
        match (&open).read(rest) {
            Ok(0) => break,
            Ok(more) => length = length.saturating_add(more),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(format!("PIN file cannot be read: {error}")),
        }
    }
    let text = bytes.get(..length).unwrap_or_default();
    let pin = text.strip_suffix(b"\r\n").or_else(|| text.strip_suffix(b"\n")).unwrap_or(text);
    if pin.is_empty() {
        return Err("PIN file is empty".into());
    }
    if pin.len() > MAX_LEN {
        return Err(format!("PIN is longer than {MAX_LEN} bytes"));
    }
    if std::str::from_utf8(pin).is_err() || pin.iter().any(u8::is_ascii_control) {
        return Err("PIN must be one line of UTF-8 text".into());
    }
    Ok(SecretBytes::new(pin.to_vec()))
}
