//! `[limits]` of `authority.toml`: how often an operator, an office and a front end may ask.

use serde::Deserialize;

use super::parameters::within;
use crate::domain::limits::{Budget, Most, Use, Window};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLimits {
    operator: RawOfOperator,
    office: RawOfMany,
    front_end: RawOfMany,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawOfOperator {
    look_ups: RawMost,
    verifications: RawMost,
    wrong_guesses: RawMost,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawOfMany {
    look_ups: RawMost,
    verifications: RawMost,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMost {
    per_minute: u32,
    per_hour: u32,
    per_day: u32,
}

/// Whose budgets there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// One operator.
    Operator,
    /// All operators of one office.
    Office,
    /// All operators behind one front end.
    FrontEnd,
}

impl Scope {
    /// All of them, from the narrowest.
    pub const ALL: [Self; 3] = [Self::Operator, Self::Office, Self::FrontEnd];

    /// Its name in the policy, in events and metrics.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Office => "office",
            Self::FrontEnd => "front_end",
        }
    }
}

/// The budget of each scope. A wider one has more than a narrower one in every window, so that no one operator locks an
/// office out, and no one office a front end.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    operator: Budget,
    office: Budget,
    front_end: Budget,
}

impl Limits {
    /// The budget of this scope.
    pub const fn of(&self, scope: Scope) -> &Budget {
        match scope {
            Scope::Operator => &self.operator,
            Scope::Office => &self.office,
            Scope::FrontEnd => &self.front_end,
        }
    }
}

/// More than anybody needs.
const LARGEST: u64 = 100_000_000;

fn most(scope: Scope, what: Use, raw: &RawMost) -> Result<Most, String> {
    let RawMost { per_minute, per_hour, per_day } = *raw;
    let name = |window: Window| format!("limits.{}.{}.{}", scope.text(), what.text(), window.text());
    within(&name(Window::Minute), per_minute.into(), 1, LARGEST)?;
    within(&name(Window::Hour), per_hour.into(), per_minute.into(), LARGEST)?;
    within(&name(Window::Day), per_day.into(), per_hour.into(), LARGEST)?;
    Ok(Most { per_minute, per_hour, per_day })
}

impl RawLimits {
    /// Checks every number, and that wider budgets are larger; the error is a sentence without the file's name.
    pub(super) fn validate(self) -> Result<Limits, String> {
        let Self { operator: of, office, front_end } = self;
        let many = |scope, raw: &RawOfMany| {
            Ok::<_, String>(Budget {
                look_ups: most(scope, Use::LookUp, &raw.look_ups)?,
                verifications: most(scope, Use::Verification, &raw.verifications)?,
                wrong_guesses: None,
            })
        };
        let limits = Limits {
            operator: Budget {
                look_ups: most(Scope::Operator, Use::LookUp, &of.look_ups)?,
                verifications: most(Scope::Operator, Use::Verification, &of.verifications)?,
                wrong_guesses: Some(most(Scope::Operator, Use::WrongGuess, &of.wrong_guesses)?),
            },
            office: many(Scope::Office, &office)?,
            front_end: many(Scope::FrontEnd, &front_end)?,
        };
        limits.wider_is_larger()?;
        Ok(limits)
    }
}

impl Limits {
    fn wider_is_larger(&self) -> Result<(), String> {
        for (narrow, wide) in [(Scope::Operator, Scope::Office), (Scope::Office, Scope::FrontEnd)] {
            for what in Use::ALL {
                let (Some(less), Some(more)) = (self.of(narrow).of(what), self.of(wide).of(what)) else {
                    continue;
                };
                if let Some(window) =
                    Window::ALL.into_iter().find(|window| less.of(*window) >= more.of(*window))
                {
                    let (narrow, wide, what, window) =
                        (narrow.text(), wide.text(), what.text(), window.text());
                    return Err(format!(
                        "limits.{wide}.{what}.{window} is not above limits.{narrow}.{what}.{window}: one {narrow} could lock out the {wide}"
                    ));
                }
            }
        }
        Ok(())
    }
}
