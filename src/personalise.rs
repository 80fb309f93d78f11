//! The making of chips' codes, offline: the one place where both parts of a PIN and a PUK come together (I1), for the card
//! bureau's certificate alone.
//!
//! Each token has a process of its own ([`half`]), since a PKCS#11 module knows one configuration in a process, and so that
//! none has both keys. This one ([`make`]) asks both for their parts, joins them in memory that is wiped, and writes nothing
//! but what the bureau's private key opens ([`cms`]). It must never run where `serve` or the courier does its work, and never
//! writes a code or a part in clear.

mod journal;
mod run;
mod sink;

pub mod check;
pub mod cms;
pub mod half;
pub mod halves;
pub mod manifest;
pub mod recipient;

use std::path::{Path, PathBuf};

use crate::{card_export::BadExport, domain::checkpoint::Broken, files::FileError};

pub use run::{Made, Order, make};

/// Why nothing was made, or what was made does not hold.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The export of the cards does not hold.
    #[error("{}: {why}", file.display())]
    Export {
        /// The file.
        file: PathBuf,
        /// Line and reason.
        why: BadExport,
    },
    /// A file that must be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// One of the two processes with a token.
    #[error("{}: {reason}", config.display())]
    Half {
        /// Configuration of its token.
        config: PathBuf,
        /// What it said.
        reason: String,
        /// Whether the configuration is at fault.
        is_configuration: bool,
    },
    /// The operating system, about a path.
    #[error("{}: {why}", path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// What it said.
        why: std::io::Error,
    },
    /// The log of earlier runs does not hold.
    #[error("{}: {why}. It is not written on: keep it for the auditors, and begin another one", file.display())]
    Journal {
        /// The file.
        file: PathBuf,
        /// Why.
        why: Broken,
    },
    /// The bureau's certificate.
    #[error("{}: {why}", file.display())]
    Recipient {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        why: recipient::BadRecipient,
    },
    /// What was asked for is not done.
    #[error("{0}")]
    Refused(String),
}

impl Error {
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |why| Self::Io { path, why }
    }
}
