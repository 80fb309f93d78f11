//! The authority's newest checkpoint with the courier: an authority that goes back gets nothing (I13).

use sigillo::{
    courier::{
        NoLeases, Setback,
        run::{Pace, Tally, Until, run},
    },
    hsm::{Role, soft::SoftHsm},
    store::{Reader, Space, logged_event, memory::Fault},
};

use crate::fakes::{
    RecordingGateway, World, authority_token, restarted, shown, signed_by, told_of_keys, world,
};

const A: &str = "mario@esempio.it";

/// What the courier's store holds.
fn kept(w: &World<RecordingGateway>) -> Option<String> {
    let found = w.memory.get(Space::Checkpoint, b"authority").unwrap();
    found.map(|found| String::from_utf8(found.value).unwrap())
}

/// Reasons of the events that say so.
pub(crate) fn refusals(w: &World<RecordingGateway>) -> Vec<String> {
    let found = w.memory.scan(Space::Event, &[], &[], usize::MAX).unwrap();
    let events = found.iter().map(|entry| logged_event(&entry.record.value).unwrap().1.to_vec());
    let events = events.map(|event| serde_json::from_slice::<serde_json::Value>(&event).unwrap());
    let text = |event: &serde_json::Value, name| event.get(name).unwrap().as_str().unwrap().to_owned();
    let refused = events.filter(|event| text(event, "kind") == "authority.refused");
    refused.map(|event| text(&event, "reason")).collect()
}

/// The authority shows this and has a delivery: whether the courier takes it.
pub(crate) async fn takes(w: &World<RecordingGateway>, shows: String) -> bool {
    w.script.shows(shows);
    w.script.lease(Ok(vec![w.lease(1, A)]));
    match w.courier.lease(9).await {
        Ok(leases) => !leases.is_empty(),
        Err(NoLeases::Refused(Setback::Trouble(_))) => false,
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn the_newest_is_kept_and_presented_after_a_restart_too() {
    let w = world();
    for (seq, hash) in [(5, 5), (5, 5), (9, 9)] {
        assert!(takes(&w, shown(seq, hash, 0)).await);
    }
    let newest = kept(&w).unwrap();
    assert!(newest.contains("\nseq 9\n"));
    let again = restarted(&w, &[]);
    assert!(takes(&again, newest.clone()).await);
    let presented = w.script.presented();
    assert_eq!((&presented[0], presented[3].as_ref()), (&None, Some(&newest)));
    assert!(presented[1].as_ref().unwrap().contains("\nseq 5\n"));
}

#[tokio::test]
async fn one_that_is_no_newer_is_not_written_again() {
    let w = world();
    assert!(takes(&w, shown(5, 5, 0)).await);
    let first = kept(&w);
    // Signed anew, of the same event.
    assert!(takes(&w, shown(5, 5, 0)).await);
    assert_eq!(kept(&w), first);
}

#[tokio::test]
async fn an_authority_that_goes_back_or_forks_gets_nothing_and_is_in_the_log() {
    let w = world();
    assert!(takes(&w, shown(7, 7, 1)).await);
    let newest = kept(&w);
    let refused = [shown(6, 6, 1), shown(7, 8, 1), shown(900, 9, 0)];
    for older in refused.clone() {
        assert!(!takes(&w, older).await);
    }
    let again = restarted(&w, &[]);
    for older in refused {
        assert!(!takes(&again, older).await);
    }
    assert_eq!((kept(&w), refusals(&w)), (newest, vec!["gone_back".to_owned(); 6]));
    assert!(w.script.names().is_empty());
    // A recovery by officers begins a branch of its own, whatever its events.
    assert!(takes(&again, shown(3, 3, 2)).await);
    assert!(!takes(&again, shown(8, 8, 1)).await);
    assert!(kept(&w).unwrap().contains("\nrecoveries 2\n"));
}

#[tokio::test]
async fn what_the_authoritys_key_has_not_signed_is_refused_from_the_first_time_on() {
    let w = world();
    let changed = shown(5, 5, 0).replace("seq 5", "seq 6");
    let long = format!("{}{}", shown(5, 5, 0), "\n".repeat(5000));
    let stranger = SoftHsm::new(Role::Courier).unwrap();
    let other = signed_by(&stranger, 5, 5, 0);
    for text in [changed, long, other, String::new(), "checkpoint".to_owned()] {
        assert!(!takes(&w, text).await);
    }
    assert_eq!((kept(&w), refusals(&w)), (None, vec!["checkpoint_not_signed".to_owned(); 5]));
}

#[tokio::test]
async fn another_audit_key_is_taken_once_the_courier_is_told_of_it_and_the_former_one_no_more() {
    let w = world();
    let former = authority_token();
    let new = SoftHsm::new(Role::Authority).unwrap();
    assert!(takes(&w, shown(7, 7, 0)).await);
    let before = kept(&w);
    assert!(!takes(&w, signed_by(&new, 8, 8, 0)).await, "it is not told of it");
    // The new key alone: whether what it kept was the authority's, it cannot tell.
    let w = told_of_keys(&w, &[&new]);
    assert!(!takes(&w, signed_by(&new, 8, 8, 0)).await);
    assert_eq!(
        (kept(&w), refusals(&w)),
        (before, vec!["checkpoint_not_signed".into(), "kept_not_signed".into()])
    );
    let w = told_of_keys(&w, &[&new, former]);
    for (older, why) in [(signed_by(&new, 6, 6, 0), "it went back"), (shown(9, 9, 0), "a key that is gone")] {
        assert!(!takes(&w, older).await, "{why}");
    }
    assert_eq!(refusals(&w)[2..], ["gone_back", "checkpoint_not_signed"]);
    assert!(takes(&w, signed_by(&new, 8, 8, 0)).await);
    assert!(kept(&w).unwrap().contains("\nseq 8\n"));
    // The other way round nothing is taken: the first one in the file is the new one.
    assert!(!takes(&told_of_keys(&w, &[former, &new]), signed_by(&new, 9, 9, 0)).await);
}

#[tokio::test]
async fn nothing_is_carried_out_while_the_checkpoint_is_not_durable() {
    let w = world();
    w.memory.fail(1, Fault::NotWritten);
    assert!(!takes(&w, shown(5, 5, 0)).await);
    assert_eq!(kept(&w), None);
    assert!(takes(&w, shown(5, 5, 0)).await);
}

#[tokio::test]
async fn the_loop_sends_nothing_for_an_authority_that_went_back() {
    let w = world();
    assert!(takes(&w, shown(7, 7, 0)).await);
    w.script.shows(shown(6, 6, 0));
    w.script.lease(Ok(vec![w.lease(2, A)]));
    let (_told, stop) = tokio::sync::watch::channel(false);
    let pace = Pace { at_once: 1, batch: 10, poll: std::time::Duration::from_millis(1), until: Until::Idle };
    assert_eq!(run(&w.courier, pace, stop).await, Tally { trouble: 1, ..Tally::default() });
    assert!(w.script.names().is_empty());
}
