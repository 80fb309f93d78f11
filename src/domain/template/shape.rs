//! The shape of one code: digits of its two parts, and the parts that are never given out.

use super::{Part, raw::Why};

/// Who tries to guess a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// Has read the message: knows the second part.
    Message,
    /// Knows neither part.
    Neither,
    /// Has read the paper: knows the first part.
    Paper,
}

/// How long the parts of a code are and which are never given out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    first: u8,
    second: u8,
    forbidden_first: Vec<String>,
    forbidden_second: Vec<String>,
}

impl Shape {
    /// Most digits of a part.
    pub const PART_MAX: u8 = 20;
    /// Most parts that may be forbidden.
    pub const FORBIDDEN_MAX: usize = 1_000;

    /// Checks it: parts of 0 to 20 digits, 1 to 40 together; forbidden parts are of the part's length, each listed
    /// once, and leave at least half of the values, so that the search for an allowed one ends.
    /// The error names the field.
    pub fn new(
        first: u8,
        second: u8,
        mut forbidden_first: Vec<String>,
        mut forbidden_second: Vec<String>,
    ) -> Result<Self, (&'static str, Why)> {
        for (field, length) in [("first", first), ("second", second)] {
            if length > Self::PART_MAX {
                return Err((field, Why::PartLength));
            }
        }
        if first == 0 && second == 0 {
            return Err(("second", Why::Total { min: 1, max: 40 }));
        }
        check_forbidden(first, &mut forbidden_first).map_err(|why| ("forbidden_first", why))?;
        check_forbidden(second, &mut forbidden_second).map_err(|why| ("forbidden_second", why))?;
        Ok(Self { first, second, forbidden_first, forbidden_second })
    }

    /// Digits of a part.
    pub const fn length(&self, part: Part) -> u8 {
        match part {
            Part::First => self.first,
            Part::Second => self.second,
        }
    }

    /// Digits of the whole code.
    pub const fn total(&self) -> u8 {
        self.first.saturating_add(self.second)
    }

    /// Parts that are never given out, in ascending order.
    pub fn forbidden(&self, part: Part) -> &[String] {
        match part {
            Part::First => &self.forbidden_first,
            Part::Second => &self.forbidden_second,
        }
    }

    /// The chance that one guess is right, from 0 to 1. It bounds what a stolen paper or message is worth:
    /// the chance of `n` guesses is `n` times this.
    pub fn guess_probability(&self, holder: Holder) -> f64 {
        let first = values(self.first, &self.forbidden_first);
        let second = values(self.second, &self.forbidden_second);
        match holder {
            Holder::Message => 1.0 / first,
            Holder::Neither => 1.0 / (first * second),
            Holder::Paper => 1.0 / second,
        }
    }
}

/// How many values a part can have.
fn values(length: u8, forbidden: &[String]) -> f64 {
    10_f64.powi(i32::from(length)) - f64::from(u32::try_from(forbidden.len()).unwrap_or(u32::MAX))
}

fn check_forbidden(length: u8, forbidden: &mut [String]) -> Result<(), Why> {
    let is_part =
        |text: &String| text.len() == usize::from(length) && text.bytes().all(|b| b.is_ascii_digit());
    if let Some(text) = forbidden.iter().find(|text| !is_part(text)) {
        return Err(Why::NotAPart { text: text.clone(), digits: length });
    }
    forbidden.sort_unstable();
    if let Some(twice) =
        forbidden.windows(2).find_map(|pair| pair.first().filter(|a| pair.last() == Some(*a)))
    {
        return Err(Why::Twice { text: twice.clone() });
    }
    let most = 10_usize.checked_pow(u32::from(length)).map_or(usize::MAX, |values| values / 2);
    if forbidden.len() > most.min(Shape::FORBIDDEN_MAX) {
        return Err(Why::TooManyForbidden);
    }
    Ok(())
}
