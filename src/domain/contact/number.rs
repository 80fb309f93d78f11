//! Mobile numbers in the one form that is taken: E.164, `+` and digits. Nothing is normalised: a blank or a missing
//! country code is the operator's to mend, since a number that was guessed at would send second parts to a stranger.

use super::BadContact;

/// Digits of an E.164 number, the country code among them.
const DIGITS: std::ops::RangeInclusive<usize> = 7..=15;

/// Checks a number: `+`, a country code that does not begin with 0, 7 to 15 digits in all. In Italy only a mobile
/// can get a message: `+39 3` and 8 or 9 digits more.
pub(super) fn check(text: &str) -> Result<(), BadContact> {
    let digits = text.strip_prefix('+').ok_or(BadContact::Number)?;
    if !DIGITS.contains(&digits.len())
        || !digits.bytes().all(|b| b.is_ascii_digit())
        || digits.starts_with('0')
    {
        return Err(BadContact::Number);
    }
    match digits.strip_prefix("39") {
        Some(national) if !national.starts_with('3') || !(9..=10).contains(&national.len()) => {
            Err(BadContact::NotMobile)
        }
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mobile_numbers_of_any_country_are_taken_as_they_are() {
        for good in [
            "+393331234567",
            "+39330123456",
            "+37866123456",
            "+41791234567",
            "+15551234567",
            "+6831234",
            "+123456789012345",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_number_is_named() {
        for bad in [
            "",
            "+",
            "393331234567",
            "00393331234567",
            "3331234567",
            "+03331234567",
            "+39 333 1234567",
            "+39-333-1234567",
            "+39(0)3331234567",
            " +393331234567",
            "+393331234567 ",
            "+393331234567\n",
            "+393331234567,+393331234568",
            "+３９３３３１２３４５６７",
            "+39333123456a",
            "+123456",
            "+1234567890123456",
            "mario@esempio.it",
        ] {
            assert_eq!(check(bad), Err(BadContact::Number), "{bad:?}");
        }
        for bad in ["+39021234567", "+3933312345", "+3933312345678", "+39499123456", "+39800123456"] {
            assert_eq!(check(bad), Err(BadContact::NotMobile), "{bad:?}");
        }
    }
}
