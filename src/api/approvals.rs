//! Approvals: four eyes.

use serde::{Deserialize, Serialize};

use super::codes::ContactTo;

/// `POST /v1/approvals`
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskApproval {
    /// What is to be done: `change_contact`, `renew_cip`, `revoke` or `unlock`.
    pub action: String,
    /// The card.
    pub card: ApprovalCard,
    /// One of the policy's reasons for it.
    pub reason: String,
    /// The other contact, for `change_contact`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<ContactTo>,
}

/// A card in [`AskApproval`], by its number alone.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApprovalCard {
    /// TEAM number, 20 digits.
    pub team_number: String,
}

/// Answer to [`AskApproval`] and to `GET /v1/approvals/{id}`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Approval {
    /// Its id, for the approving operator and then for the operation.
    pub id: String,
    /// The text that the approving operator reads and signs, as it is.
    pub text: String,
    /// `open` or `signed`.
    pub state: String,
    /// When it is over, RFC 3339.
    pub expires_at: String,
}

/// `POST /v1/approvals/{id}/sign`
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignApproval {
    /// Over 64 spaces, `Sigillo, approval v1`, a zero byte and the text; base64.
    pub signature: String,
}

/// Answer to [`SignApproval`].
#[derive(Debug, Serialize, Deserialize)]
pub struct SignedApproval {
    /// `signed`.
    pub state: String,
    /// When it is over, RFC 3339.
    pub expires_at: String,
}
