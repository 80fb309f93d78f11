//! Why a delivery was not carried out, and what is to be done about it. Reasons go to the authority and to logs:
//! fixed words and numbers, never what a server or a citizen has written.

use super::judge::Ended;
use crate::hsm;

/// Why a delivery was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Setback {
    /// Will never work.
    #[error("failed: {0}")]
    Failed(String),
    /// Has not been tried, or not for a reason of its own; others may fare better. No attempt is counted.
    #[error("handed back: {0}")]
    Rest(String),
    /// May work later; concerns this delivery alone.
    #[error("to be tried again: {0}")]
    Retry(String),
    /// May work later; until then every delivery would fare the same.
    #[error("to be tried again, as every delivery: {0}")]
    Trouble(String),
    /// The message may have left: to be tried again, counted as an attempt.
    #[error("to be tried again, perhaps for the second time: {0}")]
    Unknown(String),
}

/// Whether a gateway that answered with this setback may have the message all the same. A relay that is lost after the
/// message has left looks like one that never was there.
pub(super) const fn ended(of_gateway: &Setback) -> Ended {
    match of_gateway {
        Setback::Failed(_) | Setback::Retry(_) => Ended::NotSent,
        Setback::Rest(_) | Setback::Trouble(_) | Setback::Unknown(_) => Ended::Unknown,
    }
}

/// The token did not derive. The error's own text goes to the log: it may name slots and labels.
pub(super) fn of_hsm(error: hsm::Error) -> Setback {
    tracing::error!(%error, "courier's token");
    Setback::Trouble(
        match error {
            hsm::Error::Bug(_) => "the courier's token or module is faulty",
            hsm::Error::Busy => "the courier's token is busy",
            hsm::Error::Unavailable(_) => "the courier's token is unavailable",
            hsm::Error::WrongKey(_) => "the courier's token lacks a key",
        }
        .to_owned(),
    )
}

/// The token did not open a contact. A contact that was sealed to another key, or damaged, concerns that delivery
/// alone. It is not given up at once: with a wrong key in the authority it would be all of them.
pub(super) fn of_contact(error: hsm::Error) -> Setback {
    match error {
        hsm::Error::WrongKey(_) => {
            tracing::warn!(%error, "contact not opened");
            Setback::Retry("the contact does not open under the courier's key".to_owned())
        }
        hsm::Error::Bug(_) | hsm::Error::Busy | hsm::Error::Unavailable(_) => of_hsm(error),
    }
}
