//! Sblocco del C.I.P.: after too many wrong guesses, with the holder at the counter.

use serde_json::json;

use super::counter::Counter;
use crate::fixture::{audit::Log, cards::wrong};

#[tokio::test(flavor = "multi_thread")]
async fn sblocco() {
    let counter = Counter::open().await;
    let desk = &counter.desk;
    let active = counter.home.activated(desk).await;
    let (card, cip) = (&active.card, active.cip(&counter.home).await);
    let mut body = card.printed();
    body["reason"] = json!("holder_mistyped");

    // There is nothing to unlock yet.
    let wanted = json!({
        "action": "unlock", "card": { "team_number": card.team_number }, "reason": "holder_mistyped",
    });
    desk.change("/v1/approvals", &wanted).await.problem(409, "not_locked");
    // Somebody guesses until the C.I.P. is locked: now not even the holder's own is taken.
    for n in 0..5 {
        assert_eq!(card.verify(desk, &wrong(&cip, n)).await.0, "rejected");
    }
    assert_eq!(card.verify(desk, &cip).await.0, "rejected");
    let seen = card.look_up(desk).await;
    assert_eq!((&seen["cip_tries_left"], &seen["cip_lock"]), (&json!(0), &json!("in_a_row")));

    // (1) C.F., TEAM number, expiry, reason. One operator alone is refused.
    let alone = desk.change("/v1/unlocks", &body).await;
    alone.problem(403, "not_allowed_on_card");
    let mut bad = body.clone();
    bad["reason"] = json!("no_reason_of_the_policy");
    assert_eq!(desk.change("/v1/unlocks", &bad).await.problem(422, "unknown_reason").unwrap(), "$.reason");
    // (2) A supervisor reads what is asked for, and signs.
    let (approval, text) = counter.approved(&wanted).await;
    assert!(text.contains("\naction: forgive the wrong guesses that lock the C.I.P. of a card\n"), "{text}");
    // (3) It is unlocked, once.
    body["approval"] = json!(approval);
    let unlocking = desk.change("/v1/unlocks", &body).await;
    assert_eq!(unlocking.ok()["cip_tries_left"], 5);
    desk.change("/v1/unlocks", &body).await.problem(404, "approval_not_found");
    assert_eq!(card.look_up(desk).await.get("cip_lock"), None);

    // (4) The holder's C.I.P. is right again, and serves for what it is for.
    let (outcome, verification) = card.verify(desk, &cip).await;
    assert_eq!(outcome, "accepted");
    let revocation = card.revocation("verification", &verification, "stolen");
    desk.change("/v1/revocations", &revocation).await.ok();
    desk.change("/v1/approvals", &wanted).await.problem(409, "card_revoked");

    let log = Log::read(&counter.home.api("auditor")).await;
    let [event] = &log.by(&unlocking)[..] else { panic!("one event") };
    let members = ["kind", "outcome", "reason", "approval"].map(|name| event.text(name));
    assert_eq!(members, ["cip.unlocked", "done", "holder_mistyped", &approval]);
    assert_eq!(event.text("approver").len(), 32);
    let [event] = &log.by(&alone)[..] else { panic!("one event") };
    assert_eq!((event.text("outcome"), event.text("rule")), ("refused", "no_unlock_without_approval"));
}
