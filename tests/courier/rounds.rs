//! The loop: what happens to the deliveries leased together, and when it ends.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use sigillo::{
    api::courier::{Lease, ReportStatus},
    courier::{
        AuthorityError, Gateway, Mail, Setback,
        run::{Pace, Tally, Until, run},
    },
    domain::{
        checkpoint,
        id::{CardId, LeaseId},
    },
    hsm::State,
    store::Space,
};
use tokio::sync::watch;

use crate::fakes::{Event, NOW_MS, RecordingGateway, TestClock, World, world, world_of, world_under};

const ONCE: Pace = Pace { at_once: 1, batch: 10, poll: Duration::from_millis(1), until: Until::Idle };
const FOREVER: Pace = Pace { until: Until::Stopped, ..ONCE };

fn three(w: &World<RecordingGateway>) -> Vec<Lease> {
    (1..=3).map(|n| w.lease(n, "mario@esempio.it")).collect()
}

async fn once(w: &World<RecordingGateway>) -> Tally {
    let (_told, stop) = watch::channel(false);
    run(&w.courier, ONCE, stop).await
}

fn reports_of(w: &World<RecordingGateway>, number: u8) -> Vec<(ReportStatus, String)> {
    let of = LeaseId::new([number + 100; 16]);
    w.script
        .events()
        .into_iter()
        .filter_map(|e| match e {
            Event::Reported { lease, status, reason, .. } if lease == of => {
                Some((status, reason.unwrap_or_default()))
            }
            Event::Reported { .. } | Event::Sent { .. } => None,
        })
        .collect()
}

#[tokio::test]
async fn once_carries_out_what_is_due_and_ends() {
    let w = world();
    w.script.lease(Ok(three(&w)));
    w.script.lease(Ok(vec![w.lease(4, "mario@esempio.it")]));
    assert_eq!(once(&w).await, Tally { sent: 4, ..Tally::default() });
}

#[tokio::test]
async fn trouble_gives_the_rest_back_untouched() {
    let w = world();
    w.script.lease(Ok(three(&w)));
    w.script.lease(Ok(vec![w.lease(4, "mario@esempio.it")]));
    w.script.send([Ok(()), Err(Setback::Trouble("relay down".to_owned()))]);
    assert_eq!(once(&w).await, Tally { sent: 1, retry: 2, trouble: 1, ..Tally::default() });
    let rest = (ReportStatus::Returned, "the courier's token or gateway is down".to_owned());
    assert_eq!(reports_of(&w, 3), [rest]);
    assert!(reports_of(&w, 4).is_empty());
}

#[tokio::test]
async fn one_refused_delivery_does_not_hold_up_the_others() {
    let w = world();
    w.script.lease(Ok(three(&w)));
    w.script.report([Err(AuthorityError::Refused("422".to_owned()))]);
    w.script.send([Err(Setback::Failed("no such user".to_owned()))]);
    assert_eq!(once(&w).await, Tally { refused: 1, failed: 1, sent: 1, ..Tally::default() });
}

#[tokio::test]
async fn an_authority_that_is_gone_ends_the_round() {
    let w = world();
    w.script.lease(Ok(three(&w)));
    w.script.report(vec![Err(AuthorityError::Unavailable("503".to_owned())); 3]);
    assert_eq!(once(&w).await, Tally { unreported: 1, trouble: 1, ..Tally::default() });
    assert_eq!(w.script.names(), ["prepared"; 3]);

    let w = world();
    w.script.lease(Err(AuthorityError::Unavailable("503".to_owned())));
    assert_eq!(once(&w).await, Tally { trouble: 1, ..Tally::default() });
}

#[tokio::test]
async fn trouble_passes() {
    let w = world();
    for _ in 0..3 {
        w.script.lease(Err(AuthorityError::Unavailable("503".to_owned())));
    }
    w.script.lease(Ok(three(&w)));
    let (told, stop) = watch::channel(false);
    let told = Arc::new(told);
    let end = Arc::clone(&told);
    w.script.at(move |event| {
        if matches!(event, Event::Reported { lease, status: ReportStatus::Sent, .. } if *lease == LeaseId::new([103; 16])) {
            end.send_replace(true);
        }
    });
    assert_eq!(run(&w.courier, FOREVER, stop).await, Tally { sent: 3, trouble: 3, ..Tally::default() });
}

#[tokio::test]
async fn stop_finishes_the_delivery_in_hand_and_gives_the_rest_back() {
    let w = world();
    w.script.lease(Ok(three(&w)));
    let (told, stop) = watch::channel(false);
    w.script.at(move |event| {
        if matches!(event, Event::Sent { .. }) {
            told.send_replace(true);
        }
    });
    assert_eq!(run(&w.courier, FOREVER, stop).await, Tally { sent: 1, retry: 2, ..Tally::default() });
    assert_eq!(reports_of(&w, 1).last(), Some(&(ReportStatus::Sent, String::new())));
    for rest in [2, 3] {
        assert_eq!(reports_of(&w, rest), [(ReportStatus::Returned, "the courier is stopping".to_owned())]);
    }
}

/// Waits for a state of the courier's token.
async fn until(w: &World<RecordingGateway>, state: State) {
    while w.hsm.state() != state {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn without_a_token_nothing_is_leased() {
    let w = world();
    w.soft.lose_token();
    until(&w, State::Down).await;
    w.script.lease(Ok(three(&w)));
    assert_eq!(once(&w).await, Tally { trouble: 1, ..Tally::default() });
    assert!(w.script.events().is_empty());
}

#[tokio::test]
async fn the_loop_goes_on_when_a_lost_token_is_back() {
    let w = world();
    w.soft.lose_token();
    until(&w, State::Down).await;
    w.script.lease(Ok(three(&w)));
    let (told, stop) = watch::channel(false);
    w.script.at(move |event| {
        if matches!(event, Event::Reported { lease, status: ReportStatus::Sent, .. } if *lease == LeaseId::new([103; 16])) {
            told.send_replace(true);
        }
    });
    let found = async {
        until(&w, State::Down).await;
        w.soft.find_token();
    };
    let (tally, ()) = tokio::join!(run(&w.courier, FOREVER, stop), found);
    assert_eq!(tally, Tally { sent: 3, ..Tally::default() });
    assert_eq!(w.hsm.recoveries(), 1);
}

#[tokio::test]
async fn the_log_is_signed_after_each_round_though_the_courier_is_never_idle() {
    let w = world();
    for number in 1..=3 {
        w.script.lease(Ok(vec![w.lease(number, "mario@esempio.it")]));
    }
    let (memory, signed) = (w.memory.clone(), Arc::new(Mutex::new(Vec::new())));
    let seen = Arc::clone(&signed);
    w.script.at(move |event| {
        if matches!(event, Event::Sent { .. }) {
            let (_, reader) = memory.open().unwrap();
            let latest = reader.get(Space::Checkpoint, b"latest").unwrap();
            let text = latest.map(|found| String::from_utf8(found.value).unwrap()).unwrap_or_default();
            seen.lock().unwrap().push(checkpoint::sequence(&text));
        }
    });
    assert_eq!(once(&w).await.sent, 3);
    // Each delivery is two events: admitted, ended.
    assert_eq!(*signed.lock().unwrap(), [None, Some(2), Some(4)]);
}

/// A gateway that answers when so many messages are in hand at one time, and notes how many were at most.
struct Meeting {
    all: tokio::sync::Barrier,
    now: AtomicUsize,
    most: AtomicUsize,
}

/// The courier's handle of it.
struct Meets(Arc<Meeting>);

impl Gateway for Meets {
    async fn send(&self, _: &Mail<'_>) -> Result<(), Setback> {
        let now = self.0.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.0.most.fetch_max(now, Ordering::SeqCst);
        self.0.all.wait().await;
        self.0.now.fetch_sub(1, Ordering::SeqCst);
        Ok(())
    }
}

#[tokio::test]
async fn as_many_as_allowed_are_in_hand_at_one_time_and_no_more() {
    let meeting = Arc::new(Meeting {
        all: tokio::sync::Barrier::new(3),
        now: AtomicUsize::new(0),
        most: AtomicUsize::new(0),
    });
    let clock = Arc::new(TestClock::default());
    clock.set_wall(NOW_MS);
    let w = world_of(Meets(Arc::clone(&meeting)), clock);
    w.script.lease(Ok((1..=9).map(|n| w.lease(n, "mario@esempio.it")).collect()));
    let (_told, stop) = watch::channel(false);
    let pace = Pace { at_once: 3, ..ONCE };
    // The bound is for a courier that has fewer in hand: then they never meet.
    let tally = tokio::time::timeout(Duration::from_secs(60), run(&w.courier, pace, stop)).await;
    assert_eq!(tally.expect("three at a time"), Tally { sent: 9, ..Tally::default() });
    assert_eq!(meeting.most.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_limit_is_exact_however_many_are_in_hand() {
    let w = world_under(&[
        ("hour = 3\nday = 6", "hour = 3\nday = 6"),
        ("hour = 6\nday = 12", "hour = 6\nday = 7"),
        ("hour = 1000\nday = 8000", "hour = 7\nday = 8"),
    ]);
    w.script.lease(Ok((1..=20).map(|n| w.lease(n, &format!("n{n}@esempio.it"))).collect()));
    let (_told, stop) = watch::channel(false);
    // As many as the token of these tests takes jobs at a time.
    let pace = Pace { at_once: 8, batch: 20, ..ONCE };
    assert_eq!(run(&w.courier, pace, stop).await, Tally { sent: 7, waiting: 13, ..Tally::default() });
}

#[tokio::test]
async fn two_messages_of_a_card_are_never_in_hand_together() {
    let w = world();
    let card = CardId::new([7; 16]);
    w.script
        .lease(Ok(vec![w.lease_for(card, 1, "mario@esempio.it"), w.lease_for(card, 2, "mario@esempio.it")]));
    let (_told, stop) = watch::channel(false);
    let tally = run(&w.courier, Pace { at_once: 2, ..ONCE }, stop).await;
    assert_eq!((tally.sent, tally.retry), (1, 1));
    let back = (ReportStatus::Returned, "another message of the card is in hand".to_owned());
    assert_eq!(reports_of(&w, 2), [back]);
}

#[tokio::test]
async fn at_the_first_trouble_those_in_hand_are_finished_and_the_rest_is_given_back() {
    let w = world();
    w.script.lease(Ok((1..=6).map(|n| w.lease(n, "mario@esempio.it")).collect()));
    w.script.send([Err(Setback::Trouble("relay down".to_owned()))]);
    let (_told, stop) = watch::channel(false);
    let tally = run(&w.courier, Pace { at_once: 2, ..ONCE }, stop).await;
    assert_eq!(tally, Tally { sent: 1, retry: 5, trouble: 1, ..Tally::default() });
    assert_eq!(w.script.names().iter().filter(|name| *name == "send").count(), 2);
}
