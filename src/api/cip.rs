//! What is done about a C.I.P.: unlock, a new one.

use serde::{Deserialize, Serialize};

use super::{applicant::Applicant, codes::ContactTo};

/// `POST /v1/cip-renewals`; answered as [`super::codes::HandedOut`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RenewCip {
    /// Holder's codice fiscale.
    pub tax_code: String,
    /// TEAM number, 20 digits.
    pub team_number: String,
    /// Last day of validity.
    pub expires_on: String,
    /// One of the policy's reasons.
    pub reason: String,
    /// Who asks.
    pub applicant: Applicant,
    /// Where the second part goes.
    pub contact: ContactTo,
    /// Id of a colleague's approval of this renewal, where the policy asks for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<String>,
}

/// `POST /v1/unlocks`
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unlock {
    /// Holder's codice fiscale.
    pub tax_code: String,
    /// TEAM number, 20 digits.
    pub team_number: String,
    /// Last day of validity.
    pub expires_on: String,
    /// One of the policy's reasons.
    pub reason: String,
    /// Id of a colleague's approval of this unlock, where the policy asks for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<String>,
}

/// Answer to [`Unlock`].
#[derive(Debug, Serialize, Deserialize)]
pub struct Unlocked {
    /// When, RFC 3339.
    pub unlocked_at: String,
    /// Guesses left before it locks again.
    pub cip_tries_left: u32,
}
