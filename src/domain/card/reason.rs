//! Why a card was revoked, and why a change of a card is refused.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why a card was revoked. The text is part of the API and of audit events: it never changes, it is only added to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Data on it are no longer right.
    ChangedData,
    /// The holder has died.
    Deceased,
    /// It does not work.
    Faulty,
    /// The holder wants it so.
    HolderRequest,
    /// Lost.
    Lost,
    /// The card that renews it is active.
    Renewed,
    /// The card that replaces it is registered.
    Replaced,
    /// Stolen.
    Stolen,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 8] = [
        Self::ChangedData,
        Self::Deceased,
        Self::Faulty,
        Self::HolderRequest,
        Self::Lost,
        Self::Renewed,
        Self::Replaced,
        Self::Stolen,
    ];

    /// Its text, as in requests and audit events.
    pub const fn text(self) -> &'static str {
        match self {
            Self::ChangedData => "changed_data",
            Self::Deceased => "deceased",
            Self::Faulty => "faulty",
            Self::HolderRequest => "holder_request",
            Self::Lost => "lost",
            Self::Renewed => "renewed",
            Self::Replaced => "replaced",
            Self::Stolen => "stolen",
        }
    }
}

/// The text is not a reason for revocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no such reason for revocation")]
pub struct BadReason;

impl FromStr for Reason {
    type Err = BadReason;

    fn from_str(text: &str) -> Result<Self, BadReason> {
        Self::ALL.into_iter().find(|reason| reason.text() == text).ok_or(BadReason)
    }
}

/// Why a change is not made. A business outcome, not a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It has been activated before.
    #[error("the card is already active")]
    CardAlreadyActive,
    /// Its last day has passed.
    #[error("the card has expired")]
    CardExpired,
    /// A recovery took it out of use: it can only be replaced.
    #[error("the card is held after a recovery")]
    CardHeld,
    /// It has not been activated.
    #[error("the card is not active")]
    CardNotActive,
    /// It is still in use.
    #[error("the card is not revoked")]
    CardNotRevoked,
    /// Revocation is final.
    #[error("the card is revoked")]
    CardRevoked,
    /// The codes were made anew meanwhile.
    #[error("the code has another generation now")]
    GenerationChanged,
    /// It has no C.I.P., or its generations are used up.
    #[error("the card has no C.I.P.")]
    NoCip,
    /// Another second part is known for this generation: a wrong key or a wrong card somewhere.
    #[error("another second part is known for this generation")]
    SecondPartDiffers,
}

impl Refusal {
    /// Its code in problems and audit events: it never changes.
    pub const fn code(self) -> &'static str {
        match self {
            Self::CardAlreadyActive => "card_already_active",
            Self::CardExpired => "card_expired",
            Self::CardHeld => "card_held",
            Self::CardNotActive => "card_not_active",
            Self::CardNotRevoked => "card_not_revoked",
            Self::CardRevoked => "card_revoked",
            Self::GenerationChanged => "generation_changed",
            Self::NoCip => "no_cip",
            Self::SecondPartDiffers => "second_part_differs",
        }
    }
}
