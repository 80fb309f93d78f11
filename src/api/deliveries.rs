//! What is done about a delivery: another contact, the same message once more.

use serde::{Deserialize, Serialize};

use super::codes::ContactTo;

/// `POST /v1/contacts`
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangeContact {
    /// Holder's codice fiscale.
    pub tax_code: String,
    /// TEAM number, 20 digits.
    pub team_number: String,
    /// Last day of validity.
    pub expires_on: String,
    /// One of the policy's reasons.
    pub reason: String,
    /// Where the second parts go from now on.
    pub contact: ContactTo,
    /// Id of a colleague's approval of this change, where the policy asks for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<String>,
}

/// Answer to [`ChangeContact`].
#[derive(Debug, Serialize, Deserialize)]
pub struct ContactChanged {
    /// The delivery in the place of the former one.
    pub delivery: String,
    /// As on the paper, six digits.
    pub control: String,
}

/// `POST /v1/deliveries/{id}/resend`
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resend {}

/// Answer to [`Resend`].
#[derive(Debug, Serialize, Deserialize)]
pub struct Resent {
    /// `queued`.
    pub state: String,
    /// When, RFC 3339.
    pub queued_at: String,
}
