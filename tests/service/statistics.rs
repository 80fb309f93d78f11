//! Reports: figures that are those of the log, whatever happened in whatever batches, and of one point of it.

use std::collections::BTreeMap;

use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use sigillo::{
    domain::{
        audit::{Event, Kind, Outcome},
        date::CivilDate,
        id::{CardId, RequestId},
        report::{By, Figures, Query, Row, Stretch},
    },
    service::{Error, Statistics, StatisticsRequest},
    store::{Space, Unit},
};

use crate::{
    history::{agrees, follow},
    people::Client,
    rules::LAZIO,
    world::{NOW_MS, World},
};

fn query(from: &str, to: &str, stretch: Option<Stretch>, by: &[By]) -> Query {
    Query {
        from: from.parse().unwrap(),
        to: to.parse().unwrap(),
        stretch,
        by: by.to_vec(),
        office: None,
        operator: None,
        kinds: Vec::new(),
        outcomes: Vec::new(),
        channel: None,
        front_end: None,
    }
}

async fn begin(w: &World, who: &Client, query: Query, all: bool) -> Result<Statistics, Error> {
    let request = StatisticsRequest { query, all_offices: all };
    w.service.statistics(who.call("", ""), request).await
}

async fn rest(report: &mut Statistics) -> Vec<Row> {
    let mut all = Vec::new();
    loop {
        let rows = report.next_rows().await.unwrap();
        if rows.is_empty() {
            return all;
        }
        all.extend(rows);
    }
}

/// An event as any operation might leave it. Minutes from the night of a change of the clock on.
fn event(at_ms: u64, kind: Kind, outcome: Outcome, detail: Vec<(&'static str, String)>) -> Event {
    Event {
        at_ms,
        kind,
        outcome,
        caller: "desk".into(),
        request: RequestId::new([1; 16]),
        policy: "00".repeat(32),
        card: Some(CardId::new([9; 16])).map(|id| *id.bytes()),
        with_ticket: false,
        detail,
    }
}

/// 2026-10-24T20:00Z: the clock goes back five hours later.
const AUTUMN_MS: u64 = 1_792_872_000_000;

type Made = (u64, usize, usize, usize, usize, usize);

fn made((minutes, kind, outcome, office, operator, channel): Made) -> Event {
    let kinds =
        [Kind::CardActivated, Kind::CodesReprinted, Kind::DeliveryReported, Kind::VerificationDecided];
    let outcomes = [Outcome::Done, Outcome::Refused, Outcome::Rejected, Outcome::Intent, Outcome::Accepted];
    let mut detail = Vec::new();
    let mut add = |name, values: &[&str], n: usize| {
        let value = values[n % values.len()];
        if !value.is_empty() {
            detail.push((name, value.to_owned()));
        }
    };
    add("office", &["everywhere", "elsewhere", ""], office);
    add("operator", &["00112233445566778899aabbccddeeff", "unknown", ""], operator);
    add("channel", &["email", "sms", ""], channel);
    if kinds[kind] == Kind::DeliveryReported {
        detail.push(("state", ["sent", "failed", "queued"][outcome % 3].to_owned()));
    }
    event(AUTUMN_MS + minutes * 60_000, kinds[kind], outcomes[outcome], detail)
}

/// The rows of a report, counted from the log itself, as somebody with an export would.
fn counted(w: &World, query: &Query) -> BTreeMap<Vec<String>, (u64, u64)> {
    let mut all: BTreeMap<Vec<String>, (u64, u64)> = BTreeMap::new();
    for event in w.events() {
        let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
        let at = text("at").parse::<jiff::Timestamp>().unwrap();
        let date = CivilDate::in_italy(u64::try_from(at.as_millisecond()).unwrap()).unwrap();
        let state = text("state");
        let of_courier = text("kind") == "delivery.reported" && !state.is_empty();
        let ended = if of_courier { state } else { text("outcome") };
        let is = |wanted: &Option<String>, name| wanted.as_ref().is_none_or(|wanted| *wanted == text(name));
        if date < query.from
            || date > query.to
            || (query.outcomes.is_empty() && ended == "intent")
            || !(query.outcomes.is_empty() || query.outcomes.contains(&ended))
            || !(query.kinds.is_empty() || query.kinds.contains(&text("kind")))
            || !(is(&query.office, "office")
                && is(&query.operator, "operator")
                && is(&query.channel, "channel"))
        {
            continue;
        }
        // Written out: two hours ahead until one o'clock UTC of the 25th, one hour after it.
        let ahead = if at.as_second() < 1_792_890_000 { 2 } else { 1 };
        let local = jiff::tz::Offset::constant(ahead).to_datetime(at);
        let time = match query.stretch {
            None => String::new(),
            Some(Stretch::Hour) => format!("{}T{:02}:00+{ahead:02}:00", local.date(), local.hour()),
            Some(Stretch::Day) => date.to_string(),
            Some(Stretch::Week) => {
                let week = local.date().iso_week_date();
                format!("{}-W{:02}", week.year(), week.week())
            }
            Some(Stretch::Month) => local.date().to_string()[..7].to_owned(),
        };
        let value = |by: &By| match by {
            By::Outcome => ended.clone(),
            By::FrontEnd => text("caller"),
            By::Office | By::Operator | By::Kind | By::Channel => text(by.text()),
        };
        let key = std::iter::once(time).chain(query.by.iter().map(value)).collect();
        let count = all.entry(key).or_default();
        count.0 += 1;
        count.1 += u64::from(["failed", "refused", "rejected"].contains(&ended.as_str()));
    }
    all
}

fn by_key(rows: Vec<Row>) -> BTreeMap<Vec<String>, (u64, u64)> {
    let count = rows.len();
    let key = |row: &Row| std::iter::once(row.stretch.clone()).chain(row.values.clone()).collect();
    let all: BTreeMap<_, _> =
        rows.iter().map(|row| (key(row), (row.counted.all, row.counted.failed))).collect();
    assert_eq!(all.len(), count, "each once");
    all
}

#[test]
fn figures_are_those_of_the_log_over_random_histories() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let cases = Config { failure_persistence: None, ..Config::with_cases(24) };
    let one = (0..6_000_u64, 0..4_usize, 0..5_usize, 0..3_usize, 0..3_usize, 0..3_usize);
    let batches = prop::collection::vec(prop::collection::vec(one, 1..40), 1..12);
    let asked = (0..5_usize, prop::sample::subsequence(By::ALL.to_vec(), 0..=4), any::<u8>());
    let tested = |(batches, (stretch, by, filters)): (Vec<Vec<Made>>, (usize, Vec<By>, u8))| {
        runtime.block_on(async {
            let w = World::new().await;
            let supervisor = w.supervisor().await;
            let reads_all = !by.contains(&By::Operator);
            for (n, batch) in batches.into_iter().enumerate() {
                let events = batch.into_iter().map(made).collect();
                w.service.store().submit(Unit { ops: Vec::new(), events }).await.unwrap();
                if n % 3 == 0 {
                    w.service.follow_log(1).await.unwrap();
                }
            }
            let stretch = Stretch::ALL.get(stretch).copied();
            let mut query = query("2026-10-24", "2026-10-27", stretch, &by);
            let filter = |bit: u8, text: &str| (filters & bit != 0).then(|| text.to_owned());
            query.channel = filter(1, "sms");
            query.kinds =
                filter(2, "delivery.reported").into_iter().chain(filter(2, "card.activated")).collect();
            query.outcomes = filter(4, "intent").into_iter().chain(filter(4, "failed")).collect();
            let mut report = begin(&w, &supervisor, query, reads_all).await.unwrap();
            assert_eq!(report.query().office.is_none(), reads_all);
            let expected = counted(&w, report.query());
            let rows = rest(&mut report).await;
            assert!(
                rows.is_sorted_by_key(|row| row.stretch.get(..10).map(str::to_owned)),
                "in the order of time"
            );
            assert_eq!(by_key(rows), expected);
            let total = expected.values().fold((0, 0), |(all, bad), (n, f)| (all + n, bad + f));
            assert_eq!((report.total().0.all, report.total().0.failed), total);
            follow(&w).await;
            agrees(&w);
        });
        Ok(())
    };
    TestRunner::new(cases).run(&(batches, asked), tested).unwrap();
}

#[tokio::test]
async fn a_report_is_of_one_point_of_the_log_whatever_comes_while_it_is_read() {
    let w = World::new().await;
    let supervisor = w.supervisor().await;
    let commit = async |hours: std::ops::Range<u64>, hundreds: u64| {
        for hour in hours {
            let made = |n| {
                let detail = vec![("office", "everywhere".to_owned()), ("operator", format!("{n:032x}"))];
                event(AUTUMN_MS + hour * 3_600_000, Kind::CardActivated, Outcome::Done, detail)
            };
            let events = (0..hundreds * 100).map(made).collect();
            w.service.store().submit(Unit { ops: Vec::new(), events }).await.unwrap();
        }
    };
    commit(0..20, 2).await;
    let mut asked = query("2026-10-24", "2026-10-30", Some(Stretch::Hour), &[By::Operator]);
    asked.kinds = vec!["card.activated".into()];
    let mut report = begin(&w, &supervisor, asked.clone(), false).await.unwrap();
    let (expected, head) = (counted(&w, report.query()), report.head());
    commit(0..30, 1).await;
    follow(&w).await;
    assert_eq!(by_key(rest(&mut report).await), expected);
    let stored = w.all(Space::Event);
    let (seq, value) = &stored[usize::try_from(head.seq - 1).unwrap()];
    assert_eq!((seq.as_slice(), &value[..32]), (&head.seq.to_be_bytes()[..], &head.hash[..]));
    let mut after = begin(&w, &supervisor, asked, false).await.unwrap();
    assert_ne!(by_key(rest(&mut after).await), expected);
}

#[tokio::test]
async fn who_asks_for_what_is_the_policys_to_say_and_small_numbers_are_not_told() {
    let w = World::new().await;
    let supervisor = w.supervisor().await;
    let who = w.citizen(LAZIO).await;
    w.desk.look_up(&who.card).await.unwrap();
    let today = CivilDate::in_italy(NOW_MS).unwrap().to_string();
    let asked = |by: &[By]| query(&today, &today, None, by);
    for (by, office, all, allowed) in [
        (&[By::Operator][..], None, false, true),
        (&[By::Operator], Some("everywhere"), false, true),
        (&[By::Office], None, true, true),
        (&[By::Office], Some("elsewhere"), false, true),
        (&[By::Operator], None, true, false),
        (&[By::Operator], Some("elsewhere"), false, false),
    ] {
        let query = Query { office: office.map(str::to_owned), ..asked(by) };
        let answer = begin(&w, &supervisor, query, all).await;
        assert_eq!(answer.is_ok(), allowed, "{by:?} {office:?} {all}");
        assert!(allowed || matches!(answer.err(), Some(Error::ReportNotAllowed(_))));
    }
    assert_eq!(w.log_of("report.read").len(), 6);
    assert_eq!(w.log_of("report.read")[4], "refused: report_not_allowed");

    let activated = Query { kinds: vec!["card.activated".into()], ..asked(&[By::Kind, By::FrontEnd]) };
    let mut own = begin(&w, &supervisor, activated.clone(), false).await.unwrap();
    let mut all = begin(&w, &supervisor, activated, true).await.unwrap();
    assert_eq!((own.smallest(), all.smallest()), (1, 5));
    let told = |report: &Statistics, row: &Row| Figures::new(row.counted, row.days, report.smallest());
    let (one, other) = (rest(&mut own).await, rest(&mut all).await);
    assert_eq!(one[0].values, ["card.activated", "desk"]);
    let (exact, hidden) = (told(&own, &one[0]), told(&all, &other[0]));
    assert_eq!((exact.count, exact.share_failed, exact.per_day), (Some(1), Some(0.0), Some(1.0)));
    assert_eq!((hidden.count, hidden.below, hidden.failed), (None, Some(5), None));
}

/// What it costs, printed: `cargo test --test service what_it_costs -- --nocapture`. Bytes are those of keys and values.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::disallowed_methods, reason = "real time, printed and not asserted")]
async fn what_it_costs_to_follow_the_log() {
    const CARDS: u64 = 4_000;
    let w = World::new().await;
    follow(&w).await;
    let before = (w.events().len(), w.all(Space::History).len());
    let mut events = Vec::new();
    for card in 0..CARDS {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&card.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
        let kinds = [
            (Kind::CardRegistered, Outcome::Done),
            (Kind::CardActivated, Outcome::Intent),
            (Kind::CardActivated, Outcome::Done),
            (Kind::DeliveryQueued, Outcome::Done),
            (Kind::DeliveryLeased, Outcome::Done),
            (Kind::DeliveryReported, Outcome::Done),
        ];
        for (kind, outcome) in kinds {
            let detail = vec![
                ("office", format!("office-{}", card % 20)),
                ("operator", format!("{:032x}", card % 100)),
                ("channel", "email".to_owned()),
            ];
            events.push(Event { card: Some(id), ..event(NOW_MS + card * 2_000, kind, outcome, detail) });
        }
    }
    let count = events.len();
    for unit in events.chunks(600) {
        w.service.store().submit(Unit { ops: Vec::new(), events: unit.to_vec() }).await.unwrap();
    }
    let start = std::time::Instant::now();
    follow(&w).await;
    let took = start.elapsed();
    let made = w.all(Space::History);
    // The space's byte and the version of each record are stored too.
    let size = |byte| {
        let of = made.iter().filter(|(key, _)| key[0] == byte);
        of.map(|(key, value)| key.len() + value.len() + 9).sum::<usize>()
    };
    println!(
        "{count} events: {:.0} events/s; bytes per event: {:.1} by card, {:.2} by day, {:.2} by hour",
        f64::from(u32::try_from(count).unwrap()) / took.as_secs_f64(),
        f64::from(u32::try_from(size(b'c')).unwrap()) / f64::from(u32::try_from(count).unwrap()),
        f64::from(u32::try_from(size(b'd')).unwrap()) / f64::from(u32::try_from(count).unwrap()),
        f64::from(u32::try_from(size(b'h')).unwrap()) / f64::from(u32::try_from(count).unwrap()),
    );
    let cards = made.iter().filter(|(key, _)| key[0] == b'c' && key.len() == 25).count();
    assert_eq!(w.events().len() - before.0, count);
    assert!(cards >= count && made.len() > before.1);
}
