//! The Luhn check digit (ISO/IEC 7812-1 annex B): of TEAM numbers and, under the same rule, of provisional tax codes.

/// Sum of the digits, every second one from the right doubled, the digits of a double added up.
/// `doubled` says whether the rightmost digit is one of the doubled ones. Other bytes than digits count 0.
fn sum(digits: &[u8], doubled: bool) -> u32 {
    let mut double = doubled;
    let mut sum = 0_u32;
    for byte in digits.iter().rev() {
        let digit = char::from(*byte).to_digit(10).unwrap_or(0);
        let value = match (double, digit) {
            (false, _) => digit,
            (true, 0..=4) => digit.wrapping_mul(2),
            (true, _) => digit.wrapping_mul(2).wrapping_sub(9),
        };
        sum = sum.wrapping_add(value);
        double = !double;
    }
    sum
}

/// Whether the last digit is the check digit of the others.
pub(super) fn holds(digits: &[u8]) -> bool {
    sum(digits, false).is_multiple_of(10)
}

/// The check digit to write after `digits`, 0 to 9.
pub(super) fn check_digit(digits: &[u8]) -> u8 {
    let rest = u8::try_from(sum(digits, true) % 10).unwrap_or(0);
    10_u8.wrapping_sub(rest) % 10
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_numbers() {
        assert!(holds(b"79927398713"));
        assert!(!holds(b"79927398710"));
        assert_eq!(check_digit(b"7992739871"), 3);
        assert_eq!(check_digit(b"0000"), 0);
    }
}
