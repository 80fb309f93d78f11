//! What the index key is asked: store keys and commitments that mean nothing without the HSM (I3).

use super::{Call, Error, Service};
use crate::{
    domain::{
        contact::Contact,
        encoding,
        history::Query,
        id::{CardId, RequestId},
        tax_code::TaxCode,
        team::TeamNumber,
    },
    hsm::MacKey,
    policy::Act,
    secret::{Secret, SecretBytes},
};

/// First half of a MAC, as a store key.
pub(super) fn half(mac: &Secret<32>) -> [u8; 16] {
    let (first, _) = mac.expose().split_at(16);
    first.try_into().unwrap_or_default()
}

fn message(label: &str, fields: &[&[u8]]) -> Result<(MacKey, SecretBytes), Error> {
    encoding::domain(label, fields)
        .map(|message| (MacKey::Index, message))
        .map_err(|e| Error::Bug(format!("message for the index key: {e}")))
}

/// Message whose MAC is the store key of a person's cards.
pub(super) fn tax_code(code: &TaxCode) -> Result<(MacKey, SecretBytes), Error> {
    message("tax code", &[code.as_str().as_bytes()])
}

/// Message whose MAC stands for where second parts are to go.
pub(super) fn contact(contact: &Contact) -> Result<(MacKey, SecretBytes), Error> {
    message("contact", &[contact.channel().text().as_bytes(), contact.expose().as_bytes()])
}

/// Message whose MAC stands for the key of an operator's certificate (`SubjectPublicKeyInfo`, DER).
pub(super) fn operator_key(spki: &[u8]) -> Result<(MacKey, SecretBytes), Error> {
    message("operator key", &[spki])
}

/// Message whose MAC is the store key of a card's number.
pub(super) fn team(number: &TeamNumber) -> Result<(MacKey, SecretBytes), Error> {
    message("team", &[number.as_str().as_bytes()])
}

/// Message whose MAC marks a place in a card's history, for one operator and query.
pub(super) fn history(
    operator: &[u8; 16],
    card: &CardId,
    query: &Query,
    at: u64,
    until: u64,
) -> Result<(MacKey, SecretBytes), Error> {
    let (query, at, until) = (query.text(), at.to_be_bytes(), until.to_be_bytes());
    message("history", &[operator, card.bytes(), query.as_bytes(), &at, &until])
}

/// Message whose MAC stands in for the record of a card that does not exist.
pub(super) fn decoy(number: &TeamNumber) -> Result<(MacKey, SecretBytes), Error> {
    message("decoy", &[number.as_str().as_bytes()])
}

/// Message whose MAC is the store key of what a household was given.
pub(super) fn household(name: &str) -> Result<(MacKey, SecretBytes), Error> {
    message("household", &[name.as_bytes()])
}

/// Message whose MAC is the store key of an idempotency record: caller, operator, action and key (I9).
pub(super) fn idempotency<A: Act>(
    call: &Call<A>,
    operator: &str,
    key: &str,
) -> Result<(MacKey, SecretBytes), Error> {
    let (caller, action) = (call.permit.caller().as_bytes(), A::ACTION.text().as_bytes());
    message("idempotency", &[caller, operator.as_bytes(), action, key.as_bytes()])
}

/// Message whose MAC is the key of one dossier, and of no other: it is named by the request that it belongs to.
pub(super) fn dossier(request: &RequestId) -> Result<(MacKey, SecretBytes), Error> {
    message("dossier", &[request.bytes()])
}

/// Message whose MAC tells whether a repeated request is the same one: the id in its path, if there is one, and its body. The rest of
/// the path is the operation, which is in the key of the record.
pub(super) fn body<A: Act>(call: &Call<A>) -> Result<(MacKey, SecretBytes), Error> {
    match &call.path_id {
        Some(id) => message("body", &[id.as_bytes(), call.body.expose()]),
        None => message("body", &[call.body.expose()]),
    }
}

/// What stands in for an unknown card: derived from its number, so that it is the same at every guess.
pub(super) struct Decoy {
    mac: Secret<32>,
}

impl Decoy {
    pub(super) const fn new(mac: Secret<32>) -> Self {
        Self { mac }
    }

    /// Takes the place of the card's id in MAC inputs and events.
    pub(super) fn id(&self) -> CardId {
        CardId::new(half(&self.mac))
    }

    /// Takes the place of the card's salt.
    pub(super) const fn salt(&self) -> &[u8; 32] {
        self.mac.expose()
    }

    /// Which of the `decoys` counters it shares, as a store key.
    pub(super) fn counter(&self, decoys: u32) -> Vec<u8> {
        let (_, tail) = self.mac.expose().split_at(28);
        let number = u32::from_be_bytes(tail.try_into().unwrap_or_default());
        decoy_counter(number.checked_rem(decoys).unwrap_or(0))
    }
}

/// Key in `Space::Tries` of a card's counter; as long as a decoy's.
pub(super) fn card_counter(card: &CardId) -> Vec<u8> {
    [b"c".as_slice(), card.bytes()].concat()
}

/// Key in `Space::Tries` of the decoy counter with this number.
pub(super) fn decoy_counter(number: u32) -> Vec<u8> {
    [b"d".as_slice(), &[0; 12], &number.to_be_bytes()].concat()
}

impl Service {
    /// Asks the index key; the MACs come in the order of the messages.
    pub(super) async fn commitments<const N: usize>(
        &self,
        messages: [(MacKey, SecretBytes); N],
    ) -> Result<[Secret<32>; N], Error> {
        let macs = self.hsm.macs(messages.into()).await?;
        macs.try_into().map_err(|_| Error::Bug("HSM answered another number of MACs".into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_of_cards_and_decoys_look_alike_and_never_meet() {
        let card = card_counter(&CardId::new([0; 16]));
        let decoy = Decoy::new(Secret::new([0xff; 32]));
        assert_eq!(card.len(), decoy.counter(4096).len());
        assert_eq!(decoy.counter(4096), decoy_counter(4095));
        assert_ne!(card.first(), decoy.counter(4096).first());
    }
}
