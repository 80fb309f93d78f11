//! The codice fiscale, tax code and personal key of the Italian health service (DM 23/12/1976 n. 13813).
//!
//! Two forms: the final one of 16 characters with a check letter, whose seven digits may have been replaced by letters
//! to tell two people apart (omocodia), and the provisional one of 11 digits with a check digit.
//!
//! Equality is that of the text as issued: an omocode and its base form may belong to two different people.

use std::{fmt, str::FromStr};

use super::{date::CivilDate, luhn};

/// What is wrong with a tax code. Positions count from 1; the value itself is never repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadTaxCode {
    /// The check letter or digit does not belong to the other characters.
    #[error("the check character of the tax code is wrong")]
    Check,
    /// Day of birth that the month does not have.
    #[error("the tax code holds no valid day of birth")]
    Day,
    /// Neither a digit nor, in the final form, a letter of omocodia.
    #[error("character {position} of the tax code must be a digit")]
    Digit {
        /// Where.
        position: usize,
    },
    /// Neither 16 nor 11 characters.
    #[error("a tax code has 16 characters, or 11 if provisional")]
    Length,
    /// Not a letter from A to Z.
    #[error("character {position} of the tax code must be a letter")]
    Letter {
        /// Where.
        position: usize,
    },
    /// Not one of the twelve letters of the months.
    #[error("the tax code holds no valid month of birth")]
    Month,
}

/// A valid tax code, in upper case. Personal data: `Debug` does not show it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaxCode(String);

/// Letters that stand for the digits 0 to 9 in an omocode.
const OMOCODIA: &[u8; 10] = b"LMNPQRSTUV";
/// Letters of the months, January first.
const MONTHS: &[u8; 12] = b"ABCDEHLMPRST";
/// Values of the characters in odd positions: A to Z, and 0 to 9 as A to J.
const ODD: [u8; 26] =
    [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23];
/// The form of the first 15 characters: letter, digit or letter of omocodia, month.
const FORM: &[u8; 15] = b"AAAAAA00M00A000";

impl TaxCode {
    /// The code as issued, in upper case.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is the provisional form of 11 digits.
    pub fn is_provisional(&self) -> bool {
        self.0.len() == 11
    }

    /// The code with the letters of omocodia turned back into digits and its check letter computed anew. To find
    /// people who may be the same; never to say that they are.
    #[must_use]
    pub fn without_omocodia(&self) -> Self {
        if self.is_provisional() {
            return self.clone();
        }
        let body: Vec<u8> = self.0.bytes().zip(FORM).map(|(b, form)| base_digit(b, *form)).collect();
        Self(with_check_letter(&body))
    }

    /// The holder's date of birth: of two that are a hundred years apart the later one that is not to come. Nothing for a
    /// provisional code.
    pub fn born_on(&self, today: CivilDate) -> Option<CivilDate> {
        let (year, month, day) = birthday(self.0.as_bytes())?;
        let (this_year, ..) = today.numbers();
        let century = this_year.saturating_sub(this_year % 100);
        let of = |century: u16| CivilDate::new(century.checked_add(year.into())?, month, day);
        [century, century.saturating_sub(100)].into_iter().filter_map(of).find(|born| *born <= today)
    }

    /// Whether a date of birth is the one in the code, of whichever century. Never for a provisional code.
    pub fn is_born_on(&self, date: CivilDate) -> bool {
        let (year, month, day) = date.numbers();
        let year = u8::try_from(year % 100).unwrap_or(u8::MAX);
        birthday(self.0.as_bytes()) == Some((year, month, day)) && (1900..).contains(&date.numbers().0)
    }

    /// The final form whose first 15 characters are these, with its check letter.
    pub(super) fn from_body(body: &str) -> Result<Self, BadTaxCode> {
        with_check_letter(body.as_bytes()).parse()
    }
}

/// The digit that a letter of omocodia stands for; any other character as it is.
fn base_digit(byte: u8, form: u8) -> u8 {
    let digit = OMOCODIA.iter().zip(b"0123456789").find(|(letter, _)| form == b'0' && **letter == byte);
    digit.map_or(byte, |(_, digit)| *digit)
}

/// 0 for A and 0, up to 25 for Z.
const fn value(byte: u8) -> u8 {
    byte.wrapping_sub(if byte.is_ascii_digit() { b'0' } else { b'A' })
}

fn check_letter(body: &[u8]) -> u8 {
    let mut sum = 0_u32;
    for (index, byte) in body.iter().enumerate() {
        let value = value(*byte);
        let weighed =
            if index.is_multiple_of(2) { ODD.get(usize::from(value)).copied().unwrap_or(0) } else { value };
        sum = sum.wrapping_add(u32::from(weighed));
    }
    u8::try_from(sum % 26).unwrap_or(0).wrapping_add(b'A')
}

fn with_check_letter(body: &[u8]) -> String {
    body.iter().copied().chain([check_letter(body)]).map(char::from).collect()
}

impl FromStr for TaxCode {
    type Err = BadTaxCode;

    fn from_str(text: &str) -> Result<Self, BadTaxCode> {
        let code = text.to_ascii_uppercase();
        match code.len() {
            11 => check_provisional(code.as_bytes())?,
            16 => check_final(code.as_bytes())?,
            _ => return Err(BadTaxCode::Length),
        }
        Ok(Self(code))
    }
}

fn check_provisional(code: &[u8]) -> Result<(), BadTaxCode> {
    for (position, byte) in (1..).zip(code) {
        if !byte.is_ascii_digit() {
            return Err(BadTaxCode::Digit { position });
        }
    }
    if luhn::holds(code) { Ok(()) } else { Err(BadTaxCode::Check) }
}

fn check_final(code: &[u8]) -> Result<(), BadTaxCode> {
    let (check, body) = code.split_last().ok_or(BadTaxCode::Length)?;
    for (position, (byte, form)) in (1..).zip(body.iter().zip(FORM)) {
        match form {
            b'0' if !byte.is_ascii_digit() && !OMOCODIA.contains(byte) => {
                return Err(BadTaxCode::Digit { position });
            }
            b'A' if !byte.is_ascii_uppercase() => return Err(BadTaxCode::Letter { position }),
            b'M' if !MONTHS.contains(byte) => return Err(BadTaxCode::Month),
            _ => {}
        }
    }
    if !check.is_ascii_uppercase() {
        return Err(BadTaxCode::Letter { position: 16 });
    }
    if *check != check_letter(body) {
        return Err(BadTaxCode::Check);
    }
    if has_birthday(body) { Ok(()) } else { Err(BadTaxCode::Day) }
}

/// Whether the day of birth is in the month. The century is not said: 29 February is taken in every year divisible by 4.
fn has_birthday(body: &[u8]) -> bool {
    let Some((year, month, day)) = birthday(body) else { return false };
    let last = match month {
        2 if year.is_multiple_of(4) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    (1..=last).contains(&day)
}

/// Two digits of the year, month and day of birth (1 to 31, written with 40 more for women) of the final form.
fn birthday(code: &[u8]) -> Option<(u8, u8, u8)> {
    let plain: Vec<u8> = code.iter().zip(FORM).map(|(b, form)| value(base_digit(*b, *form))).collect();
    let &[_, _, _, _, _, _, y1, y2, _, d1, d2, ..] = plain.as_slice() else { return None };
    let number = |tens: u8, ones: u8| tens.wrapping_mul(10).wrapping_add(ones);
    let month =
        (1..).zip(MONTHS).find(|(_, letter)| code.get(8) == Some(letter)).map(|(number, _)| number)?;
    let day = match number(d1, d2) {
        day @ 41.. => day.wrapping_sub(40),
        day => day,
    };
    Some((number(y1, y2), month, day))
}

impl fmt::Debug for TaxCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TaxCode(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<TaxCode, BadTaxCode> {
        text.parse()
    }

    /// Published test codes: python-codicefiscale, HL7 Europe; nobody's own.
    const VALID: [&str; 12] = [
        "CCCFBA85D03L219P",
        "CCCFBA85D03L21VE",
        "CCCFBA85D03L2MVP",
        "CCCFBA85D03LNMVE",
        "CCCFBA85D0PLNMVA",
        "CCCFBA85DLPLNMVL",
        "CCCFBA8RDLPLNMVX",
        "CCCFBAURDLPLNMVU",
        "RSSMRA75C22H501I",
        "RSSMRA75C22H50MA",
        "RSSMRA70A01H501S",
        "RSSMRA70A01F205V",
    ];

    #[test]
    fn published_codes_parse() {
        for code in VALID {
            assert_eq!(parse(code).unwrap().as_str(), code);
            assert_eq!(parse(&code.to_ascii_lowercase()).unwrap().as_str(), code);
        }
        assert!(parse("12345678903").unwrap().is_provisional());
        assert!(!parse("RSSMRA80H55D612G").unwrap().is_provisional());
    }

    /// The decree's table for odd positions, as the check letter of each character alone.
    #[test]
    fn odd_positions() {
        let alone: Vec<u8> =
            b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ".iter().map(|byte| check_letter(&[*byte])).collect();
        assert_eq!(alone, b"BAFHJNPRTVBAFHJNPRTVCESULDGIMOQKWZYX");
    }

    #[test]
    fn omocodia_is_undone() {
        for code in &VALID[..8] {
            assert_eq!(parse(code).unwrap().without_omocodia().as_str(), "CCCFBA85D03L219P");
        }
        assert_eq!(parse("RSSMRA75C22H50MA").unwrap().without_omocodia().as_str(), "RSSMRA75C22H501I");
        assert_eq!(parse("12345678903").unwrap().without_omocodia().as_str(), "12345678903");
        assert_ne!(parse("RSSMRA75C22H50MA"), parse("RSSMRA75C22H501I"), "two people may hold these");
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (code, error) in [
            ("", BadTaxCode::Length),
            ("RSSMRA75C22H501", BadTaxCode::Length),
            ("RSSMRA75C22H501I ", BadTaxCode::Length),
            ("CCCFBA85D03L219B", BadTaxCode::Check),
            ("12345678904", BadTaxCode::Check),
            ("1234567890A", BadTaxCode::Digit { position: 11 }),
            ("R5SMRA75C22H501I", BadTaxCode::Letter { position: 2 }),
            ("RSSMRA7AC22H501I", BadTaxCode::Digit { position: 8 }),
            ("RSSMRA75F22H501I", BadTaxCode::Month),
            ("RSSMRA75C220501I", BadTaxCode::Letter { position: 12 }),
            ("RSSMRA75C22H5011", BadTaxCode::Letter { position: 16 }),
            ("RSSMRA75C22H50ÀI", BadTaxCode::Length),
            ("RSSMRA75C22H5ÀI", BadTaxCode::Digit { position: 14 }),
        ] {
            assert_eq!(parse(code), Err(error), "{code}");
        }
    }

    #[test]
    fn day_belongs_to_month() {
        let with_day = |year_month_day: &str| TaxCode::from_body(&format!("RSSMRA{year_month_day}H501"));
        for good in ["75C31", "75C71", "75B28", "76B29", "76B69", "75D30", "75S70", "00B29", "75A01", "75A41"]
        {
            assert!(with_day(good).is_ok(), "{good}");
        }
        for bad in [
            "75C00", "75C32", "75C40", "75C72", "75B29", "76B30", "78B29", "75B69", "75D31", "75H71",
            "75P31", "75S31",
        ] {
            assert_eq!(with_day(bad), Err(BadTaxCode::Day), "{bad}");
        }
        assert_eq!(with_day("75CPN"), Err(BadTaxCode::Day), "day 32 written as an omocode");
    }

    #[test]
    fn the_later_century_that_is_not_to_come() {
        let today = "2026-11-29".parse().unwrap();
        let born = |code: &str| parse(code).unwrap().born_on(today).map(|day| day.to_string());
        assert_eq!(born("CCCFBA85D03L219P").unwrap(), "1985-04-03");
        assert_eq!(born("CCCFBAURDLPLNMVU").unwrap(), "1985-04-03", "digits written as letters");
        assert_eq!(born("RSSMRA80H55D612G").unwrap(), "1980-06-15", "a woman's day");
        assert_eq!(born("12345678903"), None);
        for (date, day) in [
            ("26S29", "2026-11-29"),
            ("26S30", "1926-11-30"),
            ("27A01", "1927-01-01"),
            ("00B29", "2000-02-29"),
            ("99T71", "1999-12-31"),
        ] {
            let code = TaxCode::from_body(&format!("RSSMRA{date}H501")).unwrap();
            assert_eq!(code.born_on(today).unwrap().to_string(), day, "{date}");
            assert!(code.is_born_on(day.parse().unwrap()), "{date}");
        }
        let leap = TaxCode::from_body("RSSMRA00B29H501").unwrap();
        assert_eq!(leap.born_on("2000-02-28".parse().unwrap()), None, "1900 had no such day");
        let code = parse("RSSMRA80A01H501U").unwrap();
        for (day, is) in
            [("1980-01-01", true), ("1880-01-01", false), ("1980-01-02", false), ("1981-01-01", false)]
        {
            assert_eq!(code.is_born_on(day.parse().unwrap()), is, "{day}");
        }
        assert!(!parse("12345678903").unwrap().is_born_on(today));
    }

    #[test]
    fn debug_and_errors_do_not_show_it() {
        let code = parse("RSSMRA75C22H501I").unwrap();
        assert_eq!(format!("{code:?}"), "TaxCode(…)");
        assert!(!BadTaxCode::Check.to_string().contains("RSS"));
    }
}
