//! The command line: one file per command.

pub mod audit;
pub mod backup;
pub mod card;
pub mod cards;
pub mod courier;
#[cfg(feature = "testing")]
pub mod hostile;
pub mod hsm;
pub mod init;
pub mod personalise;
pub mod policy;
pub mod recover;
pub mod reexec;
pub mod restore;
pub mod serve;
pub mod store;

mod client;
mod give_up;
mod offline;
mod out;
mod toml_file;
mod whole_log;

pub use out::{Out, unread};

use crate::domain::going_back::GoneBack;

/// Exit code after which nothing of this process may run any more: a call to the HSM's module or to the store does not come back
/// (`EX_TEMPFAIL` of sysexits.h).
pub const GIVEN_UP: u8 = 75;

/// Exit code of a `serve` whose store is older than what the courier has seen of it (`EX_DATAERR` of sysexits.h): only
/// officers bring that store back.
pub const GONE_BACK: u8 = 65;

/// Why a command ended without doing what it was asked for.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub struct Failure {
    text: String,
    code: u8,
}

impl Failure {
    /// A configuration or policy that is refused: exit code 64 (`EX_USAGE` of sysexits.h).
    pub fn config(why: impl ToString) -> Self {
        Self { text: why.to_string(), code: 64 }
    }

    /// Anything else: exit code 1.
    pub fn failed(why: impl ToString) -> Self {
        Self { text: why.to_string(), code: 1 }
    }

    /// A call that does not come back from the HSM's module: exit code 75 (`EX_TEMPFAIL`). The process must end at
    /// once, without what the system does at an orderly exit: the module would be closed under the call.
    pub fn hung() -> Self {
        Self {
            text:
                "a call did not come back from the HSM's module, which is given up: start this process again"
                    .into(),
            code: GIVEN_UP,
        }
    }

    /// A call that does not come back from the store: exit code 75.
    pub fn store_stands_still() -> Self {
        Self {
            text: "a call to the store did not come back; what was asked of it then may be done, or not. Start this process again. Is \
                   its disk well?"
                .into(),
            code: GIVEN_UP,
        }
    }

    /// A log that does not hold a checkpoint which the courier keeps: exit code 65.
    pub fn gone_back(why: &GoneBack) -> Self {
        Self::with_code(
            format!(
                "the courier keeps a newer checkpoint: {why}. Nothing is served, and the token refuses this store from now \
                 on. The way back is a recovery by officers: `sigillo recover plan --help`"
            ),
            GONE_BACK,
        )
    }

    fn with_code(why: impl ToString, code: u8) -> Self {
        Self { text: why.to_string(), code }
    }

    /// The exit code.
    pub const fn exit_code(&self) -> u8 {
        self.code
    }
}

impl From<courier::Error> for Failure {
    fn from(e: courier::Error) -> Self {
        Self::with_code(&e, e.exit_code())
    }
}

impl From<hsm::Error> for Failure {
    fn from(e: hsm::Error) -> Self {
        Self::with_code(&e, e.exit_code())
    }
}
