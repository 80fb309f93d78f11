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
    secret::Digits,
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
    /// The card's record, or what stands in for it.
    record: Vec<u8>,
    known: bool,
    code: Digits,
    presented: Vec<Secret<32>>,
    ticket: Option<Ticket>,
    checks: &'static str,
}

impl Class {
    fn new(name: &'static str, card: Option<&Card>, code: &str, granted: bool, checks: &'static str) -> Self {
        let (known, stand_in) = (card.is_some(), StandIn::new().unwrap().0);
        let record = card.map_or(stand_in, Card::encode);
        let ticket = if granted { ticket() } else { None };
        let mut class =
            Self { name, record, known, code: digits(code), presented: Vec::new(), ticket, checks };
        let messages = Given::new(&class).subject().tags_of(&Guess::from(&class.code));
        class.presented = messages.iter().map(|(_key, message)| mac(message)).collect();
        class
    }
}

/// What a decision is given.
struct Given {
    record: Vec<u8>,
    known: bool,
    decoy: Decoy,
    code: Guess,
    presented: Vec<Secret<32>>,
    ticket: Option<Ticket>,
}

impl Given {
    fn new(class: &Class) -> Self {
        let Class { record, known, code, presented, ticket, name: _, checks: _ } = class;
        Self {
            record: record.clone(),
            known: *known,
            decoy: decoy(),
            code: Guess::from(code),
            presented: presented.iter().map(|mac| Secret::new(*mac.expose())).collect(),
            ticket: *ticket,
        }
    }

    /// The same of another class, in the same places: where a value lies takes its time too.
    fn become_of(&mut self, class: &Class) {
        self.record.copy_from_slice(&class.record);
        (self.known, self.code, self.ticket) = (class.known, Guess::from(&class.code), class.ticket);
        for (to, from) in self.presented.iter_mut().zip(&class.presented) {
            *to = Secret::new(*from.expose());
        }
    }

    fn cip(&self) -> Cip {
        Cip::read(&self.record).unwrap()
    }

    fn subject(&self) -> Subject {
        Subject::new(&self.cip(), self.known, &self.decoy, &[0; 17], FIRST_DIGITS)
    }

    /// All that is done with the values of a card, to the verdict that nobody has looked at.
    fn weigh(&self) -> (usize, Weighed) {
        let subject = self.subject();
        let messages = subject.tags_of(&self.code);
        (messages.len(), subject.weigh(&self.presented, &self.cip(), self.ticket).unwrap())
    }

    fn decide(&self) -> (usize, Decision) {
        let (messages, weighed) = self.weigh();
        (messages, weighed.declare())
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
    let (classes, clock) = (classes(), SystemClock::new());
    let mut given = Given::new(&classes[0]);
    let tuples = std::env::var_os(TUPLES).map_or(USUAL, |text| text.to_str().unwrap().parse().unwrap());
    let decide_all = |given: &Given| {
        for _ in 0..AT_ONCE {
            black_box(black_box(given).decide());
        }
    };
    let mut rows = Vec::with_capacity(tuples);
    let mut random = 2026_u64;
    for tuple in 0..tuples {
        let mut order: Vec<usize> = (0..classes.len()).collect();
        for place in (1..order.len()).rev() {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            order.swap(place, usize::try_from(random >> 33).unwrap() % (place + 1));
        }
        // As it is for all others, what comes before a tuple's first is a decision: here the last one again, and nobody's time.
        // Without it the first is slower by some ns, and for one class less than for another: which one, changes with the build.
        decide_all(&given);
        let mut row = [0; 10];
        for place in order {
            let class = &classes[place];
            given.become_of(class);
            let from = clock.uptime();
            decide_all(&given);
            row[place] = (clock.uptime() - from).as_nanos() / u128::from(AT_ONCE);
            if tuple < USUAL {
                let (messages, decision) = given.decide();
                assert_eq!((messages, decision.checks.as_str()), (2, class.checks), "{}", class.name);
                assert_eq!(decision.verdict == Verdict::Accepted, class.checks == "KAFSTM", "{}", class.name);
            }
        }
        rows.push(row);
    }
    if let Some(file) = std::env::var_os(TIMES) {
        let mut times = classes.iter().map(|class| class.name).collect::<Vec<_>>().join(",");
        for row in rows {
            let row = row.iter().map(ToString::to_string).collect::<Vec<_>>();
            write!(times, "\n{}", row.join(",")).unwrap();
        }
        std::fs::write(file, times).unwrap();
    }
}

#[test]
fn a_code_of_another_generation_is_not_right() {
    let card = active();
    let class = Class::new("renewed meanwhile", Some(&card), CIP, true, "KAFST-");
    let given = Given::new(&class);
    let renewed = card.renew_cip("2027-01-15".parse().unwrap()).unwrap();
    let renewed = Cip::read(&renewed.encode()).unwrap();
    let decision = given.subject().weigh(&given.presented, &renewed, given.ticket).unwrap().declare();
    assert_eq!((decision.checks.as_str(), decision.verdict), (class.checks, Verdict::Rejected));
}

#[test]
fn what_stands_in_is_never_used() {
    let stand_in = StandIn::new().unwrap();
    let cip = stand_in.read(None).unwrap();
    assert!(bool::from(cip.is_sound & cip.is_active & cip.has_salt & cip.has_tags[0] & cip.has_tags[1]));
    let subject = Subject::new(&cip, false, &decoy(), &[3; 17], 0);
    assert_eq!((subject.id(), subject.salt), (&decoy().id(), *decoy().salt()));
    assert_eq!(subject.counter(), [3; 17]);
    assert!(!bool::from(subject.known | subject.active | subject.has_tag[0] | subject.has_tag[1]));
    // Tags that would be right if its own counted.
    let zeroes = [Secret::new([0; 32]), Secret::new([0; 32])];
    let decision = subject.weigh(&zeroes, &cip, ticket()).unwrap().declare();
    assert_eq!((decision.checks.as_str(), decision.verdict), ("----TM", Verdict::Rejected));
}
