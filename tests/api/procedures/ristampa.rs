//! Ristampa PIN/PUK.

use serde_json::{Value, json};

use super::{proxy, with};
use crate::fixture::{Activated, Api, Installation, eventually};

const ADDRESS: &str = "ristampa@esempio.it";

#[tokio::test(flavor = "multi_thread")]
async fn the_steps() {
    let home = Installation::shared().await;
    let desk = home.api("desk");
    let active = home.activated(&desk).await;
    let before = active.second_parts(&home).await;
    let delivery = format!("/v1/deliveries/{}", active.delivery);
    eventually("the courier's report", async || {
        (desk.get(&delivery).await.ok()["state"] == "sent").then_some(())
    })
    .await;
    // (1) The card, (2) to the holder, (4) channel and reason; (7) summary.
    // To the mailbox of before: to another one the courier waits, and tells the former one.
    let form = active.card.reprint(&active.address, "lost_paper");
    let summary = desk.post("/v1/reprints", None, &with(&form, "/preview", json!(true))).await.ok();
    assert_eq!((&summary["lacks"], &summary["contact"]), (&json!([]), &json!("t***@e***.it")));
    assert!(summary["codes"].get("CIP").is_none(), "the citizen has it already: {summary}");
    // Confirmed; (8) outcome, (5) the paper with the same first parts, and the same second parts again.
    let answer = desk.change("/v1/reprints", &form).await;
    let again = Activated::new(&active.card, &active.address, &answer);
    let paper = &answer.ok()["paper"];
    assert_eq!((&paper["operation"], &paper["applicant"]), (&json!("reprint"), &json!("holder")));
    // (6) What the citizen reads: who has changed the PIN on the chip needs the PUK.
    assert_eq!(paper["texts"], json!(["same_codes", "second_parts_follow", "changed_pin_needs_puk"]));
    let mail = eventually("the second message", async || {
        let mut all = home.mails(&active.address).into_iter();
        all.find(|mail| mail.after("Numero di controllo") == again.control)
    })
    .await;
    for (code, name) in [("PIN", "PIN"), ("PUK", "PUK")] {
        assert_eq!(again.first_parts[code], active.first_parts[code]);
        assert_eq!(mail.after(&format!("Seconda parte del {name}")), before[code], "never a new code");
    }
}

/// Asks once more where a step of the courier, which changes the card too, came between. A delivery has few of them.
async fn reprinted(desk: &Api, form: &Value) -> Value {
    for _ in 0..8 {
        let answer = desk.change("/v1/reprints", form).await;
        if answer.status != 409 {
            return answer.ok();
        }
        answer.problem(409, "changed_meanwhile");
    }
    panic!("the card never stays as it is")
}

#[tokio::test(flavor = "multi_thread")]
async fn to_a_proxy_and_not_too_often() {
    let home = Installation::shared().await;
    let desk = home.api("desk");
    let active = home.activated(&desk).await;
    let form = active.card.reprint(ADDRESS, "forgotten");
    // (3) The proxy's data.
    let to_proxy = with(&form, "/applicant", proxy("health_impediment"));
    let unsigned = with(&to_proxy, "/applicant/declaration", json!(false));
    desk.change("/v1/reprints", &unsigned).await.problem(422, "declaration_missing");
    let paper = reprinted(&desk, &to_proxy).await;
    assert_eq!(paper["paper"]["applicant"], "proxy:health_impediment");
    desk.change("/v1/reprints", &with(&form, "/reason", json!("whim"))).await.problem(422, "unknown_reason");
    // The card was activated in person, whoever fetches a reprint.
    assert_eq!(active.card.look_up(&desk).await["activation"], "in_person");
    for _ in 0..2 {
        reprinted(&desk, &form).await;
    }
    for body in [&form, &to_proxy] {
        let refused = desk.change("/v1/reprints", body).await;
        refused.problem(409, "too_many_reprints");
        assert!(
            refused.json()["detail"].as_str().unwrap().starts_with("possible again from 20"),
            "{refused:?}"
        );
    }
    let preview = with(&form, "/preview", json!(true));
    desk.post("/v1/reprints", None, &preview).await.problem(409, "too_many_reprints");
    let fresh = home.cards(1).await.remove(0);
    desk.change("/v1/reprints", &fresh.reprint(ADDRESS, "forgotten")).await.problem(409, "card_not_active");
}
