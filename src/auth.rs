//! Who the certificate of a connection says it is.
//!
//! A [`Peer`] is a fact about a certificate whose chain, revocation and proof of possession TLS has verified.
//! What a peer may do is decided above, by its fingerprint; nothing here knows a name from a policy.
//! A [`CardPeer`] is less: a certificate of an authority that the policy trusts, which each request has judged anew.

pub mod cns;
mod remote;

use aws_lc_rs::digest;
use x509_parser::{
    certificate::X509Certificate, extensions::ParsedExtension, prelude::FromDer, public_key::PublicKey,
};

pub use remote::{CardPeer, Remote};

/// Smallest RSA modulus accepted, bits.
pub const MIN_RSA_BITS: usize = 2048;

/// Longest common name accepted, bytes (X.520 allows 64 characters).
const MAX_COMMON_NAME: usize = 256;

/// What a verified client certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// SHA-256 of the DER certificate: the peer's identity.
    pub fingerprint: [u8; 32],
    /// Common name of the subject, for logs and people; not an identity.
    pub common_name: String,
    /// Serial number, lower-case hexadecimal.
    pub serial: String,
    /// First moment of validity, milliseconds since 1970 UTC.
    pub not_before_ms: u64,
    /// Last moment of validity, milliseconds since 1970 UTC.
    pub not_after_ms: u64,
}

/// Why a certificate does not make a [`Peer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// The subject has no common name, several, or one that is too long or not printable.
    #[error("the subject must have exactly one printable common name")]
    CommonName,
    /// Its time is over.
    #[error("the certificate has expired")]
    Expired,
    /// Extended key usage is absent or lacks clientAuth (anyExtendedKeyUsage does not count).
    #[error("the certificate is not for client authentication")]
    NoClientAuth,
    /// The bytes are not one X.509 certificate, or hold an extension twice.
    #[error("not an X.509 certificate")]
    NotACertificate,
    /// Key usage is present and lacks digitalSignature.
    #[error("the certificate's key is not for signatures")]
    NotForSignatures,
    /// Its time has not come.
    #[error("the certificate is not yet valid")]
    NotYetValid,
    /// An RSA key below [`MIN_RSA_BITS`] (the size is given), or a key that is neither RSA nor on a curve.
    #[error("the certificate's key is too weak or of an unknown kind ({0} bits)")]
    WeakKey(usize),
}

impl Peer {
    /// Reads a certificate that TLS has verified, as of `now_ms` (milliseconds since 1970 UTC).
    ///
    /// # Errors
    /// [`AuthError`]: the certificate must then not be let in.
    pub fn from_certificate(der: &[u8], now_ms: u64) -> Result<Self, AuthError> {
        let Ok(([], certificate)) = X509Certificate::from_der(der) else {
            return Err(AuthError::NotACertificate);
        };
        let not_before_ms = milliseconds(certificate.validity().not_before.timestamp());
        // A certificate is valid to the end of its last second.
        let not_after_ms = milliseconds(certificate.validity().not_after.timestamp()).saturating_add(999);
        if now_ms < not_before_ms {
            return Err(AuthError::NotYetValid);
        }
        if now_ms > not_after_ms {
            return Err(AuthError::Expired);
        }
        usages(&certificate)?;
        key(&certificate)?;
        let hash = digest::digest(&digest::SHA256, der);
        let fingerprint = hash.as_ref().try_into().map_err(|_| AuthError::NotACertificate)?;
        Ok(Self {
            fingerprint,
            common_name: common_name(&certificate)?,
            serial: hex::encode(certificate.raw_serial()),
            not_before_ms,
            not_after_ms,
        })
    }
}

fn usages(certificate: &X509Certificate<'_>) -> Result<(), AuthError> {
    let extended = certificate.extended_key_usage().map_err(|_| AuthError::NotACertificate)?;
    if !extended.is_some_and(|extension| extension.value.client_auth) {
        return Err(AuthError::NoClientAuth);
    }
    let usage = certificate.key_usage().map_err(|_| AuthError::NotACertificate)?;
    if usage.is_some_and(|extension| !extension.value.digital_signature()) {
        return Err(AuthError::NotForSignatures);
    }
    // An extension that did not parse would otherwise pass for an absent one.
    if certificate
        .extensions()
        .iter()
        .any(|e| matches!(e.parsed_extension(), ParsedExtension::ParseError { .. }))
    {
        return Err(AuthError::NotACertificate);
    }
    Ok(())
}

fn key(certificate: &X509Certificate<'_>) -> Result<(), AuthError> {
    let spki = certificate.public_key();
    if spki.algorithm.algorithm == x509_parser::oid_registry::OID_SIG_ED25519 {
        return Ok(());
    }
    match spki.parsed().map_err(|_| AuthError::WeakKey(0))? {
        PublicKey::RSA(rsa) if rsa_bits(rsa.modulus) >= MIN_RSA_BITS => Ok(()),
        PublicKey::RSA(rsa) => Err(AuthError::WeakKey(rsa_bits(rsa.modulus))),
        PublicKey::EC(point) if point.key_size() >= 256 => Ok(()),
        other @ (PublicKey::EC(_)
        | PublicKey::DSA(_)
        | PublicKey::GostR3410(_)
        | PublicKey::GostR3410_2012(_)
        | PublicKey::Unknown(_)) => Err(AuthError::WeakKey(other.key_size())),
    }
}

/// Bits of a big-endian number, leading zeros not counted.
pub(crate) fn rsa_bits(modulus: &[u8]) -> usize {
    let significant: &[u8] = match modulus.iter().position(|byte| *byte != 0) {
        Some(start) => modulus.get(start..).unwrap_or_default(),
        None => &[],
    };
    let zeros = significant.first().map_or(0, |byte| byte.leading_zeros());
    significant.len().saturating_mul(8).saturating_sub(usize::try_from(zeros).unwrap_or(usize::MAX))
}

fn common_name(certificate: &X509Certificate<'_>) -> Result<String, AuthError> {
    let mut names = certificate.subject().iter_common_name();
    let (Some(name), None) = (names.next(), names.next()) else {
        return Err(AuthError::CommonName);
    };
    let text = name.as_str().map_err(|_| AuthError::CommonName)?;
    if text.is_empty() || text.len() > MAX_COMMON_NAME || text.chars().any(char::is_control) {
        return Err(AuthError::CommonName);
    }
    Ok(text.to_owned())
}

/// A date before 1970 is the year 1970.
pub(crate) fn milliseconds(seconds: i64) -> u64 {
    u64::try_from(seconds).unwrap_or(0).saturating_mul(1000)
}
