//! A verification looks the same from outside whatever the card and the code are: same commits, same reads, same calls
//! of the token, records, events and answers of the same sizes (I6).

use std::collections::BTreeMap;

use sigillo::{
    domain::fictional::FictionalCard,
    service::Verdict,
    store::{Expect, Op, Space},
};

use crate::{
    rules::{LAZIO, LOMBARDIA, MARCHE, SICILIA},
    world::World,
};

/// Kind of operation, place, sizes of key and record.
type Written = (&'static str, Space, usize, usize);

/// What one verification does. The letters of the audit event say to which class it really belonged.
#[derive(Clone, Debug, PartialEq)]
struct Shape {
    /// By commit.
    written: Vec<Vec<Written>>,
    reads: Vec<Space>,
    calls: Vec<&'static str>,
    /// By event: each field with the size of its text. The number of the event is that of the log, not of the card.
    events: Vec<BTreeMap<String, usize>>,
    answer: usize,
}

/// Forgiving and touching are one kind: the same record is read and written, by the same code.
fn written(op: &Op) -> Written {
    match op {
        Op::Charge { key, .. } => ("charge", Space::Budget, key.len(), 0),
        Op::Settle { key, .. } => ("settle", Space::Budget, key.len(), 0),
        Op::Delete { space, key, .. } => ("delete", *space, key.len(), 0),
        Op::Forgive { key, .. } | Op::RenewTries { key } | Op::Touch { key } | Op::Unlock { key } => {
            ("count", Space::Tries, key.len(), 0)
        }
        Op::Put { space, key, value, expect: Expect::Absent } => ("new", *space, key.len(), value.len()),
        Op::Put { space, key, value, .. } => ("put", *space, key.len(), value.len()),
        Op::Spend { key } => ("spend", Space::Tries, key.len(), 0),
    }
}

fn sizes(event: &serde_json::Value) -> BTreeMap<String, usize> {
    let fields = event.as_object().unwrap().iter().filter(|(name, _)| *name != "seq");
    fields.map(|(name, value)| (name.clone(), value.as_str().unwrap().len())).collect()
}

async fn measure(w: &World, card: &FictionalCard, code: &str, key: &str) -> (Shape, Verdict, String) {
    let before = w.events().len();
    w.ledger.clear();
    w.hands.clear();
    let answer = w.desk.verify(card, code, key).await.unwrap();
    let units = w.ledger.units();
    let events: Vec<_> = w.events().split_off(before);
    assert_eq!(w.ledger.entered(), units.len(), "one commit a unit: nobody else is here");
    let shape = Shape {
        written: units.iter().map(|unit| unit.ops.iter().map(written).collect()).collect(),
        reads: w.ledger.reads(),
        calls: w.hands.calls(),
        events: events.iter().map(sizes).collect(),
        answer: serde_json::to_vec(&answer).unwrap().len(),
    };
    assert_eq!(events.len(), units.iter().map(|unit| unit.events.len()).sum::<usize>());
    let checks = events[1]["checks"].as_str().unwrap().to_owned();
    (shape, answer.outcome, checks)
}

#[tokio::test]
async fn every_class_of_guess_has_the_same_shape() {
    let w = World::new().await;
    let who = w.citizen(LAZIO).await;
    let revoked = w.citizen(LAZIO).await;
    let accepted = w.desk.verify(&revoked.card, &revoked.cip, "to revoke").await.unwrap();
    w.desk.revoke(&revoked.card, accepted.verification, "revoke").await.unwrap();
    w.advance_ms(90 * 86_400_000);
    w.service.forget_expired().await.unwrap();
    let saltless = revoked;
    let revoked = w.citizen(LAZIO).await;
    let accepted = w.desk.verify(&revoked.card, &revoked.cip, "to revoke too").await.unwrap();
    w.desk.revoke(&revoked.card, accepted.verification, "revoke too").await.unwrap();
    assert_eq!((w.card(&saltless.card).salt(), w.card(&revoked.card).salt().is_some()), (None, true));
    let used_up = w.citizen(LAZIO).await;
    let worn_out = w.citizen(SICILIA).await;
    for number in 0..7 {
        w.desk.verify(&used_up.card, "0", &format!("use up {number}")).await.unwrap();
        w.desk.verify(&worn_out.card, &worn_out.wrong(0), &format!("wear out {number}")).await.unwrap();
        if number % 2 == 1 {
            w.desk.verify(&worn_out.card, &worn_out.cip, &format!("between {number}")).await.unwrap();
        }
    }
    let without = w.citizen(LOMBARDIA).await;
    let on_paper = w.citizen(MARCHE).await;
    let registered = w.registered(LAZIO).await;
    let undelivered = w.registered(LAZIO).await;
    w.desk.activate(&undelivered, "nobody delivers").await.unwrap();
    let unknown = w.produced(LAZIO);

    let longest = "1".repeat(64);
    let (first, last) = (who.wrong(0), who.wrong(7));
    let classes: [(&str, &FictionalCard, &str, &str); 18] = [
        ("right", &who.card, &who.cip, "KAFSTM"),
        ("wrong first digit", &who.card, &first, "KAFST-"),
        ("wrong last digit", &who.card, &last, "KAFST-"),
        ("no digits", &who.card, "", "KAFST-"),
        ("right again", &who.card, &who.cip, "KAFSTM"),
        ("one digit", &who.card, "1", "KAFST-"),
        ("first part alone", &who.card, &who.cip[..4], "KAFST-"),
        ("64 digits", &who.card, &longest, "KAFST-"),
        ("unknown card", &unknown, "12345678", "----T-"),
        ("unknown card, 64 digits", &unknown, &longest, "----T-"),
        ("registered", &registered, "12345678", "K---T-"),
        ("revoked", &revoked.card, &revoked.cip, "K-FSTM"),
        ("revoked, its salt destroyed", &saltless.card, &saltless.cip, "K---T-"),
        ("tries used up", &used_up.card, &used_up.cip, "KAFS--"),
        ("life used up", &worn_out.card, &worn_out.cip, "KAFS--"),
        ("second part not delivered", &undelivered, "12345678", "KAF-T-"),
        ("no C.I.P.", &without.card, "12345678", "KA--T-"),
        ("whole on paper", &on_paper.card, &on_paper.cip, "KAFSTM"),
    ];
    let mut reference: Option<Shape> = None;
    for (number, (name, card, code, checks)) in classes.into_iter().enumerate() {
        let (shape, verdict, found) = measure(&w, card, code, &format!("measured {number:02}")).await;
        let right = ["right", "right again", "whole on paper"].contains(&name);
        assert_eq!(verdict == Verdict::Accepted, right, "{name}");
        assert_eq!(found, checks, "{name}");
        let first = reference.get_or_insert_with(|| {
            assert_eq!(shape.written.len(), 2);
            assert_eq!(shape.calls, ["index", "index", "verify", "verify"]);
            shape.clone()
        });
        assert_eq!(*first, shape, "{name}");
    }
}

/// A repeated request says nothing either: it is answered from the record, without a key of codes.
#[tokio::test]
async fn a_repeated_guess_has_one_shape_too() {
    let w = World::new().await;
    let who = w.citizen(LAZIO).await;
    let unknown = w.produced(LAZIO);
    let mut shapes = Vec::new();
    for (number, (card, code)) in
        [(&who.card, who.cip.clone()), (&who.card, who.wrong(3)), (&unknown, who.cip.clone())]
            .into_iter()
            .enumerate()
    {
        let key = format!("repeated {number}");
        let answer = w.desk.verify(card, &code, &key).await.unwrap();
        w.ledger.clear();
        w.hands.clear();
        let again = w.desk.verify(card, &code, &key).await.unwrap();
        assert_eq!((again.outcome, again.verification), (answer.outcome, answer.verification));
        let units: Vec<_> = w.ledger.units().iter().map(|u| (u.ops.len(), u.events.len())).collect();
        shapes.push((units, w.ledger.reads(), w.hands.calls(), sizes(w.events().last().unwrap())));
    }
    assert_eq!(shapes[0].0, [(0, 1)]);
    assert_eq!(shapes[0].2, ["index"; 2]);
    assert!(shapes.iter().all(|shape| *shape == shapes[0]), "{shapes:#?}");
    assert_eq!(w.log_of("request.replayed").len(), 3);
}
