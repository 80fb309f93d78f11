//! What the index key is asked: store keys and commitments that mean nothing without the HSM (I3).

use aws_lc_rs::hmac;

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

/// What else a MAC is good for: who does not know the whole of it, as the store does not, finds none of these.
pub(super) fn derived(mac: &Secret<32>, label: &[u8], of: &[u8]) -> Secret<32> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, mac.expose());
    let mut context = hmac::Context::with_key(&key);
    context.update(label);
    context.update(of);
    let mut out = [0; 32];
    out.iter_mut().zip(context.sign().as_ref()).for_each(|(to, from)| *to = *from);
    Secret::new(out)
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

/// What tells whether a repeated request is the same one: a commitment to the id in its path, if there is one, and its body, under
/// the MAC of its idempotency key. The rest of the path is the operation, which is in that MAC.
pub(super) fn body<A: Act>(call: &Call<A>, key: &Secret<32>) -> Result<[u8; 16], Error> {
    let body = call.body.expose();
    let message = match &call.path_id {
        Some(id) => encoding::domain("body", &[id.as_bytes(), body]),
        None => encoding::domain("body", &[body]),
    };
    let message = message.map_err(|e| Error::Bug(format!("commitment to a body: {e}")))?;
    Ok(half(&derived(key, b"", message.expose())))
}

/// What stands in for an unknown card: derived from the MAC of its number, so that it is the same at every guess, and that nobody
/// finds it who has the store.
pub(super) struct Decoy {
    mac: Secret<32>,
}

impl Decoy {
    /// By the MAC of [`team`]'s message.
    pub(super) fn of(team: &Secret<32>) -> Self {
        Self { mac: derived(team, b"sigillo decoy v1\n", b"") }
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
    pub(super) fn counter(&self, decoys: u32) -> [u8; 17] {
        let (_, tail) = self.mac.expose().split_at(28);
        let number = u32::from_be_bytes(tail.try_into().unwrap_or_default());
        decoy_counter(number.checked_rem(decoys).unwrap_or(0))
    }
}

/// Key in `Space::Tries` of a card's counter; as long as a decoy's.
pub(super) fn card_counter(card: &CardId) -> [u8; 17] {
    counter(b'c', *card.bytes())
}

/// Key in `Space::Tries` of the decoy counter with this number.
pub(super) fn decoy_counter(number: u32) -> [u8; 17] {
    counter(b'd', u128::from(number).to_be_bytes())
}

fn counter(kind: u8, id: [u8; 16]) -> [u8; 17] {
    let mut key = [kind; 17];
    key.iter_mut().skip(1).zip(id).for_each(|(to, from)| *to = from);
    key
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
        let decoy = Decoy { mac: Secret::new([0xff; 32]) };
        assert_eq!(card.len(), decoy.counter(4096).len());
        assert_eq!(decoy.counter(4096), decoy_counter(4095));
        assert_ne!(card.first(), decoy.counter(4096).first());
    }

    /// RFC 4231, test case 2: whoever has the index key can compute a decoy by other means.
    #[test]
    fn what_is_derived_is_an_hmac() {
        let key = |text: &[u8]| {
            let mut padded = [0; 32];
            padded[..text.len()].copy_from_slice(text);
            Secret::new(padded)
        };
        let mac = derived(&key(b"Jefe"), b"what do ya want ", b"for nothing?");
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(hex::encode(mac.expose()), expected);
    }

    #[test]
    fn a_decoy_tells_nothing_of_where_its_number_would_be_stored() {
        let team = Secret::new([7; 32]);
        let decoy = Decoy::of(&team);
        assert_ne!(decoy.id().bytes(), &half(&team));
        assert_eq!(decoy.salt(), Decoy::of(&team).salt());
        let mut other = [7; 32];
        other[31] = 8; // the half that the store does not have
        assert_ne!(decoy.salt(), Decoy::of(&Secret::new(other)).salt());
    }
}
