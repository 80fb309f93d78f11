//! Registration of produced cards: each line by itself, safe to send again, by several at once.

use std::{collections::HashSet, pin::pin};

use sigillo::{
    domain::{card::Card, fictional::FictionalCard},
    service::{Error, Line, LineOutcome},
    store::{Space, memory::Fault},
};
use tokio::task::JoinSet;

use crate::{
    people::line,
    rules::{LAZIO, LOMBARDIA},
    world::World,
};

fn lines(w: &World, count: usize) -> Vec<Line> {
    let region = |number: usize| if number.is_multiple_of(2) { LAZIO } else { LOMBARDIA };
    (0..count).map(|number| line(&w.produced(region(number)))).collect()
}

fn count(outcomes: &[LineOutcome], outcome: LineOutcome) -> usize {
    outcomes.iter().filter(|o| **o == outcome).count()
}

/// Every card has its four records, a salt and an id of its own, and an event.
fn check_register(w: &World, cards: usize) {
    let records = w.all(Space::Card);
    let decoded: Vec<Card> = records.iter().map(|(_, v)| Card::decode(v).unwrap()).collect();
    let salts: HashSet<_> = decoded.iter().map(|card| *card.salt().unwrap()).collect();
    assert_eq!((records.len(), salts.len()), (cards, cards));
    assert!(!salts.contains(&[0; 32]));
    let tries = w.all(Space::Tries).into_iter().filter(|(key, _)| key[0] == b'c').count();
    let others = (w.all(Space::TeamCard).len(), w.all(Space::CfCard).len(), tries);
    assert_eq!(others, (cards, cards, cards));
    assert_eq!(w.log_of("card.registered").iter().filter(|said| *said == "done").count(), cards);
    for (_, id) in w.all(Space::TeamCard) {
        assert!(records.iter().any(|(key, _)| *key == id));
    }
}

#[tokio::test]
async fn two_hundred_lines_go_in_once() {
    let mut w = World::new().await;
    let lines = lines(&w, 200);
    w.hands.clear();
    assert_eq!(w.bureau.register(&lines).await.unwrap(), [LineOutcome::Registered; 200]);
    let randoms = w.hands.calls().iter().filter(|name| **name == "random").count();
    assert_eq!(randoms, 4, "salts come from the token in bulk");
    check_register(&w, 200);
    w.restart().await;
    assert_eq!(w.bureau.register(&lines).await.unwrap(), [LineOutcome::Unchanged; 200]);
    check_register(&w, 200);
    let traces: Vec<_> = w.events().into_iter().filter(|e| e["unchanged"].is_string()).collect();
    assert_eq!(traces.len(), 4, "asking for cards by registering them leaves a trace a step");
    assert_eq!((&traces[0]["unchanged"], &traces[3]["unchanged"]), (&"64".into(), &"8".into()));
    assert_eq!(w.all(Space::Template).len(), 2, "those in use");
}

#[tokio::test]
async fn bad_lines_do_not_keep_good_ones_out() {
    let w = World::new().await;
    let known = w.registered(LAZIO).await;
    let (new, other) = (w.produced(LAZIO), w.produced(LAZIO));
    let other_holder = FictionalCard { tax_code: other.tax_code.clone(), ..known.clone() };
    let other_day = FictionalCard { expiry: "2030-12-31".parse().unwrap(), ..known.clone() };
    let batch = [&known, &new, &other_holder, &new, &other_day, &other].map(line);
    assert_eq!(
        w.bureau.register(&batch).await.unwrap(),
        [
            LineOutcome::Unchanged,
            LineOutcome::Registered,
            LineOutcome::NumberTaken,
            LineOutcome::Unchanged,
            LineOutcome::NumberTaken,
            LineOutcome::Registered,
        ]
    );
    check_register(&w, 3);
    w.desk.look_up(&known).await.unwrap();
    assert!(w.desk.look_up(&other_holder).await.is_err(), "a taken number keeps its holder");
    let again = w.bureau.register(&batch).await.unwrap();
    assert_eq!((count(&again, LineOutcome::Unchanged), count(&again, LineOutcome::NumberTaken)), (4, 2));
    assert_eq!(w.bureau.register(&[]).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_with_the_same_lines_at_once_register_each_card_once() {
    let w = World::new().await;
    let lines = lines(&w, 100);
    let mut batches = JoinSet::new();
    for turn in 0..8 {
        let (bureau, mut lines) = (w.bureau.clone(), lines.clone());
        lines.rotate_left(turn * 13);
        batches.spawn(async move { bureau.register(&lines).await.unwrap() });
    }
    let outcomes = batches.join_all().await.concat();
    assert_eq!(count(&outcomes, LineOutcome::Registered), 100);
    assert_eq!(count(&outcomes, LineOutcome::Unchanged), 700);
    check_register(&w, 100);
}

#[tokio::test]
async fn a_line_that_may_have_been_written_is_sent_again() {
    for (fault, outcome) in [
        (Fault::Fatal, LineOutcome::Registered),
        (Fault::NotWritten, LineOutcome::Registered),
        (Fault::UnknownKept, LineOutcome::Unchanged),
        (Fault::UnknownLost, LineOutcome::Registered),
    ] {
        for restart in [true, false] {
            let mut w = World::new().await;
            let card = w.produced(LAZIO);
            w.memory.fail(1, fault);
            let failed = w.bureau.register(&[line(&card)]).await;
            assert!(matches!(failed, Err(Error::Unavailable(_))), "{fault:?}: {failed:?}");
            if restart || fault != Fault::NotWritten {
                w.restart().await;
            }
            assert_eq!(w.bureau.register(&[line(&card)]).await.unwrap(), [outcome], "{fault:?}");
            check_register(&w, 1);
            w.desk.activate(&card, "a").await.unwrap();
        }
    }
}

/// The bureau hangs up while its line is being committed. The card is there, and can be handed over at once.
#[tokio::test]
async fn a_registration_that_nobody_waits_for_is_complete() {
    let w = World::new().await;
    let card = w.produced(LAZIO);
    {
        let lines = [line(&card)];
        let mut registration = pin!(w.bureau.register(&lines));
        w.until_held(registration.as_mut()).await;
    }
    w.release().await;
    while w.id(&card).is_none() {
        tokio::task::yield_now().await;
    }
    assert_eq!(w.desk.look_up(&card).await.unwrap().state, "registered");
    w.desk.preview(&card).await.unwrap();
    w.desk.activate(&card, "a").await.unwrap();
    let answer = w.desk.verify(&card, "1", "v").await.unwrap();
    assert_eq!(answer.outcome, sigillo::service::Verdict::Rejected);
    assert_eq!(w.deliver().await.len(), 1);
}
