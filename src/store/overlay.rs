//! What a batch of units does to a store: evaluated over reads, without writing anything.
//!
//! Pure and the same for every engine. It must never let a part of a refused unit be seen by the next one.

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
};

use super::{Error, Expect, Op, Outcome, Reader, Space, Unit, Versioned, record, record::Position};
use crate::domain::{
    limits::{Use, Used},
    tries::{Ticket, Tries},
};

/// Stored key -> stored value, or nothing where it is removed.
pub(super) type Writes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// Stored key -> what was there, for each that was looked at.
pub(super) type Seen = HashMap<Vec<u8>, Option<Versioned>>;

/// What is to be written, and what to answer once it is durable.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) writes: Writes,
    pub(super) outcomes: Vec<Outcome>,
    pub(super) position: Position,
    /// Nobody else writes: what was seen is what the writes take the place of.
    pub(super) seen: Seen,
}

impl Batch {
    /// The stored value that was seen under a stored key; nothing where nobody looked.
    pub(super) fn former(&self, key: &[u8]) -> Option<Option<Vec<u8>>> {
        let seen = self.seen.get(key)?;
        Some(seen.as_ref().map(|found| record::stored_value(found.version, &found.value)))
    }
}

/// The store as a batch finds it: each record is read once.
struct Before<'a> {
    reader: &'a dyn Reader,
    seen: RefCell<Seen>,
}

impl Before<'_> {
    fn get(&self, space: Space, key: &[u8], stored_key: Vec<u8>) -> Result<Option<Versioned>, Error> {
        if let Some(seen) = self.seen.borrow().get(&stored_key) {
            return Ok(seen.clone());
        }
        let found = self.reader.get(space, key)?;
        self.seen.borrow_mut().insert(stored_key, found.clone());
        Ok(found)
    }
}

/// Evaluates the units in order over what `reader` sees, starting at `position`.
pub(super) fn evaluate(units: &[Unit], reader: &dyn Reader, position: Position) -> Result<Batch, Error> {
    let before = Before { reader, seen: RefCell::default() };
    let outcomes = Vec::with_capacity(units.len());
    let mut batch = Batch { writes: Writes::new(), outcomes, position, seen: Seen::new() };
    for unit in units {
        let staged = Staged::new(&before, &batch)?;
        match staged.run(unit)? {
            Ok(done) => {
                batch.writes.extend(done.writes);
                batch.position = done.position;
                batch.outcomes.push(Outcome::Applied { ticket: done.ticket, seq: done.position.head.seq });
            }
            Err(op) => batch.outcomes.push(Outcome::Refused { op }),
        }
    }
    if batch.position != position {
        let head = record::stored_value(batch.position.unit, &record::head(&batch.position.head));
        batch.writes.insert(record::stored_key(Space::Meta, record::HEAD_KEY), Some(head));
    }
    batch.seen = before.seen.into_inner();
    Ok(batch)
}

/// One unit over the units before it.
struct Staged<'a> {
    store: &'a Before<'a>,
    before: &'a Batch,
    /// The number that this unit has if it is applied.
    number: u64,
    writes: Writes,
}

/// An applied unit.
struct Done {
    writes: Writes,
    position: Position,
    ticket: Option<Ticket>,
}

impl<'a> Staged<'a> {
    fn new(store: &'a Before<'a>, before: &'a Batch) -> Result<Self, Error> {
        let number = before.position.unit.checked_add(1);
        let number = number.ok_or_else(|| Error::NotWritten("no unit number left".into()))?;
        Ok(Self { store, before, number, writes: Writes::new() })
    }

    /// Runs the unit; the inner error is the index of the operation that refuses it.
    fn run(mut self, unit: &Unit) -> Result<Result<Done, usize>, Error> {
        let mut ticket = None;
        for (index, op) in unit.ops.iter().enumerate() {
            if !self.apply(op, &mut ticket)? {
                return Ok(Err(index));
            }
        }
        let mut head = self.before.position.head;
        for event in &unit.events {
            let seq =
                head.seq.checked_add(1).ok_or_else(|| Error::NotWritten("no event number left".into()))?;
            let bytes = event.encode(seq, ticket);
            head = head.next(&bytes).ok_or_else(|| Error::NotWritten("an event cannot be chained".into()))?;
            self.put(Space::Event, &seq.to_be_bytes(), &record::event(&head.hash, &bytes));
        }
        if self.writes.is_empty() {
            return Ok(Ok(Done { writes: self.writes, position: self.before.position, ticket }));
        }
        let position = Position { head, unit: self.number };
        Ok(Ok(Done { writes: self.writes, position, ticket }))
    }

    /// Whether the operation found what it expects.
    fn apply(&mut self, op: &Op, ticket: &mut Option<Ticket>) -> Result<bool, Error> {
        match op {
            Op::Charge { key, at_ms, uses, budget } => {
                let used = self.used(key)?.unwrap_or_default();
                let Ok(after) = used.charge(*at_ms, uses, budget) else { return Ok(false) };
                self.put(Space::Budget, key, &after.encode());
                Ok(true)
            }
            Op::Settle { key, at_ms, refund } => {
                let Some(used) = self.used(key)? else { return Ok(false) };
                let after = if *refund { used.refund(*at_ms, Use::WrongGuess) } else { used };
                self.put(Space::Budget, key, &after.encode());
                Ok(true)
            }
            Op::Delete { space, key, expect } => {
                let met = self.meets(*space, key, *expect)?;
                if met {
                    self.writes.insert(record::stored_key(*space, key), None);
                }
                Ok(met)
            }
            Op::Forgive { key, ticket } => self.count(key, |tries| Some(tries.forgive(*ticket))),
            Op::Put { space, key, value, expect } => {
                let met = self.meets(*space, key, *expect)?;
                if met {
                    self.put(*space, key, value);
                }
                Ok(met)
            }
            Op::RenewTries { key } => self.count(key, |tries| Some(tries.renew())),
            Op::Spend { key } => self.count(key, |tries| {
                let (after, granted) = tries.spend();
                *ticket = granted;
                Some(after)
            }),
            Op::Touch { key } => self.count(key, Some),
            Op::Unlock { key } => self.count(key, |tries| tries.unlock().ok()),
        }
    }

    fn meets(&self, space: Space, key: &[u8], expect: Expect) -> Result<bool, Error> {
        Ok(match expect {
            Expect::Absent => self.get(space, key)?.is_none(),
            Expect::Any => true,
            Expect::Version(version) => self.get(space, key)?.is_some_and(|found| found.version == version),
        })
    }

    fn used(&self, key: &[u8]) -> Result<Option<Used>, Error> {
        let Some(found) = self.get(Space::Budget, key)? else { return Ok(None) };
        let used = Used::decode(&found.value);
        used.map(Some).ok_or_else(|| Error::Fatal("a record of a budget is damaged".into()))
    }

    /// Rewrites a record of tries; false if there is none, or nothing that it changes to.
    fn count(&mut self, key: &[u8], change: impl FnOnce(Tries) -> Option<Tries>) -> Result<bool, Error> {
        let Some(found) = self.get(Space::Tries, key)? else { return Ok(false) };
        let tries =
            Tries::decode(&found.value).ok_or_else(|| Error::Fatal("a record of tries is damaged".into()))?;
        let Some(after) = change(tries) else { return Ok(false) };
        self.put(Space::Tries, key, &after.encode());
        Ok(true)
    }

    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Versioned>, Error> {
        let stored_key = record::stored_key(space, key);
        match self.writes.get(&stored_key).or_else(|| self.before.writes.get(&stored_key)) {
            Some(written) => written.as_deref().map(record::versioned).transpose(),
            None => self.store.get(space, key, stored_key),
        }
    }

    fn put(&mut self, space: Space, key: &[u8], value: &[u8]) {
        self.writes.insert(record::stored_key(space, key), Some(record::stored_value(self.number, value)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{
            audit::{Event, Head, Kind, Outcome as Ended},
            id::RequestId,
            tries::Limits,
        },
        store::{Found, record::logged_event},
    };

    /// Records of a store. The key `unreadable` cannot be read.
    #[derive(Default)]
    struct Records(Writes);

    impl Records {
        fn with(records: &[(Space, &[u8], u64, &[u8])]) -> Self {
            let stored = records.iter().map(|(space, key, version, value)| {
                (record::stored_key(*space, key), Some(record::stored_value(*version, value)))
            });
            Self(stored.collect())
        }
    }

    impl Reader for Records {
        fn get(&self, space: Space, key: &[u8]) -> Result<Option<Versioned>, Error> {
            if key == b"unreadable" {
                return Err(Error::Fatal("unreadable".into()));
            }
            self.0
                .get(&record::stored_key(space, key))
                .and_then(|v| v.as_deref())
                .map(record::versioned)
                .transpose()
        }

        fn scan(&self, _: Space, _: &[u8], _: &[u8], _: usize) -> Result<Vec<Found>, Error> {
            panic!("an evaluation reads points only")
        }

        fn scan_back(&self, _: Space, _: &[u8], _: &[u8], _: usize) -> Result<Vec<Found>, Error> {
            panic!("an evaluation reads points only")
        }

        fn last(&self, _: Space) -> Result<Option<Found>, Error> {
            panic!("an evaluation reads points only")
        }
    }

    fn event(with_ticket: bool) -> Event {
        Event {
            at_ms: 0,
            kind: Kind::VerificationSpent,
            outcome: Ended::Intent,
            caller: "console".into(),
            request: RequestId::new([7; 16]),
            policy: String::new(),
            card: None,
            with_ticket,
            detail: Vec::new(),
        }
    }

    fn put(key: &[u8], value: &[u8], expect: Expect) -> Op {
        Op::Put { space: Space::Card, key: key.to_vec(), value: value.to_vec(), expect }
    }

    fn unit(ops: impl Into<Vec<Op>>) -> Unit {
        Unit { ops: ops.into(), events: Vec::new() }
    }

    fn applied(seq: u64) -> Outcome {
        Outcome::Applied { ticket: None, seq }
    }

    fn written(batch: &Batch, space: Space, key: &[u8]) -> Option<Versioned> {
        let value = batch.writes.get(&record::stored_key(space, key))?.as_deref()?;
        Some(record::versioned(value).unwrap())
    }

    #[test]
    fn a_refused_unit_leaves_nothing_behind() {
        let units = [
            Unit {
                ops: vec![put(b"a", b"1", Expect::Absent), put(b"b", b"2", Expect::Version(9))],
                events: vec![event(false)],
            },
            unit([put(b"a", b"3", Expect::Absent)]),
        ];
        let batch = evaluate(&units, &Records::default(), Position::START).unwrap();
        assert_eq!(batch.outcomes, [Outcome::Refused { op: 1 }, applied(0)]);
        assert_eq!(written(&batch, Space::Card, b"a").unwrap().value, b"3");
        assert_eq!(written(&batch, Space::Card, b"b"), None);
        assert_eq!(batch.position, Position { head: Head::EMPTY, unit: 1 });
    }

    #[test]
    fn guards_see_the_operations_and_units_before() {
        let start = Position { head: Head::EMPTY, unit: 10 };
        let records = Records::with(&[(Space::Card, b"old", 4, b"x")]);
        let delete = |expect| Op::Delete { space: Space::Card, key: b"old".to_vec(), expect };
        let units = [
            unit([put(b"new", b"1", Expect::Absent), put(b"new", b"2", Expect::Version(11))]),
            unit([put(b"new", b"3", Expect::Absent)]),
            unit([delete(Expect::Version(4)), put(b"old", b"y", Expect::Absent)]),
            unit([delete(Expect::Version(4))]),
            unit([delete(Expect::Version(12)), put(b"old", b"z", Expect::Version(12))]),
            unit([put(b"old", b"w", Expect::Any), put(b"none", b"", Expect::Any)]),
        ];
        let batch = evaluate(&units, &records, start).unwrap();
        let refused = |op| Outcome::Refused { op };
        assert_eq!(batch.outcomes, [applied(0), refused(0), applied(0), refused(0), refused(1), applied(0)]);
        assert_eq!(
            written(&batch, Space::Card, b"new").unwrap(),
            Versioned { version: 11, value: b"2".into() }
        );
        assert_eq!(
            written(&batch, Space::Card, b"old").unwrap(),
            Versioned { version: 13, value: b"w".into() }
        );
    }

    #[test]
    fn tries_are_spent_forgiven_and_touched() {
        let tries = Tries::new(Limits { in_a_row: 2, lifetime: 9 });
        let records = Records::with(&[(Space::Tries, b"card", 1, &tries.encode())]);
        let key = || b"card".to_vec();
        let spend = || unit([Op::Spend { key: key() }]);
        let (spent, ticket) = tries.spend();
        let first = Op::Forgive { key: key(), ticket: ticket.unwrap() };

        let units = [spend(), spend(), spend(), unit([Op::Touch { key: key() }]), unit([first]), spend()];
        let batch = evaluate(&units, &records, Position::START).unwrap();
        let tickets: Vec<_> = batch
            .outcomes
            .iter()
            .map(|outcome| match outcome {
                Outcome::Applied { ticket, .. } => ticket.map(Ticket::number),
                Outcome::Refused { .. } => panic!("refused"),
            })
            .collect();
        assert_eq!(tickets, [Some(1), Some(2), None, None, None, Some(3)]);

        let after = spent.spend().0.spend().0.forgive(ticket.unwrap()).spend().0;
        let record = written(&batch, Space::Tries, b"card").unwrap();
        assert_eq!((record.version, Tries::decode(&record.value)), (6, Some(after)));
    }

    #[test]
    fn a_missing_record_of_tries_refuses() {
        let ticket = Tries::new(Limits { in_a_row: 1, lifetime: 1 }).spend().1.unwrap();
        let key = || b"nobody".to_vec();
        let ops = [Op::Spend { key: key() }, Op::Touch { key: key() }, Op::Forgive { key: key(), ticket }];
        let units = ops.map(|op| Unit { ops: vec![op], events: vec![event(false)] });
        let batch = evaluate(&units, &Records::default(), Position::START).unwrap();
        assert_eq!(
            batch.outcomes,
            [Outcome::Refused { op: 0 }, Outcome::Refused { op: 0 }, Outcome::Refused { op: 0 }]
        );
        assert!(batch.writes.is_empty());
        assert_eq!(batch.position, Position::START);
    }

    #[test]
    fn events_are_chained_and_carry_the_ticket() {
        let tries = Tries::new(Limits { in_a_row: 2, lifetime: 9 });
        let records = Records::with(&[(Space::Tries, b"card", 1, &tries.encode())]);
        let units = [
            Unit { ops: vec![Op::Spend { key: b"card".to_vec() }], events: vec![event(true), event(false)] },
            Unit { ops: Vec::new(), events: vec![event(false)] },
        ];
        let batch = evaluate(&units, &records, Position::START).unwrap();
        let mut head = Head::EMPTY;
        for (seq, ticket) in [(1, true), (2, false), (3, false)] {
            let stored = written(&batch, Space::Event, &u64::to_be_bytes(seq)).unwrap();
            let (hash, bytes) = logged_event(&stored.value).unwrap();
            head = head.next(bytes).unwrap();
            assert_eq!((head.seq, head.hash), (seq, *hash));
            let text = std::str::from_utf8(bytes).unwrap();
            assert!(text.contains(&format!("\"seq\":{seq}")), "{text}");
            assert_eq!(text.contains("\"ticket\":\"0000000001\""), ticket, "{text}");
        }
        assert_eq!(batch.position, Position { head, unit: 2 });
        assert_eq!(written(&batch, Space::Meta, record::HEAD_KEY).unwrap().value, record::head(&head));
        assert_eq!(batch.outcomes[1], applied(3));
    }

    #[test]
    fn an_empty_unit_writes_nothing() {
        let batch = evaluate(&[Unit::default()], &Records::default(), Position::START).unwrap();
        assert_eq!((batch.writes.len(), batch.position), (0, Position::START));
        assert_eq!(batch.outcomes, [applied(0)]);
    }

    #[test]
    fn damage_is_fatal() {
        let records = Records::with(&[(Space::Tries, b"card", 1, b"no counters")]);
        for key in ["card", "unreadable"] {
            let units = [unit([Op::Spend { key: key.into() }])];
            let error = evaluate(&units, &records, Position::START).unwrap_err();
            assert!(matches!(error, Error::Fatal(_)), "{error}");
        }
    }
}
