//! What is decided, by class of guess; how long the decision takes, for `prove --only time-in-process`; and what it branches on,
//! for `prove --only time-in-code`.

mod marked;

use std::{fmt::Write as _, hint::black_box};

use aws_lc_rs::digest::{SHA256, digest};

use super::*;
use crate::{
    clock::{Clock as _, SystemClock},
    domain::{
        card::Reason,
        template::Part,
        tries::{Limits, Tries},
    },
};

/// So many tuples are timed instead of a few.
const TUPLES: &str = "SIGILLO_TUPLES";
/// Where the times are written: a line of names, then nanoseconds of one decision, a line a tuple, separated by commas.
const TIMES: &str = "SIGILLO_TIMES";
const USUAL: usize = 20;
/// Decisions that are timed as one, since a clock takes its time too.
const AT_ONCE: u32 = 64;

const CIP: &str = "12345678";
const FIRST_DIGITS: u8 = 4;

/// What a token would answer, with a key that everybody knows.
fn mac(message: &SecretBytes) -> Secret<32> {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, message.expose()).as_ref());
    Secret::new(out)
}

fn digits(text: &str) -> Digits {
    Digits::parse(text.to_owned()).unwrap()
}

fn decoy() -> Decoy {
    Decoy::of(&Secret::new([0x5a; 32]))
}

fn registered() -> Card {
    let registration = Registration {
        id: CardId::new([7; 16]),
        tax_code_mac: [8; 16],
        team_mac: [9; 16],
        expiry: "2031-01-15".parse().unwrap(),
        region: "120".parse().unwrap(),
        template: "DEFAULT/1".parse().unwrap(),
        predecessor: None,
        registered_at_ms: 1,
    };
    Card::register(registration, [5; 32])
}

/// The tag of one part of [`CIP`] on this card.
fn tag(card: &Card, part: Part) -> [u8; 32] {
    let (first, second) = CIP.split_at(usize::from(FIRST_DIGITS));
    let of_part = digits(if part == Part::First { first } else { second });
    let salt = card.salt().unwrap();
    *mac(&derive::tag_message(part, &card.registration().id, 1, salt, &of_part)).expose()
}

fn undelivered() -> Card {
    let card = registered();
    let first = tag(&card, Part::First);
    card.activate(Activation::InPerson, 2, "2027-01-15".parse().unwrap(), Some(first)).unwrap()
}

fn active() -> Card {
    let second = tag(&registered(), Part::Second);
    undelivered().set_second_tag(1, second).unwrap()
}

fn ticket() -> Option<Ticket> {
    Tries::new(Limits { in_a_row: 5, lifetime: 100 }).spend().1
}

/// One kind of guess.
struct Class {
    name: &'static str,
    record: Option<Versioned>,
    code: Digits,
    presented: Vec<Secret<32>>,
    ticket: Option<Ticket>,
    checks: &'static str,
}

impl Class {
    fn new(name: &'static str, card: Option<&Card>, code: &str, granted: bool, checks: &'static str) -> Self {
        let record = card.map(|card| Versioned { version: 1, value: card.encode() });
        let ticket = if granted { ticket() } else { None };
        let mut class = Self { name, record, code: digits(code), presented: Vec::new(), ticket, checks };
        let messages = class.subject(&StandIn::new().unwrap()).tags_of(&class.code);
        class.presented = messages.iter().map(|(_key, message)| mac(message)).collect();
        class
    }

    fn subject(&self, stand_in: &StandIn) -> Subject {
        let card = stand_in.read(self.record.as_ref()).unwrap();
        let decoys = vec![0; 17];
        Subject::new(&card, self.record.is_some(), &decoy(), decoys, FIRST_DIGITS)
    }

    /// All that is done with the values of a card.
    fn decide(&self, stand_in: &StandIn) -> (usize, Decision) {
        let subject = self.subject(stand_in);
        let messages = subject.tags_of(&self.code);
        let present = stand_in.read(self.record.as_ref()).unwrap();
        (messages.len(), subject.weigh(&self.presented, &present, self.ticket).unwrap().declare())
    }
}

fn classes() -> [Class; 10] {
    let (card, registered, undelivered) = (active(), registered(), undelivered());
    let revoked = card.revoke(Reason::Stolen, 3).unwrap();
    [
        Class::new("wrong last digit", Some(&card), "12345679", true, "KAFST-"),
        Class::new("right", Some(&card), CIP, true, "KAFSTM"),
        Class::new("wrong first digit", Some(&card), "22345678", true, "KAFST-"),
        Class::new("wrong length", Some(&card), "123456780", true, "KAFST-"),
        Class::new("unknown card", None, CIP, true, "----T-"),
        Class::new("not active", Some(&registered), CIP, true, "K---T-"),
        Class::new("revoked", Some(&revoked), CIP, true, "K-FSTM"),
        Class::new("tries used up", Some(&card), CIP, false, "KAFS--"),
        Class::new("second part never delivered", Some(&undelivered), CIP, true, "KAF-T-"),
        Class::new("wrong last digit again (A/A)", Some(&card), "12345679", true, "KAFST-"),
    ]
}

/// Whatever it is, it is decided by the values; the times are for whoever wants them.
#[test]
fn every_class_is_decided_by_its_values() {
    let (classes, stand_in, clock) = (classes(), StandIn::new().unwrap(), SystemClock::new());
    let tuples = std::env::var_os(TUPLES).map_or(USUAL, |text| text.to_str().unwrap().parse().unwrap());
    let mut times = classes.iter().map(|class| class.name).collect::<Vec<_>>().join(",");
    let mut random = 2026_u64;
    for tuple in 0..tuples {
        let mut order: Vec<usize> = (0..classes.len()).collect();
        for place in (1..order.len()).rev() {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            order.swap(place, usize::try_from(random >> 33).unwrap() % (place + 1));
        }
        let mut row = vec![0; classes.len()];
        for place in order {
            let class = &classes[place];
            let from = clock.uptime();
            for _ in 0..AT_ONCE {
                black_box(black_box(class).decide(&stand_in));
            }
            row[place] = (clock.uptime() - from).as_nanos() / u128::from(AT_ONCE);
            if tuple < USUAL {
                let (messages, decision) = class.decide(&stand_in);
                assert_eq!((messages, decision.checks.as_str()), (2, class.checks), "{}", class.name);
                assert_eq!(decision.verdict == Verdict::Accepted, class.checks == "KAFSTM", "{}", class.name);
            }
        }
        let row = row.iter().map(ToString::to_string).collect::<Vec<_>>();
        write!(times, "\n{}", row.join(",")).unwrap();
    }
    if let Some(file) = std::env::var_os(TIMES) {
        std::fs::write(file, times).unwrap();
    }
}

#[test]
fn a_code_of_another_generation_is_not_right() {
    let (card, stand_in) = (active(), StandIn::new().unwrap());
    let class = Class::new("renewed meanwhile", Some(&card), CIP, true, "KAFST-");
    let renewed = card.renew_cip("2027-01-15".parse().unwrap()).unwrap();
    let decision =
        class.subject(&stand_in).weigh(&class.presented, &renewed, class.ticket).unwrap().declare();
    assert_eq!((decision.checks.as_str(), decision.verdict), (class.checks, Verdict::Rejected));
}

#[test]
fn what_stands_in_is_never_used() {
    let stand_in = StandIn::new().unwrap();
    let card = stand_in.read(None).unwrap();
    assert_eq!(card.encode().len(), Card::SIZE);
    let subject = Subject::new(&card, false, &decoy(), vec![1, 2, 3], 0);
    assert_eq!((subject.id(), subject.salt), (&decoy().id(), *decoy().salt()));
    assert_eq!(subject.counter(), [1, 2, 3]);
    assert!(!bool::from(subject.known | subject.active | subject.has_tag[0] | subject.has_tag[1]));
    // Tags that would be right if its own counted.
    let zeroes = [Secret::new([0; 32]), Secret::new([0; 32])];
    let decision = subject.weigh(&zeroes, &card, ticket()).unwrap().declare();
    assert_eq!((decision.checks.as_str(), decision.verdict), ("----TM", Verdict::Rejected));
}
