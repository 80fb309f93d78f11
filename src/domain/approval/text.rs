//! The text that an approving operator reads and signs: one `field: value` in each line, the same in every language.
//!
//! No value can make a line of its own or hide one: what is not printable ASCII is written as its code point.

use std::fmt::Write;

use super::Asked;
use crate::domain::{audit::time_text, id::ApprovalId, tax_code::TaxCode, team::TeamNumber};

/// What the text says. Numbers are masked: the approving operator compares, and learns nothing more.
#[derive(Debug)]
pub struct Facts<'a> {
    /// The approval's.
    pub id: ApprovalId,
    /// What is to be done.
    pub asked: Asked,
    /// Number of the card.
    pub team: &'a TeamNumber,
    /// Who asks.
    pub operator: &'a TaxCode,
    /// From which office.
    pub office: &'a str,
    /// Through which front end.
    pub front_end: &'a str,
    /// Digest of the policy set in force, and its number.
    pub policy: (&'a str, u64),
    /// From when to when it may be used, milliseconds since 1970 UTC.
    pub time_ms: (u64, u64),
    /// 16 random bytes that only this text has: without them nobody finds what a digest or signature is of.
    pub nonce: [u8; 16],
}

impl Facts<'_> {
    /// The text.
    pub fn text(&self) -> String {
        let (what, reason) = match self.asked {
            Asked::Revoke { reason, .. } => ("revoke a card without the C.I.P. of its holder", reason.text()),
        };
        let (policy, number) = self.policy;
        let (from_ms, until_ms) = self.time_ms;
        let mut out = "Sigillo approval\n".to_owned();
        for (field, value) in [
            ("id", self.id.to_string().as_str()),
            ("action", what),
            // Land, region and the last four digits.
            ("card", &masked(self.team.as_str(), 10, 4)),
            ("reason", reason),
            // The letters of the names, or of a provisional one the last three digits.
            (
                "asked by",
                &match self.operator.as_str() {
                    code if code.len() == 16 => masked(code, 6, 0),
                    code => masked(code, 0, 3),
                },
            ),
            ("office", self.office),
            ("front end", self.front_end),
            ("policy set", &format!("{number}, {policy}")),
            ("asked at", &time_text(from_ms)),
            ("valid until", &time_text(until_ms)),
            ("nonce", &hex::encode(self.nonce)),
        ] {
            line(&mut out, field, value);
        }
        out
    }
}

fn masked(value: &str, first: usize, last: usize) -> String {
    let hidden_to = value.chars().count().saturating_sub(last);
    (0..).zip(value.chars()).map(|(n, c)| if (first..hidden_to).contains(&n) { '*' } else { c }).collect()
}

fn line(out: &mut String, field: &str, value: &str) {
    out.push_str(field);
    out.push_str(": ");
    for c in value.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            ' '..='~' => out.push(c),
            // Writing to a string cannot fail.
            other => drop(write!(out, "\\u{{{:x}}}", u32::from(other))),
        }
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{card::Reason, id::CardId};

    const ASKED: Asked = Asked::Revoke { card: CardId::new([9; 16]), reason: Reason::Stolen };

    fn text(operator: &str, office: &str, front_end: &str) -> String {
        Facts {
            id: ApprovalId::new([1; 16]),
            asked: ASKED,
            team: &"80380001200123456789".parse().unwrap(),
            operator: &operator.parse().unwrap(),
            office,
            front_end,
            policy: ("ab12", 7),
            time_ms: (1_780_000_000_000, 1_780_000_900_000),
            nonce: [2; 16],
        }
        .text()
    }

    #[test]
    fn every_line_is_a_field_and_numbers_are_masked() {
        let expected = "Sigillo approval\n\
            id: 01010101010101010101010101010101\n\
            action: revoke a card without the C.I.P. of its holder\n\
            card: 8038000120******6789\n\
            reason: stolen\n\
            asked by: RSSMRA**********\n\
            office: rome-1\n\
            front end: desk\n\
            policy set: 7, ab12\n\
            asked at: 2026-05-28T20:26:40.000Z\n\
            valid until: 2026-05-28T20:41:40.000Z\n\
            nonce: 02020202020202020202020202020202\n";
        assert_eq!(text("RSSMRA80A01H501U", "rome-1", "desk"), expected);
        assert!(text("12345678903", "rome-1", "desk").contains("\nasked by: ********903\n"));
    }

    proptest! {
        #[test]
        fn no_value_makes_or_hides_a_line(office in ".*", other in ".*", more in "[\\x00-\\x1f\\x7f-\\u{a0}\\u{2028}-\\u{202e}]{1,4}") {
            let plain = text("RSSMRA80A01H501U", "a", "b");
            for value in [&office, &more] {
                let written = text("RSSMRA80A01H501U", value, &other);
                prop_assert_eq!(written.lines().count(), plain.lines().count());
                prop_assert!(written.bytes().all(|b| b == b'\n' || (b' '..=b'~').contains(&b)));
                for (line, same) in written.lines().zip(plain.lines()) {
                    prop_assert_eq!(line.split(": ").next(), same.split(": ").next());
                }
            }
            if office != other {
                prop_assert_ne!(text("RSSMRA80A01H501U", &office, ""), text("RSSMRA80A01H501U", &other, ""));
            }
        }
    }
}
