//! The bureau's certificate: to whom codes are encrypted, and to whom they are not.

use aws_lc_rs::{
    digest,
    rsa::{OaepPublicEncryptingKey, PublicEncryptingKey},
};
use x509_parser::{certificate::X509Certificate, prelude::FromDer, public_key::PublicKey};

/// Least bits of the key.
const BITS: usize = 2048;
/// Longest serial number in bytes (RFC 5280, 4.1.2.2).
const SERIAL_MAX: usize = 20;

/// Why nothing is encrypted to a certificate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRecipient {
    /// Its time is over.
    #[error("the certificate expired: ask the bureau for a new one")]
    Expired,
    /// Another certificate than was asked for.
    #[error("its SHA-256 is {0}, not the one given: ask the bureau, on another way than the file came")]
    Fingerprint(String),
    /// Not a certificate.
    #[error("not a certificate in PEM (BEGIN CERTIFICATE)")]
    NotACertificate,
    /// A key of another kind.
    #[error("its key is not RSA (rsaEncryption): the bureau must give one that RSA-OAEP can be used with")]
    NotRsa,
    /// Its time has not come.
    #[error("the certificate is not valid yet: look at the date, and at this machine's clock")]
    NotYet,
    /// Its key is for something else.
    #[error("its key usage has no keyEncipherment: the bureau must give a certificate for encryption")]
    Usage,
    /// A key that is too short.
    #[error("its RSA key has {0} bits, {BITS} are the least")]
    Weak(usize),
}

/// Who can open what is made.
#[derive(Debug)]
pub struct Recipient {
    fingerprint: [u8; 32],
    issuer: Vec<u8>,
    serial: Vec<u8>,
    key: OaepPublicEncryptingKey,
}

impl Recipient {
    /// Reads a certificate (PEM) with this SHA-256, good at this time.
    ///
    /// # Errors
    /// [`BadRecipient`].
    pub fn read(text: &[u8], fingerprint: &[u8; 32], now_ms: u64) -> Result<Self, BadRecipient> {
        let block = pem::parse(text).ok().filter(|block| block.tag() == "CERTIFICATE");
        let block = block.ok_or(BadRecipient::NotACertificate)?;
        let (rest, certificate) =
            X509Certificate::from_der(block.contents()).map_err(|_| BadRecipient::NotACertificate)?;
        let serial = certificate.raw_serial().to_vec();
        if !rest.is_empty() || serial.is_empty() || serial.len() > SERIAL_MAX {
            return Err(BadRecipient::NotACertificate);
        }
        let mut is = [0; 32];
        is.copy_from_slice(digest::digest(&digest::SHA256, block.contents()).as_ref());
        if is != *fingerprint {
            return Err(BadRecipient::Fingerprint(hex::encode(is)));
        }
        let now = i64::try_from(now_ms / 1000).unwrap_or(i64::MAX);
        if now < certificate.validity().not_before.timestamp() {
            return Err(BadRecipient::NotYet);
        }
        if now > certificate.validity().not_after.timestamp() {
            return Err(BadRecipient::Expired);
        }
        // Without the extension any use is allowed (RFC 5280, 4.2.1.3). Here it must say what it is for.
        let usage = certificate.key_usage().ok().flatten();
        if !usage.is_some_and(|usage| usage.value.key_encipherment()) {
            return Err(BadRecipient::Usage);
        }
        let spki = certificate.public_key();
        let is_rsa = spki.algorithm.algorithm == x509_parser::oid_registry::OID_PKCS1_RSAENCRYPTION;
        let Ok(PublicKey::RSA(rsa)) = spki.parsed() else { return Err(BadRecipient::NotRsa) };
        if !is_rsa {
            return Err(BadRecipient::NotRsa);
        }
        if rsa.key_size() < BITS {
            return Err(BadRecipient::Weak(rsa.key_size()));
        }
        let key = PublicEncryptingKey::from_der(spki.raw).map_err(|_| BadRecipient::NotRsa)?;
        let key = OaepPublicEncryptingKey::new(key).map_err(|_| BadRecipient::NotRsa)?;
        let issuer = certificate.issuer().as_raw().to_vec();
        Ok(Self { fingerprint: is, issuer, serial, key })
    }

    /// SHA-256 of the certificate.
    pub const fn fingerprint(&self) -> &[u8; 32] {
        &self.fingerprint
    }

    /// Its issuer's name, DER.
    pub(super) fn issuer(&self) -> &[u8] {
        &self.issuer
    }

    /// Its serial number, the contents of its DER.
    pub(super) fn serial(&self) -> &[u8] {
        &self.serial
    }

    pub(super) const fn key(&self) -> &OaepPublicEncryptingKey {
        &self.key
    }
}
