//! Templates as written in files, and what can be wrong with them.

use serde::{Deserialize, Serialize};

use super::{CodeName, Part, Shape, Template};
use crate::domain::tries::Limits;

/// A template as written; [`Template::try_from`] checks it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawTemplate {
    /// Id with version, such as `IT-030/1`.
    pub id: String,
    /// Lifts the lengths that chips and counters need: for tests and load only.
    #[serde(default)]
    pub test_only: bool,
    /// The PIN: 5 to 8 digits in all.
    pub pin: RawShape,
    /// The PUK: 8 digits in all.
    pub puk: RawShape,
    /// The C.I.P., 4 to 40 digits in all; absent where the region has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cip: Option<RawShape>,
    /// How often a C.I.P. may be tried. Given even where there is none, so that every card's record is alike.
    pub tries: RawTries,
}

/// The shape of a code as written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawShape {
    /// Digits of the first part, on paper: 0 to 20.
    pub first: u8,
    /// Digits of the second part, sent: 0 to 20.
    pub second: u8,
    /// First parts that are never given out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forbidden_first: Vec<String>,
    /// Second parts that are never given out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forbidden_second: Vec<String>,
}

/// Limits on tries as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawTries {
    /// Wrong guesses in a row that lock the C.I.P.: 1 or more.
    pub in_a_row: u32,
    /// Wrong guesses in the card's life that lock it for good: `in_a_row` to 100.
    pub lifetime: u32,
}

/// A template that is not valid: where, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {why}")]
pub struct BadTemplate {
    /// The field, such as `pin.forbidden_first`.
    pub field: String,
    /// What is wrong with it.
    pub why: Why,
}

/// What is wrong with a field of a template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// Not the id of a template.
    #[error("must be 1 to 32 of A-Z, 0-9, - and /")]
    Id,
    /// A forbidden part that could never come up.
    #[error("\"{text}\" is not a part of {digits} digits")]
    NotAPart {
        /// The entry.
        text: String,
        /// Digits of the part.
        digits: u8,
    },
    /// The frozen text is not that of a template.
    #[error("is not the JSON of a template")]
    NotJson,
    /// More digits than a part may have.
    #[error("must be 0 to 20 digits")]
    PartLength,
    /// Forbidden parts leave less than half of the values, or are more than 1,000.
    #[error("must leave at least half of the values, and list at most 1000")]
    TooManyForbidden,
    /// Digits of the whole code.
    #[error("first and second together must be {min} to {max} digits")]
    Total {
        /// At least.
        min: u8,
        /// At most.
        max: u8,
    },
    /// A limit on tries that is out of range.
    #[error("must be {min} to {max}")]
    Tries {
        /// At least.
        min: u32,
        /// At most.
        max: u32,
    },
    /// A forbidden part is listed twice.
    #[error("\"{text}\" is listed twice")]
    Twice {
        /// The entry.
        text: String,
    },
}

/// The prefix of a code's fields in a file, and the digits that it may have in all.
const fn limits(code: CodeName) -> (&'static str, u8, u8) {
    match code {
        CodeName::Cip => ("cip", 4, 40),
        CodeName::Pin => ("pin", 5, 8),
        CodeName::Puk => ("puk", 8, 8),
    }
}

fn shape(code: CodeName, raw: RawShape, test_only: bool) -> Result<Shape, BadTemplate> {
    let (name, min, max) = limits(code);
    let shape = Shape::new(raw.first, raw.second, raw.forbidden_first, raw.forbidden_second)
        .map_err(|(field, why)| BadTemplate { field: format!("{name}.{field}"), why })?;
    if !test_only && !(min..=max).contains(&shape.total()) {
        return Err(BadTemplate { field: name.into(), why: Why::Total { min, max } });
    }
    Ok(shape)
}

impl TryFrom<RawTemplate> for Template {
    type Error = BadTemplate;

    fn try_from(raw: RawTemplate) -> Result<Self, BadTemplate> {
        let bad = |field: &str, why| BadTemplate { field: field.into(), why };
        let RawTries { in_a_row, lifetime } = raw.tries;
        let max = Limits::LIFETIME_MAX;
        if !(1..=max).contains(&in_a_row) {
            return Err(bad("tries.in_a_row", Why::Tries { min: 1, max }));
        }
        if !(in_a_row..=max).contains(&lifetime) {
            return Err(bad("tries.lifetime", Why::Tries { min: in_a_row, max }));
        }
        Ok(Self {
            id: raw.id.parse().map_err(|_| bad("id", Why::Id))?,
            test_only: raw.test_only,
            pin: shape(CodeName::Pin, raw.pin, raw.test_only)?,
            puk: shape(CodeName::Puk, raw.puk, raw.test_only)?,
            cip: raw.cip.map(|cip| shape(CodeName::Cip, cip, raw.test_only)).transpose()?,
            tries: Limits { in_a_row, lifetime },
        })
    }
}

impl From<&Shape> for RawShape {
    fn from(shape: &Shape) -> Self {
        Self {
            first: shape.length(Part::First),
            second: shape.length(Part::Second),
            forbidden_first: shape.forbidden(Part::First).to_vec(),
            forbidden_second: shape.forbidden(Part::Second).to_vec(),
        }
    }
}

impl From<&Template> for RawTemplate {
    fn from(template: &Template) -> Self {
        Self {
            id: template.id.as_str().into(),
            test_only: template.test_only,
            pin: (&template.pin).into(),
            puk: (&template.puk).into(),
            cip: template.cip.as_ref().map(RawShape::from),
            tries: RawTries { in_a_row: template.tries.in_a_row, lifetime: template.tries.lifetime },
        }
    }
}
