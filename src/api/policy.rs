//! What `POST /v1/policy/reload` answers.

use serde::{Deserialize, Serialize};

/// The policy set in force after it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    /// SHA-256 of the set, 64 hexadecimal digits.
    pub policy: String,
    /// Its sequence number.
    pub sequence: u64,
    /// Whether another one was in force before.
    pub changed: bool,
    /// The officers who signed it, by name, where it changed.
    pub signed_by: Vec<String>,
}
