//! An officer's private key, from a file of mode 0400: signs orders, opens backups.
//!
//! It must never be asked for by `serve` or the courier: officers use it where they are.

use std::path::Path;

use aws_lc_rs::{
    rand::SystemRandom,
    rsa::KeyPair as RsaKeyPair,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, RSA_PSS_SHA256},
};

use crate::{
    domain::officers::{OfficerKey, Purpose, Scheme, Signature, fingerprint, signed_bytes},
    files::{self, FileError},
    policy::officer_key,
    secret::SecretBytes,
};

/// Why an officer's files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadKey {
    /// A file cannot be read, or others can read it.
    #[error(transparent)]
    File(#[from] FileError),
    /// What a file holds is of another kind.
    #[error("{file}: {reason}")]
    Kind {
        /// The file.
        file: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The library did not sign.
    #[error("the key does not sign, or is not the certificate's")]
    Sign,
}

/// An officer's certificate and private key.
pub struct Holder {
    fingerprint: [u8; 32],
    public: OfficerKey,
    /// PKCS#8, DER.
    private: SecretBytes,
}

impl std::fmt::Debug for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Holder({})", hex::encode(self.fingerprint))
    }
}

impl Holder {
    /// Reads a certificate (PEM) and its private key (PKCS#8, PEM, mode 0400, 0440 or 0600).
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, BadKey> {
        let kind = |file: &Path, reason| BadKey::Kind { file: file.display().to_string(), reason };
        let text = files::read_public(certificate, 1 << 16)?;
        let block = pem::parse(&text).ok().filter(|block| block.tag() == "CERTIFICATE");
        let block = block.ok_or_else(|| kind(certificate, "not a PEM CERTIFICATE"))?;
        let public = officer_key(block.contents()).map_err(|reason| kind(certificate, reason))?;
        let text = files::read_private(key, 1 << 16)?;
        let private = pem::parse(text.expose()).ok().filter(|block| block.tag() == "PRIVATE KEY");
        let private = private.ok_or_else(|| kind(key, "not a PEM PRIVATE KEY (PKCS#8, not encrypted)"))?;
        let private = SecretBytes::new(private.into_contents());
        Ok(Self { fingerprint: fingerprint(block.contents()), public, private })
    }

    #[cfg(test)]
    pub(crate) const fn for_tests(fingerprint: [u8; 32], public: OfficerKey, private: Vec<u8>) -> Self {
        Self { fingerprint, public, private: SecretBytes::new(private) }
    }

    /// SHA-256 of the certificate.
    pub const fn fingerprint(&self) -> &[u8; 32] {
        &self.fingerprint
    }

    /// The key in the certificate.
    pub const fn public(&self) -> &OfficerKey {
        &self.public
    }

    /// The private key, PKCS#8, for the one computation that needs it.
    pub(crate) const fn private(&self) -> &SecretBytes {
        &self.private
    }

    /// Signs a text of this kind, and proves that the certificate answers for it.
    pub fn sign(&self, purpose: Purpose, text: &str) -> Result<Signature, BadKey> {
        let bytes = signed_bytes(purpose, text);
        let random = SystemRandom::new();
        let signed = match &self.public {
            OfficerKey::P256(_) => {
                let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, self.private.expose())
                    .map_err(|_| BadKey::Sign)?;
                let made = key.sign(&random, &bytes).map_err(|_| BadKey::Sign)?;
                (Scheme::EcdsaP256, made.as_ref().to_vec())
            }
            OfficerKey::Rsa(_) => {
                let key = RsaKeyPair::from_pkcs8(self.private.expose()).map_err(|_| BadKey::Sign)?;
                let mut made = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PSS_SHA256, &random, &bytes, &mut made).map_err(|_| BadKey::Sign)?;
                (Scheme::RsaPss, made)
            }
        };
        let signature = Signature { fingerprint: self.fingerprint, scheme: signed.0, bytes: signed.1 };
        let alone = signature.holds(&self.public, &bytes);
        if alone { Ok(signature) } else { Err(BadKey::Sign) }
    }
}
