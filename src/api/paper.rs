//! What is printed for the citizen beside the codes.

use serde::{Deserialize, Serialize};

/// The data of a printed summary.
#[derive(Debug, Serialize, Deserialize)]
pub struct Paper {
    /// `activation`, `reprint` or `revocation`.
    pub operation: String,
    /// When it was done, RFC 3339.
    pub at: String,
    /// The operator's office.
    pub office: String,
    /// Last day of the card, `YYYY-MM-DD`.
    pub expires_on: String,
    /// The last four digits of its TEAM number.
    pub number_ends: String,
    /// `holder`, or `proxy:` and the title.
    pub applicant: String,
    /// Kind of the document that was shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<String>,
    /// How the second parts travel: `email` or `sms`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// Where they go, masked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<String>,
    /// Ids of the texts to print, in their order: see the description of the API for what each says.
    pub texts: Vec<String>,
}
