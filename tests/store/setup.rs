//! Stores to test, and units to give them.

use aws_lc_rs::digest;
use sigillo::{
    domain::{
        audit::{Event, Head, Kind, Outcome as Ended},
        id::RequestId,
        tries::{self, Ticket, Tries},
    },
    store::{
        Error, Expect, Limits, Op, Opened, Outcome, Space, Store, Unit, durable, logged_event,
        memory::Memory,
        sled::{self, Config, Missing, OpenError},
    },
};
use tempfile::TempDir;

/// What keeps records between two openings.
pub(crate) trait Place {
    fn open(&self) -> Opened;
}

impl Place for Memory {
    fn open(&self) -> Opened {
        Self::open(self).unwrap()
    }
}

/// A directory with a sled store.
pub(crate) struct Disk {
    pub(crate) dir: TempDir,
}

impl Disk {
    pub(crate) fn new() -> Self {
        durable::deny_sync_file_range().unwrap();
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn config(&self) -> Config {
        Config {
            cache_mib: 16,
            reserve_mib: 0,
            missing: Missing::Create,
            ..Config::new(self.dir.path().join("s"))
        }
    }

    pub(crate) fn try_open(&self) -> Result<Opened, OpenError> {
        sled::open(&self.config())
    }
}

impl Place for Disk {
    fn open(&self) -> Opened {
        self.try_open().unwrap()
    }
}

pub(crate) fn start(place: &impl Place) -> Store {
    start_with(place, Limits::default())
}

pub(crate) fn start_with(place: &impl Place, limits: Limits) -> Store {
    let (engine, reader) = place.open();
    Store::start(engine, reader, limits)
}

pub(crate) fn put(space: Space, key: &[u8], value: &[u8], expect: Expect) -> Op {
    Op::Put { space, key: key.to_vec(), value: value.to_vec(), expect }
}

pub(crate) fn delete(space: Space, key: &[u8], expect: Expect) -> Op {
    Op::Delete { space, key: key.to_vec(), expect }
}

pub(crate) fn ops(ops: impl Into<Vec<Op>>) -> Unit {
    Unit { ops: ops.into(), events: Vec::new() }
}

pub(crate) fn event(with_ticket: bool) -> Event {
    Event {
        at_ms: 1_700_000_000_000,
        kind: Kind::VerificationSpent,
        outcome: Ended::Intent,
        caller: "console".into(),
        request: RequestId::new([7; 16]),
        policy: "00".into(),
        card: Some([9; 16]),
        with_ticket,
        detail: vec![("purpose", "test".into())],
    }
}

/// Makes a record of tries.
pub(crate) async fn add_tries(store: &Store, key: &[u8], in_a_row: u32) {
    let tries = Tries::new(tries::Limits { in_a_row, lifetime: 100 });
    let unit = ops([put(Space::Tries, key, &tries.encode(), Expect::Absent)]);
    assert_eq!(store.submit(unit).await, Ok(Outcome::Applied { ticket: None, seq: store.head().seq }));
}

pub(crate) fn tries(store: &Store, key: &[u8]) -> Tries {
    Tries::decode(&store.get(Space::Tries, key).unwrap().unwrap().value).unwrap()
}

pub(crate) fn spend(key: &[u8]) -> Unit {
    Unit { ops: vec![Op::Spend { key: key.to_vec() }], events: vec![event(true)] }
}

pub(crate) fn ticket(outcome: Result<Outcome, Error>) -> Option<Ticket> {
    match outcome.unwrap() {
        Outcome::Applied { ticket, .. } => ticket,
        Outcome::Refused { op } => panic!("refused by operation {op}"),
    }
}

pub(crate) fn version(store: &Store, space: Space, key: &[u8]) -> u64 {
    store.get(space, key).unwrap().unwrap().version
}

/// What one record adds to the sum of a store.
pub(crate) fn share(key: &[u8], value: &[u8]) -> u128 {
    let length = u64::try_from(key.len()).unwrap().to_be_bytes();
    let digest = digest::digest(&digest::SHA256, &[length.as_slice(), key, value].concat());
    u128::from_be_bytes(digest.as_ref()[..16].try_into().unwrap())
}

/// The records add up to the sum that is among them.
pub(crate) async fn adds_up(store: &Store) {
    let mut snapshot = store.snapshot().await.unwrap();
    let (mut sum, mut kept) = (0_u128, None);
    while let Some(entries) = snapshot.next(100).unwrap() {
        for (key, value) in entries {
            if key == b"msum" {
                kept = Some(u128::from_be_bytes(value[8..].try_into().unwrap()));
            } else {
                sum = sum.wrapping_add(share(&key, &value));
            }
        }
    }
    assert_eq!(kept, Some(sum));
}

/// Waits until a pass over all records has ended.
pub(crate) async fn patrolled(store: &Store) {
    while store.stats().patrols == 0 {
        assert_eq!(store.failure(), None);
        tokio::task::yield_now().await;
    }
}

/// Reads the whole log, proves it and compares it to the head; gives the events' bytes.
pub(crate) fn prove_log(store: &Store) -> Vec<Vec<u8>> {
    let mut head = Head::EMPTY;
    let mut events = Vec::new();
    for found in store.scan(Space::Event, &[], &[], usize::MAX).unwrap() {
        let (hash, bytes) = logged_event(&found.record.value).unwrap();
        head = head.next(bytes).unwrap();
        assert_eq!(found.key, head.seq.to_be_bytes());
        assert_eq!(*hash, head.hash);
        events.push(bytes.to_vec());
    }
    assert_eq!(head, store.head());
    events
}
