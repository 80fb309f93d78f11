//! Who acts, by a certificate that was judged good: in events by a keyed commitment, and never on a card of their own.
//!
//! A front end that forwards certificates vouches that their holder is there: see SECURITY.md.

use std::sync::Arc;

use aws_lc_rs::digest;

use super::{Call, Error, Service, commitments, look_up::FoundCard};
use crate::{
    auth::cns::OperatorCertificate,
    domain::{
        approval::Party,
        audit::{Kind, Outcome},
        id::CardId,
        tax_code::TaxCode,
    },
    hsm::MacKey,
    policy::{Act, CardPermit, Proof, Refused},
    secret::{Secret, SecretBytes},
};

/// The operator of one request.
pub struct Operator {
    tax_code: TaxCode,
    /// The card's certificate; nothing where only the name is asked for.
    certificate: Option<Arc<OperatorCertificate>>,
    known: Option<Known>,
    /// Whether it is the holder of a card who acts for themselves, and no operator.
    is_citizen: bool,
}

/// What the index key says of an operator.
#[derive(Clone, Copy)]
pub(super) struct Known {
    /// As a holder of cards is stored: to be compared, never to be shown.
    holder: [u8; 16],
    /// Commitment to operator and key of the card; nothing without a certificate.
    pub(super) key: Option<[u8; 16]>,
    /// Name in events and records. Not to be found from what the store holds of a holder.
    pub(super) name: [u8; 16],
}

impl From<Arc<OperatorCertificate>> for Operator {
    fn from(valid: Arc<OperatorCertificate>) -> Self {
        Self { tax_code: valid.tax_code().clone(), certificate: Some(valid), known: None, is_citizen: false }
    }
}

impl Operator {
    /// The operator with this C.F., to be named and not to act.
    pub const fn new(tax_code: TaxCode) -> Self {
        Self { tax_code, certificate: None, known: None, is_citizen: false }
    }

    /// The same person, who acts for themselves with a card of their own, and is named so: by another name than as an operator.
    #[must_use]
    pub const fn as_citizen(mut self) -> Self {
        self.is_citizen = true;
        self
    }

    /// As what events name them.
    pub(super) const fn acts_as(&self) -> &'static str {
        if self.is_citizen { "citizen" } else { "operator" }
    }

    /// Whether they act for themselves.
    pub(super) const fn is_citizen(&self) -> bool {
        self.is_citizen
    }

    /// The card's certificate.
    pub(super) fn certificate(&self) -> Result<&OperatorCertificate, Error> {
        self.certificate.as_deref().ok_or_else(|| Error::Bug("an operator without a certificate".into()))
    }

    /// Message whose MAC stands for the card's key, whoever holds it.
    pub(super) fn key_message(&self) -> Result<(MacKey, SecretBytes), Error> {
        commitments::operator_key(self.certificate()?.spki())
    }

    /// The C.F., for the policy and for messages to the index key.
    pub const fn tax_code(&self) -> &TaxCode {
        &self.tax_code
    }

    /// Message whose MAC makes the operator known.
    pub(super) fn message(&self) -> Result<(MacKey, SecretBytes), Error> {
        commitments::tax_code(&self.tax_code)
    }

    /// Takes that MAC. The store has its first half for every holder; name and commitment are digests of the whole, so that
    /// neither is found from the store, nor from a certificate.
    pub(super) fn known_by(&mut self, mac: &Secret<32>) -> &Self {
        let label: &[u8] = if self.is_citizen { b"sigillo citizen v1\n" } else { b"sigillo operator v1\n" };
        let name = keyed(mac, label, &[]);
        let key = self.certificate.as_ref();
        let key = key.map(|valid| keyed(mac, b"sigillo operator's card v1\n", &valid.spki_hash()));
        self.known = Some(Known { holder: commitments::half(mac), key, name });
        self
    }

    /// Takes what the same MAC said of the same operator before.
    pub(super) const fn is_known(&mut self, known: Known) {
        self.known = Some(known);
    }

    /// A digest of all that an operator is known by; nothing for citizens, who come once, and for names alone.
    pub(super) fn identity(&self) -> Option<[u8; 32]> {
        let valid = self.certificate.as_ref().filter(|_| !self.is_citizen)?;
        let mut hash = digest::Context::new(&digest::SHA256);
        hash.update(&valid.spki_hash());
        hash.update(self.tax_code.as_str().as_bytes());
        hash.finish().as_ref().try_into().ok()
    }

    /// The name in events of whoever has this C.F., by the MAC of it.
    pub(super) fn name_of(tax_code: &TaxCode, mac: &Secret<32>) -> Result<String, Error> {
        let mut operator = Self::new(tax_code.clone());
        operator.known_by(mac);
        operator.name().map(hex::encode)
    }

    /// The name in events and records, once the index key was asked.
    pub(super) fn name(&self) -> Result<&[u8; 16], Error> {
        let known = self.known.as_ref();
        known.map(|known| &known.name).ok_or_else(unknown)
    }

    pub(super) fn known(&self) -> Result<Known, Error> {
        self.known.ok_or_else(unknown)
    }
}

/// 16 bytes that only who knows the whole MAC can compute.
fn keyed(mac: &Secret<32>, label: &[u8], of: &[u8]) -> [u8; 16] {
    let mut hash = digest::Context::new(&digest::SHA256);
    [label, mac.expose(), of].into_iter().for_each(|part| hash.update(part));
    let mut out = [0; 16];
    out.iter_mut().zip(hash.finish().as_ref()).for_each(|(to, from)| *to = *from);
    out
}

fn unknown() -> Error {
    Error::Bug("an operator that nobody has asked the index key for".into())
}

impl<A: Act> Call<A> {
    /// The certificate of the operator's card.
    pub(super) fn certificate(&self) -> Result<&OperatorCertificate, Error> {
        self.operator.as_ref().ok_or(Error::OperatorMissing)?.certificate()
    }

    /// What the index key says of the operator.
    pub(super) fn known_operator(&self) -> Result<Known, Error> {
        self.operator.as_ref().ok_or(Error::OperatorMissing)?.known()
    }

    /// The operator; operations that act on a card are refused without one.
    pub(super) fn operator_mut(&mut self) -> Result<&mut Operator, Error> {
        self.operator.as_mut().ok_or(Error::OperatorMissing)
    }

    /// The operator's name in events and records, 32 hexadecimal digits; nothing before the index key was asked.
    pub(super) fn operator_name(&self) -> Option<String> {
        self.operator.as_ref()?.known.map(|known| hex::encode(known.name))
    }

    /// Who acts, as events say it; nothing before the index key was asked.
    pub(super) fn acting(&self) -> Option<(&'static str, String)> {
        Some((self.operator.as_ref()?.acts_as(), self.operator_name()?))
    }

    /// The operator at this front end, with the commitment to the key of the certificate.
    pub(super) fn party(&self, key: String) -> Result<Party, Error> {
        let operator = self.operator_name().ok_or(Error::OperatorMissing)?;
        Ok(Party { operator, key, caller: self.permit.caller().to_string() })
    }
}

impl Service {
    /// Makes the operator of a call known, where nothing else is asked of the index key with it, and refuses one whose card
    /// is not the registered one.
    pub(super) async fn know_operator<A: Act>(&self, call: &mut Call<A>) -> Result<(), Error> {
        let operator = call.operator_mut()?;
        if let Some(known) = self.met.get(operator) {
            operator.is_known(known);
        } else {
            let [mac] = self.commitments([operator.message()?]).await?;
            self.met.remember(operator.known_by(&mac));
        }
        self.needs_registration(call)
    }

    /// What the index key says of an operator who has no call.
    pub(super) async fn known(&self, mut operator: Operator) -> Result<Known, Error> {
        let [mac] = self.commitments([operator.message()?]).await?;
        operator.known_by(&mac);
        operator.known()
    }

    /// The name in events of an operator who has no call.
    pub(super) async fn name_of(&self, operator: Operator) -> Result<String, Error> {
        self.known(operator).await.map(|known| hex::encode(known.name))
    }

    /// What an operator needs to act on a card: it is not their own (I14), and the rules allow the action on it. A
    /// refusal is an event.
    pub(super) async fn on_card<A: Act>(
        &self,
        call: &Call<A>,
        kind: Kind,
        found: &FoundCard,
        proof: Proof,
    ) -> Result<CardPermit<A>, Error> {
        let operator = call.operator.as_ref().ok_or(Error::OperatorMissing)?.known()?;
        if operator.holder == found.card.registration().tax_code_mac {
            self.refused_on_card(call, kind, &found.id(), "own_card", None).await?;
            return Err(Error::OwnCard);
        }
        self.ruled(call, kind, found, proof).await
    }

    /// The rules' part of [`Service::on_card`], for what shows a card.
    pub(super) async fn ruled<A: Act>(
        &self,
        call: &Call<A>,
        kind: Kind,
        found: &FoundCard,
        proof: Proof,
    ) -> Result<CardPermit<A>, Error> {
        match call.permit.on_card(found.facts(), proof) {
            Ok(permit) => Ok(permit),
            Err(refused) => Err(self.not_allowed(call, kind, found, &refused).await?),
        }
    }

    /// Records that the rules refuse something on a card.
    pub(super) async fn not_allowed<A: Act>(
        &self,
        call: &Call<A>,
        kind: Kind,
        found: &FoundCard,
        refused: &Refused,
    ) -> Result<Error, Error> {
        let rule = refused.rule().to_owned();
        let detail = Some(("rule", rule.clone()));
        self.refused_on_card(call, kind, &found.id(), "not_allowed_on_card", detail).await?;
        Ok(Error::NotAllowedOnCard(rule))
    }

    /// Records that something on a card is refused.
    pub(super) async fn refused_on_card<A: Act>(
        &self,
        call: &Call<A>,
        kind: Kind,
        card: &CardId,
        reason: &str,
        detail: Option<(&'static str, String)>,
    ) -> Result<(), Error> {
        let mut event = self.event(call, kind, Outcome::Refused).with("reason", reason);
        event.card = Some(*card.bytes());
        event.detail.extend(detail);
        self.record(event).await
    }
}
