//! The path from a certificate to an authority of the policy: signatures, dates, constraints. Not revocation.

use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm, UnixTime};
use webpki::{EndEntityCert, Error, KeyUsage, aws_lc_rs as algorithms};
use x509_parser::{
    certificate::X509Certificate,
    extensions::{DistributionPointName, GeneralName, ParsedExtension},
    prelude::FromDer,
};

use super::{Authority, Refusal, Trust};
use crate::auth::milliseconds;

/// What may sign a certificate or a list: SHA-2 with P-256, P-384 or RSA of at least 2048 bits.
pub(super) static ALGORITHMS: &[&dyn SignatureVerificationAlgorithm] = &[
    algorithms::ECDSA_P256_SHA256,
    algorithms::ECDSA_P256_SHA384,
    algorithms::ECDSA_P384_SHA256,
    algorithms::ECDSA_P384_SHA384,
    algorithms::RSA_PKCS1_2048_8192_SHA256,
    algorithms::RSA_PKCS1_2048_8192_SHA384,
    algorithms::RSA_PKCS1_2048_8192_SHA512,
    algorithms::RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
    algorithms::RSA_PSS_2048_8192_SHA384_LEGACY_KEY,
    algorithms::RSA_PSS_2048_8192_SHA512_LEGACY_KEY,
];

/// One certificate of a path and who issued it.
pub(super) struct Step {
    pub(super) serial: Vec<u8>,
    /// Name of the issuer, DER.
    pub(super) issuer: Vec<u8>,
    /// Key of the issuer, DER.
    pub(super) issuer_spki: Vec<u8>,
    /// Where the certificate says that its revocation list is.
    pub(super) distribution_points: Vec<String>,
    pub(super) is_ca: bool,
}

/// A path that holds.
pub(super) struct Path<'t> {
    pub(super) authority: &'t Authority,
    /// From the operator's certificate on.
    pub(super) steps: Vec<Step>,
    /// Last moment at which every authority is valid.
    pub(super) until_ms: u64,
}

/// First and last moment of validity; the last second counts to its end.
pub(super) fn validity(certificate: &X509Certificate<'_>) -> (u64, u64) {
    let of = certificate.validity();
    (milliseconds(of.not_before.timestamp()), milliseconds(of.not_after.timestamp()).saturating_add(999))
}

/// The last moment of a certificate that is valid now.
pub(super) fn dates(certificate: &X509Certificate<'_>, now_ms: u64) -> Result<u64, Refusal> {
    let (from_ms, to_ms) = validity(certificate);
    if now_ms < from_ms {
        return Err(Refusal::NotYetValid);
    }
    if now_ms > to_ms { Err(Refusal::Expired) } else { Ok(to_ms) }
}

/// Builds it.
pub(super) fn build<'t, C: AsRef<[u8]>>(
    trust: &'t Trust,
    leaf: &[u8],
    chain: &[C],
    now_ms: u64,
) -> Result<Path<'t>, Refusal> {
    let leaf = CertificateDer::from(leaf);
    let chain: Vec<CertificateDer<'_>> = chain.iter().map(|der| CertificateDer::from(der.as_ref())).collect();
    let end = EndEntityCert::try_from(&leaf).map_err(refusal)?;
    let now = UnixTime::since_unix_epoch(std::time::Duration::from_millis(now_ms));
    let found = end
        .verify_for_usage(ALGORITHMS, trust.anchors(), &chain, now, KeyUsage::client_auth(), None, None)
        .map_err(refusal)?;
    let authority = trust
        .authorities()
        .iter()
        .find(|authority| authority.anchor == *found.anchor())
        .ok_or(Refusal::UnknownCa)?;
    if now_ms < authority.not_before_ms || now_ms > authority.not_after_ms {
        return Err(Refusal::CaNotValid);
    }
    let between: Vec<CertificateDer<'_>> = found.intermediate_certificates().map(|c| c.der()).collect();
    if authority.path_length.is_some_and(|most| u32::try_from(between.len()).is_ok_and(|n| n > most)) {
        return Err(Refusal::PathLength);
    }
    let mut until_ms = authority.not_after_ms;
    let mut steps = Vec::new();
    let mut below = parse(&leaf)?;
    for der in &between {
        let issuer = parse(der)?;
        may_sign(&issuer)?;
        until_ms = until_ms.min(validity(&issuer).1);
        steps.push(step(&below, issuer.public_key().raw));
        below = issuer;
    }
    steps.push(step(&below, &authority.spki));
    Ok(Path { authority, steps, until_ms })
}

fn parse<'a>(der: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, Refusal> {
    X509Certificate::from_der(der).map(|(_, certificate)| certificate).map_err(|_| Refusal::Malformed)
}

/// The library does not look at the key usage of authorities.
fn may_sign(issuer: &X509Certificate<'_>) -> Result<(), Refusal> {
    let usage = issuer.key_usage().map_err(|_| Refusal::Malformed)?;
    match usage {
        Some(usage) if usage.value.key_cert_sign() && usage.value.crl_sign() => Ok(()),
        Some(_) | None => Err(Refusal::BadIssuer),
    }
}

fn step(certificate: &X509Certificate<'_>, issuer_spki: &[u8]) -> Step {
    Step {
        serial: certificate.raw_serial().to_vec(),
        issuer: certificate.issuer().as_raw().to_vec(),
        issuer_spki: issuer_spki.to_vec(),
        distribution_points: distribution_points(certificate),
        is_ca: certificate.is_ca(),
    }
}

fn distribution_points(certificate: &X509Certificate<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for extension in certificate.extensions() {
        if let ParsedExtension::CRLDistributionPoints(points) = extension.parsed_extension() {
            // A point of some reasons only, or of another authority, is not covered by any list that is taken.
            let whole = points.points.iter().filter(|p| p.reasons.is_none() && p.crl_issuer.is_none());
            found.extend(whole.flat_map(|point| uris(point.distribution_point.as_ref())));
        }
    }
    found
}

/// The URIs of a distribution point.
pub(super) fn uris(point: Option<&DistributionPointName<'_>>) -> Vec<String> {
    let Some(DistributionPointName::FullName(names)) = point else { return Vec::new() };
    let uri = |name: &GeneralName<'_>| {
        if let GeneralName::URI(uri) = name { Some((*uri).to_owned()) } else { None }
    };
    names.iter().filter_map(uri).collect()
}

/// The library's reasons. The operator's own dates were looked at before.
#[expect(clippy::wildcard_enum_match_arm, reason = "the library's enum is open")]
fn refusal(error: Error) -> Refusal {
    match error {
        Error::CertExpired { .. } | Error::CertNotValidYet { .. } => Refusal::CaNotValid,
        Error::CaUsedAsEndEntity => Refusal::IsCa,
        Error::EndEntityUsedAsCa => Refusal::BadIssuer,
        Error::InvalidSignatureForPublicKey => Refusal::BadSignature,
        Error::NameConstraintViolation | Error::MalformedNameConstraint => Refusal::NameConstraint,
        Error::PathLenConstraintViolated => Refusal::PathLength,
        Error::MaximumPathDepthExceeded
        | Error::MaximumPathBuildCallsExceeded
        | Error::MaximumSignatureChecksExceeded
        | Error::MaximumNameConstraintComparisonsExceeded => Refusal::ChainTooLong,
        Error::RequiredEkuNotFoundContext(_) | Error::EmptyEkuExtension => Refusal::WrongExtendedKeyUsage,
        Error::UnknownIssuer | Error::CertDistrusted => Refusal::UnknownCa,
        Error::UnsupportedCriticalExtension => Refusal::UnknownCriticalExtension,
        Error::UnsupportedSignatureAlgorithmContext(_)
        | Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => Refusal::WeakSignature,
        _ => Refusal::Malformed,
    }
}
