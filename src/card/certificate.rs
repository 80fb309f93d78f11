//! The card's authentication certificate. Whom it is believed from is the authority's business: nothing here trusts it.

use x509_parser::{
    certificate::X509Certificate, extensions::ParsedExtension, prelude::FromDer, public_key::PublicKey,
};

use crate::domain::{
    chip::{self, BadChip, Finding, HolderName},
    officers::{OfficerKey, fingerprint},
};

use super::CardError;

/// The policy of CNS authentication certificates.
const CNS_POLICY: &str = "1.3.76.16.2.1";

/// What a card's certificate says.
pub struct Certificate {
    der: Vec<u8>,
    holder: Option<HolderName>,
    issuer: String,
    serial: String,
    from_s: i64,
    to_s: i64,
    key: OfficerKey,
    modulus_bytes: usize,
    faults: Vec<Finding>,
}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Certificate({})", hex::encode(self.fingerprint()))
    }
}

impl Certificate {
    /// Reads the file of the certificate, which zero bytes may fill up.
    pub(super) fn from_file(file: &[u8]) -> Result<Self, CardError> {
        let der = chip::certificate(file)?;
        let Ok(([], parsed)) = X509Certificate::from_der(der) else {
            return Err(BadChip::Certificate.into());
        };
        let mut names = parsed.subject().iter_common_name();
        let holder = match (names.next(), names.next()) {
            (Some(name), None) => name.as_str().ok().and_then(|name| HolderName::parse(name).ok()),
            (Some(_) | None, Some(_) | None) => None,
        };
        let spki = parsed.public_key();
        let bits = match spki.parsed() {
            Ok(PublicKey::RSA(rsa)) => rsa.key_size(),
            Ok(
                PublicKey::EC(_)
                | PublicKey::DSA(_)
                | PublicKey::GostR3410(_)
                | PublicKey::GostR3410_2012(_)
                | PublicKey::Unknown(_),
            )
            | Err(_) => 0,
        };
        let faults = [
            (bits < 2048, Finding::CertificateKey),
            (!has_policy(&parsed), Finding::CertificatePolicy),
            (!is_for_login(&parsed), Finding::CertificateUsage),
        ];
        Ok(Self {
            holder,
            issuer: parsed.issuer().to_string(),
            serial: hex::encode(parsed.raw_serial()),
            from_s: parsed.validity().not_before.timestamp(),
            to_s: parsed.validity().not_after.timestamp(),
            key: OfficerKey::Rsa(spki.raw.to_vec()),
            modulus_bytes: bits.div_ceil(8),
            faults: faults.into_iter().filter_map(|(wrong, finding)| wrong.then_some(finding)).collect(),
            der: der.to_vec(),
        })
    }

    /// The certificate, DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// SHA-256 of the certificate.
    pub fn fingerprint(&self) -> [u8; 32] {
        fingerprint(&self.der)
    }

    /// Holder and card, where the common name is that of a CNS.
    pub const fn holder(&self) -> Option<&HolderName> {
        self.holder.as_ref()
    }

    /// The issuer's name.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The serial number, lower-case hexadecimal.
    pub fn serial(&self) -> &str {
        &self.serial
    }

    /// From when to when it is valid, seconds since 1970 UTC.
    pub const fn validity(&self) -> (i64, i64) {
        (self.from_s, self.to_s)
    }

    /// What is wrong with it at a time, seconds since 1970 UTC.
    pub fn findings(&self, now_s: i64) -> Vec<Finding> {
        let dates = [
            (now_s < self.from_s, Finding::CertificateNotYetValid),
            (now_s > self.to_s, Finding::CertificateExpired),
        ];
        let dates = dates.into_iter().filter_map(|(wrong, finding)| wrong.then_some(finding));
        self.faults.iter().copied().chain(dates).collect()
    }

    /// The public key.
    pub const fn key(&self) -> &OfficerKey {
        &self.key
    }

    pub(super) const fn modulus_bytes(&self) -> usize {
        self.modulus_bytes
    }
}

fn has_policy(certificate: &X509Certificate<'_>) -> bool {
    certificate.extensions().iter().any(|extension| {
        let ParsedExtension::CertificatePolicies(policies) = extension.parsed_extension() else {
            return false;
        };
        policies.iter().any(|policy| policy.policy_id.to_id_string() == CNS_POLICY)
    })
}

fn is_for_login(certificate: &X509Certificate<'_>) -> bool {
    let signs = certificate.key_usage().ok().flatten().is_some_and(|usage| usage.value.digital_signature());
    let usage = certificate.extended_key_usage().ok().flatten();
    signs && usage.is_some_and(|usage| usage.value.client_auth)
}
