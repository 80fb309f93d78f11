//! Uses of the courier's keys of codes: each has an admission in the courier's own log, and one that has none is an
//! alarm.

use sigillo::{
    courier::Outcome,
    domain::operations::{Account, Bounds, Operations},
    hsm::MacKey,
    secret::SecretBytes,
    store::{Space, logged_event},
};

use crate::fakes::{RecordingGateway, World, world};

fn log(w: &World<RecordingGateway>) -> Vec<String> {
    let (_, reader) = w.memory.open().unwrap();
    let found = reader.scan(Space::Event, &[], &[], usize::MAX).unwrap();
    let event = |value: &[u8]| String::from_utf8(logged_event(value).unwrap().1.to_vec()).unwrap();
    found.iter().map(|entry| event(&entry.record.value)).collect()
}

fn account(w: &World<RecordingGateway>) -> Bounds {
    let mut account = Account::default();
    for event in log(w) {
        account.take(&event).unwrap();
    }
    account.total()
}

fn sent(w: &World<RecordingGateway>) -> Operations {
    let counts = w.hsm.counts();
    let of = |wanted| counts.iter().find(|(key, _)| *key == wanted).unwrap().1;
    Operations { print: 0, deliver: of(MacKey::Deliver), verify: of(MacKey::Verify) }
}

fn alarms(w: &World<RecordingGateway>) -> usize {
    log(w).iter().filter(|event| event.contains("operations.unaccounted")).count()
}

#[tokio::test]
async fn the_couriers_log_accounts_for_every_use_exactly() {
    let w = world();
    assert_eq!(w.deliver(&w.lease(1, "mario@esempio.it")).await, Outcome::Sent);
    assert_eq!(w.deliver(&w.lease(2, "altro@esempio.it")).await, Outcome::Sent);
    assert_eq!(sent(&w), Operations { print: 0, deliver: 6, verify: 2 });
    assert_eq!(account(&w), Bounds { least: sent(&w), most: sent(&w), unfinished: 0 });
    w.courier.upkeep().await;
    assert_eq!(alarms(&w), 0);
}

#[tokio::test]
async fn a_use_without_an_admission_is_an_event_once() {
    let w = world();
    assert_eq!(w.deliver(&w.lease(1, "mario@esempio.it")).await, Outcome::Sent);
    let before = account(&w);
    w.hsm.mac(MacKey::Deliver, SecretBytes::new(b"behind the judge's back".to_vec())).await.unwrap();
    for _ in 0..2 {
        w.courier.upkeep().await;
        assert_eq!(alarms(&w), 1);
    }
    assert!(log(&w).iter().any(|event| event.contains("print=0 verify=0 deliver=1")));
    assert_eq!(account(&w), before, "the log does not account for it");
    w.hsm.mac(MacKey::Verify, SecretBytes::new(b"and again".to_vec())).await.unwrap();
    w.courier.upkeep().await;
    assert_eq!(alarms(&w), 2);
}
