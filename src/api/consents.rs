//! Consents to the health record (Fascicolo sanitario elettronico).

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error, MapAccess, Visitor},
};

use super::{
    applicant::{Applicant, MaskedApplicant},
    cards::Card,
    paper::Paper,
};

/// `POST /v1/consents`
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordConsents {
    /// The person's codice fiscale.
    pub tax_code: String,
    /// TEAM number of a card of theirs, 20 digits.
    pub team_number: String,
    /// Last day of its validity.
    pub expires_on: String,
    /// Who asks.
    pub applicant: Applicant,
    /// By kind, such as `consultazione`; each once.
    #[serde(deserialize_with = "each_once")]
    pub consents: BTreeMap<String, GivenConsent>,
    /// Only show what would be recorded.
    #[serde(default)]
    pub preview: bool,
}

/// What a person said to one question.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GivenConsent {
    /// `grant`, `refuse` or `withdraw`.
    pub choice: String,
    /// Names the words that were read, such as `consultazione/1`.
    pub text: String,
}

/// Answer to [`RecordConsents`].
#[derive(Debug, Serialize, Deserialize)]
pub struct RecordedConsents {
    /// When, RFC 3339.
    pub recorded_at: String,
    /// By kind.
    pub consents: Vec<RecordedConsent>,
    /// What is printed.
    pub paper: Paper,
}

/// A consent as it is from now on.
#[derive(Debug, Serialize, Deserialize)]
pub struct RecordedConsent {
    /// Which.
    pub kind: String,
    /// `granted`, `refused` or `withdrawn`.
    pub state: String,
    /// What it was before; absent if the person had said nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub former_state: Option<String>,
    /// Names the words that were read.
    pub text: String,
    /// The words; in previews only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<String>,
    /// Number of the record, from 1 up for each person and kind.
    pub number: u32,
}

/// Answer to [`RecordConsents`] with `preview`.
#[derive(Debug, Serialize, Deserialize)]
pub struct ConsentsPreview {
    /// The card as it is.
    pub card: Card,
    /// What would be recorded.
    pub consents: Vec<RecordedConsent>,
    /// Who asks.
    pub applicant: MaskedApplicant,
    /// Codes of what the confirmed request would still be refused for.
    pub lacks: Vec<String>,
}

/// `POST /v1/consents/lookup`
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LookUpConsents {
    /// The person's codice fiscale.
    pub tax_code: String,
    /// TEAM number of a card of theirs, 20 digits.
    pub team_number: String,
    /// Last day of its validity.
    pub expires_on: String,
}

/// Answer to [`LookUpConsents`].
#[derive(Debug, Serialize, Deserialize)]
pub struct Consents {
    /// Every kind that is or was asked for, or that the person has said something of.
    pub consents: Vec<Consent>,
}

/// One kind of consent of one person.
#[derive(Debug, Serialize, Deserialize)]
pub struct Consent {
    /// Which.
    pub kind: String,
    /// Whether people are asked for it today.
    pub asked_for: bool,
    /// First day of that, `YYYY-MM-DD`; absent for a kind that the policy does not have any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_from: Option<String>,
    /// Last day of that; absent while there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_until: Option<String>,
    /// Names the words in use; absent if it is not asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The words in use, in Italian.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<String>,
    /// `granted`, `refused` or `withdrawn`; absent if the person has said nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// What the person said, the newest first: that is in force. At most 50.
    pub history: Vec<PastConsent>,
}

/// What a person said once.
#[derive(Debug, Serialize, Deserialize)]
pub struct PastConsent {
    /// From 1 up.
    pub number: u32,
    /// `granted`, `refused` or `withdrawn`.
    pub state: String,
    /// Names the words that were read.
    pub text: String,
    /// Who said it: `holder`, or `proxy:` and the title.
    pub applicant: String,
    /// When, RFC 3339.
    pub recorded_at: String,
    /// The request that recorded it.
    pub request: String,
}

/// A map whose names differ: of two the same, one would be lost without a word.
fn each_once<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, GivenConsent>, D::Error> {
    struct EachOnce;
    impl<'de> Visitor<'de> for EachOnce {
        type Value = BTreeMap<String, GivenConsent>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object by kind of consent")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Self::Value, A::Error> {
            let mut map = BTreeMap::new();
            while let Some((kind, given)) = from.next_entry()? {
                if map.insert(kind, given).is_some() {
                    return Err(A::Error::custom("a kind is there twice"));
                }
            }
            Ok(map)
        }
    }
    from.deserialize_map(EachOnce)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_there_once() {
        let body = |more: &str| {
            let one = r#""a":{"choice":"grant","text":"a/1"}"#;
            format!(
                r#"{{"tax_code":"","team_number":"","expires_on":"","applicant":{{"is":"holder"}},"consents":{{{one}{more}}}}}"#
            )
        };
        let read = |text: &str| serde_json::from_str::<RecordConsents>(text).map(|body| body.consents.len());
        assert_eq!(read(&body("")).unwrap(), 1);
        assert_eq!(read(&body(r#","b":{"choice":"refuse","text":"b/1"}"#)).unwrap(), 2);
        let twice = read(&body(r#","a":{"choice":"refuse","text":"a/1"}"#)).unwrap_err();
        assert!(twice.to_string().contains("twice"));
    }
}
