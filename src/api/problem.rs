//! Refusals as they go over the wire (RFC 9457).

use serde::{Deserialize, Serialize};

/// Media type of a [`ProblemDocument`].
pub const MEDIA_TYPE: &str = "application/problem+json";

/// A refusal. Readers ignore members they do not know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProblemDocument {
    /// URI of the kind of problem: `urn:sigillo:problem:` and the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words, the same for every problem of this kind.
    pub title: String,
    /// The HTTP status again.
    pub status: u16,
    /// Stable name of the kind, for programs.
    pub code: String,
    /// This case in words; never holds a value from the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// JSON path of the field at fault, such as `$.cards[3].expiry`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Identifies the request in the logs, 32 hexadecimal digits; also in the header `x-request-id`.
    pub request_id: String,
}
