//! What every adapter promises.

use std::sync::Arc;

use sigillo::{
    domain::{audit::Head, limits},
    store::{
        EVENT_TEXT_MAX, Error, Expect, KEY_MAX, Limits, Op, Outcome, Space, Store, UNIT_MAX, Unit, VALUE_MAX,
        memory::Memory,
    },
};
use tokio::task::JoinSet;

use super::setup::{
    Disk, Place, add_tries, adds_up, delete, event, ops, prove_log, put, spend, start, start_with, ticket,
    tries, version,
};

macro_rules! contract {
    ($($name:ident)*) => { $(
        mod $name {
            use super::{Disk, Memory};

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn in_memory() {
                super::$name(&Memory::new()).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn in_sled() {
                super::$name(&Disk::new()).await;
            }
        }
    )* };
}

contract! {
    a_budget_is_charged_exactly_and_settling_writes_alike
    a_pass_looks_at_records_as_they_are_now
    a_unit_is_all_or_nothing
    chain_goes_on_after_reopening
    close_commits_what_is_queued
    concurrent_spends_are_exact
    every_unit_keeps_the_sum
    forgiving_and_touching_write_alike
    guards_hold
    illegal_units_are_turned_away
    last_is_of_its_own_space
    scan_back_is_the_same_from_the_other_end
    scan_is_ordered_and_bounded
    units_of_a_batch_see_each_other
    versions_never_come_back
}

const CARD: Space = Space::Card;

async fn scan_back_is_the_same_from_the_other_end(place: &impl Place) {
    let store = start(place);
    let keys: [&[u8]; 6] = [b"a", b"ab", b"aba", b"abb", b"ac", b"b"];
    let puts = keys.map(|key| put(CARD, key, b"1", Expect::Absent));
    let others =
        [put(Space::Budget, b"ab", b"1", Expect::Any), put(Space::Delivery, b"ab", b"1", Expect::Any)];
    store.submit(ops([puts.to_vec(), others.to_vec()].concat())).await.unwrap();
    let back = |prefix: &[u8], below: &[u8], limit| {
        let found = store.scan_back(CARD, prefix, below, limit).unwrap();
        found.into_iter().map(|f| String::from_utf8(f.key).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(back(b"", &[0xff], 9), ["b", "ac", "abb", "aba", "ab", "a"]);
    assert_eq!(back(b"ab", b"ab\xff", 9), ["abb", "aba", "ab"]);
    assert_eq!(back(b"ab", b"abb", 9), ["aba", "ab"], "below is not in it");
    assert_eq!(back(b"ab", b"ab\xff", 2), ["abb", "aba"]);
    assert!(back(b"ab", b"ab", 9).is_empty() && back(b"ac", b"ab", 9).is_empty());
    store.close().await;
}

async fn a_unit_is_all_or_nothing(place: &impl Place) {
    let store = start(place);
    let good = [put(CARD, b"a", b"1", Expect::Absent), put(Space::TeamCard, b"a", b"2", Expect::Absent)];
    let unit = Unit { ops: good.to_vec(), events: vec![event(false), event(false)] };
    assert_eq!(store.submit(unit.clone()).await, Ok(Outcome::Applied { ticket: None, seq: 2 }));
    let head = store.head();

    let mut bad = unit;
    bad.ops = vec![
        put(CARD, b"b", b"1", Expect::Any),
        delete(Space::TeamCard, b"a", Expect::Any),
        put(CARD, b"a", b"3", Expect::Absent),
    ];
    assert_eq!(store.submit(bad).await, Ok(Outcome::Refused { op: 2 }));
    assert_eq!(store.get(CARD, b"b"), Ok(None));
    assert_eq!(store.get(CARD, b"a").unwrap().unwrap().value, b"1");
    assert_eq!(store.get(Space::TeamCard, b"a").unwrap().unwrap().value, b"2");
    assert_eq!((store.head(), prove_log(&store).len()), (head, 2));
}

async fn chain_goes_on_after_reopening(place: &impl Place) {
    let mut heads = Vec::new();
    for round in 0..3_u64 {
        let store = start(place);
        assert_eq!(store.head(), heads.last().copied().unwrap_or(Head::EMPTY));
        add_tries(&store, &round.to_be_bytes(), 5).await;
        let outcome = store.submit(spend(&round.to_be_bytes())).await;
        assert_eq!(ticket(outcome).unwrap().number(), 1);
        assert_eq!(prove_log(&store).len(), heads.len() + 1);
        heads.push(store.head());
        store.close().await;
    }
    let store = start(place);
    assert_eq!(prove_log(&store).len(), 3);
    assert_eq!(tries(&store, &[0; 8]).left(), 4);
}

async fn close_commits_what_is_queued(place: &impl Place) {
    let store = start(place);
    let mut tasks = JoinSet::new();
    for n in 0..100_u8 {
        let store = store.clone();
        tasks.spawn(async move { (n, store.submit(ops([put(CARD, &[n], b"", Expect::Absent)])).await) });
    }
    tokio::task::yield_now().await;
    store.close().await;
    store.stopped().await;
    assert!(!store.is_up());
    assert_eq!(store.failure(), None);
    let late = store.submit(ops([put(CARD, b"late", b"", Expect::Any)])).await;
    assert!(matches!(late, Err(Error::NotWritten(_))), "{late:?}");
    while let Some(done) = tasks.join_next().await {
        let (n, outcome) = done.unwrap();
        let there = store.get(CARD, &[n]).unwrap().is_some();
        match outcome {
            Ok(outcome) => assert!(matches!(outcome, Outcome::Applied { .. }) && there, "{n}"),
            Err(error) => assert!(matches!(error, Error::NotWritten(_)) && !there, "{n}: {error}"),
        }
    }
    assert_eq!(store.get(CARD, b"late"), Ok(None));
}

async fn concurrent_spends_are_exact(place: &impl Place) {
    let store = start(place);
    add_tries(&store, b"card", 5).await;
    let mut tasks = JoinSet::new();
    for _ in 0..64 {
        let store = store.clone();
        tasks.spawn(async move { ticket(store.submit(spend(b"card")).await) });
    }
    let outcomes = tasks.join_all().await;
    let mut tickets: Vec<_> = outcomes.into_iter().flatten().map(|t| t.number()).collect();
    tickets.sort_unstable();
    assert_eq!(tickets, [1, 2, 3, 4, 5]);
    let after = tries(&store, b"card");
    assert_eq!((after.left(), after.wrong()), (0, 5));

    let events: Vec<_> = prove_log(&store).into_iter().map(|e| String::from_utf8(e).unwrap()).collect();
    assert_eq!(events.len(), 64, "a refused try is an event too");
    let with =
        |number: u32| events.iter().filter(|e| e.contains(&format!("\"ticket\":\"{number:010}\""))).count();
    assert_eq!((0..=6).map(with).collect::<Vec<_>>(), [59, 1, 1, 1, 1, 1, 0]);
    let stats = store.stats();
    assert_eq!((stats.units, stats.refused, stats.failed, stats.queued), (65, 0, 0, 0));
    assert!((2..=65).contains(&stats.commits) && stats.largest_batch <= 64, "{stats:?}");
}

async fn forgiving_and_touching_write_alike(place: &impl Place) {
    let store = start(place);
    for key in [b"good", b"poor"] {
        add_tries(&store, key, 5).await;
    }
    let granted = ticket(store.submit(spend(b"good")).await).unwrap();
    ticket(store.submit(spend(b"poor")).await).unwrap();
    let (before, wrong) = (tries(&store, b"poor"), version(&store, Space::Tries, b"poor"));
    let forgive = Op::Forgive { key: b"good".to_vec(), ticket: granted };
    let touch = Op::Touch { key: b"poor".to_vec() };
    for op in [forgive, touch] {
        let unit = Unit { ops: vec![op], events: vec![event(false)] };
        let seq = store.head().seq + 1;
        assert_eq!(store.submit(unit).await, Ok(Outcome::Applied { ticket: None, seq }));
    }
    assert_eq!((tries(&store, b"good").left(), tries(&store, b"poor").left()), (5, 4));
    assert_eq!(tries(&store, b"poor"), before);
    assert_eq!(version(&store, Space::Tries, b"poor"), wrong + 2, "a touch is a write");
    for op in [Op::Touch { key: b"none".to_vec() }, Op::Forgive { key: b"none".to_vec(), ticket: granted }] {
        assert_eq!(store.submit(ops([op])).await, Ok(Outcome::Refused { op: 0 }));
    }
    assert_eq!(store.get(Space::Tries, b"none"), Ok(None));
}

async fn a_budget_is_charged_exactly_and_settling_writes_alike(place: &impl Place) {
    let most = |n| limits::Most { per_minute: n, per_hour: n, per_day: n };
    let budget = limits::Budget { look_ups: most(9), verifications: most(9), wrong_guesses: Some(most(5)) };
    let uses: &[limits::Use] = &[limits::Use::Verification, limits::Use::WrongGuess];
    let charge = move || Op::Charge { key: b"who".to_vec(), at_ms: 1, uses, budget };
    let settle = |refund| Op::Settle { key: b"who".to_vec(), at_ms: 1, refund };
    {
        let store = start(place);
        assert_eq!(store.submit(ops([settle(false)])).await, Ok(Outcome::Refused { op: 0 }));
        let store = Arc::new(store);
        let mut tasks = JoinSet::new();
        for _ in 0..32 {
            let store = Arc::clone(&store);
            tasks.spawn(async move { store.submit(ops([charge()])).await });
        }
        let outcomes = tasks.join_all().await;
        let granted = outcomes.iter().filter(|o| matches!(o, Ok(Outcome::Applied { .. }))).count();
        assert_eq!((granted, outcomes.len()), (5, 32));
        let put = put(CARD, b"beside", b"1", Expect::Any);
        assert_eq!(store.submit(ops([put, charge()])).await, Ok(Outcome::Refused { op: 1 }));
        assert_eq!(store.get(CARD, b"beside"), Ok(None), "all or nothing");
        for refund in [false, true] {
            let before = version(&store, Space::Budget, b"who");
            store.submit(ops([settle(refund)])).await.unwrap();
            assert_eq!(version(&store, Space::Budget, b"who"), before + 1, "written either way");
        }
        store.close().await;
    }
    let store = start(place);
    assert!(matches!(store.submit(ops([charge()])).await, Ok(Outcome::Applied { .. })), "the one given back");
    assert_eq!(store.submit(ops([charge()])).await, Ok(Outcome::Refused { op: 0 }), "kept when opened again");
}

/// The sum's record, and that it is what the records add up to.
async fn sum(store: &Store) -> Vec<u8> {
    adds_up(store).await;
    store.get(Space::Meta, b"sum").unwrap().unwrap().value
}

async fn every_unit_keeps_the_sum(place: &impl Place) {
    let most = limits::Most { per_minute: 9, per_hour: 9, per_day: 9 };
    let budget = limits::Budget { look_ups: most, verifications: most, wrong_guesses: Some(most) };
    let key = || b"card".to_vec();
    let store = start(place);
    let mut sums = vec![sum(&store).await];
    add_tries(&store, b"card", 2).await;
    sums.push(sum(&store).await);
    let first = ticket(store.submit(spend(b"card")).await).unwrap();
    sums.push(sum(&store).await);
    let uses: &[limits::Use] = &[limits::Use::WrongGuess];
    let changing: [&[Op]; 12] = [
        &[put(CARD, b"k", b"1", Expect::Absent)],
        &[put(CARD, b"k", b"2", Expect::Any)],
        &[put(CARD, b"k", b"2", Expect::Any)], // its version is in the sum
        &[delete(CARD, b"k", Expect::Any)],
        &[Op::Charge { key: key(), at_ms: 1, uses, budget }],
        &[Op::Settle { key: key(), at_ms: 1, refund: true }],
        &[Op::Forgive { key: key(), ticket: first }],
        &[Op::Touch { key: key() }],
        &[Op::Spend { key: key() }],
        &[Op::Spend { key: key() }],
        &[Op::Unlock { key: key() }],
        &[Op::RenewTries { key: key() }, put(CARD, b"j", b"", Expect::Any), delete(CARD, b"j", Expect::Any)],
    ];
    for (n, ops) in changing.into_iter().enumerate() {
        let unit = Unit { ops: ops.to_vec(), events: vec![event(false); n % 3] };
        assert!(matches!(store.submit(unit).await, Ok(Outcome::Applied { .. })), "{n}");
        sums.push(sum(&store).await);
    }
    let last = sums.last().cloned().unwrap();
    let refused = ops([put(CARD, b"k", b"1", Expect::Any), put(CARD, b"k", b"", Expect::Absent)]);
    assert_eq!(store.submit(refused).await, Ok(Outcome::Refused { op: 1 }));
    assert_eq!(sum(&store).await, last, "nothing was written");
    sums.sort_unstable();
    sums.dedup();
    assert_eq!(sums.len(), 15, "each is another one");
    store.close().await;
    drop(store);
    let store = start(place);
    assert_eq!(sum(&store).await, last, "it is kept when it is opened again");
    store.submit(ops([put(CARD, b"k", b"1", Expect::Absent)])).await.unwrap();
    assert_ne!(sum(&store).await, last);
}

async fn a_pass_looks_at_records_as_they_are_now(place: &impl Place) {
    let (mut engine, _reader) = place.open();
    let key = |n: u32| (n % 1000).to_be_bytes();
    for part in 0..5 {
        let puts = (0..100).map(|n| put(CARD, &key(part * 200 + n * 2), b"first", Expect::Absent));
        engine.commit(&[Unit { ops: puts.collect(), events: vec![event(false)] }]).unwrap();
    }
    for pass in 0..3 {
        let mut steps = 0;
        let whole = loop {
            let step = engine.patrol().unwrap();
            if step.ended {
                break step;
            }
            assert!(step.records == (steps + 1) * 64, "{step:?}");
            steps += 1;
            let at = |n: u32| u32::try_from(steps).unwrap() * 37 + pass * 11 + n * 125;
            // Below, at and above the place of the pass: changed, added, removed.
            let ops = (0..8).flat_map(|n| {
                [
                    put(CARD, &key(at(n)), &n.to_be_bytes(), Expect::Any),
                    delete(CARD, &key(at(n) + 3), Expect::Any),
                    put(Space::TeamCard, &key(at(n)), b"", Expect::Any),
                    put(Space::Approval, &key(at(n)), b"", Expect::Any),
                ]
            });
            engine.commit(&[Unit { ops: ops.collect(), events: vec![event(false)] }]).unwrap();
        };
        assert!(steps >= 7 && whole.records > 448 && whole.bytes > whole.records * 10, "{steps}: {whole:?}");
    }
}

async fn guards_hold(place: &impl Place) {
    let store = start(place);
    let applied = Ok(Outcome::Applied { ticket: None, seq: 0 });
    let refused = Ok(Outcome::Refused { op: 0 });
    let one = |op| store.submit(ops([op]));
    assert_eq!(one(put(CARD, b"k", b"1", Expect::Version(1))).await, refused);
    assert_eq!(one(delete(CARD, b"k", Expect::Version(0))).await, refused);
    assert_eq!(one(delete(CARD, b"k", Expect::Any)).await, applied);
    assert_eq!(one(put(CARD, b"k", b"1", Expect::Absent)).await, applied);
    assert_eq!(one(put(CARD, b"k", b"2", Expect::Absent)).await, refused);
    let read = version(&store, CARD, b"k");
    assert_eq!(one(put(CARD, b"k", b"2", Expect::Version(read + 1))).await, refused);
    assert_eq!(one(put(CARD, b"k", b"2", Expect::Version(read))).await, applied);
    assert_eq!(one(put(CARD, b"k", b"3", Expect::Version(read))).await, refused);
    assert_eq!(one(put(CARD, b"k", b"4", Expect::Any)).await, applied);
    assert_eq!(one(delete(CARD, b"k", Expect::Version(read))).await, refused);
    assert_eq!(store.get(CARD, b"k").unwrap().unwrap().value, b"4");
    assert_eq!(one(delete(CARD, b"k", Expect::Version(version(&store, CARD, b"k")))).await, applied);
    assert_eq!(store.get(CARD, b"k"), Ok(None));
    assert_eq!(one(delete(CARD, b"k", Expect::Absent)).await, applied);
}

async fn illegal_units_are_turned_away(place: &impl Place) {
    let store = start(place);
    let long = |n: usize| vec![b'x'; n];
    let put_any = |space, key: &[u8], value: &[u8]| ops([put(space, key, value, Expect::Any)]);
    let mut wordy = event(false);
    wordy.detail = vec![("reason", "x".repeat(EVENT_TEXT_MAX))];
    let twice = Op::Spend { key: b"card".to_vec() };
    let illegal = [
        put_any(Space::Event, &1_u64.to_be_bytes(), b"forged"),
        ops([delete(Space::Event, &1_u64.to_be_bytes(), Expect::Any)]),
        put_any(Space::Meta, b"head", b"forged"),
        ops([delete(Space::Meta, b"format", Expect::Any)]),
        put_any(CARD, &long(KEY_MAX + 1), b""),
        put_any(CARD, b"k", &long(VALUE_MAX + 1)),
        ops([twice.clone(), twice]),
        ops(vec![delete(CARD, b"k", Expect::Any); UNIT_MAX + 1]),
        Unit { ops: Vec::new(), events: vec![event(false); UNIT_MAX + 1] },
        Unit { ops: Vec::new(), events: vec![wordy] },
    ];
    add_tries(&store, b"card", 5).await;
    for unit in illegal {
        let answer = store.submit(unit).await;
        assert!(matches!(answer, Err(Error::NotWritten(_))), "{answer:?}");
    }
    assert_eq!((store.head(), tries(&store, b"card").left()), (Head::EMPTY, 5));
    let largest = put_any(CARD, &long(KEY_MAX), &long(VALUE_MAX));
    assert!(matches!(store.submit(largest).await, Ok(Outcome::Applied { .. })));
    assert_eq!(store.get(CARD, &long(KEY_MAX)).unwrap().unwrap().value, long(VALUE_MAX));
}

async fn last_is_of_its_own_space(place: &impl Place) {
    let store = start(place);
    assert_eq!(store.last(Space::Checkpoint), Ok(None));
    let put_at = |space, key: u64| put(space, &key.to_be_bytes(), b"v", Expect::Any);
    let all = [
        put_at(Space::Checkpoint, 2),
        put_at(Space::Checkpoint, 255),
        put_at(Space::Checkpoint, 256),
        put_at(Space::Checkpoint, 1),
        put_at(Space::Delivery, u64::MAX),
        put_at(Space::Verification, u64::MAX),
    ];
    store.submit(ops(all)).await.unwrap();
    assert_eq!(store.last(Space::Checkpoint).unwrap().unwrap().key, 256_u64.to_be_bytes());
    assert_eq!(store.last(Space::Event), Ok(None));
    store.submit(ops([delete(Space::Checkpoint, &256_u64.to_be_bytes(), Expect::Any)])).await.unwrap();
    assert_eq!(store.last(Space::Checkpoint).unwrap().unwrap().key, 255_u64.to_be_bytes());
}

async fn scan_is_ordered_and_bounded(place: &impl Place) {
    let store = start(place);
    let keys: [&[u8]; 7] = [b"b\xff\xff", b"a", b"ab", b"b", b"b\x00", b"c", b"b\xff"];
    let mut all: Vec<_> = keys.iter().map(|key| put(Space::Due, key, key, Expect::Absent)).collect();
    all.push(put(CARD, b"b1", b"", Expect::Any));
    all.push(put(Space::TeamCard, b"b1", b"", Expect::Any));
    store.submit(ops(all)).await.unwrap();
    let scan = |prefix: &[u8], from: &[u8], limit| -> Vec<Vec<u8>> {
        let found = store.scan(Space::Due, prefix, from, limit).unwrap();
        assert!(found.iter().all(|f| f.record.value == f.key));
        found.into_iter().map(|f| f.key).collect()
    };
    let ordered: [&[u8]; 7] = [b"a", b"ab", b"b", b"b\x00", b"b\xff", b"b\xff\xff", b"c"];
    assert_eq!(scan(b"", b"", 99), ordered);
    assert_eq!(scan(b"", b"", 3), ordered[..3]);
    assert_eq!(scan(b"", b"", 0), [b""; 0]);
    assert_eq!(scan(b"b", b"", 99), ordered[2..6]);
    assert_eq!(scan(b"b\xff", b"", 99), ordered[4..6]);
    assert_eq!(scan(b"b", b"b\x00", 2), ordered[3..5]);
    assert_eq!(scan(b"b", b"b\x01", 99), ordered[4..6], "from need not be a key");
    assert_eq!(scan(b"b", b"c", 99), [b""; 0]);
    assert_eq!(scan(b"", b"b\xff\xff", 99), ordered[5..]);
}

async fn units_of_a_batch_see_each_other(place: &impl Place) {
    let (mut engine, reader) = place.open();
    let outcomes = engine
        .commit(&[
            ops([put(CARD, b"k", b"1", Expect::Absent)]),
            ops([put(CARD, b"k", b"2", Expect::Absent)]),
            Unit { ops: vec![delete(CARD, b"k", Expect::Any)], events: vec![event(false)] },
            ops([put(CARD, b"k", b"3", Expect::Absent)]),
        ])
        .unwrap();
    let applied = |seq| Outcome::Applied { ticket: None, seq };
    assert_eq!(outcomes, [applied(0), Outcome::Refused { op: 0 }, applied(1), applied(1)]);
    assert_eq!(reader.get(CARD, b"k").unwrap().unwrap().value, b"3");
    assert_eq!(engine.head().seq, 1);
}

async fn versions_never_come_back(place: &impl Place) {
    let mut seen = Vec::new();
    for _ in 0..3 {
        let store = start_with(place, Limits { queue: 1, batch: 1, ..Limits::default() });
        for value in [b"1", b"2"] {
            store.submit(ops([put(CARD, b"k", value, Expect::Any)])).await.unwrap();
            seen.push(version(&store, CARD, b"k"));
        }
        let stale = seen[0];
        store.submit(ops([delete(CARD, b"k", Expect::Any)])).await.unwrap();
        store.submit(ops([put(CARD, b"k", b"3", Expect::Absent)])).await.unwrap();
        seen.push(version(&store, CARD, b"k"));
        let late = store.submit(ops([put(CARD, b"k", b"4", Expect::Version(stale))])).await;
        assert_eq!(late, Ok(Outcome::Refused { op: 0 }));
        store.submit(ops([delete(CARD, b"k", Expect::Any)])).await.unwrap();
        store.close().await;
    }
    assert!(seen.is_sorted_by(|a, b| a < b), "{seen:?}");
}
