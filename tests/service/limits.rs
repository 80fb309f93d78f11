//! Limits of operators, offices and front ends: charged before anything is evaluated, and kept by the store.

use std::time::Duration;

use sigillo::{
    domain::{fictional, limits::Use},
    policy::Scope,
    service::{Error, Verdict},
    store::{Space, memory::Memory},
};
use tokio::task::JoinSet;

use crate::{
    rules::{
        LAZIO, Rules,
        limits::{FRONT_END, OFFICE, OPERATOR, limit},
    },
    world::{NOW_MS, World},
};

/// A world where `scope`'s limit on `what` is this; `usual` is what the fixture has for that scope.
async fn world(limits: &[(&str, u32, (u32, u32, u32))]) -> World {
    let rules = Rules::new();
    for (what, usual, most) in limits {
        rules.edit("authority.toml", &limit(what, (*usual, *usual, *usual)), &limit(what, *most));
    }
    World::over(Memory::new(), rules).await
}

/// What is left of the fixture's hour and minute.
const MINUTE_ENDS_MS: u64 = 60_000 - NOW_MS % 60_000;
const HOUR_ENDS_MS: u64 = 3_600_000 - NOW_MS % 3_600_000;

/// The name of the limit that refused, and how long it still does.
#[track_caller]
fn over<T: std::fmt::Debug>(answer: Result<T, Error>) -> (String, Duration) {
    match answer {
        Err(Error::TooMany { limit, after }) => (limit, after),
        other => panic!("not refused by a limit: {other:?}"),
    }
}

#[tokio::test]
async fn one_operator_cannot_guess_across_many_cards_and_right_codes_cost_no_guess() {
    let mut w = world(&[("wrong_guesses", OPERATOR, (3, 4, 9))]).await;
    let who = w.citizen(LAZIO).await;
    for number in 0..5 {
        let right = w.desk.verify(&who.card, &who.cip, &format!("right {number}")).await.unwrap();
        assert_eq!(right.outcome, Verdict::Accepted);
    }
    // Each on another card, of which some are nobody's.
    let cards = [w.registered(LAZIO).await, w.produced(LAZIO), w.produced(LAZIO)];
    for (number, card) in cards.iter().enumerate() {
        w.desk.verify(card, "12345678", &format!("wrong {number}")).await.unwrap();
    }
    let tries = w.tries(&who.card);
    let left = over(w.desk.verify(&who.card, &who.cip, "over").await);
    let minute = "limits.operator.wrong_guesses.per_minute";
    assert_eq!(left, (minute.to_owned(), Duration::from_millis(MINUTE_ENDS_MS)), "a right code too");
    assert_eq!(over(w.desk.verify(&w.produced(LAZIO), "1", "nobody's").await).0, minute, "and any card");
    assert_eq!(w.tries(&who.card), tries, "no try was spent");

    w.restart().await;
    assert_eq!(over(w.desk.verify(&who.card, &who.cip, "after a restart").await).0, minute);
    w.advance_ms(MINUTE_ENDS_MS);
    let again = w.desk.verify(&who.card, &who.cip, "over").await.unwrap();
    assert_eq!(again.outcome, Verdict::Accepted, "its key is as new");
    w.desk.verify(&who.card, &who.wrong(0), "the fourth").await.unwrap();
    let (limit, after) = over(w.desk.verify(&who.card, &who.cip, "fifth").await);
    assert_eq!(limit, "limits.operator.wrong_guesses.per_hour");
    assert_eq!(after, Duration::from_millis(HOUR_ENDS_MS - MINUTE_ENDS_MS));
    let replayed = w.desk.verify(&who.card, &who.wrong(0), "the fourth").await.unwrap();
    assert_eq!(replayed.outcome, Verdict::Rejected, "a repetition costs nothing");
    w.desk.look_up(&who.card).await.unwrap();

    // Once a window, not once a request.
    assert_eq!(w.log_of("limit.reached").len(), 2);
    let windows: Vec<_> =
        w.events().iter().filter(|e| e["kind"] == "limit.reached").map(|e| e["window"].clone()).collect();
    assert_eq!(windows, ["per_minute", "per_hour"]);
    let counted = w.service.over_limits().find(|(s, u, _)| (*s, *u) == (Scope::Operator, Use::WrongGuess));
    assert_eq!(counted, Some((Scope::Operator, Use::WrongGuess, 2)), "since the restart");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guesses_at_once_are_no_more_than_the_limit() {
    let w = world(&[("wrong_guesses", OPERATOR, (7, 7, 7))]).await;
    let cards: Vec<_> = (0..32).map(|_| w.produced(LAZIO)).collect();
    let mut guesses = JoinSet::new();
    for (number, card) in cards.into_iter().enumerate() {
        let desk = w.desk.clone();
        guesses.spawn(async move { desk.verify(&card, "12345678", &format!("g{number}")).await.is_ok() });
    }
    assert_eq!(guesses.join_all().await.into_iter().filter(|granted| *granted).count(), 7);
    assert_eq!(w.log_of("verification.spent").len(), 7);
    assert_eq!(w.log_of("limit.reached").len(), 1, "the alarm is raised once");
}

#[tokio::test]
async fn every_request_that_finds_a_card_is_a_look_up_and_one_operator_leaves_the_others_theirs() {
    let w = world(&[("look_ups", OPERATOR, (4, 4, 4)), ("look_ups", OFFICE, (6, 6, 6))]).await;
    let who = w.registered(LAZIO).await;
    let unknown = w.produced(LAZIO);
    let colleague = w.desk.used_by(w.produced(LAZIO).tax_code.as_str()).await;
    w.desk.look_up(&who).await.unwrap();
    w.desk.preview(&who).await.unwrap();
    w.desk.activate(&who, "a").await.unwrap();
    assert!(matches!(w.desk.look_up(&unknown).await, Err(Error::NotFound(_))), "costs as much");
    let limit = "limits.operator.look_ups.per_day";
    let proof = w.desk.verify(&who, "1", "v").await.unwrap().verification;
    assert_eq!(over(w.desk.look_up(&who).await).0, limit);
    assert_eq!(over(w.desk.look_up(&unknown).await).0, limit, "whether there is such a card or not");
    assert_eq!(over(w.desk.preview(&unknown).await).0, limit);
    assert_eq!(over(w.desk.activate(&unknown, "b").await).0, limit);
    assert_eq!(over(w.desk.reprint(&who, "c").await).0, limit);
    assert_eq!(over(w.desk.revoke(&who, proof, "d").await).0, limit);
    w.desk.activate(&who, "a").await.unwrap();

    colleague.look_up(&who).await.unwrap();
    colleague.look_up(&who).await.unwrap();
    let office = over(colleague.look_up(&who).await).0;
    assert_eq!(office, "limits.office.look_ups.per_day", "all of the office together");
    let events = w.events();
    let alarms: Vec<_> = events.iter().filter(|e| e["kind"] == "limit.reached").collect();
    let told: Vec<_> =
        alarms.iter().map(|e| (e["scope"].clone(), e["limit"].clone(), e["office"].clone())).collect();
    let by = |scope: &str, limit: &str| (scope.into(), limit.into(), "everywhere".into());
    assert_eq!(told, [by("operator", "4"), by("office", "6")]);
    assert!(alarms.iter().all(|e| e["operator"].as_str().is_some_and(|name| name.len() == 32)));
}

#[tokio::test]
async fn verifications_are_limited_by_office_and_front_end_too() {
    let three = (3, 3, 3);
    let w = world(&[("verifications", OPERATOR, three), ("verifications", OFFICE, (4, 4, 4))]).await;
    let colleague = w.desk.used_by(w.produced(LAZIO).tax_code.as_str()).await;
    let card = w.produced(LAZIO);
    for number in 0..3 {
        w.desk.verify(&card, "1", &format!("{number}")).await.unwrap();
    }
    assert_eq!(over(w.desk.verify(&card, "1", "4").await).0, "limits.operator.verifications.per_day");
    colleague.verify(&card, "1", "1").await.unwrap();
    assert_eq!(over(colleague.verify(&card, "1", "2").await).0, "limits.office.verifications.per_day");

    let budgets = w.all(Space::Budget);
    let of = |byte: u8| budgets.iter().filter(|(key, _)| key[0] == byte).count();
    assert_eq!((of(b'o'), of(b'w'), of(b'f')), (2, 1, 1), "one record each, however many requests");
    assert!(budgets.iter().all(|(key, record)| record.len() == if key[0] == b'a' { 8 } else { 61 }));
}

#[tokio::test]
async fn a_front_end_is_limited_over_all_its_offices() {
    let rules = Rules::new();
    for (usual, most) in [(OPERATOR, 1), (OFFICE, 2), (FRONT_END, 3)] {
        let what = "verifications";
        rules.edit("authority.toml", &limit(what, (usual, usual, usual)), &limit(what, (most, most, most)));
    }
    let lazio = LAZIO.parse().unwrap();
    let others: Vec<_> =
        fictional::cards(11, 1000, &[lazio]).skip(60).take(2).map(|card| card.tax_code).collect();
    rules.append("operators.toml", "[[office]]\nname = \"elsewhere\"\nregions = [\"120\"]\n");
    for code in &others {
        let operator = format!(
            "[[operator]]\ntax_code = \"{}\"\noffice = \"elsewhere\"\nroles = [\"counter_operator\"]\n\
             valid_from = \"2026-01-01\"\nvalid_to = \"2099-12-31\"\n",
            code.as_str()
        );
        rules.append("operators.toml", &operator);
    }
    let w = World::over(Memory::new(), rules).await;
    let colleague = w.desk.used_by(w.produced(LAZIO).tax_code.as_str()).await;
    let [third, fourth] =
        [w.desk.used_by(others[0].as_str()).await, w.desk.used_by(others[1].as_str()).await];
    let card = w.produced(LAZIO);
    for client in [&w.desk, &colleague, &third] {
        client.verify(&card, "1", "1").await.unwrap();
    }
    assert_eq!(over(fourth.verify(&card, "1", "1").await).0, "limits.front_end.verifications.per_day");
    // What the front end refused was charged to nobody.
    let counted = w.all(Space::Budget).into_iter().filter(|(key, _)| key[0] == b'o').count();
    assert_eq!(counted, 3);
}
