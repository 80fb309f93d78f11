//! An authority that leases what comes to nothing: the courier's disk does not fill, and the courier does not run hot.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use sigillo::{
    api::courier::Lease,
    courier::{
        AuthorityError, Outcome, Setback,
        run::{Pace, Until, run},
    },
    domain::id::CardId,
    store::{Reader, Space, logged_event},
};

use crate::{
    fakes::{CARD, RecordingGateway, World, shown, world_under},
    kept::{refusals, takes},
};

const HOUR: u64 = 3_600_000;
const A: &str = "mario@esempio.it";
/// Events about leases that came to nothing, in an hour.
const MOST: usize = 200;

/// The log, as number of events by kind; and what was left out of it.
fn log(w: &World<RecordingGateway>) -> (BTreeMap<String, usize>, Vec<(String, String)>) {
    let (mut kinds, mut unwritten) = (BTreeMap::new(), Vec::new());
    for entry in w.memory.scan(Space::Event, &[], &[], usize::MAX).unwrap() {
        let (_, event) = logged_event(&entry.record.value).unwrap();
        let event: serde_json::Value = serde_json::from_slice(event).unwrap();
        let text = |name: &str| event.get(name).unwrap().as_str().unwrap().to_owned();
        *kinds.entry(text("kind")).or_default() += 1;
        if text("kind") == "leases.unwritten" {
            unwritten.push((text("refused"), text("waiting")));
        }
    }
    (kinds, unwritten)
}

fn count(kinds: &BTreeMap<String, usize>, kind: &str) -> usize {
    kinds.get(kind).copied().unwrap_or_default()
}

fn records(w: &World<RecordingGateway>, space: Space) -> usize {
    w.memory.scan(space, &[], &[], usize::MAX).unwrap().len()
}

/// A lease of a card that nobody has seen, which holds whatever the clock says.
fn invented(w: &World<RecordingGateway>, n: u16, to: &str) -> Lease {
    let mut id = [0xee; 16];
    id[..2].copy_from_slice(&n.to_be_bytes());
    Lease { until_ms: u64::MAX, ..w.lease_for(CardId::new(id), 1, to) }
}

#[tokio::test]
async fn cards_over_a_limit_leave_no_record_and_one_event_for_the_many() {
    let w = world_under(&[("hour = 1000\nday = 8000", "hour = 6\nday = 12")]);
    for n in 0..6 {
        assert_eq!(w.deliver(&invented(&w, n, &format!("m{n}@esempio.it"))).await, Outcome::Sent);
    }
    let counts = records(&w, Space::CourierCount);
    for n in 6..306 {
        assert_eq!(w.deliver(&invented(&w, n, &format!("m{n}@esempio.it"))).await, Outcome::Waiting);
    }
    assert_eq!((records(&w, Space::CourierCard), records(&w, Space::CourierCount)), (6, counts));
    let (kinds, unwritten) = log(&w);
    assert_eq!((count(&kinds, "lease.waiting"), unwritten.len()), (MOST, 0));

    w.courier.upkeep().await;
    assert_eq!(log(&w).1.len(), 0, "the hour is not over");
    w.script.clock.pass(HOUR);
    w.courier.upkeep().await;
    w.courier.upkeep().await;
    assert_eq!(log(&w).1, [("0".to_owned(), "100".to_owned())]);
    // Another hour, another few.
    assert_eq!(w.deliver(&invented(&w, 999, A)).await, Outcome::Waiting);
    assert_eq!(count(&log(&w).0, "lease.waiting"), MOST + 1);
}

#[tokio::test]
async fn refusals_are_told_in_one_event_when_the_courier_ends() {
    let w = world_under(&[]);
    for n in 0..210 {
        let unknown = Lease { template: "IT-999/1".to_owned(), ..invented(&w, n, A) };
        assert_eq!(w.deliver(&unknown).await, Outcome::Retry);
        let damaged = Lease { contact: "00".to_owned(), ..invented(&w, n, A) };
        assert_eq!(w.deliver(&damaged).await, Outcome::Retry);
    }
    assert_eq!(records(&w, Space::CourierCard), 0);
    w.courier.finish().await;
    w.courier.finish().await;
    let (kinds, unwritten) = log(&w);
    assert_eq!(count(&kinds, "lease.refused"), MOST);
    assert_eq!(unwritten, [((420 - MOST).to_string(), "0".to_owned())]);
}

#[tokio::test]
async fn a_wait_asked_for_again_and_again_is_written_so_often_and_no_more() {
    let w = world_under(&[]);
    let lease = |to| Lease { until_ms: u64::MAX, ..w.lease_for(CARD, 1, to) };
    assert_eq!(w.deliver(&lease(A)).await, Outcome::Sent);
    for _ in 0..250 {
        assert_eq!(w.deliver(&lease("altro@esempio.it")).await, Outcome::Waiting);
    }
    // The one that began the wait, and queued a notice, is none of them.
    assert_eq!(count(&log(&w).0, "lease.waiting"), 1 + MOST);
}

/// Asks in vain until nothing more is written one by one.
async fn burn(w: &World<RecordingGateway>) {
    for n in 0..u16::try_from(MOST).unwrap() {
        let unknown = Lease { template: "IT-999/1".to_owned(), ..invented(w, n, A) };
        assert_eq!(w.deliver(&unknown).await, Outcome::Retry);
    }
}

#[tokio::test]
async fn a_limit_that_is_reached_is_an_alarm_whatever_was_asked_in_vain_before() {
    let said = tempfile::NamedTempFile::new().unwrap();
    let log = tracing_subscriber::fmt().with_writer(Arc::new(said.reopen().unwrap())).finish();
    let _log = tracing::subscriber::set_default(log);
    let alarms = || {
        let said = std::fs::read_to_string(said.path()).unwrap();
        said.matches("ALARM: a limit of the courier is reached").count()
    };
    let w = world_under(&[("hour = 1000\nday = 8000", "hour = 6\nday = 12")]);
    for n in 0..6 {
        assert_eq!(w.deliver(&invented(&w, n, &format!("m{n}@esempio.it"))).await, Outcome::Sent);
    }
    burn(&w).await;
    // Another test's thread, which has no subscriber, may have met the place of the alarm first and found nobody interested.
    tracing::callsite::rebuild_interest_cache();
    for (passed_ms, raised) in [(0, 1), (59_999, 1), (1, 2)] {
        w.script.clock.pass(passed_ms);
        for n in 900..905 {
            assert_eq!(w.deliver(&invented(&w, n, A)).await, Outcome::Waiting);
        }
        assert_eq!(alarms(), raised, "after {passed_ms} ms");
    }
    assert_eq!(count(&self::log(&w).0, "lease.waiting"), 0, "the hour's events are used up");
}

#[tokio::test]
async fn an_authority_that_forks_is_an_event_whatever_was_asked_in_vain_before() {
    const MOST_OF_AUTHORITY: usize = 20;
    let w = world_under(&[]);
    assert!(takes(&w, shown(7, 7, 0)).await);
    burn(&w).await;
    for _ in 0..MOST_OF_AUTHORITY + 5 {
        assert!(!takes(&w, shown(7, 8, 0)).await);
    }
    assert_eq!(refusals(&w), vec!["gone_back".to_owned(); MOST_OF_AUTHORITY]);
    w.courier.upkeep().await;
    assert_eq!(log(&w).1, [], "the hour is not over");
    w.script.clock.pass(HOUR);
    w.courier.upkeep().await;
    w.courier.upkeep().await;
    assert_eq!(log(&w).1, [("5".to_owned(), "0".to_owned())]);
    assert!(!takes(&w, shown(7, 8, 0)).await);
    assert_eq!(refusals(&w).len(), MOST_OF_AUTHORITY + 1, "another hour");
}

#[tokio::test]
async fn one_message_over_and_over_has_a_limit_too() {
    let w = world_under(&[("hour = 1000\nday = 8000", "hour = 6\nday = 12")]);
    let lease = Lease { until_ms: u64::MAX, ..w.lease_for(CARD, 1, A) };
    // The authority never takes `prepared`: nothing is sent, and nothing more is counted as a message.
    w.script.report(vec![Err(AuthorityError::LeaseLost); 7]);
    for _ in 0..7 {
        assert_eq!(w.deliver(&lease).await, Outcome::LeaseLost);
    }
    assert_eq!(w.deliver(&lease).await, Outcome::Waiting);
    assert_eq!(count(&log(&w).0, "lease.admitted"), 7);
    w.script.clock.pass(HOUR + 60_000);
    assert_eq!(w.deliver(&lease).await, Outcome::Sent);
}

#[tokio::test]
async fn a_notice_that_cannot_be_sent_is_said_once() {
    let w = world_under(&[]);
    let lease = |to| Lease { until_ms: u64::MAX, ..w.lease_for(CARD, 1, to) };
    w.deliver(&lease(A)).await;
    w.deliver(&lease("altro@esempio.it")).await;
    for _ in 0..5 {
        w.script.send([Err(Setback::Rest("relay down".to_owned()))]);
        w.courier.notify().await;
        w.script.clock.pass(300_000);
    }
    assert_eq!(count(&log(&w).0, "contact.notified"), 1);
    w.courier.notify().await;
    assert_eq!((count(&log(&w).0, "contact.notified"), records(&w, Space::CourierNotice)), (2, 0));
}

/// Runs the loop over one round of these leases with a pause of an hour, until that round's log is signed and a moment more;
/// answers how often it has asked for leases.
async fn asked(w: &World<RecordingGateway>, leases: Vec<Lease>) -> usize {
    w.script.lease(Ok(leases));
    let (told, stop) = tokio::sync::watch::channel(false);
    let pace = Pace { at_once: 1, batch: 10, poll: Duration::from_secs(3600), until: Until::Stopped };
    let end = async {
        while w.memory.get(Space::Checkpoint, b"latest").unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // A loop that goes on has asked by now; one that pauses asks in an hour.
        tokio::time::sleep(Duration::from_millis(100)).await;
        told.send_replace(true);
    };
    let (tally, ()) = tokio::join!(run(&w.courier, pace, stop), end);
    assert_eq!(tally.trouble, 0, "no trouble: the pause does not grow");
    w.script.presented().len()
}

#[tokio::test]
async fn after_a_round_of_waits_and_refusals_alone_the_loop_pauses() {
    let w = world_under(&[("hour = 1000\nday = 8000", "hour = 6\nday = 12")]);
    for n in 10..16 {
        assert_eq!(w.deliver(&invented(&w, n, &format!("m{n}@esempio.it"))).await, Outcome::Sent);
    }
    let refused = Lease { template: "IT-999/1".to_owned(), ..invented(&w, 1, A) };
    let malformed = Lease { salt: "09".to_owned(), ..invented(&w, 2, A) };
    let waiting = invented(&w, 3, A);
    assert_eq!(asked(&w, vec![refused, malformed, waiting]).await, 1);
    assert_eq!(w.script.names()[18..], ["retry", "failed", "waiting"]);
}

#[tokio::test]
async fn after_a_round_that_sent_something_the_loop_goes_on_at_once() {
    let w = world_under(&[]);
    let refused = Lease { template: "IT-999/1".to_owned(), ..invented(&w, 1, A) };
    assert_eq!(asked(&w, vec![refused, invented(&w, 2, A)]).await, 2);
}
