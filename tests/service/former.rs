//! Cards that take the place of another: replaced ones end at once, renewed ones when the new one is active (I11).

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};

use sigillo::{
    domain::{
        card::{Predecessor, Refusal},
        fictional::FictionalCard,
    },
    service::{DeliveryOutcome, Error, Former, Line, LineOutcome, Verdict},
    store::{Space, memory::Fault},
};

use crate::{
    people::{line, printed},
    post::prepared,
    rules::LAZIO,
    world::World,
};

/// A new card of the same holder.
fn next(w: &World, old: &FictionalCard) -> FictionalCard {
    FictionalCard { tax_code: old.tax_code.clone(), ..w.produced(LAZIO) }
}

fn replaces(new: &FictionalCard, old: &FictionalCard) -> Line {
    Line { former: Some(Former::Replaces(old.team_number.clone())), ..line(new) }
}

fn renews(new: &FictionalCard, old: &FictionalCard) -> Line {
    Line { former: Some(Former::Renews(old.team_number.clone())), ..line(new) }
}

/// Polls `future` until a unit of it waits behind the commit that is held. It goes no further by itself.
async fn until_queued<F: Future>(w: &World, mut future: Pin<&mut F>) {
    while w.service.store().stats().queued == 0 {
        let ended = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_ready())).await;
        if ended {
            w.memory.release();
            panic!("ended without a commit");
        }
        tokio::task::yield_now().await;
    }
}

/// Waits until the store has refused so many units, while nothing else is polled: none of them is tried again yet.
async fn until_refused(w: &World, count: u64) {
    let refused = async {
        while w.service.store().stats().refused < count {
            tokio::task::yield_now().await;
        }
    };
    let far = Duration::from_secs(60);
    tokio::time::timeout(far, refused).await.unwrap_or_else(|_| panic!("not tried again: {count} refusals"));
}

/// The courier leases, prepares and sends the one delivery that is due, each time between the look that `future` takes at it
/// and its commit.
pub(crate) async fn between<F: Future>(w: &World, mut future: Pin<&mut F>) {
    let mut lease = pin!(w.post.lease(100));
    w.until_held(lease.as_mut()).await;
    w.release().await;
    w.until_held(lease.as_mut()).await; // what was queued is read; the hold is at the gate
    until_queued(w, future.as_mut()).await;
    w.release().await;
    let [lease] = &lease.await.unwrap()[..] else { panic!("one delivery") };
    let held = (lease.lease, lease.delivery);
    for (refused, outcome) in [(1, prepared(lease)), (2, DeliveryOutcome::Sent)] {
        until_refused(w, refused).await;
        let mut report = pin!(w.post.report(held, outcome));
        w.until_held(report.as_mut()).await;
        until_queued(w, future.as_mut()).await; // looked at again each time
        w.release().await;
        report.await.unwrap();
    }
}

/// The kinds of the events of each unit since the last look.
fn kinds(w: &World) -> Vec<Vec<String>> {
    let kind = |event: &sigillo::domain::audit::Event| {
        serde_json::to_value(event.kind).unwrap().as_str().unwrap().to_owned()
    };
    w.ledger.units().iter().map(|unit| unit.events.iter().map(kind).collect()).collect()
}

#[tokio::test]
async fn a_replaced_card_ends_in_the_same_commit() {
    let w = World::new().await;
    let old = w.citizen(LAZIO).await;
    let paper = w.desk.reprint(&old.card, "p").await.unwrap();
    let new = next(&w, &old.card);
    w.ledger.clear();
    assert_eq!(w.bureau.register(&[replaces(&new, &old.card)]).await.unwrap(), [LineOutcome::Registered]);
    assert_eq!(kinds(&w), [["card.registered", "card.revoked", "delivery.cancelled"]]);
    assert_eq!(w.log_of("card.revoked"), ["done: replaced"]);
    assert_eq!(w.desk.look_up(&old.card).await.unwrap().state, "revoked");
    assert_eq!(w.desk.verify(&old.card, &old.cip, "v").await.unwrap().outcome, Verdict::Rejected);
    assert_eq!(w.seen(paper.delivery.unwrap()).await.0, "cancelled");
    assert_eq!(w.desk.look_up(&new).await.unwrap().state, "registered");
    let link = w.card(&new).registration().predecessor;
    assert_eq!(link, Some(Predecessor::Replaces(w.id(&old.card).unwrap())));

    assert_eq!(w.bureau.register(&[replaces(&new, &old.card)]).await.unwrap(), [LineOutcome::Unchanged]);
    w.desk.activate(&new, "a").await.unwrap();
    assert_eq!(w.log_of("card.revoked").len(), 1, "revoked once");
}

/// Both or neither, and the registration is simply repeated.
#[tokio::test]
async fn a_replacement_is_all_or_nothing() {
    for (fault, happened) in [
        (Fault::Fatal, false),
        (Fault::NotWritten, false),
        (Fault::UnknownKept, true),
        (Fault::UnknownLost, false),
    ] {
        let mut w = World::new().await;
        let old = w.citizen(LAZIO).await;
        let new = next(&w, &old.card);
        w.memory.fail(1, fault);
        let failed = w.bureau.register(&[replaces(&new, &old.card)]).await;
        assert!(matches!(failed, Err(Error::Unavailable(_))), "{fault:?}: {failed:?}");
        w.restart().await;
        assert_eq!(w.id(&new).is_some(), happened, "{fault:?}");
        let state = w.desk.look_up(&old.card).await.unwrap().state;
        assert_eq!(state, if happened { "revoked" } else { "active" }, "{fault:?}");
        let outcome = if happened { LineOutcome::Unchanged } else { LineOutcome::Registered };
        assert_eq!(w.bureau.register(&[replaces(&new, &old.card)]).await.unwrap(), [outcome], "{fault:?}");
        assert_eq!(w.log_of("card.revoked"), ["done: replaced"], "{fault:?}");
        w.desk.activate(&new, "a").await.unwrap();
    }
}

#[tokio::test]
async fn only_the_holders_own_known_card_is_a_former_one() {
    let w = World::new().await;
    let old = w.citizen(LAZIO).await;
    let unknown = next(&w, &old.card);
    let (mine, others) = (next(&w, &old.card), w.produced(LAZIO));
    for make in [replaces, renews] {
        let lines = [make(&others, &old.card), make(&mine, &unknown), make(&mine, &mine)];
        assert_eq!(w.bureau.register(&lines).await.unwrap(), [LineOutcome::UnknownFormerCard; 3]);
    }
    assert_eq!(w.desk.look_up(&old.card).await.unwrap().state, "active");
    assert!(w.id(&mine).is_none() && w.id(&others).is_none());
    assert_eq!(w.log_of("card.revoked").len(), 0);
    assert_eq!(w.bureau.register(&[line(&mine)]).await.unwrap(), [LineOutcome::Registered]);
    let itself = w.bureau.register(&[replaces(&mine, &mine)]).await.unwrap();
    assert_eq!(itself, [LineOutcome::UnknownFormerCard], "no card ends itself");
    assert_eq!(w.desk.look_up(&mine).await.unwrap().state, "registered");
}

#[tokio::test]
async fn a_renewed_card_lives_until_the_new_one_is_active() {
    let w = World::new().await;
    let old = w.citizen(LAZIO).await;
    let new = next(&w, &old.card);
    assert_eq!(w.bureau.register(&[renews(&new, &old.card)]).await.unwrap(), [LineOutcome::Registered]);
    assert_eq!(w.desk.look_up(&old.card).await.unwrap().state, "active");
    assert_eq!(w.desk.verify(&old.card, &old.cip, "v").await.unwrap().outcome, Verdict::Accepted);
    w.desk.reprint(&old.card, "p").await.unwrap();
    w.desk.preview(&new).await.unwrap();
    assert_eq!(w.desk.look_up(&old.card).await.unwrap().state, "active");

    w.ledger.clear();
    w.desk.activate(&new, "a").await.unwrap();
    let outcome = ["card.activated", "card.revoked", "delivery.cancelled", "delivery.queued"];
    assert_eq!(kinds(&w), [&[], &["card.activated"][..], &outcome[..]], "charge, intent, then all of it");
    assert_eq!(w.log_of("card.revoked"), ["done: renewed"]);
    assert_eq!(w.desk.verify(&old.card, &old.cip, "w").await.unwrap().outcome, Verdict::Rejected);
    w.desk.activate(&new, "a").await.unwrap();
    assert_eq!(w.log_of("card.revoked").len(), 1);
}

/// An activation whose outcome was not written has revoked nothing.
#[tokio::test]
async fn a_renewal_that_fails_leaves_the_old_card() {
    let mut w = World::new().await;
    let old = w.citizen(LAZIO).await;
    let new = next(&w, &old.card);
    w.bureau.register(&[renews(&new, &old.card)]).await.unwrap();
    w.memory.fail(2, Fault::UnknownLost);
    assert!(matches!(w.desk.activate(&new, "a").await, Err(Error::Unavailable(_))));
    w.restart().await;
    assert_eq!(w.desk.look_up(&old.card).await.unwrap().state, "active");
    assert_eq!(w.desk.look_up(&new).await.unwrap().state, "registered");
    w.desk.activate(&new, "b").await.unwrap();
    assert_eq!(w.desk.look_up(&old.card).await.unwrap().state, "revoked");
}

#[tokio::test]
async fn a_former_card_may_have_ended_before() {
    let w = World::new().await;
    let old = w.citizen(LAZIO).await;
    let (renewing, replacing) = (next(&w, &old.card), next(&w, &old.card));
    w.bureau.register(&[renews(&renewing, &old.card)]).await.unwrap();
    let accepted = w.desk.verify(&old.card, &old.cip, "v").await.unwrap();
    w.desk.revoke(&old.card, accepted.verification, "r").await.unwrap();
    assert_eq!(
        w.bureau.register(&[replaces(&replacing, &old.card)]).await.unwrap(),
        [LineOutcome::Registered]
    );
    w.desk.activate(&renewing, "a").await.unwrap();
    assert_eq!(w.log_of("card.revoked"), ["intent", "done: lost"], "its reason stays the first");
}

#[tokio::test]
async fn a_card_that_was_never_handed_over_can_be_replaced() {
    let w = World::new().await;
    let old = w.registered(LAZIO).await;
    let (one, two) = (next(&w, &old), next(&w, &old));
    let lines = [replaces(&one, &old), replaces(&two, &old)];
    assert_eq!(w.bureau.register(&lines).await.unwrap(), [LineOutcome::Registered; 2]);
    assert_eq!(w.log_of("card.revoked"), ["done: replaced"], "two lines at once end it once");
    let late = w.desk.activate(&old, "a").await;
    assert!(matches!(late, Err(Error::Refused(Refusal::CardRevoked))), "{late:?}");
    assert_eq!(w.all(Space::Card).len(), 3);
}

/// The former card is activated between the look at it and the commit: the line is looked at again, and ends it.
#[tokio::test]
async fn a_former_card_that_changes_meanwhile_ends_all_the_same() {
    let w = World::new().await;
    let old = w.registered(LAZIO).await;
    let new = next(&w, &old);
    let mut activation = pin!(w.desk.activate(&old, "a"));
    w.until_held_after_charge(activation.as_mut()).await;
    w.release().await;
    w.until_held(activation.as_mut()).await; // its outcome is at the gate
    let lines = [replaces(&new, &old)];
    let mut registration = pin!(w.bureau.register(&lines));
    until_queued(&w, registration.as_mut()).await;
    w.release().await;
    assert_eq!(registration.await.unwrap(), [LineOutcome::Registered]);
    activation.await.unwrap();
    assert_eq!(w.service.store().stats().refused, 1, "the first look was out of date");
    assert_eq!(w.desk.look_up(&old).await.unwrap().state, "revoked");
    assert_eq!(w.log_of("card.revoked"), ["done: replaced"]);
    assert!(w.deliver().await.is_empty(), "its delivery is cancelled");
}

/// The courier moves the former card's delivery on, again and again, always between the look at it and the commit.
#[tokio::test]
async fn a_former_card_whose_delivery_moves_on_meanwhile_ends_all_the_same() {
    let w = World::new().await;
    let old = w.registered(LAZIO).await;
    w.desk.activate(&old, "a").await.unwrap();
    let new = next(&w, &old);
    let lines = [replaces(&new, &old)];
    let mut registration = pin!(w.bureau.register(&lines));
    between(&w, registration.as_mut()).await;
    assert_eq!(registration.await.unwrap(), [LineOutcome::Registered]);
    assert_eq!(w.service.store().stats().refused, 3);
    assert_eq!(w.desk.look_up(&old).await.unwrap().state, "revoked");
    assert_eq!(w.log_of("card.revoked"), ["done: replaced"]);
}

/// The same where an activation ends the card that it renews: the counter is not told of the courier's steps.
#[tokio::test]
async fn a_renewed_card_whose_delivery_moves_on_meanwhile_ends_all_the_same() {
    let w = World::new().await;
    let old = w.registered(LAZIO).await;
    w.desk.activate(&old, "a").await.unwrap();
    let new = next(&w, &old);
    w.bureau.register(&[renews(&new, &old)]).await.unwrap();
    let mut activation = pin!(w.desk.activate(&new, "b"));
    w.until_held_after_charge(activation.as_mut()).await;
    w.release().await; // the intent is written
    between(&w, activation.as_mut()).await;
    let paper = activation.await.unwrap();
    assert_eq!(w.desk.look_up(&old).await.unwrap().state, "revoked");
    assert_eq!(w.log_of("card.revoked"), ["done: renewed"]);
    assert_eq!(w.log_of("card.activated"), ["intent", "done", "intent", "done"]);
    assert_eq!(
        printed(&w.desk.activate(&new, "b").await.unwrap()),
        printed(&paper),
        "remembered as answered"
    );
    let [sent] = &w.deliver().await[..] else { panic!("one delivery") };
    assert_eq!(Some(sent.delivery), paper.delivery);
}

/// A line that says something else about the former card than the register does is not "the same again".
#[tokio::test]
async fn another_former_card_is_not_the_same_line_again() {
    let w = World::new().await;
    let old = w.citizen(LAZIO).await;
    let new = next(&w, &old.card);
    assert_eq!(w.bureau.register(&[line(&new)]).await.unwrap(), [LineOutcome::Registered]);
    for (again, outcome) in [
        (line(&new), LineOutcome::Unchanged),
        (replaces(&new, &old.card), LineOutcome::OtherFormerCard),
        (renews(&new, &old.card), LineOutcome::OtherFormerCard),
        (replaces(&new, &w.produced(LAZIO)), LineOutcome::UnknownFormerCard),
    ] {
        assert_eq!(w.bureau.register(&[again]).await.unwrap(), [outcome]);
    }
    assert_eq!(w.desk.look_up(&old.card).await.unwrap().state, "active", "nothing was revoked on the quiet");

    let newer = next(&w, &old.card);
    assert_eq!(w.bureau.register(&[renews(&newer, &old.card)]).await.unwrap(), [LineOutcome::Registered]);
    for (again, outcome) in [
        (renews(&newer, &old.card), LineOutcome::Unchanged),
        (replaces(&newer, &old.card), LineOutcome::OtherFormerCard),
        (renews(&newer, &new), LineOutcome::OtherFormerCard),
        (line(&newer), LineOutcome::OtherFormerCard),
    ] {
        assert_eq!(w.bureau.register(&[again]).await.unwrap(), [outcome]);
    }
}

/// The former card is in a later line, in the same step or thousands of lines on, and so is what it takes the place of.
#[tokio::test]
async fn a_batch_names_former_cards_in_any_order_of_lines() {
    let w = World::new().await;
    let first = w.produced(LAZIO);
    let (second, third) = (next(&w, &first), next(&w, &first));
    let lines = [replaces(&third, &second), replaces(&second, &first), line(&first)];
    assert_eq!(w.bureau.register(&lines).await.unwrap(), [LineOutcome::Registered; 3]);
    for (card, state) in [(&first, "revoked"), (&second, "revoked"), (&third, "registered")] {
        assert_eq!(w.desk.look_up(card).await.unwrap().state, state);
    }
    assert_eq!(w.log_of("card.revoked"), ["done: replaced"; 2]);
    assert_eq!(
        w.card(&third).registration().predecessor,
        Some(Predecessor::Replaces(w.id(&second).unwrap()))
    );
    assert_eq!(w.bureau.register(&lines).await.unwrap(), [LineOutcome::Unchanged; 3], "a rerun is safe");

    // More lines than a step has lie between the two, and one that renews leaves the old card alive.
    let (old, expiring) = (w.produced(LAZIO), w.produced(LAZIO));
    let (new, renewing) = (next(&w, &old), next(&w, &expiring));
    let mut lines = vec![replaces(&new, &old), renews(&renewing, &expiring)];
    lines.extend((0..200).map(|_| line(&w.produced(LAZIO))));
    lines.extend([line(&old), line(&expiring)]);
    assert!(w.bureau.register(&lines).await.unwrap().iter().all(|o| *o == LineOutcome::Registered));
    assert_eq!(w.desk.look_up(&old).await.unwrap().state, "revoked");
    assert_eq!(w.desk.look_up(&expiring).await.unwrap().state, "registered");

    // Nobody is first in a ring.
    let (one, two) = (w.produced(LAZIO), w.produced(LAZIO));
    let two = FictionalCard { tax_code: one.tax_code.clone(), ..two };
    let ring = [replaces(&one, &two), replaces(&two, &one)];
    assert_eq!(w.bureau.register(&ring).await.unwrap(), [LineOutcome::UnknownFormerCard; 2]);
}
