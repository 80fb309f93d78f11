//! Code templates: how long each code is, where it is cut, and how often a C.I.P. may be tried.
//!
//! A template in use never changes. Its id goes into every part's MAC, its [`digest`](Template::digest) shows an edit
//! under the same id, and its frozen text gives it back for cards registered long ago.

mod raw;
mod shape;
#[cfg(test)]
mod tests;

use std::{borrow::Borrow, fmt, str::FromStr};

use aws_lc_rs::digest;

use super::{encoding, tries::Limits};

pub use raw::{BadTemplate, RawShape, RawTemplate, RawTries, Why};
pub use shape::{Holder, Shape};

/// The codes of a card. The text is part of every MAC input: it never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum CodeName {
    /// Codice identificativo personale: proves the holder to a counter. Never on the chip.
    Cip,
    /// Opens the chip.
    Pin,
    /// Unblocks the PIN.
    Puk,
}

impl CodeName {
    /// Every code.
    pub const ALL: [Self; 3] = [Self::Cip, Self::Pin, Self::Puk];

    /// `CIP`, `PIN` or `PUK`.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Cip => "CIP",
            Self::Pin => "PIN",
            Self::Puk => "PUK",
        }
    }
}

impl fmt::Display for CodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// The text is not the name of a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a code is CIP, PIN or PUK")]
pub struct BadCodeName;

impl FromStr for CodeName {
    type Err = BadCodeName;

    fn from_str(text: &str) -> Result<Self, BadCodeName> {
        Self::ALL.into_iter().find(|code| code.text() == text).ok_or(BadCodeName)
    }
}

/// The two parts of a code. The text is part of every MAC input: it never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// Printed on the paper that the operator hands over.
    First,
    /// Sent to the citizen.
    Second,
}

impl Part {
    /// `first` or `second`.
    pub const fn text(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Second => "second",
        }
    }
}

/// Names a version of a template, such as `IT-030/1`: 1 to 32 of `A`-`Z`, `0`-`9`, `-` and `/`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TemplateId(String);

impl TemplateId {
    /// Longest id, in bytes.
    pub const MAX: usize = 32;

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for TemplateId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// The text is not an id of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the id of a template is 1 to 32 of A-Z, 0-9, - and /")]
pub struct BadTemplateId;

impl FromStr for TemplateId {
    type Err = BadTemplateId;

    fn from_str(text: &str) -> Result<Self, BadTemplateId> {
        let allowed = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'-' || b == b'/';
        if (1..=Self::MAX).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadTemplateId)
        }
    }
}

impl fmt::Display for TemplateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TemplateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TemplateId({})", self.0)
    }
}

/// A valid template: made from a [`RawTemplate`] only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    id: TemplateId,
    test_only: bool,
    pin: Shape,
    puk: Shape,
    cip: Option<Shape>,
    tries: Limits,
}

impl Template {
    /// Its id, version included.
    pub const fn id(&self) -> &TemplateId {
        &self.id
    }

    /// Whether it was let past the lengths that real chips and counters need. Never for citizens.
    pub const fn is_test_only(&self) -> bool {
        self.test_only
    }

    /// How a code is cut; nothing for a C.I.P. that this template does not have.
    pub const fn shape(&self, code: CodeName) -> Option<&Shape> {
        match code {
            CodeName::Cip => self.cip.as_ref(),
            CodeName::Pin => Some(&self.pin),
            CodeName::Puk => Some(&self.puk),
        }
    }

    /// How often a C.I.P. may be tried.
    pub const fn tries(&self) -> Limits {
        self.tries
    }

    /// SHA-256 of everything that the template says. Two templates with the same id and different digests are a
    /// mistake: the codes of cards in use would change.
    pub fn digest(&self) -> [u8; 32] {
        let tries = [self.tries.in_a_row.to_be_bytes(), self.tries.lifetime.to_be_bytes()].concat();
        let mut fields = vec![self.id.0.clone().into_bytes(), vec![u8::from(self.test_only)], tries];
        for code in CodeName::ALL {
            let shape = self.shape(code);
            fields.push(vec![u8::from(shape.is_some())]);
            for part in [Part::First, Part::Second] {
                let forbidden = shape.map_or_else(Default::default, |shape| shape.forbidden(part));
                fields.push(vec![shape.map_or(0, |shape| shape.length(part))]);
                fields.push(forbidden.join(",").into_bytes());
            }
        }
        let fields: Vec<&[u8]> = fields.iter().map(Vec::as_slice).collect();
        #[expect(
            clippy::expect_used,
            reason = "at most 1,000 forbidden parts of 20 digits: under 65,535 bytes"
        )]
        let bytes = encoding::domain("template", &fields).expect("short fields");
        let mut out = [0; 32];
        out.copy_from_slice(digest::digest(&digest::SHA256, bytes.expose()).as_ref());
        out
    }

    /// Its frozen text, for the store: compact JSON that [`Template::thaw`] reads.
    pub fn freeze(&self) -> String {
        #[expect(clippy::expect_used, reason = "strings, numbers and lists: nothing that JSON cannot say")]
        serde_json::to_string(&RawTemplate::from(self)).expect("plain data")
    }

    /// A template from its frozen text, checked as strictly as a policy file.
    pub fn thaw(text: &str) -> Result<Self, BadTemplate> {
        let raw: RawTemplate = serde_json::from_str(text)
            .map_err(|_| BadTemplate { field: "template".into(), why: Why::NotJson })?;
        raw.try_into()
    }
}
