//! Operators' certificates: that of a CNS card (Carta Nazionale dei Servizi) from an authority that the policy trusts.
//!
//! [`Validator::validate`] says who an operator is, or with a stable code why nobody. It says nothing about what the
//! operator may do. Closed by default: without a revocation list in date from every authority of the path there is no
//! operator. OCSP is not asked (ARCHITECTURE.md#decisions).

mod cache;
mod crl;
mod extensions;
mod lists;
mod name;
mod path;
pub mod proof;
mod refusal;
mod trust;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use aws_lc_rs::digest;
use x509_parser::{certificate::X509Certificate, prelude::FromDer};

pub use refusal::Refusal;
pub use trust::{Authority, CardPolicy, Rules, Trust};

use crate::domain::tax_code::TaxCode;
use cache::Cache;
use lists::ListDirectory;

/// Longest certificate looked at, bytes of DER.
pub const MAX_CERTIFICATE: usize = 16 << 10;

/// Most certificates that may come with an operator's own.
pub const MAX_CHAIN: usize = 4;

/// What a valid operator's certificate says. Personal data: `Debug` shows the fingerprint only.
#[derive(Clone, PartialEq, Eq)]
pub struct OperatorCertificate {
    fingerprint: [u8; 32],
    spki: Vec<u8>,
    tax_code: TaxCode,
    person: Option<String>,
    card: String,
    authority: Arc<str>,
    not_after_ms: u64,
}

impl std::fmt::Debug for OperatorCertificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OperatorCertificate")
            .field("fingerprint", &hex::encode(self.fingerprint))
            .finish_non_exhaustive()
    }
}

impl OperatorCertificate {
    /// SHA-256 of the certificate's DER encoding.
    pub const fn fingerprint(&self) -> &[u8; 32] {
        &self.fingerprint
    }

    /// SubjectPublicKeyInfo, DER.
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// SHA-256 of [`OperatorCertificate::spki`]: stays when a certificate is renewed for the same key.
    pub fn spki_hash(&self) -> [u8; 32] {
        sha256(&self.spki)
    }

    /// The operator's C.F.
    pub const fn tax_code(&self) -> &TaxCode {
        &self.tax_code
    }

    /// Given name and surname, where the certificate has them.
    pub fn person(&self) -> Option<&str> {
        self.person.as_deref()
    }

    /// ID_Carta, 16 digits.
    pub fn card(&self) -> &str {
        &self.card
    }

    /// Name in the policy of the authority at the end of the path.
    pub const fn authority(&self) -> &Arc<str> {
        &self.authority
    }

    /// Last moment of validity, milliseconds since 1970 UTC.
    pub const fn not_after_ms(&self) -> u64 {
        self.not_after_ms
    }

    /// One that nobody has judged, for tests of what comes after the judgement.
    #[cfg(feature = "testing")]
    pub fn of_nobody(tax_code: TaxCode, spki: Vec<u8>, not_after_ms: u64) -> Self {
        let (fingerprint, card, authority) = (sha256(&spki), "6090000000000013".to_owned(), "nobody".into());
        Self { fingerprint, spki, tax_code, person: None, card, authority, not_after_ms }
    }

    /// The same, of the card with this ID_Carta.
    #[cfg(feature = "testing")]
    #[must_use]
    pub fn of_card(self, id_carta: &str) -> Self {
        Self { card: id_carta.to_owned(), ..self }
    }
}

/// Validates operators' certificates against a policy's authorities and the revocation lists of a directory.
pub struct Validator {
    lists: ListDirectory,
    cache: Mutex<Cache>,
}

impl std::fmt::Debug for Validator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Validator")
    }
}

impl Validator {
    /// With the revocation lists in this directory; with none, every certificate is refused for want of a list.
    /// Nothing is read before [`Validator::refresh`].
    pub fn new(crls: Option<PathBuf>) -> Self {
        Self { lists: ListDirectory::new(crls), cache: Mutex::new(Cache::default()) }
    }

    /// Reads the lists that the policy names and that have changed since. What cannot be used is told by file; a list
    /// that was good stays in force then, for as long as it is in date.
    pub fn refresh(&self, trust: &Trust) -> Vec<(String, Refusal)> {
        self.lists.refresh(trust)
    }

    /// As [`Validator::refresh`], with what cannot be used in the log.
    pub fn refresh_and_tell(&self, trust: &Trust) {
        for (file, fault) in self.refresh(trust) {
            tracing::error!(file, code = fault.code(), "revocation list of operators' cards: {fault}");
        }
    }

    /// As [`Validator::refresh_and_tell`], in a thread that may wait for the disk.
    pub async fn refresh_aside(self: &Arc<Self>, trust: &Arc<Trust>) {
        let (validator, trust) = (Arc::clone(self), Arc::clone(trust));
        if let Err(error) = tokio::task::spawn_blocking(move || validator.refresh_and_tell(&trust)).await {
            tracing::error!(%error, "revocation lists of operators' cards were not read");
        }
    }

    /// Who the holder of `leaf` is, at `now_ms`. `chain` may hold the authorities between `leaf` and the policy's.
    ///
    /// A certificate that was found good is remembered: never longer than it, an authority or a list is in date, and
    /// not beyond another policy set or other lists. What was refused is not remembered.
    ///
    /// # Errors
    /// [`Refusal`]
    pub fn validate(
        &self,
        trust: &Arc<Trust>,
        leaf: &[u8],
        chain: &[Vec<u8>],
        now_ms: u64,
    ) -> Result<Arc<OperatorCertificate>, Refusal> {
        bounded(leaf, chain)?;
        let fingerprint = sha256(leaf);
        let lists = self.lists.current();
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.belongs_to(trust, lists.generation());
        if let Some(known) = cache.get(&fingerprint, now_ms) {
            return Ok(known);
        }
        // Others need not wait for signatures to be checked.
        drop(cache);
        let (valid, until_ms) = check(trust, &lists, leaf, chain, now_ms)?;
        let valid = Arc::new(valid);
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.is_of(trust, lists.generation()) {
            cache.put(fingerprint, Arc::clone(&valid), until_ms, now_ms);
        }
        Ok(valid)
    }

    /// Certificates remembered as good.
    pub fn remembered(&self) -> usize {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// Whether these certificates lead to an authority of the policy, by their signatures and for client authentication: what a
/// connection needs. Whether the card is good is asked with each request ([`Validator::validate`]), so that its holder is
/// told: hence the path at a moment of the card's own time.
///
/// # Errors
/// [`Refusal`] of the path.
pub fn leads_to_authority<C: AsRef<[u8]>>(
    trust: &Trust,
    leaf: &[u8],
    chain: &[C],
    now_ms: u64,
) -> Result<(), Refusal> {
    bounded(leaf, chain)?;
    let Ok(([], certificate)) = X509Certificate::from_der(leaf) else { return Err(Refusal::Malformed) };
    let (from_ms, to_ms) = path::validity(&certificate);
    path::build(trust, leaf, chain, now_ms.min(to_ms).max(from_ms)).map(|_| ())
}

fn bounded<C: AsRef<[u8]>>(leaf: &[u8], chain: &[C]) -> Result<(), Refusal> {
    if chain.len() > MAX_CHAIN {
        return Err(Refusal::ChainTooLong);
    }
    if chain.iter().map(|der| der.as_ref().len()).chain([leaf.len()]).any(|length| length > MAX_CERTIFICATE) {
        return Err(Refusal::TooLarge);
    }
    Ok(())
}

/// Everything, with the moment until which it holds.
fn check(
    trust: &Trust,
    lists: &lists::Lists,
    leaf: &[u8],
    chain: &[Vec<u8>],
    now_ms: u64,
) -> Result<(OperatorCertificate, u64), Refusal> {
    let Ok(([], certificate)) = X509Certificate::from_der(leaf) else { return Err(Refusal::Malformed) };
    extensions::check(&certificate, trust.rules())?;
    let (tax_code, card) = name::read(&certificate)?;
    let not_after_ms = path::dates(&certificate, now_ms)?;
    let path = path::build(trust, leaf, chain, now_ms)?;
    let mut until_ms = path.until_ms.min(not_after_ms);
    for step in &path.steps {
        until_ms = until_ms.min(lists.check(path.authority, step, trust.rules(), now_ms)?);
    }
    let valid = OperatorCertificate {
        fingerprint: sha256(leaf),
        spki: certificate.public_key().raw.to_vec(),
        tax_code,
        person: name::person(&certificate),
        card,
        authority: Arc::clone(path.authority.name()),
        not_after_ms,
    };
    Ok((valid, until_ms))
}

pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.iter_mut().zip(digest::digest(&digest::SHA256, bytes).as_ref()).for_each(|(to, from)| *to = *from);
    out
}
