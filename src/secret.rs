//! Secrets: wiped on drop, never printed, cloned, serialised or compared with `==`.

use std::fmt;

use subtle::{Choice, ConstantTimeEq};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// A secret of exactly `N` bytes: a MAC, a part's raw material.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Secret<const N: usize>([u8; N]);

impl<const N: usize> Secret<N> {
    /// Takes the bytes; the caller's copy, if any, is the caller's to wipe.
    pub const fn new(bytes: [u8; N]) -> Self {
        Self(bytes)
    }

    /// The bytes, for the one computation that needs them.
    pub const fn expose(&self) -> &[u8; N] {
        &self.0
    }

    /// Equality in time that depends on `N` alone.
    pub fn ct_eq(&self, other: &[u8; N]) -> Choice {
        self.0.ct_eq(other)
    }
}

impl<const N: usize> fmt::Debug for Secret<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret<{N}>")
    }
}

/// A secret of any length: a message that holds digits, a contact, a token PIN.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct SecretBytes(Vec<u8>);

impl SecretBytes {
    /// Takes the bytes. Give it a `Vec` that was allocated at its final size: growth leaves copies behind.
    pub const fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes, for the one computation that needs them.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretBytes")
    }
}

/// Secret digits (`0`..=`9`, ASCII): a part of a code, or a presented code. Its length is not secret.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Digits(String);

impl Digits {
    /// Takes the text if it is 0 to 64 ASCII digits; otherwise wipes it and answers nothing.
    pub fn parse(mut text: String) -> Option<Self> {
        if text.len() <= Self::MAX && text.bytes().all(|b| b.is_ascii_digit()) {
            Some(Self(text))
        } else {
            text.zeroize();
            None
        }
    }

    /// Longest string of digits that is taken as a guess.
    pub const MAX: usize = 64;

    /// The digits, for the one computation, page or message that needs them.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Digits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digits")
    }
}

/// One of two, without a branch: the first if `first` holds. By arithmetic of its own: `subtle` negates a signed byte, and with
/// overflow checks, which the release has, that is a branch.
pub fn pick<const N: usize>(first: Choice, one: &[u8; N], other: &[u8; N]) -> [u8; N] {
    let mask = first.unwrap_u8().wrapping_neg();
    let mut out = *other;
    for (byte, one) in out.iter_mut().zip(one) {
        *byte ^= mask & (*byte ^ one);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_names_the_type_only() {
        assert_eq!(format!("{:?}", Secret::new([7_u8; 4])), "Secret<4>");
        assert_eq!(format!("{:?}", SecretBytes::new(vec![55, 55])), "SecretBytes");
        assert_eq!(format!("{:?}", Digits::parse("77".into()).unwrap()), "Digits");
    }

    #[test]
    fn one_of_two_is_picked() {
        let (one, other) = ([0x5a, 0xff, 0], [1, 2, 3]);
        assert_eq!(pick(Choice::from(1), &one, &other), one);
        assert_eq!(pick(Choice::from(0), &one, &other), other);
    }

    #[test]
    fn digits_are_digits() {
        assert!(Digits::parse("0123456789".into()).is_some());
        assert!(Digits::parse("1".repeat(64)).is_some());
        for bad in ["1".repeat(65), "12a".into(), "１２".into(), "1 2".into()] {
            assert!(Digits::parse(bad).is_none());
        }
    }
}
