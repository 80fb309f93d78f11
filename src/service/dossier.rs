//! Dossiers: who asked for an operation and with which document, encrypted beside the log.
//!
//! A dossier is AES-256-GCM under a key that the token derives for this one alone, with the card in the additional data.
//! Whoever holds the store reads none without the token, nor does a dossier open in the place of another. The event of
//! the operation has a digest of the ciphertext, so that the log vouches for it, and says nothing of it once it is erased.

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    digest::{SHA256, digest},
};

use super::{Call, Error, Service, commitments, records::Perishable};
use crate::{
    domain::{
        applicant::{Applicant, DOSSIER_SIZE},
        id::{CardId, RequestId},
    },
    policy::{Act, CardPermit},
    secret::{Secret, SecretBytes},
    store::{Expect, Op, Space, Unit},
};

const FORMAT: u8 = 1;

/// Format, nonce, ciphertext, tag.
const SIZE: usize = 1 + NONCE_LEN + DOSSIER_SIZE + 16;

/// A dossier on its way into the commit of its operation.
pub(super) struct Sealed {
    key: Vec<u8>,
    value: Vec<u8>,
    until_ms: u64,
    /// What the event says of it.
    commitment: String,
}

impl Sealed {
    /// Digest of what is stored, for the event of the operation.
    pub(super) fn commitment(&self) -> &str {
        &self.commitment
    }
}

/// Key in `Space::Dossier`.
fn key_of(request: &RequestId) -> Vec<u8> {
    [b"d".as_slice(), request.bytes()].concat()
}

fn cipher(key: &Secret<32>) -> Result<RandomizedNonceKey, Error> {
    let refused = |_| Error::Bug("the key of a dossier is refused".into());
    RandomizedNonceKey::new(&AES_256_GCM, key.expose()).map_err(refused)
}

impl Service {
    /// Encrypts who asks under `key`, the MAC of [`commitments::dossier`], for an operation on `card`.
    pub(super) fn seal_dossier<A: Act>(
        &self,
        call: &Call<A>,
        key: &Secret<32>,
        card: &CardId,
        applicant: &Applicant,
    ) -> Result<Sealed, Error> {
        let plain = applicant.dossier().ok_or_else(|| Error::Bug("an applicant is too long".into()))?;
        let mut sealed = Vec::with_capacity(DOSSIER_SIZE.saturating_add(16));
        sealed.extend_from_slice(plain.expose());
        let nonce = cipher(key)?
            .seal_in_place_append_tag(Aad::from(card.bytes()), &mut sealed)
            .map_err(|_| Error::Unavailable("a dossier cannot be encrypted".into()))?;
        let value = [&[FORMAT], nonce.as_ref().as_slice(), &sealed].concat();
        let keep_ms = call.permit.policy().parameters().applicants_keep_ms;
        Ok(Sealed {
            key: key_of(&call.request),
            until_ms: self.clock.now_ms().saturating_add(keep_ms),
            commitment: hex::encode(digest(&SHA256, &value)),
            value,
        })
    }

    /// Adds a dossier and its expiry to the commit of its operation.
    pub(super) fn dossier_into(unit: &mut Unit, sealed: &Sealed) {
        let Sealed { key, value, until_ms, .. } = sealed;
        let (space, expect) = (Space::Dossier, Expect::Absent);
        unit.ops.push(Op::Put { space, key: key.clone(), value: value.clone(), expect });
        unit.ops.push(Perishable::Dossier.expires(key, *until_ms));
    }

    /// Who asked for what this request did to this card; nothing once it is forgotten or erased. For whom the rules let act on the
    /// card.
    ///
    /// # Errors
    /// [`Error::Unavailable`] without the token, [`Error::Bug`] for a dossier that is not the one of this request and card.
    pub async fn dossier<A: Act>(
        &self,
        _: &CardPermit<A>,
        card: &CardId,
        request: &RequestId,
    ) -> Result<Option<Applicant>, Error> {
        let Some(found) = self.store.get(Space::Dossier, &key_of(request))? else { return Ok(None) };
        let [key] = self.commitments([commitments::dossier(request)?]).await?;
        let applicant = opened(&key, card, found.value);
        applicant.map(Some).ok_or_else(|| Error::Bug(format!("dossier of request {request} is damaged")))
    }
}

fn opened(key: &Secret<32>, card: &CardId, stored: Vec<u8>) -> Option<Applicant> {
    if stored.len() != SIZE {
        return None;
    }
    let mut stored = stored;
    let (format, rest) = stored.split_first_mut()?;
    let (nonce, sealed) = rest.split_first_chunk_mut::<NONCE_LEN>()?;
    if *format != FORMAT {
        return None;
    }
    let nonce = Nonce::assume_unique_for_key(*nonce);
    let plain = cipher(key).ok()?.open_in_place(nonce, Aad::from(card.bytes()), sealed).ok()?;
    Applicant::of_dossier(&SecretBytes::new(plain.to_vec()))
}
