//! A disk that stops taking writes, played by the limit of a file's size: the store says so once and stops.

use std::process::Command;

use sigillo::store::{Error, Expect, Limits, Outcome, Space, Store, Unit, sled};

use super::setup::{Disk, Place, event, prove_log, put};

/// Names the store's directory to the child.
const DIR: &str = "SIGILLO_TEST_IO_ERROR_DIR";

/// The child: writes until the store does not know whether it wrote.
#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn child(config: sled::Config) {
    sigillo::store::durable::deny_sync_file_range().unwrap();
    let (engine, reader) = sled::open(&config).unwrap();
    let store = Store::start(engine, reader, Limits::default());
    let unit = |n: u64| Unit {
        ops: vec![put(Space::Card, &n.to_be_bytes(), &[7; 4096], Expect::Absent)],
        events: vec![event(false)],
    };
    let mut written = 0;
    let error = loop {
        match store.submit(unit(written)).await {
            Ok(Outcome::Applied { .. }) => written += 1,
            Ok(Outcome::Refused { op }) => panic!("refused by operation {op}"),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::Unknown(_)), "{error}");
    store.stopped().await;
    let late = store.submit(unit(written)).await;
    assert!(matches!(late, Err(Error::NotWritten(_))), "{late:?}");
    assert!(matches!(store.get(Space::Card, b"k"), Err(Error::Stopped(_))));
    assert_eq!(store.head().seq, written);
    // What may panic when it is dropped is not: it keeps its lock.
    store.close().await;
    drop(store);
    assert!(matches!(sled::open(&config), Err(sled::OpenError::InUse { .. })));
    std::fs::write(config.dir.join("written"), written.to_string()).unwrap();
}

#[test]
fn a_write_error_is_unknown_and_stops_the_store() {
    if let Some(dir) = std::env::var_os(DIR) {
        return child(sled::Config { reserve_mib: 0, ..sled::Config::new(dir) });
    }
    let disk = Disk::new();
    drop(disk.open());
    // Blocks of 512 or 1024 bytes, as the shell likes. The signal would kill the child before it sees the error.
    let limited = r#"trap "" XFSZ; ulimit -f 6000; exec "$0" "$@""#;
    let child = Command::new("sh")
        .args(["-c", limited])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "io_error::a_write_error_is_unknown_and_stops_the_store", "--nocapture"])
        .env(DIR, disk.config().dir)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stderr);
    let written = std::fs::read_to_string(disk.config().dir.join("written")).expect(&said);

    let (engine, reader) = disk.open();
    let store = Store::start(engine, reader, Limits::default());
    let (written, found) = (written.parse::<usize>().unwrap(), prove_log(&store).len());
    assert!(
        written > 0 && (found == written || found == written + 1),
        "{written} acknowledged, {found} found"
    );
    assert_eq!(store.scan(Space::Card, &[], &[], usize::MAX).unwrap().len(), found);
}
