//! A snapshot is the store at one moment, whatever is committed while it is read, and a store can be made of it.

use sigillo::store::{
    Entry, Error, Expect, Snapshot, Space, Store, Unit,
    memory::Memory,
    sled::{Config, OpenError, Restore},
};

use super::setup::{Disk, Place, add_tries, delete, event, ops, prove_log, put, spend, start};

const CARDS: u32 = 500;

fn key(n: u32) -> Vec<u8> {
    n.to_be_bytes().to_vec()
}

async fn fill(store: &Store) {
    add_tries(store, b"t", 100).await;
    for step in 0..CARDS / 50 {
        let puts = (step * 50..step * 50 + 50).map(|n| put(Space::Card, &key(n), b"before", Expect::Absent));
        let unit = Unit { ops: puts.collect(), events: vec![event(false)] };
        store.submit(unit).await.unwrap();
        store.submit(spend(b"t")).await.unwrap();
    }
}

/// Changes, removes, adds and removes again, all over the keys.
async fn change(store: &Store, round: u32) {
    let at = |n: u32| key((round * 37 + n * 101) % CARDS);
    let unit = Unit {
        ops: vec![
            put(Space::Card, &at(0), b"after", Expect::Any),
            put(Space::Card, &at(1), b"after, and longer than before", Expect::Any),
            delete(Space::Card, &at(2), Expect::Any),
            put(Space::Card, &key(CARDS + round), b"new", Expect::Any),
            put(Space::TeamCard, &key(round), b"new", Expect::Any),
            put(Space::Verification, &key(round), b"new", Expect::Any),
        ],
        events: vec![event(false)],
    };
    store.submit(unit).await.unwrap();
    store.submit(ops([delete(Space::TeamCard, &key(round), Expect::Any)])).await.unwrap();
    store.submit(spend(b"t")).await.unwrap();
}

fn rest(snapshot: &mut Snapshot, about: usize) -> Result<Vec<Entry>, Error> {
    let mut all = Vec::new();
    while let Some(entries) = snapshot.next(about)? {
        all.extend(entries);
    }
    Ok(all)
}

/// A part of it is the same part of the whole, whatever is changed in it and around it.
async fn a_part_is_of_one_moment(place: &impl Place) {
    let store = start(place);
    fill(&store).await;
    for (about, from, until) in [(1, 100, 120), (7, 0, 300), (64, 499, 600), (4096, 20, 21), (9, 30, 30)] {
        let now: Vec<_> = rest(&mut store.snapshot().await.unwrap(), 1000).unwrap();
        let stored = |n| [b"c".as_slice(), &key(n)].concat();
        let is_in = |entry: &&Entry| (stored(from)..stored(until)).contains(&entry.0);
        let expected: Vec<_> = now.iter().filter(is_in).cloned().collect();
        let mut part = store.snapshot().await.unwrap().within(Space::Card, &key(from), &key(until));
        let (mut read, mut round) = (Vec::new(), u32::try_from(about).unwrap());
        for _ in 0..20 {
            change(&store, round).await;
            round += 1;
        }
        while let Some(entries) = part.next(about).unwrap() {
            read.extend(entries);
            change(&store, round).await;
            round += 1;
        }
        assert!(read == expected, "{about}: {} and {}", read.len(), expected.len());
        assert!(part.next(about).unwrap().is_none(), "the end stays the end");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_of_it_is_too_in_memory() {
    a_part_is_of_one_moment(&Memory::new()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_of_it_is_too_in_sled() {
    a_part_is_of_one_moment(&Disk::new()).await;
}

async fn is_of_one_moment(place: &impl Place) {
    let store = start(place);
    fill(&store).await;
    let head = store.head();
    for about in [1, 7, 64, 4096] {
        let mut snapshot = store.snapshot().await.unwrap();
        let now = rest(&mut store.snapshot().await.unwrap(), 1000).unwrap();
        let mut read = Vec::new();
        let mut round = 0;
        while let Some(entries) = snapshot.next(about).unwrap() {
            read.extend(entries);
            if round < 60 {
                change(&store, round).await;
                round += 1;
            }
        }
        assert!(round > 2);
        assert!(read.is_sorted() && read == now, "{about}");
        assert!(snapshot.head().seq >= head.seq);
    }
    prove_log(&store);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_of_one_moment_in_memory() {
    is_of_one_moment(&Memory::new()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_of_one_moment_in_sled() {
    is_of_one_moment(&Disk::new()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_made_of_it_goes_on() {
    let disk = Disk::new();
    let store = start(&disk);
    fill(&store).await;
    let mut snapshot = store.snapshot().await.unwrap();
    let head = snapshot.head();
    let config = Config { dir: disk.dir.path().join("restored"), ..disk.config() };
    let mut restore = Restore::begin(&config, || ()).unwrap();
    let mut round = 0;
    while let Some(entries) = snapshot.next(50).unwrap() {
        restore.write(entries).unwrap();
        change(&store, round).await;
        round += 1;
    }
    assert!(!config.dir.exists(), "nothing before it is whole");
    // One is on its way there, whatever the second is to be called.
    let beside = Config { dir: disk.dir.path().join("beside"), ..disk.config() };
    for config in [&config, &beside] {
        let Err(OpenError::Io { source, .. }) = Restore::begin(config, || ()) else {
            panic!("one is on its way")
        };
        assert_eq!(source.to_string(), "another restore is at work there");
    }
    assert_eq!(restore.finish::<OpenError>(|_, _| Ok(())).unwrap(), head);
    assert!(matches!(Restore::begin(&config, || ()), Err(OpenError::Io { .. })), "there is one");

    let (engine, reader) = sigillo::store::sled::open(&config).unwrap();
    let restored = Store::start(engine, reader, sigillo::store::Limits::default());
    assert_eq!((restored.head(), prove_log(&restored).len()), (head, usize::try_from(head.seq).unwrap()));
    for n in 0..CARDS {
        assert_eq!(restored.get(Space::Card, &key(n)).unwrap().unwrap().value, b"before");
    }
    change(&restored, 1).await;
    prove_log(&restored);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_refused_at_its_end_is_not_there() {
    let disk = Disk::new();
    let store = start(&disk);
    fill(&store).await;
    let entries = rest(&mut store.snapshot().await.unwrap(), 1000).unwrap();
    let config = |name: &str| Config { dir: disk.dir.path().join(name), ..disk.config() };
    // Without its last event the log ends before its head.
    let mut short = Restore::begin(&config("short"), || ()).unwrap();
    let last = entries.iter().rposition(|(key, _)| key[0] == b'e').unwrap();
    short.write(entries.iter().take(last).chain(entries.iter().skip(last + 1)).cloned().collect()).unwrap();
    assert!(matches!(short.finish::<OpenError>(|_, _| Ok(())), Err(OpenError::Damaged { .. })));
    assert!(!config("short").dir.exists());
    let mut refused = Restore::begin(&config("refused"), || ()).unwrap();
    refused.write(entries).unwrap();
    let why = || OpenError::Missing { dir: "refused".into() };
    assert!(matches!(refused.finish(|_, _| Err(why())), Err(OpenError::Missing { .. })));
    assert!(!config("refused").dir.exists());
    // Nor one that ends in the middle.
    let mut dropped = Restore::begin(&config("dropped"), || ()).unwrap();
    dropped.write(rest(&mut store.snapshot().await.unwrap(), 1000).unwrap()).unwrap();
    assert!(config("dropped.restoring").dir.exists());
    drop(dropped);
    for name in ["short", "refused", "dropped"] {
        assert!(!config(&format!("{name}.restoring")).dir.exists(), "{name}: nothing is left");
    }
}
