//! `[applicants]` of `authority.toml`: who may ask at the counter, and with which document.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::parameters::{known_region, words};
use crate::domain::applicant::{ErrandRules, Rules, Title};

/// The tables as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawApplicants {
    pub(super) keep_days: u64,
    documents: Vec<String>,
    documents_for_life: Vec<String>,
    activation: RawErrand,
    cip_renewal: RawErrand,
    consents: RawErrand,
    reprint: RawErrand,
    revocation: RawErrand,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawErrand {
    proxies: Vec<String>,
    document: bool,
    no_parents_in: Vec<String>,
}

impl RawApplicants {
    /// Checks every word; the error is a sentence without the file's name.
    pub(super) fn validate(self) -> Result<Rules, String> {
        words("applicants.documents", &self.documents)?;
        let documents: BTreeSet<String> = self.documents.into_iter().collect();
        if documents.is_empty() {
            return Err("applicants.documents: at least one kind".to_owned());
        }
        if let Some(other) = self.documents_for_life.iter().find(|kind| !documents.contains(*kind)) {
            return Err(format!("applicants.documents_for_life: \"{other}\" is not in applicants.documents"));
        }
        Ok(Rules {
            documents,
            documents_for_life: self.documents_for_life.into_iter().collect(),
            activation: self.activation.validate("activation")?,
            cip_renewal: self.cip_renewal.validate("cip_renewal")?,
            consents: self.consents.validate("consents")?,
            reprint: self.reprint.validate("reprint")?,
            revocation: self.revocation.validate("revocation")?,
        })
    }
}

impl RawErrand {
    fn validate(self, errand: &str) -> Result<ErrandRules, String> {
        let title = |text: &String| {
            text.parse::<Title>().map_err(|e| format!("applicants.{errand}.proxies: \"{text}\" {e}"))
        };
        let region = |text: &String| known_region(&format!("applicants.{errand}.no_parents_in"), text);
        Ok(ErrandRules {
            proxies: self.proxies.iter().map(title).collect::<Result<_, _>>()?,
            document: self.document,
            no_parents_in: self.no_parents_in.iter().map(region).collect::<Result<_, _>>()?,
        })
    }
}
