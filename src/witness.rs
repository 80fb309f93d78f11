//! Port: a witness, which keeps the newest checkpoint away from store and token (I13).
//!
//! It keeps one text and gives it back. It judges nothing: whether a text is a checkpoint, and of whom, is for whoever reads
//! it. One that an answer has come from keeps no older text after a newer one. A call without an answer may be carried out
//! late where the witness is behind a network: who calls reads the next one back.

mod file;
mod url;

use std::pin::Pin;

pub use file::FileWitness;
pub use url::{NotAnAddress, UrlAddress, UrlFiles, UrlWitness};

/// Longest text, bytes.
pub const TEXT_MAX: usize = 4096;

/// The witness did not do what it was asked, or nobody knows whether it did.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Fault(pub String);

/// An answer to come.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Fault>> + Send + 'a>>;

/// Where the newest checkpoint is kept too.
pub trait Witness: Send + Sync {
    /// Its kind, for metrics and messages.
    fn name(&self) -> &'static str;

    /// What it keeps; nothing if it never kept anything, which is not the same as a witness that cannot be asked.
    fn read(&self) -> Answer<'_, Option<String>>;

    /// Keeps this text in place of what it kept; when the answer is there the text is durable.
    fn keep(&self, text: String) -> Answer<'_, ()>;
}
