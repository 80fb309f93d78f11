//! What the certificate of an operator's card must say of itself: the profile of CNS authentication certificates.

use std::collections::BTreeSet;

use x509_parser::{
    certificate::X509Certificate,
    extensions::ParsedExtension,
    oid_registry as oid,
    oid_registry::Oid,
    public_key::PublicKey,
    x509::{AlgorithmIdentifier, SubjectPublicKeyInfo, X509Version},
};

use super::{Refusal, trust::Rules};

/// Sizes of an RSA modulus, bits.
const RSA_BITS: std::ops::RangeInclusive<usize> = crate::auth::MIN_RSA_BITS..=8192;

/// Checks version, extensions, usages, policy, key and the kind of the signature; not the signature itself.
pub(super) fn check(certificate: &X509Certificate<'_>, rules: &Rules) -> Result<(), Refusal> {
    if certificate.version() != X509Version::V3 {
        return Err(Refusal::Malformed);
    }
    known(certificate)?;
    if certificate.is_ca() {
        return Err(Refusal::IsCa);
    }
    usages(certificate)?;
    if !policies(certificate, rules) {
        return Err(Refusal::MissingPolicy);
    }
    key(certificate.public_key())?;
    if is_strong(&certificate.signature_algorithm) { Ok(()) } else { Err(Refusal::WeakSignature) }
}

/// No extension twice, none that cannot be read, no critical one that is not checked here or by the path.
fn known(certificate: &X509Certificate<'_>) -> Result<(), Refusal> {
    let understood = [
        oid::OID_X509_EXT_KEY_USAGE,
        oid::OID_X509_EXT_EXTENDED_KEY_USAGE,
        oid::OID_X509_EXT_BASIC_CONSTRAINTS,
        oid::OID_X509_EXT_CERTIFICATE_POLICIES,
        oid::OID_X509_EXT_SUBJECT_ALT_NAME,
        oid::OID_X509_EXT_CRL_DISTRIBUTION_POINTS,
    ];
    let mut seen = BTreeSet::new();
    for extension in certificate.extensions() {
        if !seen.insert(extension.oid.as_bytes()) {
            return Err(Refusal::DuplicateExtension);
        }
        if matches!(extension.parsed_extension(), ParsedExtension::ParseError { .. }) {
            return Err(Refusal::Malformed);
        }
        if extension.critical && !understood.contains(&extension.oid) {
            return Err(Refusal::UnknownCriticalExtension);
        }
    }
    Ok(())
}

/// For authentication alone: a key that may also bind its holder (nonRepudiation) or sign certificates is another's.
fn usages(certificate: &X509Certificate<'_>) -> Result<(), Refusal> {
    let usage = certificate.key_usage().map_err(|_| Refusal::Malformed)?.ok_or(Refusal::WrongKeyUsage)?.value;
    if !usage.digital_signature() || usage.non_repudiation() || usage.key_cert_sign() || usage.crl_sign() {
        return Err(Refusal::WrongKeyUsage);
    }
    let extended = certificate.extended_key_usage().map_err(|_| Refusal::Malformed)?;
    if extended.is_some_and(|extension| extension.value.client_auth) {
        Ok(())
    } else {
        Err(Refusal::WrongExtendedKeyUsage)
    }
}

/// Whether it has one of the policies; anyPolicy is none of them.
fn policies(certificate: &X509Certificate<'_>, rules: &Rules) -> bool {
    certificate.extensions().iter().any(|extension| {
        if let ParsedExtension::CertificatePolicies(list) = extension.parsed_extension() {
            list.iter().any(|information| rules.has_policy(&information.policy_id))
        } else {
            false
        }
    })
}

fn key(spki: &SubjectPublicKeyInfo<'_>) -> Result<(), Refusal> {
    let good = match spki.parsed().map_err(|_| Refusal::WeakKey)? {
        PublicKey::RSA(rsa) => {
            RSA_BITS.contains(&crate::auth::rsa_bits(rsa.modulus))
                && rsa.try_exponent().is_ok_and(is_exponent)
        }
        PublicKey::EC(_) => curve(&spki.algorithm)
            .is_some_and(|curve| [oid::OID_EC_P256, oid::OID_NIST_EC_P384].contains(&curve)),
        PublicKey::DSA(_)
        | PublicKey::GostR3410(_)
        | PublicKey::GostR3410_2012(_)
        | PublicKey::Unknown(_) => false,
    };
    if good { Ok(()) } else { Err(Refusal::WeakKey) }
}

const fn is_exponent(exponent: u64) -> bool {
    exponent > 1 && exponent % 2 == 1
}

fn curve<'a>(algorithm: &'a AlgorithmIdentifier<'_>) -> Option<Oid<'a>> {
    algorithm.parameters.as_ref()?.as_oid().ok()
}

/// SHA-2 with RSA or ECDSA. Parameters of RSASSA-PSS are looked at where the signature is checked.
fn is_strong(algorithm: &AlgorithmIdentifier<'_>) -> bool {
    [
        oid::OID_PKCS1_SHA256WITHRSA,
        oid::OID_PKCS1_SHA384WITHRSA,
        oid::OID_PKCS1_SHA512WITHRSA,
        oid::OID_PKCS1_RSASSAPSS,
        oid::OID_SIG_ECDSA_WITH_SHA256,
        oid::OID_SIG_ECDSA_WITH_SHA384,
        oid::OID_SIG_ECDSA_WITH_SHA512,
    ]
    .contains(&algorithm.algorithm)
}
