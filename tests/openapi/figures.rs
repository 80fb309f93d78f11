//! Samples of histories and reports.

use sigillo::api::{
    history::{History, HistoryCard, HistoryEntry, HistoryPage, ReadHistory},
    statistics::{ReadReport, Report as ReportOfLog, ReportHead, ReportRow},
};

use crate::samples::{CF, DAY, HEX32, Sample, TEAM, TIME, answer, request};

pub(crate) fn histories() -> Vec<Sample> {
    let ask = |more: bool| ReadHistory {
        tax_code: CF.into(),
        team_number: TEAM.into(),
        expires_on: DAY.into(),
        cards: more.then(|| "all".into()),
        card: more.then(|| HEX32.into()),
        order: more.then(|| "oldest".into()),
        from: more.then(|| DAY.into()),
        to: more.then(|| DAY.into()),
        kinds: more.then(|| "card.activated".to_owned()).into_iter().collect(),
        intents: more,
        operators: more,
        limit: more.then_some(20),
        cursor: more.then(|| HEX32.repeat(2)),
    };
    let card = |more: bool| HistoryCard {
        card: HEX32.into(),
        this: more,
        number_ends: more.then(|| "7893".into()),
        state: "revoked".into(),
        expires_on: DAY.into(),
        expired: false,
        region: "060".into(),
        registered_at: TIME.into(),
        activated_at: more.then(|| TIME.into()),
        revoked_at: more.then(|| TIME.into()),
        reason: more.then(|| "lost".into()),
    };
    let entry = |more: bool| HistoryEntry {
        at: TIME.into(),
        kind: "card.activated".into(),
        outcome: "done".into(),
        front_end: "desk".into(),
        office: more.then(|| "example-office".into()),
        operator: more.then(|| HEX32.into()),
        reason: more.then(|| "lost".into()),
        channel: more.then(|| "email".into()),
        delivery: more.then(|| HEX32.into()),
        request: HEX32.into(),
    };
    let page = |more: bool| HistoryPage {
        card: HEX32.into(),
        entries: vec![entry(more)],
        end: !more,
        next: more.then(|| HEX32.repeat(2)),
    };
    let history =
        |more: bool| History { cards: vec![card(more)], withheld: 1, page: more.then(|| page(true)) };
    vec![
        request("ReadHistory", &ask(true), &ask(false)),
        answer("History", &history(true), &history(false)),
        answer("HistoryCard", &card(true), &card(false)),
        answer("HistoryPage", &page(true), &page(false)),
        answer("HistoryEntry", &entry(true), &entry(false)),
    ]
}

pub(crate) fn reports() -> Vec<Sample> {
    let list = |more: bool, text: &str| more.then(|| text.to_owned()).into_iter().collect::<Vec<_>>();
    let ask = |more: bool| ReadReport {
        from: DAY.into(),
        to: DAY.into(),
        by: list(more, "week"),
        office: more.then(|| "example-office".into()),
        all_offices: more,
        operator: more.then(|| HEX32.into()),
        kinds: list(more, "card.activated"),
        outcomes: list(more, "done"),
        channel: more.then(|| "sms".into()),
        front_end: more.then(|| "desk".into()),
    };
    let text = |text: &str| Some(text.to_owned());
    let row = ReportRow {
        time: text("2026-W43"),
        office: text("example-office"),
        operator: text(HEX32),
        kind: text("card.activated"),
        outcome: text("done"),
        channel: text("sms"),
        front_end: text("desk"),
        count: Some(12),
        below: Some(5),
        failed: Some(1),
        share_failed: Some(0.0833),
        per_day: Some(1.5),
    };
    let report = |more: bool| ReportOfLog {
        head: ReportHead {
            from: DAY.into(),
            to: DAY.into(),
            by: list(more, "week"),
            office: more.then(|| "example-office".into()),
            smallest: 5,
            log_seq: 7,
            log_hash: "00".repeat(32),
        },
        rows: vec![row.clone()],
        total: ReportRow::default(),
    };
    vec![
        request("ReadReport", &ask(true), &ask(false)),
        answer("ReportOfLog", &report(true), &report(false)),
        answer("ReportRow", &row, &ReportRow::default()),
    ]
}
