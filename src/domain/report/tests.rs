use super::*;

fn day(text: &str) -> CivilDate {
    text.parse().unwrap()
}

fn query(from: &str, to: &str, stretch: Option<Stretch>, by: &[By]) -> Query {
    Query {
        from: day(from),
        to: day(to),
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

fn cell(kind: &str, outcome: &str) -> Cell {
    Cell { kind: kind.into(), outcome: outcome.into(), ..Cell::default() }
}

/// Stretch, values, all, failed, days.
type Line = (String, Vec<String>, u64, u64, Option<u32>);

/// The rows of counts at these days, and the days of their stretches.
fn rows(query: Query, counts: &[(&str, Cell, u64)]) -> Vec<Line> {
    let mut rows = Rows::new(query, day("2026-12-31"));
    let mut all = Vec::new();
    for (at, cell, count) in counts {
        all.extend(rows.add(day(at).day_number(), cell, *count).unwrap());
    }
    all.extend(rows.close());
    let row = |row: Row| (row.stretch, row.values, row.counted.all, row.counted.failed, row.days);
    all.into_iter().map(row).collect()
}

#[test]
fn a_stretch_is_over_when_the_next_one_begins() {
    let asked = query("2026-01-30", "2026-02-28", Some(Stretch::Month), &[By::Kind]);
    let counts = [
        ("2026-01-30", cell("a", "done"), 2),
        ("2026-01-31", cell("a", "refused"), 1),
        ("2026-01-31", cell("b", "intent"), 9),
        ("2026-02-01", cell("b", "done"), 4),
    ];
    let of = |stretch: &str, kind: &str, all, failed, days| {
        (stretch.to_owned(), vec![kind.to_owned()], all, failed, Some(days))
    };
    let expected = [of("2026-01", "a", 3, 1, 2), of("2026-02", "b", 4, 0, 28)];
    assert_eq!(rows(asked, &counts), expected, "without what was only about to be done");
}

#[test]
fn weeks_go_over_the_end_of_a_year() {
    let asked = query("2025-12-29", "2026-01-05", Some(Stretch::Week), &[]);
    let counts = [
        ("2025-12-31", cell("a", "done"), 1),
        ("2026-01-01", cell("a", "done"), 1),
        ("2026-01-05", cell("a", "done"), 1),
    ];
    let of = |week: &str, all, days| (week.to_owned(), Vec::new(), all, 0, Some(days));
    assert_eq!(rows(asked, &counts), [of("2026-W01", 2, 7), of("2026-W02", 1, 1)]);
}

#[test]
fn filters() {
    let all = Cell {
        kind: "a".into(),
        outcome: "failed".into(),
        office: "o".into(),
        channel: "sms".into(),
        front_end: "desk".into(),
        operator: "x".into(),
    };
    let base = query("2026-01-01", "2026-01-01", None, &[]);
    let some = |text: &str| Some(text.to_owned());
    for (asked, takes) in [
        (base.clone(), true),
        (Query { kinds: vec!["a".into(), "b".into()], ..base.clone() }, true),
        (Query { kinds: vec!["b".into()], ..base.clone() }, false),
        (Query { outcomes: vec!["failed".into()], ..base.clone() }, true),
        (Query { outcomes: vec!["done".into()], ..base.clone() }, false),
        (Query { office: some("o"), ..base.clone() }, true),
        (Query { office: some("p"), ..base.clone() }, false),
        (Query { channel: some("email"), ..base.clone() }, false),
        (Query { front_end: some("other"), ..base.clone() }, false),
        (Query { operator: some("x"), ..base.clone() }, true),
        (Query { operator: some("y"), ..base.clone() }, false),
    ] {
        assert_eq!(asked.takes(&all), takes, "{asked:?}");
        let hourly = asked.operator.is_some();
        assert_eq!(asked.grain(), if hourly { Grain::Hour } else { Grain::Day });
    }
    let intents = Query { outcomes: vec!["intent".into()], ..base };
    assert!(intents.takes(&cell("a", "intent")));
}

#[test]
fn days_to_come_are_not_counted_and_the_total_is_over_all() {
    let asked = query("2026-12-30", "2027-01-31", Some(Stretch::Day), &[]);
    let mut rows = Rows::new(asked, day("2026-12-31"));
    let at = day("2026-12-30").day_number();
    assert_eq!(rows.add(at, &cell("a", "rejected"), 3), Ok(Vec::new()));
    let over = rows.add(at + 1, &cell("a", "done"), 4).unwrap();
    assert_eq!((over[0].counted, over[0].days), (Counted { all: 3, failed: 3 }, Some(1)));
    assert_eq!(rows.total(), (Counted { all: 7, failed: 3 }, 2));
}

#[test]
fn more_rows_than_fit_are_refused() {
    let asked = query("2026-01-01", "2026-01-01", None, &[By::Office]);
    let mut rows = Rows::new(asked, day("2026-12-31"));
    let at = day("2026-01-01").day_number();
    let one = |n: usize| Cell { office: n.to_string(), ..cell("a", "done") };
    for n in 0..Rows::MOST {
        rows.add(at, &one(n), 1).unwrap();
    }
    assert_eq!(rows.add(at, &one(Rows::MOST), 1), Err(TooMany));
}

#[test]
fn small_numbers_are_not_told_nor_found_by_subtraction_within_a_row() {
    let of = |all, failed, smallest| Figures::new(Counted { all, failed }, Some(2), smallest);
    let whole = of(12, 1, 0);
    assert_eq!((whole.count, whole.failed), (Some(12), Some(1)));
    assert_eq!((whole.share_failed, whole.per_day), (Some(0.0833), Some(6.0)));
    let small = of(4, 1, 5);
    assert_eq!((small.count, small.below, small.failed, small.per_day), (None, Some(5), None, None));
    for (all, failed) in [(12, 1), (12, 11)] {
        let half = of(all, failed, 5);
        assert_eq!((half.count, half.failed, half.share_failed), (Some(12), None, None));
    }
    let told = of(12, 6, 5);
    assert_eq!((told.failed, told.share_failed), (Some(6), Some(0.5)));
    assert_eq!(of(12, 0, 5).failed, Some(0));
    let none = Figures::new(Counted::default(), None, 5);
    assert_eq!((none.count, none.share_failed, none.per_day), (Some(0), None, None));
}

#[test]
fn a_total_tells_no_row_that_hides_its_count() {
    let total = |rows: &[(u64, u64)], smallest| {
        let (mut told, mut all) = (Told::default(), Counted::default());
        for (count, failed) in rows {
            let counted = Counted { all: *count, failed: *failed };
            told.add(counted, &Figures::new(counted, Some(2), smallest));
            all = Counted { all: all.all + count, failed: all.failed + failed };
        }
        let figures = told.total(all, Some(2), smallest);
        (figures.count, figures.failed)
    };
    assert_eq!(total(&[(10, 0), (8, 8)], 5), (Some(18), Some(8)));
    assert_eq!(total(&[(10, 0), (3, 3)], 5), (Some(10), Some(0)), "13 would tell 3");
    assert_eq!(total(&[(3, 0), (4, 0)], 5), (Some(0), Some(0)));
    assert_eq!(total(&[(20, 10), (12, 1)], 5), (Some(32), None), "11 would tell 1");
    assert_eq!(total(&[(10, 0), (3, 3)], 0), (Some(13), Some(3)));
}
