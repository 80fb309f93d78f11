//! The text that an operator's card signs to be registered: made by the authority, never stored as it is.
//!
//! It names one operator, certificate, front end and policy set, holds a nonce of the token, and ends after minutes. Pure.

use std::fmt;

use super::{audit::time_text, signed_text::Unfit, tax_code::TaxCode};

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

/// Whether `text` is that of a registration of this operator and certificate, until this moment: it is written again, and
/// only front end, policy set and nonce are taken from it.
///
/// # Errors
/// [`Unfit`] names the first field that is not so, `text` where it is another text altogether.
pub fn fits(text: &str, operator: &TaxCode, certificate: &[u8; 32], until_ms: u64) -> Result<(), Unfit> {
    const FIELDS: [&str; 6] = ["operator", "certificate", "front-end", "policy", "nonce", "until"];
    let said = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.filter(|value| !value.is_empty() && !value.contains(' '))
    };
    let front_end = said("front-end").ok_or(Unfit("front-end"))?;
    let policy = said("policy").ok_or(Unfit("policy"))?;
    let mut nonce = [0; 32];
    let hexadecimal = said("nonce").map(|value| hex::decode_to_slice(value, &mut nonce));
    hexadecimal.and_then(Result::ok).ok_or(Unfit("nonce"))?;
    let meant =
        Registration { operator, certificate, front_end, policy, nonce: &nonce, until_ms }.to_string();
    if text == meant {
        return Ok(());
    }
    let (said, meant) = (text.lines().skip(1), meant.lines().skip(1));
    let mut fields = FIELDS.into_iter().zip(said.zip(meant));
    let other = fields.find_map(|(name, (said, meant))| (said != meant).then_some(name));
    Err(Unfit(other.unwrap_or("text")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_fits_one_operator_card_and_moment_and_no_other() {
        let operator = "RSSMRA80A01H501U".parse().unwrap();
        let other = "RSSMRA75C22H501I".parse().unwrap();
        let (certificate, nonce, policy, until_ms) = ([0xab; 32], [1; 32], "c".repeat(64), 1_780_000_000_000);
        let text = Registration {
            operator: &operator,
            certificate: &certificate,
            front_end: "desk",
            policy: &policy,
            nonce: &nonce,
            until_ms,
        }
        .to_string();
        assert_eq!(fits(&text, &operator, &certificate, until_ms), Ok(()));
        assert_eq!(fits(&text, &other, &certificate, until_ms), Err(Unfit("operator")));
        assert_eq!(fits(&text, &operator, &[0; 32], until_ms), Err(Unfit("certificate")));
        assert_eq!(fits(&text, &operator, &certificate, until_ms + 1), Err(Unfit("until")));
        for (changed, field) in [
            (text.replace("desk", ""), "front-end"),
            (text.replace("desk", "desk and more"), "front-end"),
            (text.replace("policy", "Policy"), "policy"),
            (text.replace("0101", "0x01"), "nonce"),
            (text.replace("0101", ""), "nonce"),
            (text.replace("0101", "ABAB"), "nonce"),
            (text.replace("front-end desk\n", "front-end desk\nand more\n"), "policy"),
            (text.replace("v1", "v2"), "text"),
            (format!("{text}and more\n"), "text"),
            (text.trim_end().to_owned(), "text"),
            ("Sigillo approval\n".to_owned(), "front-end"),
        ] {
            assert_eq!(fits(&changed, &operator, &certificate, until_ms), Err(Unfit(field)), "{changed}");
        }
    }

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
