//! Stored records of deliveries and verifications, and when records may be forgotten.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::Error;
use crate::{
    domain::{
        id::{CardId, DeliveryId, LeaseId, VerificationId},
        template::CodeName,
    },
    store::{Expect, Op, Space, Versioned},
};

/// Second parts on their way to a citizen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Delivery {
    pub format: u8,
    pub card: CardId,
    /// Text template of the courier.
    pub message: String,
    /// Codes with the generation that was handed out.
    pub codes: Vec<DeliveredCode>,
    /// Number on paper and in the message.
    pub control: String,
    /// `email` or `sms`.
    pub channel: String,
    /// Sealed to the courier's token; gone some time after nothing more is to be sent.
    pub contact: Option<String>,
    /// When the contact is to be gone; nothing while something is to be sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact_until_ms: Option<u64>,
    /// What is not sent by then is given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_ms: Option<u64>,
    pub state: DeliveryState,
    /// Whether a gateway has had it before it was to be sent once more, and has not said since that it failed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub taken_before: bool,
    pub queued_at_ms: u64,
    pub attempts: u32,
    /// Why the last attempt failed, as the courier said it.
    pub reason: Option<String>,
}

impl Delivery {
    /// Whether a gateway has, or had, this message: its second parts may be with whoever reads that mailbox or device.
    pub(super) const fn is_taken(&self) -> bool {
        self.taken_before
            || matches!(self.state, DeliveryState::Delivered { .. } | DeliveryState::Sent { .. })
    }
}

/// One code of a delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DeliveredCode {
    pub code: CodeName,
    pub generation: u32,
}

/// Where a delivery is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum DeliveryState {
    /// A newer request took its place, or the card was revoked.
    Cancelled,
    /// The citizen's mailbox or device has it, as this holder has reported.
    Delivered {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lease: Option<LeaseId>,
    },
    /// Given up: by this holder's report, or after the last attempt.
    Failed {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lease: Option<LeaseId>,
    },
    /// The courier holds it. Once it has prepared the second parts, a message may have left.
    Leased { lease: LeaseId, until_ms: u64, prepared: bool },
    /// To be leased.
    Queued { due_ms: u64 },
    /// The courier's own policy holds it back until then.
    Waiting { until_ms: u64 },
    /// The gateway has it; the last holder may still report that it arrived, or that it never will.
    Sent { lease: LeaseId },
}

impl DeliveryState {
    /// Every text that a state has.
    pub(super) const TEXTS: [&'static str; 7] =
        ["cancelled", "delivered", "failed", "leased", "queued", "sent", "waiting"];

    /// Its text in answers and events.
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            Self::Delivered { .. } => "delivered",
            Self::Failed { .. } => "failed",
            Self::Leased { .. } => "leased",
            Self::Queued { .. } => "queued",
            Self::Sent { .. } => "sent",
            Self::Waiting { .. } => "waiting",
        }
    }

    /// When the courier may next lease it, if ever: at once when queued, after the end of a hold that was lost.
    pub(super) const fn due_ms(self) -> Option<u64> {
        match self {
            Self::Queued { due_ms } => Some(due_ms),
            Self::Leased { until_ms, .. } | Self::Waiting { until_ms } => Some(until_ms),
            Self::Cancelled | Self::Delivered { .. } | Self::Failed { .. } | Self::Sent { .. } => None,
        }
    }
}

/// What became of one verification. Kept for accepted and rejected ones alike.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Verified {
    pub format: u8,
    /// The card, or what stands in for it.
    pub card: CardId,
    /// Of the C.I.P., by [`generation`]: an accepted one ends with it.
    #[serde(default)]
    pub generation: String,
    pub caller: String,
    pub operator: String,
    pub purpose: super::Purpose,
    pub outcome: super::Verdict,
    pub until_ms: u64,
}

/// A generation, in as many letters whatever it is.
pub(super) fn generation(number: u32) -> String {
    format!("{number:08x}")
}

/// The format byte of both.
pub(super) const FORMAT: u8 = 1;

/// Reads a stored record.
pub(super) fn read<T: DeserializeOwned>(found: &Versioned) -> Result<T, Error> {
    serde_json::from_slice(&found.value).map_err(|e| Error::Bug(format!("stored record: {e}")))
}

/// Writes a record if it is still as read, or new.
pub(super) fn put<T: Serialize>(space: Space, key: &[u8], record: &T, expect: Expect) -> Result<Op, Error> {
    let value = serde_json::to_vec(record).map_err(|e| Error::Bug(format!("record: {e}")))?;
    Ok(Op::Put { space, key: key.into(), value, expect })
}

/// Key in `Space::Due`.
pub(super) fn due_key(at_ms: u64, delivery: &DeliveryId) -> Vec<u8> {
    [at_ms.to_be_bytes().as_slice(), delivery.bytes()].concat()
}

/// Reads a key of `Space::Due`.
pub(super) fn read_due_key(key: &[u8]) -> Option<(u64, DeliveryId)> {
    let (at, id) = key.split_first_chunk::<8>()?;
    Some((u64::from_be_bytes(*at), DeliveryId::new(id.try_into().ok()?)))
}

/// What happens to records after a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Perishable {
    /// `Space::Approval`: approvals and the places that they take are forgotten.
    Approval,
    /// `Space::Delivery`: the contact is forgotten.
    Contact,
    /// `Space::Delivery`: it is given up.
    Delivery,
    /// `Space::Dossier`: forgotten.
    Dossier,
    /// `Space::Idem`: forgotten.
    Idempotency,
    /// `Space::Card`: the salt is destroyed.
    Salt,
    /// `Space::Idem` and `Space::Verification`, 16 bytes of key each: forgotten.
    Verified,
}

impl Perishable {
    const ALL: [Self; 7] = [
        Self::Approval,
        Self::Contact,
        Self::Delivery,
        Self::Dossier,
        Self::Idempotency,
        Self::Salt,
        Self::Verified,
    ];

    const fn mark(self) -> u8 {
        match self {
            Self::Approval => b'a',
            Self::Contact => b'c',
            Self::Delivery => b'd',
            Self::Dossier => b'y',
            Self::Idempotency => b'i',
            Self::Salt => b's',
            Self::Verified => b'v',
        }
    }

    /// Notes when the record with this key perishes.
    pub(super) fn expires(self, key: &[u8], at_ms: u64) -> Op {
        let key = self.expiry_key(key, at_ms);
        Op::Put { space: Space::Expiry, key, value: Vec::new(), expect: Expect::Any }
    }

    /// Takes that note back, for a record that is removed before.
    pub(super) fn expires_no_more(self, key: &[u8], at_ms: u64) -> Op {
        Op::Delete { space: Space::Expiry, key: self.expiry_key(key, at_ms), expect: Expect::Any }
    }

    fn expiry_key(self, key: &[u8], at_ms: u64) -> Vec<u8> {
        [at_ms.to_be_bytes().as_slice(), &[self.mark()], key].concat()
    }

    /// Reads a key of `Space::Expiry`: when, and which record.
    pub(super) fn read(key: &[u8]) -> Option<(u64, Self, &[u8])> {
        let (at, rest) = key.split_first_chunk::<8>()?;
        let (mark, record) = rest.split_first()?;
        let perishable = Self::ALL.into_iter().find(|perishable| perishable.mark() == *mark)?;
        Some((u64::from_be_bytes(*at), perishable, record))
    }
}

/// Key in `Space::Verification`.
pub(super) fn verification_key(id: &VerificationId) -> Vec<u8> {
    id.bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_one_of_the_texts() {
        let lease = LeaseId::new([7; 16]);
        let states = [
            DeliveryState::Cancelled,
            DeliveryState::Delivered { lease: None },
            DeliveryState::Failed { lease: None },
            DeliveryState::Leased { lease, until_ms: 0, prepared: false },
            DeliveryState::Queued { due_ms: 0 },
            DeliveryState::Sent { lease },
            DeliveryState::Waiting { until_ms: 0 },
        ];
        assert_eq!(states.map(DeliveryState::text), DeliveryState::TEXTS);
    }

    #[test]
    fn ends_without_a_holder_are_read_as_they_were_written() {
        for (text, state) in [
            (r#"{"is":"delivered"}"#, DeliveryState::Delivered { lease: None }),
            (r#"{"is":"failed"}"#, DeliveryState::Failed { lease: None }),
        ] {
            assert_eq!(serde_json::from_str::<DeliveryState>(text).unwrap(), state);
            assert_eq!(serde_json::to_string(&state).unwrap(), text);
        }
        let held = DeliveryState::Delivered { lease: Some(LeaseId::new([7; 16])) };
        let text = serde_json::to_string(&held).unwrap();
        assert_eq!(serde_json::from_str::<DeliveryState>(&text).unwrap(), held);
    }
}
