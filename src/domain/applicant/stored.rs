//! What a dossier holds, as bytes of one size, before they are encrypted.

use serde::{Deserialize, Serialize};

use super::{Applicant, Document, Personal, Proxy};
use crate::secret::SecretBytes;

/// Bytes of every dossier before encryption: the longest values fit.
pub const DOSSIER_SIZE: usize = 640;

const FORMAT: u8 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored<T> {
    format: u8,
    proxy: Option<StoredProxy<T>>,
    document: Option<StoredDocument<T>>,
    declaration: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredProxy<T> {
    title: T,
    tax_code: T,
    given_name: T,
    family_name: T,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredDocument<T> {
    kind: T,
    number: T,
    issuer: T,
    issued_on: String,
    expires_on: Option<String>,
}

impl Applicant {
    /// The dossier: JSON, blanks up to [`DOSSIER_SIZE`]. Nothing if it does not fit, which the types rule out.
    pub fn dossier(&self) -> Option<SecretBytes> {
        let proxy = self.proxy.as_ref().map(|proxy| StoredProxy {
            title: proxy.title.text(),
            tax_code: proxy.tax_code.as_str(),
            given_name: proxy.given_name.expose(),
            family_name: proxy.family_name.expose(),
        });
        let document = self.document.as_ref().map(|document| StoredDocument {
            kind: document.kind.as_str(),
            number: document.number.expose(),
            issuer: document.issuer.expose(),
            issued_on: document.issued_on.to_string(),
            expires_on: document.expires_on.map(|day| day.to_string()),
        });
        let stored = Stored { format: FORMAT, proxy, document, declaration: self.declaration };
        let mut bytes = Vec::with_capacity(DOSSIER_SIZE);
        let written = serde_json::to_writer(&mut bytes, &stored).is_ok() && bytes.len() <= DOSSIER_SIZE;
        bytes.resize(DOSSIER_SIZE, b' ');
        let dossier = SecretBytes::new(bytes);
        written.then_some(dossier)
    }

    /// Reads a dossier; nothing if it is not one.
    pub fn of_dossier(dossier: &SecretBytes) -> Option<Self> {
        let stored: Stored<String> = serde_json::from_slice(dossier.expose()).ok()?;
        if stored.format != FORMAT {
            return None;
        }
        let proxy = stored.proxy.map(|proxy| {
            Some(Proxy {
                title: proxy.title.parse().ok()?,
                tax_code: proxy.tax_code.parse().ok()?,
                given_name: Personal::name(&proxy.given_name).ok()?,
                family_name: Personal::name(&proxy.family_name).ok()?,
            })
        });
        let document = stored.document.map(|document| {
            Some(Document {
                kind: document.kind,
                number: Personal::number(&document.number).ok()?,
                issuer: Personal::issuer(&document.issuer).ok()?,
                issued_on: document.issued_on.parse().ok()?,
                expires_on: document.expires_on.map(|day| day.parse()).transpose().ok()?,
            })
        });
        // What is there must be read: `Some(None)` is a damaged dossier.
        let whole =
            proxy.as_ref().is_none_or(Option::is_some) && document.as_ref().is_none_or(Option::is_some);
        whole.then(|| Self {
            proxy: proxy.flatten(),
            document: document.flatten(),
            declaration: stored.declaration,
            holder_born_on: None,
        })
    }
}
