//! Seals a contact to the courier's token. The authority holds the public half only: what it has sealed it cannot
//! read back.
//!
//! RSA-OAEP with SHA-1 in both places, because SoftHSM 2.6.1 opens no other. This is sound: OAEP uses the hash to
//! mask with a fresh random seed, and needs no collision resistance, which is what SHA-1 has lost. The label is
//! empty, again because of SoftHSM; what would go there, card and delivery, is inside the plaintext.

use crate::{
    domain::{
        contact::{Contact, MAX_PLAINTEXT, seal_plaintext},
        id::{CardId, DeliveryId},
    },
    hsm,
};

/// The public half of the courier's contact key.
#[derive(Debug)]
pub struct ContactSealer(hsm::seal::OaepKey);

impl ContactSealer {
    /// Reads the public key (`BEGIN PUBLIC KEY`) that the courier's token gave out at the key ceremony.
    ///
    /// # Errors
    /// [`hsm::Error::WrongKey`] if it is not one RSA key of 3072 bits or more.
    pub fn from_pem(pem: &[u8]) -> Result<Self, hsm::Error> {
        let key = hsm::seal::OaepKey::from_pem(pem)?;
        if key.max_len() < MAX_PLAINTEXT {
            return Err(hsm::Error::WrongKey(format!(
                "public key \"contact\" takes {} bytes, a contact may need {MAX_PLAINTEXT}",
                key.max_len()
            )));
        }
        Ok(Self(key))
    }

    /// The contact, bound to one delivery of one card. As long as the key (384 bytes for 3072 bits), whatever the
    /// length of the address.
    ///
    /// # Errors
    /// [`hsm::Error::Bug`] if the cryptographic library fails.
    pub fn seal(
        &self,
        card: &CardId,
        delivery: &DeliveryId,
        contact: &Contact,
    ) -> Result<Vec<u8>, hsm::Error> {
        self.0.seal(seal_plaintext(card, delivery, contact).expose())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::contact::{Channel, open_plaintext},
        hsm::{Role, soft::SoftHsm},
    };

    #[test]
    fn only_the_couriers_token_opens() {
        let soft = SoftHsm::new(Role::Courier).unwrap();
        let sealer = ContactSealer::from_pem(soft.contact_public_pem().unwrap().as_bytes()).unwrap();
        let mut token = soft.tokens(1).remove(0);
        let (card, delivery) = (CardId::new([1; 16]), DeliveryId::new([2; 16]));
        let label = "d".repeat(61);
        let longest = format!("{}@{label}.{label}.{label}.ita", "u".repeat(64));
        for address in ["a@b.it", longest.as_str()] {
            let contact = Contact::parse(Channel::Email, address).unwrap();
            let sealed = sealer.seal(&card, &delivery, &contact).unwrap();
            assert_eq!(sealed.len(), 384);
            assert_ne!(sealed, sealer.seal(&card, &delivery, &contact).unwrap());

            let plain = token.open_contact(&sealed).unwrap();
            let (c, d, opened) = open_plaintext(plain.expose()).unwrap();
            assert_eq!((c, d, opened.expose()), (card, delivery, address));
        }
    }

    #[test]
    fn weak_and_broken_keys_are_refused() {
        use aws_lc_rs::{
            encoding::{AsDer, PublicKeyX509Der},
            rsa::{KeySize, PrivateDecryptingKey},
        };
        let weak = PrivateDecryptingKey::generate(KeySize::Rsa2048).unwrap().public_key();
        let weak: PublicKeyX509Der<'_> = weak.as_der().unwrap();
        let weak = pem::encode(&pem::Pem::new("PUBLIC KEY", weak.as_ref()));
        for bad in [weak.as_str(), "", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"] {
            assert!(matches!(ContactSealer::from_pem(bad.as_bytes()), Err(hsm::Error::WrongKey(_))), "{bad}");
        }
    }
}
