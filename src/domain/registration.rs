//! The text that an operator's card signs to be registered: made by the authority, never stored as it is.
//!
//! It names one operator, certificate, front end and policy set, holds a nonce of the token, and ends after minutes. Pure.

use std::fmt;

use super::{audit::time_text, tax_code::TaxCode};

/// How long a text may be signed, milliseconds.
pub const OPEN_FOR_MS: u64 = 300_000;

/// What an operator signs, together with what it is for ([`super::signed_text::Context::OperatorRegistration`]).
#[derive(Clone, Copy)]
pub struct Registration<'a> {
    /// Whose card it becomes.
    pub operator: &'a TaxCode,
    /// SHA-256 of the card's certificate.
    pub certificate: &'a [u8; 32],
    /// The caller's name in the policy.
    pub front_end: &'a str,
    /// SHA-256 of the policy set in force, hexadecimal.
    pub policy: &'a str,
    /// Random: no text is made twice.
    pub nonce: &'a [u8; 32],
    /// Last moment, milliseconds since 1970 UTC.
    pub until_ms: u64,
}

impl fmt::Display for Registration<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { operator, certificate, front_end, policy, nonce, until_ms } = self;
        let (operator, until) = (operator.as_str(), time_text(*until_ms));
        writeln!(f, "sigillo operator registration v1")?;
        writeln!(f, "operator {operator}\ncertificate {}\nfront-end {front_end}", hex::encode(certificate))?;
        writeln!(f, "policy {policy}\nnonce {}\nuntil {until}", hex::encode(nonce))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_as_documented() {
        let operator = "RSSMRA80A01H501U".parse().unwrap();
        let registration = Registration {
            operator: &operator,
            certificate: &[0xab; 32],
            front_end: "desk",
            policy: "p",
            nonce: &[1; 32],
            until_ms: 1_780_000_000_000,
        };
        let expected = format!(
            "sigillo operator registration v1\noperator RSSMRA80A01H501U\ncertificate {}\nfront-end desk\npolicy p\n\
             nonce {}\nuntil 2026-05-28T20:26:40.000Z\n",
            "ab".repeat(32),
            "01".repeat(32)
        );
        assert_eq!(registration.to_string(), expected);
    }
}
