//! Decisions and encodings, without anything around them.

use std::hint::black_box;

use sigillo::{
    domain::{
        audit::{Event, Head, Kind, Outcome},
        card::{Card, Registration},
        date::CivilDate,
        derive::{self, Guess, Search, Step},
        id::{CardId, RequestId},
        template::{CodeName, Part, TemplateId},
    },
    secret::{Digits, Secret},
};

use super::Turn;

/// 2026-01-01.
pub(super) const AT_MS: u64 = 1_767_225_600_000;
const CARD: [u8; 16] = [0x5a; 16];
const SALT: [u8; 32] = [7; 32];

fn template() -> Result<TemplateId, String> {
    "CIP-8".parse().map_err(|_| "no id of a template".into())
}

fn digits(text: &str) -> Result<Digits, String> {
    Digits::parse(text.into()).ok_or_else(|| format!("{text} are no digits"))
}

fn card() -> Result<Card, String> {
    let registration = Registration {
        id: CardId::new(CARD),
        tax_code_mac: [1; 16],
        team_mac: [2; 16],
        expiry: CivilDate::new(2031, 6, 30).ok_or("no date")?,
        region: "120".parse().map_err(|_| "no region")?,
        template: template()?,
        predecessor: None,
        registered_at_ms: AT_MS,
    };
    Ok(Card::register(registration, SALT))
}

/// An event with the fields that those of a verification have.
pub(super) fn spent(request: u64) -> Event {
    let mut id = [0; 16];
    for (to, byte) in id.iter_mut().zip(request.to_be_bytes()) {
        *to = byte;
    }
    Event {
        at_ms: AT_MS,
        kind: Kind::VerificationSpent,
        outcome: Outcome::Intent,
        caller: "desk".into(),
        request: RequestId::new(id),
        policy: "0f".repeat(32),
        card: Some(CARD),
        with_ticket: true,
        detail: vec![
            ("operator", "0e".repeat(16)),
            ("office", "example-office".into()),
            ("purpose", "revocation".into()),
        ],
    }
}

pub(super) fn part_message() -> Result<Turn, String> {
    let template = template()?;
    Ok(Box::new(move || {
        let (part, card) = (black_box(Part::First), CardId::new(CARD));
        black_box(derive::part_message(part, CodeName::Cip, &card, 1, &SALT, &template, 0));
        Ok(())
    }))
}

pub(super) fn part() -> Result<Turn, String> {
    let forbidden: Vec<String> = (0..10).map(|digit: u8| digit.to_string().repeat(8)).collect();
    let mac = Secret::new(SALT);
    Ok(Box::new(move || match Search::new(8, &forbidden).offer(black_box(&mac)) {
        Step::Found(part) => {
            black_box(part);
            Ok(())
        }
        Step::Ask(_) | Step::Never => Err("no part".into()),
    }))
}

pub(super) fn guess_messages() -> Result<Turn, String> {
    let code = Guess::from(&digits("12345678")?);
    Ok(Box::new(move || {
        let card = CardId::new(CARD);
        black_box(derive::guess_messages(black_box(&code), 4, &card, 1, &SALT));
        Ok(())
    }))
}

pub(super) fn tag_message() -> Result<Turn, String> {
    let presented = digits("12345678")?;
    Ok(Box::new(move || {
        let card = CardId::new(CARD);
        black_box(derive::tag_message(Part::First, &card, 1, &SALT, black_box(&presented)));
        Ok(())
    }))
}

pub(super) fn event() -> Result<Turn, String> {
    let event = spent(1);
    Ok(Box::new(move || {
        black_box(black_box(&event).encode(4711, None));
        Ok(())
    }))
}

pub(super) fn chain() -> Result<Turn, String> {
    let (mut head, bytes) = (Head::EMPTY, spent(1).encode(4711, None));
    Ok(Box::new(move || {
        head = head.next(black_box(&bytes)).ok_or("the chain is at its end")?;
        Ok(())
    }))
}

pub(super) fn card_encoded() -> Result<Turn, String> {
    let card = card()?;
    Ok(Box::new(move || {
        black_box(black_box(&card).encode());
        Ok(())
    }))
}

pub(super) fn card_decoded() -> Result<Turn, String> {
    let record = card()?.encode();
    Ok(Box::new(move || match Card::decode(black_box(&record)) {
        Some(card) => {
            black_box(card.state());
            Ok(())
        }
        None => Err("no card".into()),
    }))
}
