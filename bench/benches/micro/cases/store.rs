//! A batch as the writer commits it: guesses that are wrong, by one operator, for as many cards. In one batch are the intents
//! of some and the outcomes of those before.

use std::{fs, hint::black_box};

use sigillo::{
    domain::{
        audit::{Event, Kind, Outcome as Ended},
        limits::{Budget, Most, Use},
        tries::{self, Tries},
    },
    store::{Engine, Expect, Op, Opened, Outcome, Space, Unit, memory::Memory, sled as database},
};

use super::{
    Turn,
    domain::{AT_MS, spent},
};
use crate::place;

/// Guesses in a batch.
const GUESSES: u8 = 32;
/// Bytes of records whose content does not matter: of an answer, of an idempotency record, of a card.
const RECORD: [u8; 220] = [0x11; 220];
const OPERATOR: &[u8] = b"oexample-operator";

pub(super) fn memory() -> Result<Turn, String> {
    let (engine, _) = Memory::new().open().map_err(|e| e.to_string())?;
    guesses(engine)
}

pub(super) fn sled() -> Result<Turn, String> {
    let (engine, _) = opened("store")?;
    guesses(engine)
}

pub(super) fn read() -> Result<Turn, String> {
    let (mut engine, reader) = opened("store-read")?;
    let cards = 2000_u32;
    for from in (0..cards).step_by(500) {
        let key = |n: u32| Key([0; 16]).numbered(n.into());
        let puts = (from..from.saturating_add(500)).map(|n| unit([put(Space::Card, key(n))]));
        applied(engine.as_mut(), &puts.collect::<Vec<_>>())?;
    }
    let mut n = 0_u32;
    Ok(Box::new(move || {
        // The engine holds the files.
        black_box(engine.head());
        n = n.wrapping_add(61) % cards;
        let found = reader.get(Space::Card, &Key([0; 16]).numbered(n.into())).map_err(|e| e.to_string())?;
        found.map(drop).ok_or_else(|| "no card".into())
    }))
}

/// A new store of sled.
fn opened(name: &str) -> Result<Opened, String> {
    let directory = place::directory()?.join(name);
    if directory.exists() {
        fs::remove_dir_all(&directory).map_err(|e| e.to_string())?;
    }
    let config = database::Config { missing: database::Missing::Create, ..database::Config::new(directory) };
    database::open(&config).map_err(|e| e.to_string())
}

/// Begins of keys.
#[derive(Clone, Copy)]
struct Key([u8; 16]);

impl Key {
    fn numbered(self, n: u64) -> Vec<u8> {
        let Self(mut key) = self;
        // Random identifiers are far from each other.
        let spread = n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
        for (to, byte) in key.iter_mut().zip(spread.into_iter().chain(n.to_be_bytes())) {
            *to = byte;
        }
        key.to_vec()
    }
}

fn put(space: Space, key: Vec<u8>) -> Op {
    Op::Put { space, key, value: RECORD.to_vec(), expect: Expect::Absent }
}

fn unit(ops: impl IntoIterator<Item = Op>) -> Unit {
    Unit { ops: ops.into_iter().collect(), events: Vec::new() }
}

fn applied(engine: &mut dyn Engine, units: &[Unit]) -> Result<(), String> {
    for outcome in engine.commit(units).map_err(|e| e.to_string())? {
        match outcome {
            Outcome::Applied { .. } => {}
            Outcome::Refused { op } => return Err(format!("refused by operation {op}")),
        }
    }
    Ok(())
}

fn counter(card: u8) -> Vec<u8> {
    [&b"c"[..], &[card; 16]].concat()
}

fn charge(key: &[u8], uses: &'static [Use]) -> Op {
    let most = Most { per_minute: u32::MAX, per_hour: u32::MAX, per_day: u32::MAX };
    let budget = Budget { look_ups: most, verifications: most, wrong_guesses: Some(most) };
    Op::Charge { key: key.to_vec(), at_ms: AT_MS, uses, budget }
}

/// What is committed before the token is asked.
fn intent(card: u8, request: u64) -> Unit {
    let ops = vec![
        charge(OPERATOR, &[Use::Verification, Use::WrongGuess]),
        charge(b"wexample-office", &[Use::Verification]),
        charge(b"fdesk", &[Use::Verification]),
        Op::Spend { key: counter(card) },
    ];
    Unit { ops, events: vec![spent(request)] }
}

/// What is committed before the answer.
fn outcome(card: u8, request: u64) -> Unit {
    let key = Key([0; 16]).numbered(request);
    // Both are forgotten in time.
    let expiry = |space: &[u8]| Op::Put {
        space: Space::Expiry,
        key: [&AT_MS.to_be_bytes()[..], space, &key].concat(),
        value: Vec::new(),
        expect: Expect::Any,
    };
    let ops = vec![
        Op::Touch { key: counter(card) },
        Op::Settle { key: OPERATOR.to_vec(), at_ms: AT_MS, refund: false },
        put(Space::Verification, key.clone()),
        expiry(b"v"),
        put(Space::Idem, key.clone()),
        expiry(b"i"),
    ];
    let decided = Event {
        kind: Kind::VerificationDecided,
        outcome: Ended::Rejected,
        with_ticket: false,
        ..spent(request)
    };
    Unit { ops, events: vec![decided.with("checks", "KAFST-").with("verification", "0d".repeat(16))] }
}

/// Commits batch after batch.
fn guesses(mut engine: Box<dyn Engine>) -> Result<Turn, String> {
    let tries = Tries::new(tries::Limits { in_a_row: 7, lifetime: 14 }).encode();
    let begin = (0..GUESSES).map(|card| {
        let (key, value) = (counter(card), tries.to_vec());
        unit([Op::Put { space: Space::Tries, key, value, expect: Expect::Absent }])
    });
    let first = (0..GUESSES).map(|card| intent(card, card.into()));
    applied(engine.as_mut(), &begin.chain(first).collect::<Vec<_>>())?;
    let mut request = u64::from(GUESSES);
    Ok(Box::new(move || {
        let mut units = Vec::with_capacity(usize::from(GUESSES).saturating_mul(2));
        for card in 0..GUESSES {
            units.push(outcome(card, request.saturating_sub(GUESSES.into())));
            units.push(intent(card, request));
            request = request.saturating_add(1);
        }
        applied(engine.as_mut(), &units)
    }))
}
