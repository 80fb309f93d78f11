//! Records that were lost, changed or added behind the store are found by a pass over all of them, and for good.

use std::sync::{Arc, Condvar, Mutex};

use sigillo::{
    domain::audit::Head,
    store::{
        Engine, Entry, Error, Expect, Limits, Outcome, Snapshot, Space, Step, Store, Unit,
        memory::Memory,
        sled::{self, Config, OpenError, Restore, look},
    },
};
use tokio::task::JoinSet;

use super::{
    on_disk::tamper,
    setup::{
        Disk, Place, add_tries, adds_up, event, ops, patrolled, prove_log, put, spend, start, start_with,
    },
};

const CARDS: u32 = 300;

/// A closed store with cards, a record of tries of which one is spent, and events.
async fn filled(place: &impl Place) {
    let store = start(place);
    let puts = (0..CARDS).map(|n| put(Space::Card, &n.to_be_bytes(), b"a card", Expect::Absent));
    store.submit(Unit { ops: puts.collect(), events: vec![event(false)] }).await.unwrap();
    add_tries(&store, b"t", 5).await;
    store.submit(spend(b"t")).await.unwrap();
    store.close().await;
}

fn card(n: u32) -> Vec<u8> {
    [b"c".as_slice(), &n.to_be_bytes()].concat()
}

/// Starts a store and waits until it has stopped by itself: why.
async fn stopped(place: &impl Place) -> String {
    let store = start(place);
    while store.failure().is_none() {
        assert_eq!(store.stats().patrols, 0, "a pass has found nothing");
        tokio::task::yield_now().await;
    }
    store.stopped().await;
    let Some(Error::Fatal(why)) = store.failure() else { panic!("{:?}", store.failure()) };
    assert!(matches!(store.get(Space::Card, b"k"), Err(Error::Fatal(_))), "nothing is told any more");
    assert_eq!(store.stats().patrols, 0);
    store.close().await;
    why
}

/// A change of a closed store, beside its sum.
type Rot = fn(&::sled::Db);

const ROT: [(&str, Rot); 8] = [
    ("a card is gone", |db| drop(db.remove(card(7)).unwrap())),
    ("all cards are gone", |db| (0..CARDS).for_each(|n| drop(db.remove(card(n)).unwrap()))),
    ("a bit of a card is another", |db| {
        let mut record = db.get(card(7)).unwrap().unwrap().to_vec();
        *record.last_mut().unwrap() ^= 0x10;
        db.insert(card(7), record).unwrap();
    }),
    ("a card's version is another", |db| {
        let mut record = db.get(card(7)).unwrap().unwrap().to_vec();
        record[7] ^= 1;
        db.insert(card(7), record).unwrap();
    }),
    ("a card is there again", |db| {
        let record = db.get(card(7)).unwrap().unwrap();
        db.insert(card(CARDS), record).unwrap();
    }),
    ("a card is under another key", |db| {
        let record = db.remove(card(7)).unwrap().unwrap();
        db.insert(card(CARDS), record).unwrap();
    }),
    ("the first event is another", |db| {
        // Its text alone: what is proved at open goes by its hash.
        let key = [b"e".as_slice(), &1_u64.to_be_bytes()].concat();
        let mut record = db.get(&key).unwrap().unwrap().to_vec();
        *record.last_mut().unwrap() ^= 1;
        db.insert(key, record).unwrap();
    }),
    ("the sum is another", |db| {
        let mut record = db.get(b"msum").unwrap().unwrap().to_vec();
        *record.last_mut().unwrap() ^= 1;
        db.insert(b"msum", record).unwrap();
    }),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_changes_behind_the_store_is_found_by_one_pass_and_kept() {
    for (what, rot) in ROT {
        let disk = Disk::new();
        filled(&disk).await;
        tamper(&disk, rot);
        assert_eq!(look(&disk.config()), [""; 0], "{what}: nobody has looked yet");
        let why = stopped(&disk).await;
        assert!(why.contains("do not add up"), "{what}: {why}");

        let refused = disk.try_open().err().expect(what);
        let said = matches!(&refused, OpenError::Damaged { source: Error::Fatal(kept), .. } if *kept == why);
        assert!(said && refused.to_string().contains("sigillo restore"), "{what}: {refused}");
        assert_eq!(look(&disk.config()), [refused.to_string()], "{what}: as `serve --check` sees it");
        // To be looked at it is opened all the same; and without the file the next pass finds it again.
        let (mut engine, _reader) = sled::open(&Config { even_damaged: true, ..disk.config() }).unwrap();
        assert!((0..99).any(|_| engine.patrol().is_err()), "{what}");
        drop((engine, _reader));
        std::fs::remove_file(disk.config().dir.join("damaged")).unwrap();
        assert_eq!(stopped(&disk).await, why, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_try_that_comes_back_is_found() {
    let disk = Disk::new();
    filled(&disk).await;
    let mut before = None;
    tamper(&disk, |db| before = db.get(b"nt").unwrap());
    let store = start(&disk);
    store.submit(spend(b"t")).await.unwrap();
    store.close().await;
    drop(store);
    tamper(&disk, |db| drop(db.insert(b"nt", before.unwrap()).unwrap()));
    assert!(stopped(&disk).await.contains("do not add up"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_in_memory() {
    let memory = Memory::new();
    filled(&memory).await;
    let sound = memory.copy();
    memory.rot(Space::Card, &7_u32.to_be_bytes(), None);
    let why = stopped(&memory).await;
    assert!(why.contains("do not add up"), "{why}");
    assert_eq!(memory.open().err(), Some(Error::Fatal(why.clone())));
    assert_eq!(memory.copy().open().err(), Some(Error::Fatal(why)));
    patrolled(&start(&sound)).await;
    // Who writes the sum with it is not found: this is damage, not forgery.
    sound.tamper(Space::Card, &7_u32.to_be_bytes(), None);
    patrolled(&start(&sound)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_sum_is_refused_at_open() {
    for (rot, what) in [(None, "missing"), (Some([0; 23].as_slice()), "wrong size")] {
        let disk = Disk::new();
        filled(&disk).await;
        tamper(&disk, |db| {
            drop(db.remove(b"msum").unwrap());
            rot.into_iter().for_each(|value| drop(db.insert(b"msum", value).unwrap()));
        });
        let refused = disk.try_open().err().expect(what);
        assert!(
            matches!(&refused, OpenError::Damaged { .. }) && refused.to_string().contains(what),
            "{refused}"
        );
    }
}

/// Makes of a closed store what a program before the sum has left.
fn without_sum(db: &::sled::Db) {
    db.remove(b"msum").unwrap().unwrap();
    db.insert(b"mformat", &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]).unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_without_a_sum_gets_one() {
    let disk = Disk::new();
    filled(&disk).await;
    tamper(&disk, without_sum);
    let store = start(&disk);
    patrolled(&store).await;
    adds_up(&store).await;
    let position = (store.head(), prove_log(&store).len());
    store.submit(spend(b"t")).await.unwrap();
    adds_up(&store).await;
    store.close().await;
    drop(store);
    assert_eq!(position.1, 2);
    // From now on it is like any other: an older program does not take it, and a loss is found.
    tamper(&disk, |db| {
        assert_eq!(db.get(b"mformat").unwrap().unwrap()[8..], [0, 0, 0, 3]);
        db.remove(card(7)).unwrap().unwrap();
    });
    assert!(stopped(&disk).await.contains("do not add up"));
}

async fn entries(store: &Store) -> Vec<Entry> {
    let (mut snapshot, mut all) = (store.snapshot().await.unwrap(), Vec::new());
    while let Some(entries) = snapshot.next(100).unwrap() {
        all.extend(entries);
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_store_has_the_sum_of_its_snapshot() {
    let disk = Disk::new();
    filled(&disk).await;
    let store = start(&disk);
    let entries = entries(&store).await;
    // The sum of that moment, not of this one.
    store.submit(spend(b"t")).await.unwrap();
    let config = |name: &str| Config { dir: disk.dir.path().join(name), ..disk.config() };
    let restore = |name: &str, entries: Vec<Entry>| {
        let mut restore = Restore::begin(&config(name), || ()).unwrap();
        restore.write(entries).unwrap();
        restore.finish::<OpenError>(|_, _| Ok(()))
    };
    let look_at = async |name: &str| {
        let (engine, reader) = sled::open(&config(name)).unwrap();
        let restored = Store::start(engine, reader, Limits::default());
        patrolled(&restored).await;
        restored.submit(spend(b"t")).await.unwrap();
        adds_up(&restored).await;
    };
    restore("whole", entries.clone()).unwrap();
    look_at("whole").await;

    // Of a store that was damaged when it was copied.
    let without = |gone: &[u8]| entries.iter().filter(|(key, _)| key != gone).cloned().collect::<Vec<_>>();
    let refused = restore("short", without(&card(7))).unwrap_err();
    assert!(matches!(&refused, OpenError::Damaged { .. }), "{refused}");
    assert!(refused.to_string().contains("do not add up") && !config("short").dir.exists(), "{refused}");

    let mut old = without(b"msum");
    let format = old.iter_mut().find(|(key, _)| key == b"mformat").unwrap();
    *format.1.last_mut().unwrap() = 1;
    restore("old", old).unwrap();
    look_at("old").await;
}

/// What the writer did, in order: commits, steps, and the step that ended a pass.
#[derive(Default)]
struct Seen {
    done: Mutex<(bool, Vec<char>)>,
    go: Condvar,
}

/// An engine that is held until it is told to go, and notes what it is asked.
struct Noted(Box<dyn Engine>, Arc<Seen>);

impl Noted {
    fn note(&self, what: char) {
        let seen = self.1.done.lock().unwrap();
        self.1.go.wait_while(seen, |(go, _)| !*go).unwrap().1.push(what);
    }
}

impl Engine for Noted {
    fn commit(&mut self, units: &[Unit]) -> Result<Vec<Outcome>, Error> {
        self.note('c');
        self.0.commit(units)
    }

    fn head(&self) -> Head {
        self.0.head()
    }

    fn patrol(&mut self) -> Result<Step, Error> {
        self.note('p');
        let step = self.0.patrol()?;
        if step.ended {
            self.note('e');
        }
        Ok(step)
    }

    fn snapshot(&mut self) -> Snapshot {
        self.0.snapshot()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pass_ends_though_the_queue_is_never_empty() {
    const UNITS: u32 = 600;
    let memory = Memory::new();
    filled(&memory).await;
    let (engine, reader) = memory.open().unwrap();
    let seen = Arc::new(Seen::default());
    let limits = Limits { batch: 1, ..Limits::default() };
    let store = Store::start(Box::new(Noted(engine, Arc::clone(&seen))), reader, limits);
    let mut units = JoinSet::new();
    for n in 0..UNITS {
        let store = store.clone();
        units.spawn(
            async move { store.submit(ops([put(Space::Due, &n.to_be_bytes(), b"", Expect::Any)])).await },
        );
    }
    // One unit, or the first step, waits at the gate.
    while store.stats().queued + 1 < u64::from(UNITS) {
        tokio::task::yield_now().await;
    }
    seen.done.lock().unwrap().0 = true;
    seen.go.notify_all();
    for outcome in units.join_all().await {
        assert!(matches!(outcome, Ok(Outcome::Applied { .. })));
    }
    let done: String = seen.done.lock().unwrap().1.iter().collect();
    let loaded = &done[..=done.rfind('c').unwrap()];
    let end = loaded.find('e').expect("a pass ends before the load does");
    let commits = loaded[..end].matches('c').count();
    // 300 cards and a few more, 64 in a step, a step after 16 batches; the units' own records come on top.
    assert!((16 * 5..=16 * 16).contains(&commits), "{commits} commits in the pass");
    assert!(loaded[..end].split('p').all(|between| between.len() <= 16), "{loaded}");
    store.close().await;
    patrolled(&start_with(&memory, limits)).await;
}
