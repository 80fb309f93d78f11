//! What a gateway hands back, so that it names a delivery and its hold to us and to nobody else.
//!
//! A slip is AES-256-GCM over both ids, under a key of its own, with a random nonce: it cannot be guessed, read or
//! made by others, two of them for one delivery have nothing in common, and nothing has to be kept for it over a
//! restart. It is not a secret: gateways log it. Who holds a slip can at most report for that one hold what the
//! gateway could.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};

use crate::domain::id::{DeliveryId, LeaseId};

/// Both ids.
const PLAIN: usize = 16 + 16;

/// Nonce, ciphertext, tag.
pub(super) const SEALED: usize = NONCE_LEN + PLAIN + 16;

/// The system gave no random numbers, or the key cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no slip could be made")]
pub struct NoSlip;

/// Makes slips of one use, and takes them back.
pub(super) struct SlipKey {
    key: RandomizedNonceKey,
    /// Binds the ciphertext to its use.
    label: &'static [u8],
}

impl SlipKey {
    /// `label` names the use: slips of another are not taken.
    pub(super) fn new(key: &[u8; 32], label: &'static [u8]) -> Result<Self, NoSlip> {
        let key = RandomizedNonceKey::new(&AES_256_GCM, key).map_err(|_| NoSlip)?;
        Ok(Self { key, label })
    }

    /// A slip for the message of this hold, [`SEALED`] bytes.
    pub(super) fn seal(&self, delivery: DeliveryId, lease: LeaseId) -> Result<Vec<u8>, NoSlip> {
        let mut bytes = Vec::with_capacity(SEALED);
        bytes.extend_from_slice(delivery.bytes());
        bytes.extend_from_slice(lease.bytes());
        let nonce =
            self.key.seal_in_place_append_tag(Aad::from(self.label), &mut bytes).map_err(|_| NoSlip)?;
        Ok([nonce.as_ref().as_slice(), &bytes].concat())
    }

    /// What a slip of ours names; nothing for any other bytes.
    pub(super) fn open(&self, mut bytes: [u8; SEALED]) -> Option<(DeliveryId, LeaseId)> {
        let (nonce, sealed) = bytes.split_first_chunk_mut::<NONCE_LEN>()?;
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let plain = self.key.open_in_place(nonce, Aad::from(self.label), sealed).ok()?;
        let (delivery, lease) = plain.split_first_chunk::<16>()?;
        Some((DeliveryId::new(*delivery), LeaseId::new(<[u8; 16]>::try_from(lease).ok()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_one_use_is_none_of_another() {
        let (delivery, lease) = (DeliveryId::new([1; 16]), LeaseId::new([2; 16]));
        let of = |label: &'static [u8]| SlipKey::new(&[7; 32], label).unwrap();
        let sealed: [u8; SEALED] = of(b"one").seal(delivery, lease).unwrap().try_into().unwrap();
        assert_eq!(of(b"one").open(sealed), Some((delivery, lease)));
        assert_eq!(of(b"two").open(sealed), None);
    }
}
