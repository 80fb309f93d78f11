//! One revocation list: complete, direct, of certificates; anything else is refused, since it would be misread.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use rustls_pki_types::SignatureVerificationAlgorithm;
use x509_parser::{
    extensions::{IssuingDistributionPoint, ParsedExtension},
    oid_registry as oid,
    oid_registry::Oid,
    prelude::FromDer,
    revocation_list::{CertificateRevocationList, RevokedCertificate},
    x509::{ReasonCode, SubjectPublicKeyInfo},
};

use super::{
    Refusal, Rules,
    path::{ALGORITHMS, Step, uris},
    sha256,
};
use crate::auth::milliseconds;

/// How far an authority's clock may be ahead of this one.
const SKEW_MS: u64 = 300_000;

/// What a list says of a certificate that is on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Entry {
    /// Taken off hold: removeFromCRL, which some authorities put on complete lists.
    Removed,
    OnHold,
    Revoked,
}

/// A list that could be read.
pub(super) struct List {
    /// Name of its authority, DER.
    pub(super) issuer: Vec<u8>,
    this_update_ms: u64,
    next_update_ms: u64,
    of_users_only: bool,
    of_authorities_only: bool,
    /// Distribution points that it is for, where it is not for all.
    points: Option<Vec<String>>,
    /// By serial number without leading zeros.
    entries: HashMap<Box<[u8]>, Entry>,
    der: Vec<u8>,
    /// Hash of the key that signed it, once that is known.
    signed_by: Mutex<Option<[u8; 32]>>,
}

impl List {
    /// Reads a list, DER or PEM. The signature is not looked at yet.
    pub(super) fn parse(bytes: Vec<u8>) -> Result<Self, Refusal> {
        let der = if bytes.starts_with(b"-----BEGIN") {
            let block = pem::parse(&bytes).map_err(|_| Refusal::CrlMalformed)?;
            if block.tag() != "X509 CRL" {
                return Err(Refusal::CrlMalformed);
            }
            block.into_contents()
        } else {
            bytes
        };
        let Ok(([], list)) = CertificateRevocationList::from_der(&der) else {
            return Err(Refusal::CrlMalformed);
        };
        let scope = scope(&list)?;
        let mut entries = HashMap::new();
        for revoked in list.iter_revoked_certificates() {
            let entry = entry(revoked)?;
            let known = entries.entry(significant(revoked.raw_serial()).into()).or_insert(entry);
            // Twice on one list: the worse counts.
            *known = entry.max(*known);
        }
        let next_update = list.next_update().ok_or(Refusal::CrlMalformed)?;
        let (issuer, this_update_ms) =
            (list.issuer().as_raw().to_vec(), milliseconds(list.last_update().timestamp()));
        let next_update_ms = milliseconds(next_update.timestamp());
        let (of_users_only, of_authorities_only, points) = scope;
        drop(list);
        Ok(Self {
            issuer,
            this_update_ms,
            next_update_ms,
            of_users_only,
            of_authorities_only,
            points,
            entries,
            der,
            signed_by: Mutex::new(None),
        })
    }

    /// Whether it is older than `other`: no list takes the place of a newer one.
    pub(super) fn is_older_than(&self, other: &Self) -> bool {
        self.issuer == other.issuer && self.this_update_ms < other.this_update_ms
    }

    /// Whether the holder of this key signed it. Looked at once per key.
    pub(super) fn is_signed_by(&self, spki: &[u8]) -> bool {
        let hash = sha256(spki);
        let mut known = self.signed_by.lock().unwrap_or_else(PoisonError::into_inner);
        if *known != Some(hash) && self.verify(spki).is_some() {
            *known = Some(hash);
        }
        *known == Some(hash)
    }

    fn verify(&self, spki: &[u8]) -> Option<()> {
        let (_, list) = CertificateRevocationList::from_der(&self.der).ok()?;
        let (_, key) = SubjectPublicKeyInfo::from_der(spki).ok()?;
        if list.signature_algorithm != list.tbs_cert_list.signature {
            return None;
        }
        let (message, signature) = (list.tbs_cert_list.as_ref(), &list.signature_value.data);
        let (of_list, of_key) =
            (tagged(&list.signature_algorithm.algorithm), tagged(&key.algorithm.algorithm));
        // Parameters need not be compared: with others than the list's the signature does not hold.
        let mut fitting = ALGORITHMS.iter().filter(|algorithm| {
            algorithm.signature_alg_id().starts_with(&of_list)
                && algorithm.public_key_alg_id().starts_with(&of_key)
        });
        let holds = |algorithm: &&dyn SignatureVerificationAlgorithm| {
            algorithm.verify_signature(&key.subject_public_key.data, message, signature).is_ok()
        };
        fitting.any(holds).then_some(())
    }

    /// Whether the list is for this certificate.
    pub(super) fn covers(&self, step: &Step) -> bool {
        let kind = if step.is_ca { !self.of_users_only } else { !self.of_authorities_only };
        kind && self
            .points
            .as_ref()
            .is_none_or(|points| points.iter().any(|point| step.distribution_points.contains(point)))
    }

    /// Until when the list says that the certificate is good.
    pub(super) fn judge(&self, step: &Step, rules: &Rules, now_ms: u64) -> Result<u64, Refusal> {
        if !self.is_signed_by(&step.issuer_spki) {
            return Err(Refusal::CrlBadSignature);
        }
        if self.this_update_ms > now_ms.saturating_add(SKEW_MS) {
            return Err(Refusal::CrlNotYetValid);
        }
        // On a list that is out of date a revocation still holds.
        match self.entries.get(significant(&step.serial)) {
            Some(Entry::Revoked | Entry::OnHold) if step.is_ca => return Err(Refusal::CaRevoked),
            Some(Entry::Revoked) => return Err(Refusal::Revoked),
            Some(Entry::OnHold) => return Err(Refusal::OnHold),
            Some(Entry::Removed) | None => {}
        }
        let fresh_ms = self.next_update_ms.min(self.this_update_ms.saturating_add(rules.crl_max_age_ms));
        let until_ms = fresh_ms.saturating_add(rules.stale_crl_for_ms);
        if now_ms > until_ms { Err(Refusal::CrlStale) } else { Ok(until_ms) }
    }
}

fn entry(revoked: &RevokedCertificate<'_>) -> Result<Entry, Refusal> {
    let known = [oid::OID_X509_EXT_REASON_CODE, oid::OID_X509_EXT_INVALIDITY_DATE];
    let unread = |extension: &x509_parser::extensions::X509Extension<'_>| {
        // The issuer of an entry makes the list an indirect one.
        extension.oid == oid::OID_X509_EXT_ISSUER || extension.critical && !known.contains(&extension.oid)
    };
    if revoked.extensions().iter().any(unread) {
        return Err(Refusal::CrlUnsupported);
    }
    let Some((_, reason)) = revoked.reason_code() else { return Ok(Entry::Revoked) };
    Ok(match reason {
        ReasonCode::CertificateHold => Entry::OnHold,
        ReasonCode::RemoveFromCRL => Entry::Removed,
        _ => Entry::Revoked,
    })
}

/// Whether it is of users' or of authorities' certificates only, and for which distribution points.
fn scope(list: &CertificateRevocationList<'_>) -> Result<(bool, bool, Option<Vec<String>>), Refusal> {
    let known: [Oid<'_>; 3] = [
        oid::OID_X509_EXT_CRL_NUMBER,
        oid::OID_X509_EXT_AUTHORITY_KEY_IDENTIFIER,
        oid::OID_X509_EXT_ISSUER_DISTRIBUTION_POINT,
    ];
    let mut scope = (false, false, None);
    for extension in list.extensions() {
        if extension.oid == oid::OID_X509_EXT_DELTA_CRL_INDICATOR
            || extension.critical && !known.contains(&extension.oid)
        {
            return Err(Refusal::CrlUnsupported);
        }
        if matches!(extension.parsed_extension(), ParsedExtension::ParseError { .. }) {
            return Err(Refusal::CrlMalformed);
        }
        if let ParsedExtension::IssuingDistributionPoint(point) = extension.parsed_extension() {
            scope = read_scope(point)?;
        }
    }
    Ok(scope)
}

fn read_scope(point: &IssuingDistributionPoint<'_>) -> Result<(bool, bool, Option<Vec<String>>), Refusal> {
    if point.indirect_crl || point.only_some_reasons.is_some() || point.only_contains_attribute_certs {
        return Err(Refusal::CrlUnsupported);
    }
    let points = point.distribution_point.as_ref().map(|name| uris(Some(name)));
    Ok((point.only_contains_user_certs, point.only_contains_ca_certs, points))
}

fn significant(serial: &[u8]) -> &[u8] {
    let start = serial.iter().position(|byte| *byte != 0).unwrap_or(serial.len());
    serial.get(start..).unwrap_or_default()
}

/// An object identifier as it stands in an encoding.
fn tagged(oid: &Oid<'_>) -> Vec<u8> {
    let content = oid.as_bytes();
    [&[0x06, u8::try_from(content.len()).unwrap_or(u8::MAX)], content].concat()
}
