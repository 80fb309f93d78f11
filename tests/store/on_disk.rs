//! What only the store on a disk promises: refusals at open, the lock, the disk's reserve.

use std::{fs::File, os::unix::fs::PermissionsExt};

use sigillo::store::{
    Error, Expect, Limits, Space, Store, Unit, durable,
    sled::{self, Config, Missing, OpenError},
};

use super::setup::{Disk, Place, event, ops, prove_log, put, start};

/// Changes raw records of a closed store, as only a fault or a hand does.
pub(crate) fn tamper(disk: &Disk, change: impl FnOnce(&::sled::Db)) {
    // A dropped sled keeps its lock for a moment.
    let db = (0..200)
        .find_map(|_| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            ::sled::open(disk.config().dir).ok()
        })
        .unwrap();
    change(&db);
    db.flush().unwrap();
}

type Change = fn(&::sled::Db);

fn event_key(seq: u64) -> Vec<u8> {
    [b"e".as_slice(), &seq.to_be_bytes()].concat()
}

/// A closed store with three events.
async fn three_events() -> Disk {
    let disk = Disk::new();
    let store = start(&disk);
    for _ in 0..3 {
        store.submit(Unit { ops: Vec::new(), events: vec![event(false)] }).await.unwrap();
    }
    assert_eq!(prove_log(&store).len(), 3);
    store.close().await;
    disk
}

fn refusal(disk: &Disk) -> OpenError {
    disk.try_open().err().expect("opened all the same")
}

#[tokio::test]
async fn a_tampered_end_of_the_log_is_found() {
    let changes: [(&str, Change); 8] = [
        ("last event changed", |db| {
            let mut record = db.get(event_key(3)).unwrap().unwrap().to_vec();
            *record.last_mut().unwrap() ^= 1;
            db.insert(event_key(3), record).unwrap();
        }),
        ("hash of the last event changed", |db| {
            let mut record = db.get(event_key(3)).unwrap().unwrap().to_vec();
            record[8] ^= 1;
            db.insert(event_key(3), record).unwrap();
        }),
        ("last event removed", |db| drop(db.remove(event_key(3)).unwrap())),
        ("last event but one removed", |db| drop(db.remove(event_key(2)).unwrap())),
        ("event added", |db| {
            let record = db.get(event_key(3)).unwrap().unwrap();
            db.insert(event_key(4), record).unwrap();
        }),
        ("events cut off", |db| (1..=3).for_each(|seq| drop(db.remove(event_key(seq)).unwrap()))),
        ("head changed", |db| {
            let mut head = db.get(b"mhead").unwrap().unwrap().to_vec();
            *head.last_mut().unwrap() ^= 1;
            db.insert(b"mhead", head).unwrap();
        }),
        ("head removed", |db| drop(db.remove(b"mhead").unwrap())),
    ];
    for (what, change) in changes {
        let disk = three_events().await;
        tamper(&disk, change);
        let refused = refusal(&disk);
        assert!(matches!(&refused, OpenError::Damaged { source: Error::Fatal(_), .. }), "{what}: {refused}");
    }
}

#[tokio::test]
async fn an_unknown_format_is_refused() {
    let cases: [(&[u8], &str); 3] = [
        (&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4], "4"),
        (&[0; 8], "of another program"),
        (&[0; 9], "of another program"),
    ];
    for (record, name) in cases {
        let disk = three_events().await;
        tamper(&disk, |db| drop(db.insert(b"mformat", record).unwrap()));
        let refused = refusal(&disk);
        assert!(matches!(&refused, OpenError::Format { found, .. } if found == name), "{refused}");
    }
    let disk = three_events().await;
    tamper(&disk, |db| drop(db.remove(b"mformat").unwrap()));
    let refused = refusal(&disk);
    assert!(matches!(&refused, OpenError::Format { found, .. } if found == "none"), "{refused}");
}

#[tokio::test]
async fn a_second_opener_is_refused() {
    let disk = Disk::new();
    let store = start(&disk);
    let refused = refusal(&disk);
    assert!(matches!(refused, OpenError::InUse { .. }), "{refused}");
    let text = refused.to_string();
    assert!(
        text.contains(&disk.config().dir.display().to_string()) && text.contains("already open"),
        "{text}"
    );
    store.submit(ops([put(Space::Card, b"k", b"", Expect::Any)])).await.unwrap();
    store.close().await;
    drop(store);
    disk.open();
}

#[test]
fn the_lock_alone_refuses() {
    let disk = Disk::new();
    drop(disk.open());
    let lock = File::open(disk.config().dir.join("lock")).unwrap();
    // Held here without sled, so that it is not sled's own lock that refuses.
    lock.lock().unwrap();
    let refused = refusal(&disk);
    assert!(matches!(refused, OpenError::InUse { .. }), "{refused}");
    drop(lock);
    disk.open();
}

#[test]
fn a_sled_that_is_still_closing_is_waited_for() {
    let disk = Disk::new();
    drop(disk.open());
    let mut closing = None;
    tamper(&disk, |db| closing = Some(db.clone()));
    std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(50));
        drop(closing);
    });
    disk.open();
}

#[test]
fn a_service_does_not_begin_a_new_store() {
    let disk = Disk::new();
    let serve = Config { missing: Missing::Refuse, ..disk.config() };
    let refused = sled::open(&serve).err().unwrap();
    assert!(matches!(refused, OpenError::Missing { .. }), "{refused}");
    assert!(!serve.dir.exists());
    disk.open();
    sled::open(&serve).unwrap();

    // Created, but cut off before its first record.
    let other = Disk::new();
    tamper(&other, |_| {});
    let refused = sled::open(&Config { missing: Missing::Refuse, ..other.config() }).err().unwrap();
    assert!(matches!(refused, OpenError::Missing { .. }), "{refused}");
    other.open();
}

#[test]
fn its_directory_is_private() {
    let disk = Disk::new();
    let deep = Config { dir: disk.dir.path().join("a/b/c"), ..disk.config() };
    sled::open(&deep).unwrap();
    let mode = deep.dir.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    let file = Config { dir: deep.dir.join("db"), ..deep };
    let refused = sled::open(&file).err().unwrap();
    assert!(matches!(refused, OpenError::Io { .. }), "{refused}");
}

#[tokio::test]
async fn the_disks_reserve_is_kept() {
    let disk = Disk::new();
    let (engine, reader) = sled::open(&Config { reserve_mib: u64::MAX, ..disk.config() }).unwrap();
    let store = Store::start(engine, reader, Limits::default());
    let unit = || Unit { ops: vec![put(Space::Card, b"k", b"", Expect::Any)], events: vec![event(false)] };
    for _ in 0..2 {
        let refused = store.submit(unit()).await;
        assert!(matches!(&refused, Err(Error::NotWritten(why)) if why.contains("disk")), "{refused:?}");
    }
    assert!(store.is_up(), "it writes again once there is space");
    assert_eq!(store.get(Space::Card, b"k"), Ok(None));
    assert_eq!(prove_log(&store).len(), 0);
    store.close().await;
    drop(store);
    let store = start(&disk);
    assert!(store.submit(unit()).await.is_ok());
}

#[test]
fn it_is_open_only_where_sled_syncs() {
    let _disk = Disk::new();
    assert!(durable::is_denied());
}
