//! Consents to the health record (Fascicolo sanitario elettronico): what a person is asked, in which words, and whether
//! an answer can be recorded. Pure.
//!
//! A consent is of a person, not of a card. Its kinds have their days: DPCM 29/9/2015 n. 178 had three of them, and DL
//! 19/5/2020 n. 34 art. 11 abolished those of feeding. What was recorded of a former kind stays readable.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::date::CivilDate;

/// The text is not the name of a kind of consent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a kind of consent is 1 to 40 of a-z and _")]
pub struct BadKind;

/// What is consented to, such as `consultazione`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConsentKind(String);

impl ConsentKind {
    /// Longest name, characters.
    pub const MAX: usize = 40;

    /// Its name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ConsentKind {
    type Err = BadKind;

    fn from_str(text: &str) -> Result<Self, BadKind> {
        let good = text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        if good && (1..=Self::MAX).contains(&text.len()) { Ok(Self(text.to_owned())) } else { Err(BadKind) }
    }
}

impl fmt::Display for ConsentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text is no choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be \"grant\", \"refuse\" or \"withdraw\"")]
pub struct BadChoice;

/// What a person said. The texts never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// Yes.
    Grant,
    /// No: an answer like any other.
    Refuse,
    /// No more.
    Withdraw,
}

impl Choice {
    /// Every choice.
    pub const ALL: [Self; 3] = [Self::Grant, Self::Refuse, Self::Withdraw];

    /// As in requests and events.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Grant => "grant",
            Self::Refuse => "refuse",
            Self::Withdraw => "withdraw",
        }
    }

    /// What the consent is from then on, as answers say it.
    pub const fn state(self) -> &'static str {
        match self {
            Self::Grant => "granted",
            Self::Refuse => "refused",
            Self::Withdraw => "withdrawn",
        }
    }
}

impl FromStr for Choice {
    type Err = BadChoice;

    fn from_str(text: &str) -> Result<Self, BadChoice> {
        Self::ALL.into_iter().find(|choice| choice.text() == text).ok_or(BadChoice)
    }
}

/// The words that a person is asked with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wording {
    /// From 1; each change of the words has the next.
    pub version: u32,
    /// First day, in Italy, on which people are asked with them.
    pub from: CivilDate,
    /// In Italian.
    pub words: String,
}

/// A kind of consent with its days and words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consent {
    /// Which.
    pub kind: ConsentKind,
    /// First day, in Italy, on which it is asked for.
    pub asked_from: CivilDate,
    /// Last day; nothing while there is none.
    pub asked_until: Option<CivilDate>,
    /// By version, from 1 up; at least one, in use from the first day on.
    pub wordings: Vec<Wording>,
}

/// Why an answer is not recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotRecorded {
    /// Its time has not come or is over.
    #[error("this consent is not asked for on this day")]
    NotAskedFor,
    /// It was never given, or no longer is.
    #[error("this consent is not in force: there is nothing to withdraw")]
    NothingToWithdraw,
    /// The person has read other words than those in use.
    #[error("the text is not the one in use on this day")]
    OtherText,
    /// The policy knows no such kind.
    #[error("the policy has no consent of this kind")]
    UnknownKind,
}

impl NotRecorded {
    /// Its code in problems and events: it never changes.
    pub const fn code(self) -> &'static str {
        match self {
            Self::NotAskedFor => "consent_not_asked_for",
            Self::NothingToWithdraw => "consent_not_in_force",
            Self::OtherText => "consent_text_not_in_use",
            Self::UnknownKind => "unknown_consent",
        }
    }
}

impl Consent {
    /// Whether people are asked for it on this day.
    pub fn is_asked_for(&self, today: CivilDate) -> bool {
        self.asked_from <= today && self.asked_until.is_none_or(|last| today <= last)
    }

    /// The words in use on this day; nothing before the first day.
    pub fn wording(&self, today: CivilDate) -> Option<&Wording> {
        self.wordings.iter().rfind(|wording| wording.from <= today)
    }

    /// Names words of this kind in requests and records, such as `consultazione/1`.
    pub fn text_id(&self, wording: &Wording) -> String {
        format!("{}/{}", self.kind, wording.version)
    }

    /// Whether `choice` can be recorded of somebody who has read `text` and whose newest answer is `newest`. A refusal takes
    /// the place of a consent that was given, as a withdrawal does.
    pub fn check(
        &self,
        choice: Choice,
        text: &str,
        newest: Option<Choice>,
        today: CivilDate,
    ) -> Result<(), NotRecorded> {
        if !self.is_asked_for(today) {
            return Err(NotRecorded::NotAskedFor);
        }
        if self.wording(today).is_none_or(|in_use| self.text_id(in_use) != text) {
            return Err(NotRecorded::OtherText);
        }
        match (choice, newest) {
            (Choice::Grant | Choice::Refuse, _) | (Choice::Withdraw, Some(Choice::Grant)) => Ok(()),
            (Choice::Withdraw, Some(Choice::Refuse | Choice::Withdraw) | None) => {
                Err(NotRecorded::NothingToWithdraw)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> CivilDate {
        text.parse().unwrap()
    }

    fn consent(until: Option<&str>) -> Consent {
        let wording = |version, from| Wording { version, from: day(from), words: format!("words {version}") };
        Consent {
            kind: "consultazione".parse().unwrap(),
            asked_from: day("2015-11-26"),
            asked_until: until.map(day),
            wordings: vec![wording(1, "2015-11-26"), wording(2, "2024-01-01")],
        }
    }

    #[test]
    fn asked_for_between_its_days_with_the_words_of_the_day() {
        let some = consent(Some("2020-05-18"));
        for (today, asked, version) in [
            ("2015-11-25", false, None),
            ("2015-11-26", true, Some(1)),
            ("2020-05-18", true, Some(1)),
            ("2020-05-19", false, Some(1)),
            ("2024-01-01", false, Some(2)),
        ] {
            assert_eq!(some.is_asked_for(day(today)), asked, "{today}");
            assert_eq!(some.wording(day(today)).map(|w| w.version), version, "{today}");
        }
        assert!(consent(None).is_asked_for(day("2099-12-31")));
    }

    #[test]
    fn only_what_is_granted_is_withdrawn() {
        let check =
            |choice, newest| consent(None).check(choice, "consultazione/2", newest, day("2026-06-01"));
        for choice in Choice::ALL {
            for newest in [None, Some(Choice::Grant), Some(Choice::Refuse), Some(Choice::Withdraw)] {
                let expected = match (choice, newest) {
                    (Choice::Withdraw, Some(Choice::Grant)) => Ok(()),
                    (Choice::Withdraw, _) => Err(NotRecorded::NothingToWithdraw),
                    _ => Ok(()),
                };
                assert_eq!(check(choice, newest), expected, "{choice:?} after {newest:?}");
            }
        }
    }

    #[test]
    fn neither_former_words_nor_a_former_kind() {
        let today = day("2026-06-01");
        let check = |of: Consent, text| of.check(Choice::Grant, text, None, today);
        assert_eq!(check(consent(None), "consultazione/1"), Err(NotRecorded::OtherText));
        assert_eq!(check(consent(None), "alimentazione/2"), Err(NotRecorded::OtherText));
        assert_eq!(check(consent(Some("2026-05-31")), "consultazione/2"), Err(NotRecorded::NotAskedFor));
    }

    #[test]
    fn names() {
        assert_eq!(
            "alimentazione_pregresso".parse::<ConsentKind>().unwrap().as_str(),
            "alimentazione_pregresso"
        );
        for bad in ["", "Consultazione", "con sultazione", "a/1", &"a".repeat(41)] {
            assert_eq!(bad.parse::<ConsentKind>(), Err(BadKind), "{bad}");
        }
        for choice in Choice::ALL {
            assert_eq!(choice.text().parse(), Ok(choice));
        }
    }
}
