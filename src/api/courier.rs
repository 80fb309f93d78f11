//! What the courier and the authority say to each other.

use serde::{Deserialize, Serialize};

use crate::domain::id::{CardId, DeliveryId, LeaseId};

/// `POST /v1/courier/leases`
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeaseRequest {
    /// The most deliveries to lease, 1 to 100.
    pub limit: usize,
    /// The newest signed checkpoint of the authority that the courier keeps; none the first time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<String>,
}

/// Answer to [`LeaseRequest`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leases {
    /// Deliveries now held by the caller, oldest first; empty when none is due.
    pub leases: Vec<Lease>,
    /// The authority's newest signed checkpoint, for the courier to keep.
    pub checkpoint: String,
}

/// One delivery to carry out before the lease ends.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lease {
    /// Names this hold in the report; a later lease of the same delivery has another.
    pub lease: LeaseId,
    /// The delivery; the same over all its attempts.
    pub delivery: DeliveryId,
    /// The card, as in the MAC input.
    pub card: CardId,
    /// End of the hold, milliseconds since 1970 UTC.
    pub until_ms: u64,
    /// 1 for the first attempt.
    pub attempt: u32,
    /// Text template of the courier's own configuration, such as `activation`.
    pub message: String,
    /// Number printed on the citizen's paper too, six digits.
    pub control: String,
    /// Code template frozen in the card, as in the MAC input.
    pub template: String,
    /// The card's salt, 64 hexadecimal digits.
    pub salt: String,
    /// Whose second parts to send.
    pub codes: Vec<LeasedCode>,
    /// RSA-OAEP ciphertext of the contact (`domain::contact`), hexadecimal.
    pub contact: String,
}

/// One code of a delivery.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeasedCode {
    /// `PIN`, `PUK` or `CIP`.
    pub code: String,
    /// Generation, as in the MAC input.
    pub generation: u32,
    /// Digits of the second part, 1 to 20.
    pub digits: u8,
    /// Second parts that the template does not allow.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forbidden: Vec<String>,
}

/// `POST /v1/courier/leases/{lease}/report`
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// The delivery of the lease.
    pub delivery: DeliveryId,
    /// What happened.
    pub status: ReportStatus,
    /// With `prepared`, when the delivery has a C.I.P.: generation that `second_part_tag` belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u32>,
    /// With `prepared`, when the delivery has a C.I.P.: tag of its second part, 64 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second_part_tag: Option<String>,
    /// With `retry`, `returned`, `waiting` and `failed`: why, without contact or digits; at most 200 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// With `waiting`: when it may be leased again, milliseconds since 1970 UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<u64>,
}

/// What became of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportStatus {
    /// The gateway says that the citizen's device or mailbox has it.
    Delivered,
    /// Will never work (no such mailbox): given up.
    Failed,
    /// Second parts are derived; nothing has been sent. The authority stores the tag before anything leaves.
    Prepared,
    /// May work later (mailbox full): to be leased again after a back-off.
    Retry,
    /// Not carried out for a reason that is not this delivery's (gateway down, courier stopping): to be leased again,
    /// and not counted as an attempt.
    Returned,
    /// The gateway has accepted the message.
    Sent,
    /// The courier's own policy holds it back until `until_ms`: to be leased then, and not counted as an attempt.
    Waiting,
}

/// Answer to [`Report`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reported {
    /// State of the delivery now, as in `GET /v1/deliveries/{id}`.
    pub state: String,
}
