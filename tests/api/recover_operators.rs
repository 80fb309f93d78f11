//! Operators' cards after a restored backup was recovered: one that was ended or replaced since the backup is refused (I13).

use std::fs;

use hyper::Method;
use serde_json::{Value, json};
use sigillo::domain::fictional;

use crate::fixture::{
    Answer, Api, Installation,
    api::json_with_operator,
    listed::{self, SecondCa},
    registered::OperatorCard,
};

const CONFIG: &str = "authority/serve.toml";
const KEY: &str = "authority/public/audit.pub.pem";
const OPEN: &str = "/v1/operator-registrations";
const END: &str = "/v1/operator-registrations/end";

struct Lost {
    home: Installation,
    /// C.F. of the operator whose card is lost.
    operator: String,
    /// Ended in the gap.
    lost: OperatorCard,
    /// The first one replaced by the second in the gap.
    replaced: [OperatorCard; 2],
    /// The demonstration's operator, whom nothing happens to.
    other: OperatorCard,
}

/// Two more operators in the policy set, with cards of a second authority.
fn listed() -> Lost {
    let home = Installation::new();
    let ca = SecondCa::of(&home);
    let codes =
        fictional::cards(13, 2, &["120".parse().unwrap()]).map(|card| card.tax_code.as_str().to_owned());
    let [operator, second] = codes.collect::<Vec<_>>().try_into().unwrap();
    for code in [&operator, &second] {
        listed::operator(&home, code, "\"counter_operator\"");
    }
    let card = |code: &str, number: u32| {
        let name = format!("{code}/60900000000000{number}.c2lnaWxsbyBkZW1vIGNhcmQgMDE=");
        let card = ca.card(&name);
        OperatorCard::new(card.certificate_pem().as_bytes(), card.key_pem().as_bytes())
    };
    let other = OperatorCard::of_demo(home.directory());
    Lost {
        lost: card(&operator, 21),
        replaced: [card(&second, 22), card(&second, 23)],
        other,
        operator,
        home,
    }
}

async fn look_up(card: &OperatorCard, desk: &Api) -> Answer {
    let body = json!({ "team_number": "80380000104389020511" });
    let headers = json_with_operator(None, card.certificate.clone());
    desk.send(Method::POST, "/v1/cards/lookup", headers, body.to_string()).await.unwrap()
}

async fn acts(card: &OperatorCard, desk: &Api) {
    look_up(card, desk).await.problem(404, "card_not_found");
}

/// It neither acts nor can be registered.
async fn is_former(card: &OperatorCard, desk: &Api) {
    look_up(card, desk).await.problem(403, "operator_other_card");
    card.post(desk, OPEN, &json!({})).await.problem(403, "operator_former_card");
}

async fn end(home: &Installation, operator: &str) -> Value {
    home.api("policy").post(END, None, &json!({ "tax_code": operator })).await.ok()
}

/// A backup, what happens to operators after it, and its restore in the place of the store.
async fn lost() -> Lost {
    let mut lost = listed();
    lost.home.start().await;
    let (home, desk) = (&lost.home, lost.home.api("desk"));
    lost.lost.register(&desk).await;
    lost.replaced[0].register(&desk).await;
    for card in [&lost.lost, &lost.replaced[0], &lost.other] {
        acts(card, &desk).await;
    }
    home.sigillo_as("backup", &["backup"], &["--out", "monday.backup"]).ended(0);

    assert_eq!(end(home, &lost.operator).await, json!({ "deregistered": true }));
    assert_eq!(lost.replaced[1].register(&desk).await["replaced"], true);
    home.sigillo_as("auditor", &["audit", "export"], &["--out", "audit.ndjson"]).ended(0);
    lost.home.serve.as_mut().unwrap().kill();
    let home = &lost.home;
    fs::rename(home.path("authority/store"), home.path("lost")).unwrap();
    let officer = ["--cert", "officers/officer-2.pem", "--key", "officers/officer-2.key"];
    let restore = ["restore", "--config", CONFIG, "--backup", "monday.backup", "--public-key", KEY];
    home.sigillo(&[&restore[..], &officer].concat()).ended(0);
    lost
}

impl Lost {
    /// Answers the order and the report.
    async fn recovered(&mut self, evidence: &[&str]) -> (String, String) {
        let home = &self.home;
        let recover = |command: &str, rest: &[&str]| {
            home.sigillo(&[&["recover", command, "--config", CONFIG][..], evidence, rest].concat())
        };
        let plan = recover("plan", &["--out", "order.txt"]).ended(0);
        assert!(!plan.err.contains("INFO"), "the order is not lost among the log: {}", plan.err);
        let signatures = ["officer-1", "officer-3"].map(|officer| {
            let [cert, key, out] = ["pem", "key", "sig"].map(|kind| format!("officers/{officer}.{kind}"));
            let files = ["--order", "order.txt", "--cert", &cert, "--key", &key, "--out", &out];
            home.sigillo(&[&["recover", "sign"][..], &files].concat()).ended(0);
            out
        });
        let signed: Vec<_> = signatures.iter().flat_map(|file| ["--signature", file]).collect();
        let done = recover("apply", &[&["--order", "order.txt"][..], &signed].concat()).ended(0);
        assert!(!done.err.contains("INFO"), "{}", done.err);
        self.home.start().await;
        (plan.out, done.out)
    }
}

#[track_caller]
fn says(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(text.lines().any(|of| of == *line), "{line:?} is missing in\n{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_evidence_a_card_that_was_ended_in_the_gap_is_refused_and_others_go_on() {
    let mut lost = lost().await;
    let (order, report) = lost.recovered(&["--evidence", "audit.ndjson"]).await;
    for text in [&order, &report] {
        says(
            text,
            &[
                "LOCKS NO CARD.",
                "ENDS THE CARD OF 1 OPERATOR FOR GOOD.",
                "BINDS 1 OPERATOR TO A CARD REGISTERED SINCE.",
                "EVERY OTHER OPERATOR GOES ON.",
            ],
        );
    }
    let desk = lost.home.api("desk");
    is_former(&lost.lost, &desk).await;
    is_former(&lost.replaced[0], &desk).await;
    acts(&lost.replaced[1], &desk).await;
    acts(&lost.other, &desk).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_evidence_no_card_acts_before_it_is_registered_again() {
    let mut lost = lost().await;
    let (order, report) = lost.recovered(&["--without-events"]).await;
    for text in [&order, &report] {
        says(text, &["HOLDS EVERY OPERATOR'S CARD (3): EACH REGISTERS IT AGAIN BEFORE ACTING."]);
    }
    says(&order, &["THERE IS NO EVIDENCE OF WHAT IS MISSING."]);
    let desk = lost.home.api("desk");
    for card in [&lost.lost, &lost.replaced[0], &lost.replaced[1], &lost.other] {
        look_up(card, &desk).await.problem(403, "operator_not_registered");
    }
    // The security office knows which one is lost.
    assert_eq!(end(&lost.home, &lost.operator).await, json!({ "deregistered": true }));
    is_former(&lost.lost, &desk).await;
    lost.replaced[1].register(&desk).await;
    is_former(&lost.replaced[0], &desk).await;
    lost.other.register(&desk).await;
    acts(&lost.replaced[1], &desk).await;
    acts(&lost.other, &desk).await;
}
