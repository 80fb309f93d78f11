//! Acknowledged units survive SIGKILL at any moment. (A killed process says nothing about a power cut: that is what
//! `sync_file_range` denied is for, see `src/store/durable.rs`.)

use std::{
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
    time::Duration,
};

use sigillo::store::{
    Expect, Limits, Outcome, Space, Store, Unit, durable,
    sled::{self, Config, Missing},
};
use tempfile::tempdir;
use tokio::task::JoinSet;

use super::{
    rounds::rounds,
    setup::{event, prove_log, put},
};

/// Names the store's directory to the child.
const DIR: &str = "SIGILLO_TEST_KILL_DIR";
const COUNTERS: u8 = 4;
/// When each child is killed: so many acknowledgements read, and so many microseconds later. `make prove` goes through
/// them again and again.
const KILLS: [(u32, u64); 8] =
    [(1, 0), (61, 770), (7, 2_310), (233, 90), (140, 1_480), (302, 410), (19, 3_650), (88, 130)];

fn open(dir: &std::path::Path) -> Store {
    durable::deny_sync_file_range().unwrap();
    let (engine, reader) = sled::open(&Config { missing: Missing::Create, ..Config::new(dir) }).unwrap();
    Store::start(engine, reader, Limits::default())
}

fn counter(store: &Store, key: u8) -> (u64, Expect) {
    match store.get(Space::Cursor, &[key]).unwrap() {
        None => (0, Expect::Absent),
        Some(found) => (u64::from_be_bytes(found.value.try_into().unwrap()), Expect::Version(found.version)),
    }
}

/// Adds one to a counter, with an event that names both; returns counter and event number once durable.
async fn increment(store: &Store, key: u8) -> (u64, u64) {
    let (count, expect) = counter(store, key);
    let next = count + 1;
    let mut event = event(false);
    event.detail = vec![("counter", format!("{key}:{next}"))];
    let ops = vec![put(Space::Cursor, &[key], &next.to_be_bytes(), expect)];
    match store.submit(Unit { ops, events: vec![event] }).await.unwrap() {
        Outcome::Applied { seq, .. } => (next, seq),
        Outcome::Refused { op } => panic!("refused by operation {op}"),
    }
}

/// The child: increments until it is killed. Each acknowledgement is one write of a line.
#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn child(dir: std::path::PathBuf) {
    let store = open(&dir);
    let mut tasks = JoinSet::new();
    for key in 0..COUNTERS {
        let store = store.clone();
        tasks.spawn(async move {
            loop {
                let (count, seq) = increment(&store, key).await;
                std::io::stdout().write_all(format!("\nack {key} {count} {seq}\n").as_bytes()).unwrap();
            }
        });
    }
    tasks.join_all().await;
}

fn parse(line: &str) -> Option<(u8, u64, u64)> {
    let mut words = line.strip_prefix("ack ")?.split(' ');
    let ack = (words.next()?.parse().ok()?, words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    words.next().is_none().then_some(ack)
}

#[test]
fn acknowledged_units_survive_kill_9() {
    if let Some(dir) = std::env::var_os(DIR) {
        return child(dir.into());
    }
    let dir = tempdir().unwrap();
    let mut acknowledged = Vec::new();
    for (mut kill_after, microseconds) in KILLS.into_iter().cycle().take(rounds(KILLS.len())) {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kill::acknowledged_units_survive_kill_9", "--nocapture"])
            .env(DIR, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        for line in lines.map(Result::unwrap) {
            let Some(ack) = parse(&line) else { continue };
            acknowledged.push(ack);
            kill_after = kill_after.saturating_sub(1);
            if kill_after == 0 {
                std::thread::sleep(Duration::from_micros(microseconds));
                child.kill().unwrap(); // what it said before it died is still read
            }
        }
        assert!(!child.wait().unwrap().success(), "it ends by the kill only");
        assert_eq!(kill_after, 0, "the child died too early");
        check(dir.path(), &acknowledged);
    }
}

fn check(dir: &std::path::Path, acknowledged: &[(u8, u64, u64)]) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let store = open(dir);
    let events: Vec<_> = prove_log(&store).into_iter().map(|e| String::from_utf8(e).unwrap()).collect();
    for (key, count, seq) in acknowledged {
        let event = &events[usize::try_from(seq - 1).unwrap()];
        assert!(event.contains(&format!("\"counter\":\"{key}:{count}\"")), "{seq}: {event}");
    }
    for key in 0..COUNTERS {
        let (count, _) = counter(&store, key);
        let last = acknowledged.iter().filter(|ack| ack.0 == key).map(|ack| ack.1).max();
        assert!(Some(count) >= last, "counter {key}: {count}, acknowledged {last:?}");
        let logged = events.iter().filter(|e| e.contains(&format!("\"counter\":\"{key}:"))).count();
        assert_eq!(count, u64::try_from(logged).unwrap(), "a counter and its events go together");
    }
    runtime.block_on(store.close());
}
