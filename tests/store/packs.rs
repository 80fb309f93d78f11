//! Events of one batch lie together in sled, and are found, proved and summed singly.

use sigillo::store::{Error, Expect, Space, Unit, sled::OpenError};

use super::{
    on_disk::tamper,
    setup::{Disk, adds_up, event, patrolled, prove_log, put, share, start},
};

const EVENTS: u64 = 201;

/// A closed store with events of two batches, of which the second has one.
async fn filled() -> Disk {
    let disk = Disk::new();
    let store = start(&disk);
    let ops = vec![put(Space::Card, b"k", b"a card", Expect::Absent)];
    let events = (1..EVENTS).map(|_| event(false)).collect();
    store.submit(Unit { ops, events }).await.unwrap();
    store.submit(Unit { ops: Vec::new(), events: vec![event(false)] }).await.unwrap();
    store.close().await;
    disk
}

/// The keys of packs, in their order; the events that lie by themselves.
fn lying(db: &::sled::Db) -> (Vec<Vec<u8>>, usize) {
    let keys: Vec<_> = db.scan_prefix(b"e").keys().map(|key| key.unwrap().to_vec()).collect();
    let (packs, single): (Vec<_>, Vec<_>) = keys.into_iter().partition(|key| key.len() == 11);
    (packs, single.len())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_of_a_batch_lie_together_and_are_found_singly() {
    let disk = filled().await;
    let mut seen = (Vec::new(), 0);
    tamper(&disk, |db| seen = lying(db));
    assert!((5..20).contains(&seen.0.len()) && seen.1 == 1, "{seen:?}");

    let store = start(&disk);
    assert_eq!(u64::try_from(prove_log(&store).len()), Ok(EVENTS));
    patrolled(&store).await;
    adds_up(&store).await;
    let all = store.scan(Space::Event, &[], &[], usize::MAX).unwrap();
    for (at, found) in all.iter().enumerate() {
        assert_eq!(store.get(Space::Event, &found.key).unwrap().as_ref(), Some(&found.record));
        let three = store.scan(Space::Event, &[], &found.key, 3).unwrap();
        assert_eq!(three, all[at..(at + 3).min(all.len())]);
        let mut back = store.scan_back(Space::Event, &[], &found.key, 3).unwrap();
        back.reverse();
        assert_eq!(back, all[at.saturating_sub(3)..at]);
    }
    assert_eq!(store.last(Space::Event).unwrap().as_ref(), all.last());
    for none in [0, EVENTS + 1] {
        assert_eq!(store.get(Space::Event, &none.to_be_bytes()).unwrap(), None);
    }
    store.submit(Unit { ops: Vec::new(), events: vec![event(false), event(false)] }).await.unwrap();
    assert_eq!(u64::try_from(prove_log(&store).len()), Ok(EVENTS + 2));
    adds_up(&store).await;
    // Beside them nothing is changed.
    assert_eq!(store.get(Space::Card, b"k").unwrap().unwrap().value, b"a card");
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_changed_in_a_pack_is_found() {
    type Change = fn(Vec<u8>) -> Vec<u8>;
    let changes: [(&str, Change); 3] = [
        ("a bit of its last event", |mut pack| {
            *pack.last_mut().unwrap() ^= 1;
            pack
        }),
        ("cut off", |mut pack| {
            pack.pop();
            pack
        }),
        ("empty", |_| Vec::new()),
    ];
    for (what, change) in changes {
        let disk = filled().await;
        tamper(&disk, |db| {
            let (packs, _) = lying(db);
            let pack = db.get(&packs[0]).unwrap().unwrap();
            db.insert(&packs[0], change(pack.to_vec())).unwrap();
        });
        // Far from the log's end: a pass finds it.
        let store = start(&disk);
        while store.failure().is_none() {
            assert_eq!(store.stats().patrols, 0, "{what}: a pass has found nothing");
            tokio::task::yield_now().await;
        }
        let Some(Error::Fatal(why)) = store.failure() else { panic!("{what}: {:?}", store.failure()) };
        let words = if what.starts_with("a bit") { "do not add up" } else { "a pack of events is damaged" };
        assert!(why.contains(words), "{what}: {why}");
        store.close().await;
    }
    let disk = filled().await;
    tamper(&disk, |db| drop(db.remove(lying(db).0.last().unwrap()).unwrap()));
    let refused = disk.try_open().err().expect("opened without the events before the last");
    assert!(matches!(refused, OpenError::Damaged { .. }), "{refused}");
}

/// Makes of a closed store what a program of format 2 has left: every event by itself.
fn without_packs(db: &::sled::Db) {
    for key in lying(db).0 {
        let pack = db.remove(&key).unwrap().unwrap();
        let count = u64::from(u16::from_be_bytes(key[9..].try_into().unwrap()));
        let last = u64::from_be_bytes(key[1..9].try_into().unwrap());
        let mut rest = pack.to_vec();
        for number in last + 1 - count..=last {
            let length = usize::try_from(u32::from_be_bytes(rest[..4].try_into().unwrap())).unwrap();
            let after = rest.split_off(4 + length);
            db.insert([b"e".as_slice(), &number.to_be_bytes()].concat(), &rest[4..]).unwrap();
            rest = after;
        }
    }
    let [new, old] = [3, 2].map(|format| vec![0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, format]);
    assert_eq!(*db.insert(b"mformat", old.clone()).unwrap().unwrap(), *new);
    let mut stored = db.get(b"msum").unwrap().unwrap().to_vec();
    let sum = u128::from_be_bytes(stored[8..].try_into().unwrap());
    let sum = sum.wrapping_sub(share(b"mformat", &new)).wrapping_add(share(b"mformat", &old));
    stored[8..].copy_from_slice(&sum.to_be_bytes());
    db.insert(b"msum", stored).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_of_the_former_format_goes_on_with_packs() {
    let disk = filled().await;
    tamper(&disk, |db| {
        without_packs(db);
        assert_eq!(lying(db), (Vec::new(), usize::try_from(EVENTS).unwrap()));
    });
    let store = start(&disk);
    patrolled(&store).await;
    store.submit(Unit { ops: Vec::new(), events: vec![event(false), event(false)] }).await.unwrap();
    assert_eq!(u64::try_from(prove_log(&store).len()), Ok(EVENTS + 2));
    adds_up(&store).await;
    store.close().await;
    drop(store);
    tamper(&disk, |db| {
        assert_eq!(db.get(b"mformat").unwrap().unwrap()[8..], [0, 0, 0, 3]);
        assert_eq!(lying(db).0.len(), 1, "the new ones");
    });
    // Without its sum it is damaged, unlike one of format 1.
    tamper(&disk, |db| drop(db.remove(b"msum").unwrap()));
    assert!(matches!(disk.try_open().err(), Some(OpenError::Damaged { .. })));
}
