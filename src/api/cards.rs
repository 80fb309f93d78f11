//! Cards: registration, look-up, revocation.

use serde::{Deserialize, Serialize};

use super::{applicant::Applicant, paper::Paper};

/// One line of `POST /v1/cards` (NDJSON): a produced card.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewCard {
    /// Holder's codice fiscale, 16 characters, or 11 digits if provisional.
    pub tax_code: String,
    /// TEAM number on the back, 20 digits.
    pub team_number: String,
    /// Last day of validity, `YYYY-MM-DD`.
    pub expires_on: String,
    /// TEAM number of the expiring card that this one takes the place of once it is active.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renews: Option<String>,
    /// TEAM number of the lost, stolen, faulty or outdated card that this one takes the place of at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<String>,
}

/// Answer to `POST /v1/cards`.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Registered {
    /// Lines that are new cards.
    pub registered: u64,
    /// Lines that were registered before, with the same data.
    pub unchanged: u64,
    /// Lines that changed nothing, each with its reason.
    pub rejected: Vec<BadLine>,
    /// Lines that were taken although something about them is unusual.
    pub warnings: Vec<BadLine>,
}

/// A line of a batch that was rejected, or taken with a warning.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BadLine {
    /// From 1.
    pub line: u64,
    /// Stable reason.
    pub code: String,
    /// JSON path of the field at fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The reason in words, without the value.
    pub detail: String,
}

/// `POST /v1/cards/lookup`: all three data, or the TEAM number alone, as for a revocation.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LookUp {
    /// Holder's codice fiscale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tax_code: Option<String>,
    /// TEAM number, 20 digits.
    pub team_number: String,
    /// Last day of validity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_on: Option<String>,
}

/// A card as an operator sees it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Card {
    /// `registered`, `active` or `revoked`.
    pub state: String,
    /// Last day of validity, `YYYY-MM-DD`.
    pub expires_on: String,
    /// Whether that day is past, in Italy.
    pub expired: bool,
    /// Issuing region, three digits.
    pub region: String,
    /// Code template frozen in the card.
    pub template: String,
    /// Guesses left before its C.I.P. locks; absent where there is none or it was not handed out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cip_tries_left: Option<u32>,
    /// How it was activated: `in_person`, or `proxy:` and the title; absent where it never was, or nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activation: Option<String>,
    /// Why none is left: `in_a_row` (an unlock gives some back) or `lifetime` (only a new C.I.P. helps).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cip_lock: Option<String>,
    /// Its latest delivery of second parts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<String>,
}

/// `POST /v1/revocations`
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revoke {
    /// TEAM number, 20 digits.
    pub team_number: String,
    /// Id of the accepted verification of its C.I.P. with purpose `revocation`; or `approval` in its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification: Option<String>,
    /// Id of a colleague's approval of this revocation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<String>,
    /// One of the policy's reasons.
    pub reason: String,
    /// Who asks.
    pub applicant: Applicant,
}

/// Answer to [`Revoke`].
#[derive(Debug, Serialize, Deserialize)]
pub struct Revoked {
    /// `revoked`.
    pub state: String,
    /// When, RFC 3339.
    pub revoked_at: String,
    /// What is printed.
    pub paper: Paper,
}
