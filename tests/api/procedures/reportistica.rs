//! Reportistica: criteria, "Genera Report".

use std::fs;

use hyper::{HeaderMap, Method, header::ACCEPT};
use serde_json::{Value, json};
use sigillo::api::statistics::{Report, ReportRow};

use crate::fixture::{
    Answer, Api, Installation,
    api::{OPERATOR_HEADER, json_with},
    audit::Log,
    registered::OperatorCard,
};

async fn report(desk: &Api, supervisor: &OperatorCard, csv: bool, body: &Value) -> Answer {
    let mut headers: HeaderMap = json_with(None);
    headers.insert(OPERATOR_HEADER, supervisor.certificate.clone());
    if csv {
        headers.insert(ACCEPT, "text/csv".parse().unwrap());
    }
    desk.send(Method::POST, "/v1/reports", headers, body.to_string()).await.unwrap()
}

fn read(answer: &Answer) -> Report {
    assert_eq!(answer.headers["content-type"], "application/json");
    serde_json::from_value(answer.ok()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn reportistica() {
    let mut home = Installation::new();
    home.start().await;
    let file = |name: &str| fs::read(home.path(&format!("clients/{name}"))).unwrap();
    let supervisor = OperatorCard::new(&file("supervisor.pem"), &file("supervisor.key"));
    let desk = home.api("desk");
    supervisor.register(&desk).await;
    for _ in 0..7 {
        home.activated(&desk).await;
    }
    let card = home.cards(1).await.remove(0);
    let reprint = card.reprint("titolare@esempio.it", "lost_paper");
    desk.change("/v1/reprints", &reprint).await.problem(409, "card_not_active");

    // The criteria: a period, what is told apart, which operations.
    let today = yesterday_and_today();
    let kinds = json!(["card.activated", "codes.reprinted"]);
    let asked = json!({ "from": today.0, "to": today.1, "by": ["outcome", "kind"], "kinds": kinds });
    let answer = report(&desk, &supervisor, false, &asked).await;
    let made = read(&answer);
    let row = |kind: &str, outcome: &str, count, failed, share| ReportRow {
        kind: Some(kind.into()),
        outcome: Some(outcome.into()),
        count: Some(count),
        failed: Some(failed),
        share_failed: Some(share),
        per_day: made.rows[0].per_day,
        ..ReportRow::default()
    };
    assert_eq!(made.head.by, ["kind", "outcome"]);
    assert_eq!((made.head.office.as_deref(), made.head.smallest), (Some("demo-office"), 1));
    assert_eq!(made.rows[0], row("card.activated", "done", 7, 0, 0.0));
    let refused = ReportRow { per_day: made.rows[1].per_day, ..row("codes.reprinted", "refused", 1, 1, 1.0) };
    assert_eq!(made.rows[1], refused);
    assert_eq!((made.rows.len(), made.total.count, made.total.failed), (2, Some(8), Some(1)));
    assert_eq!(made.total.share_failed, Some(0.125));

    // It is of one point of the log, and an auditor's export has that point.
    let log = Log::read(&home.api("auditor")).await;
    let [event] = &log.by(&answer)[..] else { panic!("one event") };
    assert_eq!(event.seq(), made.head.log_seq, "its own event is the last one");
    let from_there = format!("/v1/audit/events?after={}", made.head.log_seq - 1);
    let export = home.api("auditor").get(&from_there).await;
    let first = export.body.split(|byte| *byte == b'\n').next().unwrap();
    assert_eq!(serde_json::from_slice::<Value>(first).unwrap()["hash"], made.head.log_hash);
    let texts = ["kind", "outcome", "offices", "by"].map(|name| event.text(name));
    assert_eq!(texts, ["report.read", "done", "own", "kind outcome"]);

    // By day and operator, as a spreadsheet reads it.
    let by_day =
        json!({ "from": today.1, "to": today.1, "by": ["day", "operator"], "kinds": ["card.activated"] });
    let csv = report(&desk, &supervisor, true, &by_day).await;
    assert_eq!(csv.headers["content-type"], "text/csv; charset=utf-8; header=present");
    assert!(csv.headers["x-sigillo-log"].to_str().unwrap().starts_with("seq="));
    let text = std::str::from_utf8(&csv.body).unwrap();
    assert!(text.starts_with("time,operator,count,failed,share_failed,per_day\r\n"), "{text}");
    assert!(text.ends_with("\r\n"));

    // Beyond the own office nobody is told apart, and small numbers are not told.
    let everywhere =
        json!({ "from": today.0, "to": today.1, "by": ["kind"], "kinds": kinds, "all_offices": true });
    let made = read(&report(&desk, &supervisor, false, &everywhere).await);
    let told: Vec<_> = made.rows.iter().map(|row| (row.count, row.below)).collect();
    assert_eq!((told, made.head.office), (vec![(Some(7), None), (None, Some(5))], None));
    let csv = report(&desk, &supervisor, true, &everywhere).await;
    assert!(std::str::from_utf8(&csv.body).unwrap().contains("\r\ncodes.reprinted,<5,,,\r\n"), "{csv:?}");

    // What is refused, and why.
    let named = json!({ "from": today.0, "to": today.1, "by": ["operator"], "all_offices": true });
    report(&desk, &supervisor, false, &named).await.problem(403, "report_not_allowed");
    desk.post("/v1/reports", None, &asked).await.problem(403, "operator_not_allowed");
    let bad = |more: Value| {
        let mut body = json!({ "from": today.0, "to": today.1 });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    for (more, status, code, field) in [
        (json!({ "by": ["minute"] }), 422, "invalid_value", "$.by"),
        (json!({ "by": ["day", "hour"] }), 422, "invalid_value", "$.by"),
        (json!({ "kinds": ["card.eaten"] }), 422, "invalid_value", "$.kinds"),
        (json!({ "outcomes": ["delivered", "eaten"] }), 422, "invalid_value", "$.outcomes"),
        (json!({ "to": "2020-01-01" }), 422, "invalid_value", "$.to"),
        (json!({ "from": "1990-01-01" }), 422, "invalid_value", "$.to"),
        (json!({ "office": "demo-office", "all_offices": true }), 422, "invalid_value", "$.office"),
        (json!({ "by": "day" }), 400, "invalid_body", "$.by"),
        (json!({ "since": "x" }), 400, "invalid_body", "$.since"),
    ] {
        let refused = report(&desk, &supervisor, false, &bad(more.clone())).await;
        assert_eq!(refused.problem(status, code).unwrap(), field, "{more}");
    }
}

/// Yesterday and today in Italy: an activation just before midnight is of yesterday.
fn yesterday_and_today() -> (String, String) {
    use sigillo::{
        clock::{Clock, SystemClock},
        domain::date::CivilDate,
    };
    let now_ms = SystemClock::new().now_ms();
    let day = |at_ms| CivilDate::in_italy(at_ms).unwrap().to_string();
    (day(now_ms - 86_400_000), day(now_ms))
}
