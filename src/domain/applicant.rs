//! Who asks at the counter: the holder, or somebody for the holder, and the document that was shown. Personal data, which
//! nothing here prints.

mod personal;
mod rules;
mod stored;
#[cfg(test)]
mod tests;

use std::{fmt, str::FromStr};

use super::{date::CivilDate, tax_code::TaxCode};

pub use personal::{BadPersonal, Personal};
pub use rules::{Errand, ErrandRules, Objection, Rules};
pub use stored::DOSSIER_SIZE;

/// Why somebody acts for a holder. The text is part of the API and of audit events: it never changes, it is only added to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Title {
    /// Of a person who is assisted, not represented (*curatore*).
    Curator,
    /// Of a minor or of somebody who is represented (*tutore*).
    Guardian,
    /// For somebody whom their health keeps from coming.
    HealthImpediment,
    /// A parent, for a child (*potestà genitoriale*).
    ParentalAuthority,
}

impl Title {
    /// Every title, by its text.
    pub const ALL: [Self; 4] =
        [Self::Curator, Self::Guardian, Self::HealthImpediment, Self::ParentalAuthority];

    /// Its text in requests.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Curator => "curator",
            Self::Guardian => "guardian",
            Self::HealthImpediment => "health_impediment",
            Self::ParentalAuthority => "parental_authority",
        }
    }
}

/// The text names no title.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be \"curator\", \"guardian\", \"health_impediment\" or \"parental_authority\"")]
pub struct BadTitle;

impl FromStr for Title {
    type Err = BadTitle;

    fn from_str(text: &str) -> Result<Self, BadTitle> {
        Self::ALL.into_iter().find(|title| title.text() == text).ok_or(BadTitle)
    }
}

/// In which role somebody asks: all of an applicant that events say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// For themselves.
    Holder,
    /// For the holder.
    Proxy(Title),
}

impl Role {
    /// Its text in events and answers: `holder`, or `proxy:` and the title.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Holder => "holder",
            Self::Proxy(Title::Curator) => "proxy:curator",
            Self::Proxy(Title::Guardian) => "proxy:guardian",
            Self::Proxy(Title::HealthImpediment) => "proxy:health_impediment",
            Self::Proxy(Title::ParentalAuthority) => "proxy:parental_authority",
        }
    }

    /// The role of a text in an event; nothing if it is none.
    pub fn of(text: &str) -> Option<Self> {
        let proxies = Title::ALL.into_iter().map(Self::Proxy);
        std::iter::once(Self::Holder).chain(proxies).find(|role| role.text() == text)
    }
}

/// Who acts for the holder.
pub struct Proxy {
    /// Why.
    pub title: Title,
    /// The proxy's own.
    pub tax_code: TaxCode,
    /// Given name.
    pub given_name: Personal,
    /// Family name.
    pub family_name: Personal,
}

/// An identity document (DPR 445/2000, art. 35).
pub struct Document {
    /// As the policy lists it.
    pub kind: String,
    /// Its number.
    pub number: Personal,
    /// Who issued it.
    pub issuer: Personal,
    /// When.
    pub issued_on: CivilDate,
    /// Last day of validity; nothing for a kind that is valid for life.
    pub expires_on: Option<CivilDate>,
}

/// Who asks, as a request says it.
pub struct Applicant {
    /// Nothing for the holder.
    pub proxy: Option<Proxy>,
    /// Of the person at the counter.
    pub document: Option<Document>,
    /// The proxy's substitute declaration (DPR 445/2000, art. 46 and 47) is signed, and the office keeps it.
    pub declaration: bool,
    /// The holder's date of birth in full, where two digits of the year are not enough. Not kept.
    pub holder_born_on: Option<CivilDate>,
}

impl Applicant {
    /// The holder, with nothing shown.
    pub const fn holder() -> Self {
        Self { proxy: None, document: None, declaration: false, holder_born_on: None }
    }

    /// The role.
    pub fn role(&self) -> Role {
        self.proxy.as_ref().map_or(Role::Holder, |proxy| Role::Proxy(proxy.title))
    }

    /// All that an event says of an applicant.
    pub fn in_events(&self) -> impl Iterator<Item = (&'static str, String)> {
        let document = self.document_kind().map(|kind| ("document", kind.to_owned()));
        std::iter::once(("applicant", self.role().text().to_owned())).chain(document)
    }

    /// Kind of the document that was shown.
    pub fn document_kind(&self) -> Option<&str> {
        self.document.as_ref().map(|document| document.kind.as_str())
    }
}

/// Shows the role alone.
impl fmt::Debug for Applicant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Applicant({})", self.role().text())
    }
}
