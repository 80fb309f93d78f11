//! The key ceremony: makes a token's key set, and brings the verify key from the authority's token to the courier's.
//!
//! Nothing is ever overwritten: a key of the set that is already there is a refusal that names it. Run it with no
//! serving process on the token, since some modules mishandle keys made from two processes.

mod init;
mod receive;
mod token;
mod wrapped;

use std::path::{Path, PathBuf};

use cryptoki::session::Session;

pub use init::{Initialised, init};
pub use receive::{Received, receive};

use super::{Error, KeyName, StartError, survey};
use crate::hsm::config::{self, Config};

/// File that brings the verify key to the courier.
pub const WRAPPED_FILE: &str = "verify.wrapped";

/// Why a ceremony ended without its result.
#[derive(Debug, thiserror::Error)]
pub enum CeremonyError {
    /// The configuration or a PIN file is refused. Nothing was changed.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// A file could not be read or written.
    #[error("{}: {reason}", .file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// Why.
        reason: String,
    },
    /// Some of the set was made. It stays on the token for a human to judge.
    #[error(
        "stopped half way: {cause}. On the token now: {made}. Not made: {missing}. Nothing was removed: \
             initialise the token again, or remove these keys, before the next attempt"
    )]
    HalfWay {
        /// Labels of the keys that are there.
        made: String,
        /// Labels of those that are not.
        missing: String,
        /// What stopped it.
        cause: Box<Self>,
    },
    /// The token failed or refused.
    #[error(transparent)]
    Hsm(#[from] Error),
    /// The ceremony must not be done here. Nothing was changed.
    #[error("refused: {0}")]
    Refused(String),
}

impl From<StartError> for CeremonyError {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Config(error) => Self::Config(error),
            StartError::Hsm(error) => Self::Hsm(error),
        }
    }
}

/// Refuses if the token has any object that goes by one of these names.
fn refuse_existing(session: &Session, config: &Config, names: &[KeyName]) -> Result<(), CeremonyError> {
    let mut there = Vec::new();
    for name in names {
        if !survey::namesakes(session, config, *name)?.is_empty() {
            there.push(format!("{:?}", name.label()));
        }
    }
    if there.is_empty() {
        return Ok(());
    }
    Err(CeremonyError::Refused(format!(
        "the token already has key {}; nothing is overwritten and nothing was changed",
        there.join(", ")
    )))
}

fn file_error(file: &Path, reason: impl ToString) -> CeremonyError {
    CeremonyError::File { file: file.to_owned(), reason: reason.to_string() }
}

/// Names as one list for a message.
fn list(names: &[KeyName]) -> String {
    if names.is_empty() {
        return "nothing".into();
    }
    names.iter().map(|name| name.label()).collect::<Vec<_>>().join(", ")
}
