//! Codes: activation, reprint, verification, deliveries.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    applicant::{Applicant, MaskedApplicant},
    cards::Card,
    paper::Paper,
};

/// Where second parts go.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContactTo {
    /// `email` or `sms`.
    pub channel: String,
    /// The address.
    pub address: String,
    /// The address typed a second time, to be compared with the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeated: Option<String>,
    /// Language of the message: `de`, `fr`, `it` or `sl`, as far as the policy has them. If absent, `it`; for another contact of a
    /// delivery, that which its message had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
}

/// `POST /v1/activations`
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Activate {
    /// Holder's codice fiscale.
    pub tax_code: String,
    /// TEAM number, 20 digits.
    pub team_number: String,
    /// Last day of validity.
    pub expires_on: String,
    /// Who asks.
    pub applicant: Applicant,
    /// Where the second parts go.
    pub contact: ContactTo,
    /// The data processing is agreed to; without it nothing is activated.
    #[serde(default)]
    pub data_processing: bool,
    /// Only show what would be done.
    #[serde(default)]
    pub preview: bool,
}

/// Answer to [`Activate`] and [`Reprint`] with `preview`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Preview {
    /// The card as it is.
    pub card: Card,
    /// The codes that would be handed out.
    pub codes: BTreeMap<String, Split>,
    /// Who asks.
    pub applicant: MaskedApplicant,
    /// `email` or `sms`.
    pub channel: String,
    /// Where the second parts would go, masked.
    pub contact: String,
    /// Language of their message.
    pub language: String,
    /// Codes of what the confirmed request would still be refused for: what must be signed, ticked or shown.
    pub lacks: Vec<String>,
}

/// How a code would be cut.
#[derive(Debug, Serialize, Deserialize)]
pub struct Split {
    /// Digits on paper.
    pub first: u8,
    /// Digits by the chosen channel.
    pub second: u8,
}

/// `POST /v1/reprints`
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reprint {
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
    /// Where the second parts go.
    pub contact: ContactTo,
    /// Only show what would be done.
    #[serde(default)]
    pub preview: bool,
}

/// Answer to [`Activate`] and [`Reprint`]: the data of the paper. Not to be stored.
#[derive(Serialize, Deserialize)]
pub struct HandedOut {
    /// First part by code: `PIN`, `PUK`, `CIP`.
    pub first_parts: BTreeMap<String, String>,
    /// Number that the message carries too, six digits.
    pub control: String,
    /// Delivery of the second parts; absent where the template has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<String>,
    /// What is printed beside them.
    pub paper: Paper,
}

impl Drop for HandedOut {
    fn drop(&mut self) {
        self.first_parts.values_mut().for_each(zeroize::Zeroize::zeroize);
    }
}

/// `POST /v1/verifications`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verify {
    /// TEAM number, 20 digits.
    pub team_number: String,
    /// What the citizen said: 0 to 64 digits. Each is a guess, whatever its length.
    pub code: String,
    /// `revocation`.
    pub purpose: String,
}

impl Drop for Verify {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.code);
    }
}

/// Answer to [`Verify`]: of one size whatever it says.
#[derive(Debug, Serialize, Deserialize)]
pub struct Verified {
    /// `accepted` or `rejected`.
    pub outcome: String,
    /// Names the answer; used up by a revocation.
    pub verification: String,
}

/// Answer to `GET /v1/deliveries/{id}`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Delivery {
    /// `queued`, `leased`, `waiting`, `sent`, `delivered`, `failed` or `cancelled`.
    pub state: String,
    /// `email` or `sms`.
    pub channel: String,
    /// Number on paper and in the message.
    pub control: String,
    /// Attempts so far.
    pub attempts: u32,
    /// Why the last attempt failed, or what it waits for and until when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// RFC 3339.
    pub queued_at: String,
}

/// Answer to `GET /v1/audit/checkpoint`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The signed text.
    pub checkpoint: String,
}
