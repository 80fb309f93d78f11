//! `consents.toml`: the consents to the health record that people are asked for, with their days and words.

use serde::Deserialize;

use crate::domain::{
    consent::{Consent, ConsentKind, Wording},
    date::CivilDate,
};

/// Most kinds.
const KINDS_MAX: usize = 32;
/// Longest words, bytes: an answer holds those of every kind.
const WORDS_MAX: usize = 4000;

/// The file as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawConsents {
    #[serde(default)]
    consent: Vec<RawConsent>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConsent {
    kind: String,
    asked_from: String,
    asked_until: Option<String>,
    text: Vec<RawText>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawText {
    version: u32,
    from: String,
    words: String,
}

impl RawConsents {
    /// Checks names, days and texts; the error is a sentence without the file's name.
    pub(super) fn validate(self) -> Result<Vec<Consent>, String> {
        if self.consent.len() > KINDS_MAX {
            return Err(format!("more than {KINDS_MAX} consents"));
        }
        let mut consents: Vec<Consent> = Vec::new();
        for raw in self.consent {
            let consent = raw.validate()?;
            if consents.iter().any(|other| other.kind == consent.kind) {
                return Err(format!("two consents are named \"{}\"", consent.kind));
            }
            consents.push(consent);
        }
        consents.sort_by(|a, b| a.kind.cmp(&b.kind));
        Ok(consents)
    }
}

impl RawConsent {
    fn validate(self) -> Result<Consent, String> {
        let Self { kind, asked_from, asked_until, text } = self;
        let kind: ConsentKind = kind.parse().map_err(|why| format!("consent \"{kind}\": {why}"))?;
        let bad = |why: &dyn std::fmt::Display| format!("consent \"{kind}\": {why}");
        let day = |name: &str, text: &str| {
            text.parse::<CivilDate>().map_err(|why| bad(&format!("{name} = \"{text}\": {why}")))
        };
        let asked_from = day("asked_from", &asked_from)?;
        let asked_until = asked_until.map(|text| day("asked_until", &text)).transpose()?;
        if asked_until.is_some_and(|last| last < asked_from) {
            return Err(bad(&"asked_until is before asked_from"));
        }
        let mut wordings: Vec<Wording> = Vec::new();
        for RawText { version, from, words } in text {
            let from = day("text.from", &from)?;
            let before = wordings.last();
            if version != before.map_or(1, |last| last.version.saturating_add(1)) {
                return Err(bad(&format!("text.version = {version}: versions count from 1, in their order")));
            }
            if before.is_some_and(|last| from <= last.from) {
                return Err(bad(&format!("text {version} is not from a later day than the one before it")));
            }
            let words = words.trim().to_owned();
            if words.is_empty() || words.len() > WORDS_MAX {
                return Err(bad(&format!("text {version}: words are 1 to {WORDS_MAX} bytes")));
            }
            wordings.push(Wording { version, from, words });
        }
        match wordings.first() {
            Some(first) if first.from <= asked_from => {}
            Some(_) => return Err(bad(&"text 1 is from a later day than asked_from")),
            None => return Err(bad(&"no text")),
        }
        Ok(Consent { kind, asked_from, asked_until, wordings })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Consent>, String> {
        toml::from_str::<RawConsents>(text).map_err(|e| e.message().to_owned())?.validate()
    }

    #[test]
    fn contradictions_are_refused_with_their_reason() {
        let good = "[[consent]]\nkind = \"a\"\nasked_from = \"2026-01-01\"\nasked_until = \"2026-12-31\"\n\
                    [[consent.text]]\nversion = 1\nfrom = \"2026-01-01\"\nwords = \"uno\"\n\
                    [[consent.text]]\nversion = 2\nfrom = \"2026-02-01\"\nwords = \"due\"\n";
        assert_eq!(read(good).unwrap().first().unwrap().wordings.len(), 2);
        assert_eq!(read("").unwrap(), []);
        for (from, to, reason) in [
            ("\"a\"", "\"A\"", "1 to 40 of a-z"),
            ("asked_from = \"2026-01-01\"", "asked_from = \"2026-01-32\"", "a date is"),
            ("2026-12-31", "2025-12-31", "before asked_from"),
            ("version = 1", "version = 2", "count from 1"),
            ("version = 2", "version = 3", "count from 1"),
            ("2026-02-01", "2026-01-01", "not from a later day"),
            ("asked_from = \"2026-01-01\"", "asked_from = \"2025-12-31\"", "later day than asked_from"),
            ("\"uno\"", "\" \"", "1 to 4000 bytes"),
            ("words = \"uno\"", "word = \"uno\"", "unknown field"),
        ] {
            let text = good.replacen(from, to, 1);
            assert_ne!(text, good);
            let said = read(&text).unwrap_err();
            assert!(said.contains(reason), "{said:?} should say {reason:?}");
        }
        assert!(read(&good.repeat(2)).unwrap_err().contains("two consents"));
        let without = good.split("[[consent.text]]").next().unwrap().to_owned() + "text = []\n";
        assert!(read(&without).unwrap_err().contains("no text"));
    }
}
