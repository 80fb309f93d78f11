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
#[cfg(feature = "testing")]
pub(super) use open::OpenRegistration;
pub use open::OpenedRegistration;
pub use sign::SignedRegistration;

use super::{Call, Error, Service, operator::Known, records};
use crate::{
    domain::recovery::{Binding, OperatorTold},
    policy::{Act, Action},
    store::{Expect, Space},
};

/// Former cards that are remembered; older ones are left to their revocation lists.
const FORMER: usize = 16;

/// The record of an operator's card.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OperatorCard {
    format: u8,
    /// Commitment to the key; nothing once it was deregistered or held.
    pub(super) key: Option<String>,
    /// Commitment to a key that a recovery held. It acts no more, and may be registered again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) held: Option<String>,
    /// Keys of former cards, oldest first.
    pub(super) former: Vec<String>,
    /// When the key was registered, milliseconds since 1970 UTC.
    pub(super) at_ms: u64,
}

impl OperatorCard {
    /// Of an operator who has registered nothing.
    pub(super) fn none() -> Self {
        Self { format: records::FORMAT, ..Self::default() }
    }

    /// Without its key, bound or held, which becomes a former one; answers that key.
    fn end(&mut self) -> Option<String> {
        let key = self.key.take().or_else(|| self.held.take())?;
        self.never_again(key.clone());
        Some(key)
    }

    /// Binds a key; answers the one whose place it takes.
    fn bind(&mut self, key: String, at_ms: u64) -> Option<String> {
        let same = self.key.as_ref().or(self.held.as_ref()) == Some(&key);
        let former = if same { None } else { self.end() };
        *self = Self { key: Some(key), held: None, at_ms, ..std::mem::take(self) };
        former
    }

    fn never_again(&mut self, key: String) {
        self.former.retain(|former| *former != key);
        self.former.push(key);
        let above = self.former.len().saturating_sub(FORMER);
        drop(self.former.drain(..above));
    }

    /// The key acts no more until it is registered again.
    pub(super) fn hold(&mut self) {
        self.held = self.key.take().or_else(|| self.held.take());
    }

    /// Makes of it what evidence tells. What was bound and is not any more is a former one. The same again changes nothing.
    pub(super) fn become_as_told(&mut self, told: &OperatorTold) {
        let before = self.key.take().or_else(|| self.held.take());
        match &told.last {
            Binding::Ended => {}
            Binding::Held { key } => self.held = Some(key.clone()),
            Binding::Registered { key, at_ms } => (self.key, self.at_ms) = (Some(key.clone()), *at_ms),
        }
        let now = self.key.clone().or_else(|| self.held.clone());
        let newest = told.ended.len().saturating_sub(FORMER);
        for ended in before.iter().chain(told.ended.iter().skip(newest)) {
            if Some(ended) != now.as_ref() {
                self.never_again(ended.clone());
            }
        }
    }
}

/// An operator's card as read, and what its change expects.
pub(super) struct FoundOperatorCard {
    pub(super) record: OperatorCard,
    pub(super) expect: Expect,
}

/// How the card of a request stands to the operator's registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CardStanding {
    /// It was replaced or deregistered, and cannot be registered again.
    Former,
    /// The operator has registered no card, or not since a recovery held it.
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
    /// Refuses an operator whose card is not the registered one; a citizen registers nothing. One read, whatever is asked for; nothing about a card of a
    /// citizen has been looked at.
    pub(super) fn needs_registration<A: Act>(&self, call: &Call<A>) -> Result<(), Error> {
        if matches!(A::ACTION, Action::RegisterOperator | Action::RenewSelf | Action::Session) {
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

    pub(super) fn operator_card(&self, operator: &[u8; 16]) -> Result<FoundOperatorCard, Error> {
        Ok(match self.store.get(Space::OperatorCard, operator)? {
            None => FoundOperatorCard { record: OperatorCard::none(), expect: Expect::Absent },
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

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: usize) -> String {
        format!("{number:032x}")
    }

    #[test]
    fn what_evidence_tells_is_the_same_once_and_twice() {
        let bound = |number| Binding::Registered { key: key(number), at_ms: 7 };
        let cases = [
            (Binding::Ended, vec![0]),
            (bound(1), vec![0]),
            (Binding::Held { key: key(0) }, vec![]),
            (bound(0), vec![]),
            (bound(40), (0..40).collect()),
            // Of a branch that this record knows nothing of.
            (Binding::Ended, vec![]),
            (bound(2), vec![1]),
        ];
        for (last, ended) in cases {
            for held in [false, true] {
                let former = (100..116).map(key).collect();
                let mut card = OperatorCard { key: Some(key(0)), former, ..OperatorCard::none() };
                if held {
                    card.hold();
                }
                let told =
                    OperatorTold { last: last.clone(), ended: ended.iter().copied().map(key).collect() };
                card.become_as_told(&told);
                let once = card.clone();
                let now = card.key.clone().or_else(|| card.held.clone());
                assert_eq!(card.held.is_some(), matches!(last, Binding::Held { .. }));
                assert!(card.key.is_none() || card.held.is_none());
                let ends = !told.ended.is_empty() || now != Some(key(0));
                assert_eq!(card.former.len(), FORMER);
                assert_eq!(card.former.first() == Some(&key(100)), !ends, "{last:?}");
                assert_ne!(
                    card.former.contains(&key(0)) || ended.len() > FORMER,
                    now == Some(key(0)),
                    "{last:?}"
                );
                card.become_as_told(&told);
                assert_eq!(card, once, "{last:?}");
            }
        }
    }
}
