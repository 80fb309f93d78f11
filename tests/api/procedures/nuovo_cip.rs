//! Nuovo C.I.P.: the holder has lost it, or somebody else has seen it.

use serde_json::json;

use super::counter::Counter;
use crate::fixture::{Activated, audit::Log, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn nuovo_cip() {
    let counter = Counter::open().await;
    let desk = &counter.desk;
    let active = counter.home.activated(desk).await;
    let (card, former) = (&active.card, active.cip(&counter.home).await);
    let (outcome, verification) = card.verify(desk, &former).await;
    assert_eq!(outcome, "accepted");

    // (1) C.F., TEAM number, expiry; the reason; where the second part goes. One operator alone is refused.
    let mut body = card.reprint(&active.address, "seen_by_others");
    desk.change("/v1/cip-renewals", &body).await.problem(403, "not_allowed_on_card");
    // (2) A supervisor reads what is asked for, and signs.
    let wanted = json!({
        "action": "renew_cip", "card": { "team_number": card.team_number }, "reason": "seen_by_others",
    });
    let (approval, text) = counter.approved(&wanted).await;
    assert!(text.contains("\naction: give a card a new C.I.P. in the place of the present one\n"), "{text}");
    // (3) The paper, with the first part of the new one and nothing else: PIN and PUK stay.
    body["approval"] = json!(approval);
    let answer = desk.change("/v1/cip-renewals", &body).await;
    let paper = Activated::new(card, &active.address, &answer);
    assert_eq!(paper.first_parts.keys().collect::<Vec<_>>(), ["CIP"]);
    // The former one is dead from now on, and so is what was accepted with it.
    assert_eq!(card.verify(desk, &former).await.0, "rejected");
    let revocation = |id: &str| card.revocation("verification", id, "stolen");
    desk.change("/v1/revocations", &revocation(&verification)).await.problem(409, "no_accepted_verification");

    // (4) The message follows, to the contact that the courier knows: at once.
    let mail = eventually("the second message", async || {
        let mails = counter.home.mails(&active.address);
        mails.into_iter().find(|mail| mail.after("Numero di controllo") == paper.control)
    })
    .await;
    assert!(
        mail.text.contains("Il C.I.P. di prima non vale") && !mail.text.contains("Seconda parte del PIN")
    );
    let new = format!("{}{}", paper.first_parts["CIP"], mail.after("Seconda parte del C.I.P."));
    let (outcome, verification) = card.verify(desk, &new).await;
    assert_eq!(outcome, "accepted");
    desk.change("/v1/revocations", &revocation(&verification)).await.ok();
    desk.change("/v1/approvals", &wanted).await.problem(409, "card_revoked");

    let log = Log::read(&counter.home.api("auditor")).await;
    let outcomes: Vec<_> = log.by(&answer).iter().map(|e| (e.text("kind"), e.text("outcome"))).collect();
    assert_eq!(
        outcomes,
        [("cip.renewed", "intent"), ("cip.renewed", "done"), ("delivery.queued", "done")],
        "the former delivery was over"
    );
    // What the keys were used for is in the log, to the operation.
    counter.home.sigillo_as("auditor", &["audit", "export"], &["--out", "log.ndjson"]).ended(0);
    let counted = counter.home.sigillo(&["audit", "operations", "--json", "log.ndjson"]).ended(0);
    let counted: serde_json::Value = serde_json::from_str(&counted.out).unwrap();
    assert_eq!(counted["total"]["unfinished"], 0, "{counted}");
}
