//! A backup is read beside everything else.

use std::{
    sync::mpsc::{RecvTimeoutError, channel},
    thread,
    time::Duration,
};

use sigillo::pki::{Ca, Validity};

use crate::{
    people::Client,
    rules::{LAZIO, Rules},
    world::World,
};

/// Fingerprint of the shipped caller that takes backups.
const BACKUP: [u8; 32] = [0x66; 32];

async fn world() -> World {
    let validity = Validity { from_ms: 1_700_000_000_000, to_ms: 1_900_000_000_000 };
    let certificate = Ca::new("CA", validity).unwrap().client("officer", validity).unwrap();
    let rules = Rules::new();
    let pem = certificate.certificate_pem();
    let officers =
        format!("needed = 1\n[[officer]]\nname = \"officer\"\ncertificate = \"\"\"\n{pem}\"\"\"\n");
    std::fs::write(rules.path("officers.toml"), officers).unwrap();
    World::over(sigillo::store::memory::Memory::new(), rules).await
}

/// The runtime has one thread: who blocks it blocks everybody.
#[tokio::test]
async fn a_disk_that_is_slow_for_a_backup_is_slow_for_nobody_else() {
    let w = world().await;
    let who = w.citizen(LAZIO).await;
    let client = Client::new(&w.service, BACKUP);
    let mut backup = w.service.back_up(&client.call("", "")).await.unwrap();
    let mut file = backup.next_part().await.unwrap().unwrap();

    w.memory.hold_scans(true);
    let (done, waiting) = channel::<()>();
    let disk = w.memory.clone();
    // Releases the disk when the others were served, or at last.
    let released = thread::spawn(move || {
        let served = waiting.recv_timeout(Duration::from_secs(30));
        disk.hold_scans(false);
        served
    });
    let others = async {
        w.desk.verify(&who.card, "00000000", "a").await.unwrap();
        done.send(()).ok();
    };
    let (part, ()) = tokio::join!(backup.next_part(), others);
    assert_ne!(released.join().unwrap(), Err(RecvTimeoutError::Timeout), "the others waited for the disk");
    file.extend(part.unwrap().unwrap_or_default());
    while let Some(part) = backup.next_part().await.unwrap() {
        file.extend(part);
    }
    let whole = file.len();
    file.extend(backup.end().await.unwrap());
    assert!(file.len() > whole);
}
