//! The command line: one file per command.

pub mod audit;
pub mod cards;
pub mod courier;
pub mod hsm;
pub mod init;
pub mod reexec;
pub mod serve;

mod client;
mod toml_file;

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
