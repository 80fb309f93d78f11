//! What operators may do, through the API: by the list, by the rules, and by the rules on a card.

#[path = "../policy/broken.rs"]
mod broken;

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

use hyper::Method;
use serde_json::json;

use crate::fixture::{
    Answer, Api, Installation,
    api::{OPERATOR_HEADER, json_with},
    audit::Log,
    cards::Card,
    demo::limits,
    eventually,
};

/// The operator's C.F.
const OPERATOR: &str = "RSSMRA80A01H501U";
const OPERATORS: &str = "authority/policies/operators.toml";
const RULES: &str = "authority/policies/rules/operators.cedar";
const PARAMETERS: &str = "authority/policies/authority.toml";

async fn reload_now(api: &Api) -> Answer {
    api.post("/v1/policy/reload", None, &json!({})).await
}

async fn reload(api: &Api) {
    reload_now(api).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_are_refused_by_rule_and_by_list_and_the_log_names_the_rule() {
    let mut home = Installation::new();
    home.start().await;
    let (desk, policy) = (home.api("desk"), home.api("policy"));
    let cards = home.cards(60).await;
    let region = |card: &Card| card.team_number[7..10].to_owned();
    let here = &cards[0];
    let there = cards.iter().find(|card| region(card) != region(here)).unwrap();
    let add = |rule: &str, (from, to): (&str, &str)| {
        let text = fs::read_to_string(home.path(RULES)).unwrap();
        fs::write(home.path(RULES), text + rule).unwrap();
        home.edit(PARAMETERS, from, to);
    };
    let far = format!(
        "@id(\"too_far\")\nforbid (principal, action in [Action::\"look_up\", Action::\"activate\"], resource)\n\
         when {{ resource.region == Region::\"{}\" }};\n",
        region(there)
    );
    add(&far, ("\nsequence = 1\n", "\nsequence = 2\n"));
    reload(&policy).await;
    assert_eq!(here.look_up(&desk).await["state"], "registered");
    let refused = desk.post("/v1/cards/lookup", None, &there.printed()).await;
    refused.problem(403, "not_allowed_on_card");
    assert_eq!(refused.json()["detail"], "too_far");
    let kept = desk.change("/v1/activations", &there.activation("a@esempio.example")).await;
    kept.problem(403, "not_allowed_on_card");
    let log = Log::read(&home.api("auditor")).await;
    let named = log.by(&refused)[0].text("operator").to_owned();
    assert_eq!(named.len(), 32);
    for (answer, kind) in [(&refused, "card.looked_up"), (&kept, "card.activated")] {
        let [event] = &log.by(answer)[..] else { panic!("one event of {kind}") };
        assert_eq!((event.text("kind"), event.text("outcome")), (kind, "refused"));
        assert_eq!((event.text("reason"), event.text("rule")), ("not_allowed_on_card", "too_far"));
        assert_eq!(event.text("card").len(), 32, "it is known which");
    }

    let mut nobody = json_with(None);
    nobody.remove(OPERATOR_HEADER);
    let lookup = "/v1/cards/lookup";
    let answer = desk.send_as_is(Method::POST, lookup, nobody, here.printed().to_string()).await.unwrap();
    answer.problem(400, "operator_missing");

    let unread = desk.change("/v1/activations", &json!({ "card": 7 })).await;
    assert!(unread.status.is_client_error(), "{unread:?}");

    // A rule that forbids verifications decides by the request alone, whatever the number.
    let no_desk = "@id(\"no_desk\")\nforbid (principal, action == Action::\"verify\", resource)\n\
                   when { context.front_end == FrontEnd::\"desk\" };\n";
    add(no_desk, ("\nsequence = 2\n", "\nsequence = 3\n"));
    reload(&policy).await;
    for number in [&here.team_number, "80380000104389020511"] {
        let body = json!({ "team_number": number, "code": "12345678", "purpose": "revocation" });
        let answer = desk.change("/v1/verifications", &body).await;
        answer.problem(403, "operator_not_allowed");
        assert_eq!(answer.json()["detail"], "no_desk");
        let log = Log::read(&home.api("auditor")).await;
        let [event] = &log.by(&answer)[..] else { panic!("one event") };
        assert_eq!((event.text("kind"), event.text("rule")), ("request.refused", "no_desk"));
        assert_eq!(event.text("operator"), named, "as in the operator's other events");
    }

    home.edit(OPERATORS, "valid_to = \"2099-12-31\"", "valid_to = \"2020-01-02\"");
    home.edit(PARAMETERS, "\nsequence = 3\n", "\nsequence = 4\n");
    reload(&policy).await;
    let unlisted = desk.post(lookup, None, &here.printed()).await;
    unlisted.problem(403, "unknown_operator");
    let log = Log::read(&home.api("auditor")).await;
    for (answer, operator) in [(&unlisted, &*named), (&unread, &*named), (&answer, "")] {
        let [event] = &log.by(answer)[..] else { panic!("one event") };
        assert_eq!((event.text("kind"), event.text("operator")), ("request.refused", operator));
    }
    let export = home.api("auditor").get("/v1/audit/events").await;
    assert!(!String::from_utf8_lossy(&export.body).contains(OPERATOR), "no C.F. in clear");
}

#[test]
fn explain_names_the_rule_that_decides_a_request() {
    let home = Installation::new();
    let explain = |region: &str| {
        let set = "authority/policies";
        let who = ["--operator", OPERATOR, "--action", "revoke", "--front-end", "desk"];
        let card = ["--card-region", region, "--card-state", "active", "--proof", "verification"];
        home.sigillo(&[&["policy", "explain", set, "--at", "2026-03-02T10:00"][..], &who, &card].concat())
    };
    let said = explain("030").ended(0).out;
    assert!(
        said.starts_with(
            "allowed by counter_acts_in_own_regions\ncounter_acts_in_own_regions, rules/operators.cedar line "
        ),
        "{said}"
    );
    let regions = fs::read_to_string(home.path(OPERATORS)).unwrap().replace("\"030\", ", "");
    fs::write(home.path(OPERATORS), regions).unwrap();
    let said = explain("030").ended(1).out;
    assert_eq!(said, "not allowed: no rule allows it\n");
    for command in ["check", "test"] {
        home.sigillo(&["policy", command, "authority/policies"]).ended(0);
    }
}

/// Whatever is put into the directory, what is in force stays, and nobody who asks meanwhile notices.
#[tokio::test(flavor = "multi_thread")]
async fn every_broken_set_is_refused_with_file_line_and_reason_while_requests_run() {
    let mut home = Installation::new();
    home.start().await;
    let (policy, cards) = (home.api("policy"), home.cards(2).await);
    let in_place = home.path("authority/policies");
    let own: Vec<_> = [OPERATORS, RULES].map(|file| fs::read(home.path(file)).unwrap()).into();
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
    let (stop, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    let looks = async |card: &Card| {
        let desk = home.api("desk");
        while !stop.load(Ordering::Relaxed) {
            assert_eq!(card.look_up(&desk).await["state"], "registered");
            answered.fetch_add(1, Ordering::Relaxed);
        }
    };
    let guesses = async |card: &Card| {
        let desk = home.api("desk");
        while !stop.load(Ordering::Relaxed) {
            assert_eq!(card.verify(&desk, "12345678").await.0, "rejected");
            answered.fetch_add(1, Ordering::Relaxed);
        }
    };
    let sets: Vec<_> = broken::rules().into_iter().chain(broken::operators()).collect();
    assert!(sets.len() >= 40, "{} sets", sets.len());
    let story = async {
        for broken in &sets {
            // The table is of the shipped set.
            for file in [broken::OPERATORS, broken::RULES] {
                fs::copy(shipped.join(file), in_place.join(file)).unwrap();
            }
            let (file, line) = broken.put(&in_place);
            let before = answered.load(Ordering::Relaxed);
            let refused = reload_now(&policy).await;
            refused.problem(409, "policy_refused");
            let said = refused.json()["detail"].as_str().unwrap().to_owned();
            let place = format!("{}, line {line}: ", file.strip_prefix(&in_place).unwrap().display());
            assert!(
                said.contains(&place) && said.contains(broken.reason),
                "{said}: not {place}{}",
                broken.reason
            );
            eventually("another answer", async || (answered.load(Ordering::Relaxed) > before).then_some(()))
                .await;
        }
        stop.store(true, Ordering::Relaxed);
    };
    tokio::join!(looks(&cards[0]), looks(&cards[1]), guesses(&cards[0]), guesses(&cards[1]), story);

    let log = Log::read(&home.api("auditor")).await;
    assert_eq!(log.of("policy.refused").count(), sets.len());
    assert!(log.of("policy.refused").all(|event| event.text("reason") == "does_not_hold"));
    let digest = log.0[0].text("policy");
    assert!(log.0.iter().all(|event| event.text("policy") == digest), "the same set in every event");
    for (file, text) in [OPERATORS, RULES].into_iter().zip(own) {
        fs::write(home.path(file), text).unwrap();
    }
    assert_eq!(reload_now(&policy).await.ok()["changed"], json!(false));
    home.edit(PARAMETERS, "\nsequence = 1\n", "\nsequence = 2\n");
    assert_eq!(reload_now(&policy).await.ok()["changed"], json!(true), "a good one comes into force");
}

/// Above a limit everybody gets the same answer, and only that operator.
#[tokio::test(flavor = "multi_thread")]
async fn above_a_limit_the_answer_is_429_whatever_the_card_and_the_metric_and_the_log_say_so() {
    let mut home = Installation::new();
    let most = |most| limits::limit("wrong_guesses", (most, most, most));
    home.edit(PARAMETERS, &most(limits::OPERATOR), &most(3));
    home.edit(PARAMETERS, "\nsequence = 1\n", "\nsequence = 2\n");
    home.start().await;
    let (desk, card) = (home.api("desk"), home.cards(1).await.remove(0));
    for _ in 0..3 {
        assert_eq!(card.verify(&desk, "12345678").await.0, "rejected");
    }
    let mut refused = Vec::new();
    for number in [&card.team_number, "80380000104389020511"] {
        for code in ["12345678", "1"] {
            let body = json!({ "team_number": number, "code": code, "purpose": "revocation" });
            let answer = desk.change("/v1/verifications", &body).await;
            answer.problem(429, "too_many_requests");
            assert_eq!(answer.json()["detail"], "limits.operator.wrong_guesses.per_day");
            let after: u64 = answer.headers["retry-after"].to_str().unwrap().parse().unwrap();
            assert!((1..=86_400).contains(&after), "{after}");
            refused.push(answer);
        }
    }
    assert_eq!(card.look_up(&desk).await["state"], "registered", "what has a limit of its own goes on");
    let log = Log::read(&home.api("auditor")).await;
    let alarms: Vec<_> = log.of("limit.reached").collect();
    let [alarm] = alarms[..] else { panic!("one alarm in its window") };
    let told = ["scope", "use", "window", "limit", "caller"].map(|name| alarm.text(name));
    assert_eq!(told, ["operator", "wrong_guesses", "per_day", "3", "desk"]);
    assert_eq!(log.of("verification.spent").count(), 3, "no try was spent");
    for answer in &refused {
        let of_request = log.by(answer);
        let event = of_request.iter().find(|event| event.text("kind") == "request.refused").unwrap();
        assert_eq!(event.text("operator"), alarm.text("operator"));
    }
    let counted = r#"sigillo_over_limits_total{scope="operator",use="wrong_guesses"} 4"#;
    eventually("the metric", async || home.internal("/metrics").await.1.contains(counted).then_some(()))
        .await;
}
