//! The text that an approving operator reads and signs: one `field: value` in each line, the same in every language.
//!
//! No value can make a line of its own or hide one: what is not printable ASCII is written as its code point.

use std::fmt::Write;

use super::Asked;
use crate::domain::{
    audit::{time_ms, time_text},
    card::Reason,
    contact::Contact,
    id::ApprovalId,
    mask,
    signed_text::Unfit,
    tax_code::TaxCode,
    team::TeamNumber,
};

const FIRST: &str = "Sigillo approval";

/// Only of a change of contact.
const CONTACT: &str = "new contact";

/// The fields, in their order.
const FIELDS: [&str; 12] = [
    "id",
    "action",
    "card",
    "reason",
    CONTACT,
    "asked by",
    "office",
    "front end",
    "policy set",
    "asked at",
    "valid until",
    "nonce",
];

/// What may be asked for, as the text says it.
const REVOKE: &str = "revoke a card without the C.I.P. of its holder";
const CHANGE: &str = "send the second parts of codes to another contact";
const RENEW: &str = "give a card a new C.I.P. in the place of the present one";
const UNLOCK: &str = "forgive the wrong guesses that lock the C.I.P. of a card";

/// Whether a text says why: one of the domain's reasons, or one that a policy may list.
fn is_reason(action: &str, text: &str) -> bool {
    match action {
        REVOKE => Reason::ALL.iter().any(|reason| reason.text() == text),
        _ => (1..=40).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'),
    }
}

/// What the text says. Numbers are masked: the approving operator compares, and learns nothing more.
#[derive(Debug)]
pub struct Facts<'a> {
    /// The approval's.
    pub id: ApprovalId,
    /// What is to be done.
    pub asked: &'a Asked,
    /// Number of the card.
    pub team: &'a TeamNumber,
    /// The other contact, where one is asked for.
    pub contact: Option<&'a Contact>,
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
            Asked::ChangeContact { reason, .. } => (CHANGE, reason.as_str()),
            Asked::RenewCip { reason, .. } => (RENEW, reason.as_str()),
            Asked::Revoke { reason, .. } => (REVOKE, reason.text()),
            Asked::Unlock { reason, .. } => (UNLOCK, reason.as_str()),
        };
        let (policy, number) = self.policy;
        let (from_ms, until_ms) = self.time_ms;
        // Land, region and the last four digits.
        let card = mask::masked(self.team.as_str(), 10, 4);
        let asked_by = mask::tax_code(self.operator);
        let (id, nonce, policy) =
            (self.id.to_string(), hex::encode(self.nonce), format!("{number}, {policy}"));
        let (from, until) = (time_text(from_ms), time_text(until_ms));
        let contact = self.contact.map(shown).unwrap_or_default();
        let values: [&str; 12] = [
            &id,
            what,
            &card,
            reason,
            &contact,
            &asked_by,
            self.office,
            self.front_end,
            &policy,
            &from,
            &until,
            &nonce,
        ];
        let mut out = format!("{FIRST}\n");
        for (field, value) in FIELDS.into_iter().zip(values) {
            if field != CONTACT || what == CHANGE {
                line(&mut out, field, value);
            }
        }
        out
    }
}

/// Whether `text` is that of this approval, until this moment: every field in its place and none beside them.
///
/// # Errors
/// [`Unfit`] names the first field that is not so, `text` where it is another text altogether.
pub fn fits(text: &str, id: &ApprovalId, until_ms: u64) -> Result<(), Unfit> {
    let mut lines = text.strip_suffix('\n').ok_or(Unfit("text"))?.split('\n');
    if lines.next() != Some(FIRST) {
        return Err(Unfit("text"));
    }
    let (id, until) = (id.to_string(), time_text(until_ms));
    let mut action = "";
    for field in FIELDS {
        if field == CONTACT && action != CHANGE {
            continue;
        }
        let value = lines.next().and_then(|line| line.strip_prefix(field)?.strip_prefix(": "));
        let value = value.ok_or(Unfit(field))?;
        let fits = match field {
            "id" => value == id,
            "action" => {
                action = value;
                [CHANGE, RENEW, REVOKE, UNLOCK].contains(&action)
            }
            "reason" => is_reason(action, value),
            "asked at" => time_ms(value).is_some_and(|from_ms| from_ms < until_ms),
            "valid until" => value == until,
            "nonce" => value.parse::<ApprovalId>().is_ok(),
            // What these say is for the person to judge.
            _ => true,
        };
        if !fits {
            return Err(Unfit(field));
        }
    }
    if lines.next().is_none() { Ok(()) } else { Err(Unfit("text")) }
}

/// The channel and the masked contact.
fn shown(contact: &Contact) -> String {
    format!("{}, {}", contact.channel().text(), mask::contact(contact))
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
    use crate::domain::{
        contact::Channel,
        id::{CardId, DeliveryId},
    };

    const ASKED: Asked = Asked::Revoke { card: CardId::new([9; 16]), reason: Reason::Stolen };

    fn text(operator: &str, office: &str, front_end: &str) -> String {
        text_for(&ASKED, operator, office, front_end)
    }

    fn text_for(asked: &Asked, operator: &str, office: &str, front_end: &str) -> String {
        let contact = Contact::parse(Channel::Sms, "+393331234567").ok();
        Facts {
            id: ApprovalId::new([1; 16]),
            asked,
            contact: contact.as_ref(),
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

    #[test]
    fn a_text_fits_one_approval_and_moment_and_no_other() {
        let (id, other, until_ms) = (ApprovalId::new([1; 16]), ApprovalId::new([3; 16]), 1_780_000_900_000);
        let text = text("RSSMRA80A01H501U", "rome-1", "desk");
        assert_eq!(fits(&text, &id, until_ms), Ok(()));
        assert_eq!(fits(&text, &other, until_ms), Err(Unfit("id")));
        assert_eq!(fits(&text, &id, until_ms + 1), Err(Unfit("valid until")));
        for (changed, field) in [
            (text.replace("revoke a card", "activate a card"), "action"),
            (text.replace("reason: stolen", "reason: none"), "reason"),
            (text.replace("asked at: 2026", "asked at: 2027"), "asked at"),
            (text.replace("nonce: 02", "nonce: zz"), "nonce"),
            (text.replace("office: rome-1\n", ""), "office"),
            (text.replace("office: rome-1", "office: rome-1\nand: more"), "front end"),
            (format!("{text}and: more\n"), "text"),
            (text.trim_end().to_owned(), "text"),
            (text.replace("Sigillo approval", "sigillo operator registration v1"), "text"),
            ("Sigillo approval\n".to_owned(), "id"),
        ] {
            assert_eq!(fits(&changed, &id, until_ms), Err(Unfit(field)), "{changed}");
        }
    }

    #[test]
    fn other_actions_have_their_own_words_and_the_policys_reasons() {
        let (id, until_ms) = (ApprovalId::new([1; 16]), 1_780_000_900_000);
        let card = CardId::new([9; 16]);
        let reason = || "holder_mistyped".to_owned();
        for (asked, action) in [
            (Asked::Unlock { card, reason: reason() }, UNLOCK),
            (Asked::RenewCip { card, reason: reason() }, RENEW),
            (
                Asked::ChangeContact {
                    card,
                    delivery: DeliveryId::new([8; 16]),
                    contact: String::new(),
                    reason: reason(),
                },
                CHANGE,
            ),
        ] {
            let contact = if action == CHANGE { "new contact: sms, +39***567\n" } else { "" };
            let words = &*format!(
                "action: {action}\ncard: 8038000120******6789\nreason: holder_mistyped\n{contact}asked by: "
            );
            let text = text_for(&asked, "RSSMRA80A01H501U", "rome-1", "desk");
            assert!(text.contains(words), "{text}");
            assert_eq!(fits(&text, &id, until_ms), Ok(()));
            let changed = text.replace("reason: ", "reason: R");
            assert_eq!(fits(&changed, &id, until_ms), Err(Unfit("reason")));
            // A reason of one action is none of another.
            let revocation = self::text("RSSMRA80A01H501U", "rome-1", "desk");
            let changed = revocation.replace("reason: stolen", "reason: holder_mistyped");
            assert_eq!(fits(&changed, &id, until_ms), Err(Unfit("reason")));
        }
    }

    #[test]
    fn a_contact_is_shown_as_far_as_it_can_be_compared() {
        for (channel, address, shown) in [
            (Channel::Email, "mario.rossi@example.it", "email, m***@e***.it"),
            (Channel::Sms, "+393331234567", "sms, +39***567"),
        ] {
            assert_eq!(super::shown(&Contact::parse(channel, address).unwrap()), shown);
        }
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
