//! Marks that are written late, and accounts of calls that were never sent.

use tokio::sync::Mutex;

use super::*;
use crate::hsm::Place;

async fn write(hsm: &Hsm, turns: &Arc<Mutex<Place>>, mark: &str) -> Result<(), Error> {
    hsm.write_mark(hsm.mark_turn(turns).await?, mark.as_bytes().to_vec()).await
}

#[tokio::test]
async fn a_mark_that_is_written_after_its_deadline_is_older_than_none() {
    let (soft, hsm) = start(2, QUIET);
    let turns = Arc::new(Mutex::new(Place::A));
    soft.hold_one();
    let late = write(&hsm, &turns, "old").await.unwrap_err();
    assert_eq!(
        (late, soft.marks()[0].as_deref()),
        (Error::Unavailable("no answer within 300 ms".into()), Some(&[][..]))
    );
    // The other worker is free, and the next mark waits all the same.
    let refused = write(&hsm, &turns, "new").await.unwrap_err();
    assert_eq!(refused, Error::Unavailable("the write of the checkpoint before has not ended".into()));
    assert_eq!(soft.marks(), [Some(Vec::new()), Some(Vec::new())]);
    soft.release();
    until("the late write is over", || turns.try_lock().is_ok()).await;
    write(&hsm, &turns, "new").await.unwrap();
    assert_eq!(soft.marks(), [Some(b"old".to_vec()), Some(b"new".to_vec())], "each at a place of its own");
}

#[tokio::test]
async fn a_mark_that_is_never_written_leaves_the_turn_where_it_was() {
    let (soft, hsm) = start(1, PoolLimits { queue: 1, ..QUIET });
    let turns = Arc::new(Mutex::new(Place::A));
    soft.fail_next([Error::Bug("not written".into())]);
    assert_eq!(write(&hsm, &turns, "a").await.unwrap_err(), Error::Bug("not written".into()));
    soft.hold();
    let busy = hsm.clone();
    let inside = tokio::spawn({
        let hsm = hsm.clone();
        async move { hsm.sign([0; 32]).await }
    });
    until("a call inside the token", || soft.inside() == 1).await;
    let waiting = tokio::spawn(async move { busy.sign([0; 32]).await });
    until("the queue is full", || soft.inside() == 1 && hsm.inner.jobs.is_full()).await;
    assert_eq!(write(&hsm, &turns, "b").await.unwrap_err(), Error::Busy);
    soft.release();
    drop((inside.await.unwrap(), waiting.await.unwrap()));
    write(&hsm, &turns, "c").await.unwrap();
    assert_eq!(soft.marks(), [Some(b"c".to_vec()), Some(Vec::new())]);
}

#[tokio::test]
async fn what_was_never_sent_is_not_accounted_for() {
    let (soft, hsm) = start(1, PoolLimits { queue: 1, ..QUIET });
    let accounts = Arc::<Uses>::default();
    let ask = |texts: &[&'static str]| {
        let (hsm, accounts) = (hsm.clone(), Arc::clone(&accounts));
        let calls = texts.iter().map(|text| (MacKey::Print, secret(text))).collect();
        async move { hsm.accounted_macs(calls, &accounts).await }
    };
    soft.hold();
    let inside = tokio::spawn(ask(&["inside"]));
    until("a call inside the token", || soft.inside() == 1).await;
    let waiting = tokio::spawn(ask(&["waits until its deadline"]));
    until("a call in the queue", || hsm.inner.jobs.len() == 1).await;
    assert_eq!(ask(&["one too many"]).await.unwrap_err(), Error::Busy);
    assert!(waiting.await.unwrap().is_err() && inside.await.unwrap().is_err());
    soft.release();
    until("up again", || hsm.state() == State::Up).await;
    soft.fail_next([Error::Bug("the first of two".into())]);
    // On a machine that is busy a deadline may pass before anything is sent: that counts for nothing, so once more.
    for _ in 0..100 {
        until("room in the queue", || hsm.inner.jobs.is_empty()).await;
        assert!(ask(&["sent", "not sent"]).await.is_err());
        if hsm.counts()[0].1 == 2 {
            break;
        }
    }
    hsm.close().await;
    assert!(ask(&["closed"]).await.is_err());
    // Sent: the one that was inside when its deadline passed, and the first of two.
    assert_eq!((accounts.read().print, hsm.counts()[0].1), (2, 2));
}
