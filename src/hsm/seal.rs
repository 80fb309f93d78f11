//! Sealing of contacts: the public half of the courier's contact key.
//!
//! The authority seals and cannot open; [`Token::open_contact`](super::Token::open_contact) on the courier opens.

use aws_lc_rs::rsa::{OAEP_SHA1_MGF1SHA1, OaepPublicEncryptingKey, PublicEncryptingKey};

use super::{Error, pkcs11};

/// The contact key's public half.
#[derive(Debug)]
pub struct OaepKey(OaepPublicEncryptingKey);

impl OaepKey {
    /// Reads `contact.pub.pem`, which `sigillo hsm init` wrote on the courier's side.
    ///
    /// # Errors
    /// [`Error::WrongKey`] if it is not one RSA public key of 3072 bits or more.
    pub fn from_pem(pem: &[u8]) -> Result<Self, Error> {
        let wrong = |reason: String| Error::WrongKey(format!("public key \"contact\": {reason}"));
        let der = pkcs11::rsa_from_pem(pem).map_err(wrong)?;
        let key = PublicEncryptingKey::from_der(&der).map_err(|rejected| wrong(rejected.to_string()))?;
        OaepPublicEncryptingKey::new(key).map(Self).map_err(|_| wrong("cannot be used with OAEP".into()))
    }

    /// The longest contact in bytes: 342 for a key of 3072 bits (RFC 8017, 7.1.1).
    pub fn max_len(&self) -> usize {
        self.0.max_plaintext_size(&OAEP_SHA1_MGF1SHA1)
    }

    /// RSA-OAEP with the parameters of [`super::pkcs11`]. Two seals of one contact differ.
    ///
    /// # Errors
    /// [`Error::Bug`] if the contact is longer than [`OaepKey::max_len`].
    pub fn seal(&self, contact: &[u8]) -> Result<Vec<u8>, Error> {
        if contact.len() > self.max_len() {
            return Err(Error::Bug(format!("contact is longer than {} bytes", self.max_len())));
        }
        let mut out = vec![0; self.0.ciphertext_size()];
        let length = self
            .0
            .encrypt(&OAEP_SHA1_MGF1SHA1, contact, &mut out, None)
            .map_err(|_| Error::Bug("RSA-OAEP refused to seal".into()))?
            .len();
        out.truncate(length);
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::{
        encoding::AsDer,
        rsa::{KeySize, OaepPrivateDecryptingKey, PrivateDecryptingKey},
    };

    use super::*;

    #[test]
    fn sealed_contact_opens_with_the_private_half() {
        let private = PrivateDecryptingKey::generate(KeySize::Rsa3072).unwrap();
        let der = private.public_key().as_der().unwrap();
        let sealer =
            OaepKey::from_pem(pem::encode(&pem::Pem::new("PUBLIC KEY", der.as_ref())).as_bytes()).unwrap();
        assert_eq!(sealer.max_len(), 342);
        let sealed = sealer.seal(b"+39 333 1234567").unwrap();
        assert_ne!(sealed, sealer.seal(b"+39 333 1234567").unwrap());
        let opener = OaepPrivateDecryptingKey::new(private).unwrap();
        let mut out = vec![0; opener.min_output_size()];
        assert_eq!(opener.decrypt(&OAEP_SHA1_MGF1SHA1, &sealed, &mut out, None).unwrap(), b"+39 333 1234567");
        assert!(sealer.seal(&[0; 342]).is_ok());
        assert!(matches!(sealer.seal(&[0; 343]), Err(Error::Bug(_))));
        assert!(matches!(OaepKey::from_pem(b"x"), Err(Error::WrongKey(_))));
    }
}
