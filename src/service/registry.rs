//! Registra CNS: which card an operator acts with. From the list of the policy to the key that is bound.
//!
//! An operator who is on the list registers a card by a signature with it ([`open`], [`sign`]). From that commit on every
//! action of theirs takes that key, before anything is evaluated; the key of a former card never comes back. What is stored
//! names neither person nor certificate: who has a collection of certificates finds nobody without the HSM.

mod end;
mod open;
mod sign;

use serde::{Deserialize, Serialize};

pub use end::DeregistrationRequest;
pub use open::OpenedRegistration;
pub use sign::SignedRegistration;

use super::{Call, Error, Service, operator::Known, records};
use crate::{
    policy::{Act, Action},
    store::{Expect, Space},
};

/// Former cards that are remembered; older ones are left to their revocation lists.
const FORMER: usize = 16;

/// The record of an operator's card.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OperatorCard {
    format: u8,
    /// Commitment to the key; nothing once it was deregistered.
    key: Option<String>,
    /// Keys of former cards, oldest first.
    former: Vec<String>,
    /// When the key was registered, milliseconds since 1970 UTC.
    at_ms: u64,
}

impl OperatorCard {
    /// Without its key, which becomes a former one; answers that key.
    fn end(&mut self) -> Option<String> {
        let key = self.key.take()?;
        self.former.push(key.clone());
        let above = self.former.len().saturating_sub(FORMER);
        drop(self.former.drain(..above));
        Some(key)
    }
}

/// An operator's card as read, and what its change expects.
struct FoundOperatorCard {
    record: OperatorCard,
    expect: Expect,
}

/// How the card of a request stands to the operator's registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CardStanding {
    /// It was replaced or deregistered, and cannot be registered again.
    Former,
    /// The operator has registered no card.
    None,
    /// Another card is registered.
    Other,
    /// It is the registered card.
    Registered,
}

impl FoundOperatorCard {
    fn standing_of(&self, key: &str) -> CardStanding {
        match &self.record.key {
            Some(registered) if registered == key => CardStanding::Registered,
            _ if self.record.former.iter().any(|former| former == key) => CardStanding::Former,
            Some(_) => CardStanding::Other,
            None => CardStanding::None,
        }
    }
}

impl Service {
    /// Refuses an operator whose card is not the registered one. One read, whatever is asked for; nothing about a card of a
    /// citizen has been looked at.
    pub(super) fn needs_registration<A: Act>(&self, call: &Call<A>) -> Result<(), Error> {
        if matches!(A::ACTION, Action::RegisterOperator | Action::Session) {
            return Ok(());
        }
        match self.card_standing(call)? {
            CardStanding::Registered => Ok(()),
            CardStanding::None => Err(Error::OperatorNotRegistered),
            CardStanding::Former | CardStanding::Other => Err(Error::OperatorOtherCard),
        }
    }

    /// How the card of this request stands.
    pub(super) fn card_standing<A: Act>(&self, call: &Call<A>) -> Result<CardStanding, Error> {
        let known = call.known_operator()?;
        Ok(self.operator_card(&known.name)?.standing_of(&known.key()?))
    }

    fn operator_card(&self, operator: &[u8; 16]) -> Result<FoundOperatorCard, Error> {
        Ok(match self.store.get(Space::OperatorCard, operator)? {
            None => {
                let record = OperatorCard { format: records::FORMAT, ..OperatorCard::default() };
                FoundOperatorCard { record, expect: Expect::Absent }
            }
            Some(found) => {
                FoundOperatorCard { record: records::read(&found)?, expect: Expect::Version(found.version) }
            }
        })
    }
}

impl Known {
    /// Commitment to the card's key, as stored and as events name it.
    fn key(&self) -> Result<String, Error> {
        let key = self.key.ok_or_else(|| Error::Bug("an operator without a certificate".into()))?;
        Ok(hex::encode(key))
    }
}
