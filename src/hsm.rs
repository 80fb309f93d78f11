//! Port: what we ask of an HSM, and what it promises.
//!
//! One [`Token`] belongs to one worker thread and is synchronous, as PKCS#11 is. [`Hsm`] is the handle that the
//! rest of the program holds: a bounded queue in front of the workers, with a deadline for each call.

mod pool;
mod uses;

pub mod config;
pub mod pkcs11;
pub mod seal;
#[cfg(feature = "testing")]
pub mod soft;

pub use config::Role;
pub use pool::{Hsm, MarkTurn, PoolLimits, State};
pub use uses::Uses;

use crate::secret::{Secret, SecretBytes};

/// The MAC keys by role (design of keys: `ARCHITECTURE.md`, "Keys"). Each is `CKM_SHA256_HMAC`, 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MacKey {
    /// Authority: second parts' counterpart on paper, the first parts.
    Print,
    /// Courier: second parts.
    Deliver,
    /// Both tokens: tags of the parts of a C.I.P.
    Verify,
    /// Authority: index of cards, decoys, commitments in idempotency records and audit events.
    Index,
    /// Courier: commitments to contacts and to messages in its own memory.
    Judge,
}

impl MacKey {
    /// Every MAC key.
    pub const ALL: [Self; 5] = [Self::Print, Self::Deliver, Self::Verify, Self::Index, Self::Judge];

    /// The key's `CKA_LABEL`, and its name in metrics and in `sigillo hsm status`.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Print => "print",
            Self::Deliver => "deliver",
            Self::Verify => "verify",
            Self::Index => "index",
            Self::Judge => "judge",
        }
    }
}

/// Why the HSM gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The program asked for something no HSM should be asked for, or the module broke its contract at the start.
    #[error("HSM contract broken: {0}")]
    Bug(String),
    /// The queue is full. Nothing was sent to the token; try again later.
    #[error("HSM queue is full")]
    Busy,
    /// Token lost, module failed or broke its contract in use, or the deadline passed. The call may or may not have been
    /// carried out.
    #[error("HSM unavailable: {0}")]
    Unavailable(String),
    /// A key is missing, is of the wrong kind, or refuses this use. Needs a human.
    #[error("HSM key: {0}")]
    WrongKey(String),
}

/// Whether a stored tag is this MAC: exactly 32 bytes, compared in constant time. The length is not secret.
pub fn tag_matches(mac: &Secret<32>, stored: &[u8]) -> bool {
    <&[u8; 32]>::try_from(stored).is_ok_and(|stored| mac.ct_eq(stored).into())
}

/// The two places of a token where a signed checkpoint is kept (I13). They are written in turn, so that a write cut
/// short never takes the newest one away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The first.
    A,
    /// The second.
    B,
}

impl Place {
    /// Both, in the order of [`Token::read_marks`].
    pub const ALL: [Self; 2] = [Self::A, Self::B];

    /// Its name on the token.
    pub const fn label(self) -> &'static str {
        match self {
            Self::A => "checkpoint-a",
            Self::B => "checkpoint-b",
        }
    }

    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

/// What both places hold, by [`Place::ALL`]; nothing where there is no object, an empty text in one that is new.
pub type Marks = [Option<Vec<u8>>; 2];

/// Longest text of a [`Place`], in bytes.
pub const MARK_MAX: usize = 4096;

/// One worker's view of a token. Calls block; none retries, none logs in again.
pub trait Token: Send {
    /// HMAC-SHA-256 of `message` under `key`: always 32 bytes, or an error.
    fn mac(&mut self, key: MacKey, message: &[u8]) -> Result<Secret<32>, Error>;

    /// Fills `out` from the token's generator (`C_GenerateRandom`).
    fn random(&mut self, out: &mut [u8]) -> Result<(), Error>;

    /// ECDSA P-256 signature of a SHA-256 digest under the audit key: `r || s`, 64 bytes (IEEE P1363).
    fn sign(&mut self, digest: &[u8; 32]) -> Result<[u8; 64], Error>;

    /// Opens a contact sealed to the courier's contact key (RSA-OAEP).
    fn open_contact(&mut self, sealed: &[u8]) -> Result<SecretBytes, Error>;

    /// Asks for the token objects behind the keys in use, not for session copies: a copy goes on working
    /// after its token is gone.
    fn probe(&mut self) -> Result<(), Error>;

    /// As [`Token::probe`], after a call that failed: also whether every key in use still does its work, with messages
    /// of the self-test. A key that fails alone would go on to cost tries while the token looks well.
    fn examine(&mut self) -> Result<(), Error> {
        self.probe()
    }

    /// What is kept at both places, whether or not anybody has signed it.
    fn read_marks(&mut self) -> Result<Marks, Error>;

    /// Keeps `mark`, 1 to [`MARK_MAX`] bytes, at a place, in place of what was there. After an error the place may
    /// hold the old text, the new one, a part of one, or nothing.
    fn write_mark(&mut self, place: Place, mark: &[u8]) -> Result<(), Error>;
}

/// Why a token was not opened again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Not now. A later opening may succeed, and does no harm.
    #[error(transparent)]
    Again(Error),
    /// Not without a human: a PIN that was refused is never tried twice, and keys that are not those of the start are
    /// never used.
    #[error(transparent)]
    Fatal(Error),
}

/// Where a pool gets its token back from after it was lost.
pub trait Source: Send {
    /// Opens the token with the same keys as before, logs in at most once, and passes every check of a start. Called
    /// when nobody holds a token of an earlier opening. May block.
    fn open(&mut self) -> Result<Vec<Box<dyn Token>>, OpenError>;
}
