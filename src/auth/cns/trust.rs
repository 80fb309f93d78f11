//! What the policy says of operators' certificates: authorities, policies, and how old a revocation list may be.

use std::sync::Arc;

use rustls_pki_types::{CertificateDer, TrustAnchor};
use x509_parser::{certificate::X509Certificate, oid_registry::Oid, prelude::FromDer};

use super::path;

/// An object identifier that the certificates of operators' cards have among their policies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CardPolicy(Oid<'static>);

impl std::str::FromStr for CardPolicy {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let arcs: Option<Vec<u64>> = text.split('.').map(|arc| arc.parse().ok()).collect();
        arcs.filter(|arcs| arcs.len() > 2)
            .and_then(|arcs| Oid::from(&arcs).ok())
            .filter(|oid| oid.to_id_string() == text)
            .map(Self)
            .ok_or("not an object identifier in dotted form")
    }
}

/// How certificates are judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// One of these must be among a certificate's policies.
    pub policies: Vec<CardPolicy>,
    /// Age above which a revocation list is out of date, whatever it says itself.
    pub crl_max_age_ms: u64,
    /// For how long a list that is out of date still serves; 0 refuses at once.
    pub stale_crl_for_ms: u64,
    /// Most valid certificates that are remembered.
    pub remember: usize,
}

impl Rules {
    pub(super) fn has_policy(&self, oid: &Oid<'_>) -> bool {
        self.policies.iter().any(|policy| policy.0.as_bytes() == oid.as_bytes())
    }
}

/// An authority whose cards are operators' cards.
#[derive(Clone, Debug)]
pub struct Authority {
    name: Arc<str>,
    pub(super) certificate: CertificateDer<'static>,
    pub(super) anchor: TrustAnchor<'static>,
    pub(super) subject: Vec<u8>,
    pub(super) spki: Vec<u8>,
    pub(super) not_before_ms: u64,
    pub(super) not_after_ms: u64,
    pub(super) path_length: Option<u32>,
    pub(super) crls: Vec<String>,
}

impl Authority {
    /// An authority with its certificate (DER) and the names of the files with its revocation lists and those of
    /// authorities below it.
    ///
    /// # Errors
    /// A sentence: not the certificate of an authority that may sign certificates and lists.
    pub fn new(name: &str, der: &[u8], crls: Vec<String>) -> Result<Self, String> {
        let Ok(([], certificate)) = X509Certificate::from_der(der) else {
            return Err("not one certificate".into());
        };
        if !certificate.is_ca() {
            return Err("not the certificate of an authority".into());
        }
        let usage = certificate.key_usage().map_err(|_| "the key usage cannot be read")?;
        if !usage.is_some_and(|usage| usage.value.key_cert_sign() && usage.value.crl_sign()) {
            return Err("an authority that may not sign certificates and revocation lists".into());
        }
        let owned = CertificateDer::from(der.to_vec());
        let anchor = webpki::anchor_from_trusted_cert(&owned)
            .map_err(|e| format!("not usable as an authority: {e}"))?
            .to_owned();
        let (not_before_ms, not_after_ms) = path::validity(&certificate);
        let basic = certificate.basic_constraints().map_err(|_| "the basic constraints cannot be read")?;
        Ok(Self {
            name: name.into(),
            anchor,
            subject: certificate.subject().as_raw().to_vec(),
            spki: certificate.public_key().raw.to_vec(),
            not_before_ms,
            not_after_ms,
            path_length: basic.and_then(|basic| basic.value.path_len_constraint),
            crls,
            certificate: owned,
        })
    }

    /// Its name in the policy.
    pub const fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Its subject, DER, as TLS tells it to clients.
    pub fn subject(&self) -> &[u8] {
        &self.subject
    }

    /// Whether both are the same certificate.
    pub fn is_same(&self, other: &Self) -> bool {
        self.certificate == other.certificate
    }
}

/// Authorities and rules of one policy set.
#[derive(Debug)]
pub struct Trust {
    authorities: Vec<Authority>,
    anchors: Vec<TrustAnchor<'static>>,
    rules: Rules,
}

impl Trust {
    /// Puts them together.
    pub fn new(authorities: Vec<Authority>, rules: Rules) -> Self {
        let anchors = authorities.iter().map(|authority| authority.anchor.clone()).collect();
        Self { authorities, anchors, rules }
    }

    /// The authorities.
    pub fn authorities(&self) -> &[Authority] {
        &self.authorities
    }

    /// The rules.
    pub const fn rules(&self) -> &Rules {
        &self.rules
    }

    pub(super) fn anchors(&self) -> &[TrustAnchor<'static>] {
        &self.anchors
    }
}
