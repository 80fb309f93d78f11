//! Reports: counts of the log put together as they are asked for, one stretch of time after the other, so that no more
//! than one stretch is in memory.

use std::collections::BTreeMap;

use super::{
    counts::{Cell, Grain},
    date::CivilDate,
    logged::{FAILED, INTENT},
};

/// A stretch of time by the calendar and clock in Italy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stretch {
    /// From one full hour to the next.
    Hour,
    /// A day.
    Day,
    /// A week by ISO 8601.
    Week,
    /// A month.
    Month,
}

impl Stretch {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Hour, Self::Day, Self::Week, Self::Month];

    /// Its name in requests and answers.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }
}

/// What counts are told apart by, beside time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum By {
    /// Where the operator worked.
    Office,
    /// Who acted, by the name in events.
    Operator,
    /// Kind of event.
    Kind,
    /// How it ended.
    Outcome,
    /// How second parts travel.
    Channel,
    /// The caller.
    FrontEnd,
}

impl By {
    /// Every one, in the order of a row.
    pub const ALL: [Self; 6] =
        [Self::Office, Self::Operator, Self::Kind, Self::Outcome, Self::Channel, Self::FrontEnd];

    /// Its name in requests and answers.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Office => "office",
            Self::Operator => "operator",
            Self::Kind => "kind",
            Self::Outcome => "outcome",
            Self::Channel => "channel",
            Self::FrontEnd => "front_end",
        }
    }

    fn of(self, cell: &Cell) -> &str {
        match self {
            Self::Office => &cell.office,
            Self::Operator => &cell.operator,
            Self::Kind => &cell.kind,
            Self::Outcome => &cell.outcome,
            Self::Channel => &cell.channel,
            Self::FrontEnd => &cell.front_end,
        }
    }
}

/// What is counted, and how it is told apart.
#[derive(Clone, Debug)]
pub struct Query {
    /// First day, in Italy.
    pub from: CivilDate,
    /// Last day, in Italy.
    pub to: CivilDate,
    /// By which stretches of time, if by any.
    pub stretch: Option<Stretch>,
    /// By what else, each once, in the order of [`By::ALL`].
    pub by: Vec<By>,
    /// Of this office alone.
    pub office: Option<String>,
    /// By this operator alone.
    pub operator: Option<String>,
    /// Of these kinds; all if empty.
    pub kinds: Vec<String>,
    /// That ended so; all but intents if empty.
    pub outcomes: Vec<String>,
    /// By this channel alone.
    pub channel: Option<String>,
    /// Through this front end alone.
    pub front_end: Option<String>,
}

impl Query {
    /// The coarsest counts that tell it.
    pub fn grain(&self) -> Grain {
        let hours = self.stretch == Some(Stretch::Hour);
        let operators = self.names_operators();
        if hours || operators { Grain::Hour } else { Grain::Day }
    }

    /// Whether it tells what single operators did.
    pub fn names_operators(&self) -> bool {
        self.operator.is_some() || self.by.contains(&By::Operator)
    }

    fn takes(&self, cell: &Cell) -> bool {
        let is = |wanted: &Option<String>, is: &String| wanted.as_ref().is_none_or(|wanted| wanted == is);
        let ended = if self.outcomes.is_empty() {
            cell.outcome != INTENT
        } else {
            self.outcomes.contains(&cell.outcome)
        };
        ended
            && (self.kinds.is_empty() || self.kinds.contains(&cell.kind))
            && is(&self.office, &cell.office)
            && is(&self.operator, &cell.operator)
            && is(&self.channel, &cell.channel)
            && is(&self.front_end, &cell.front_end)
    }

    /// The name of the stretch that a day or hour of the counts is in; empty where time is not told apart.
    fn stretch_of(&self, unit: u32) -> String {
        let Some(stretch) = self.stretch else { return String::new() };
        if stretch == Stretch::Hour {
            return CivilDate::hour_text(unit).unwrap_or_default();
        }
        let day = match self.grain() {
            Grain::Day => CivilDate::of_day_number(unit),
            Grain::Hour => CivilDate::of_hour(unit),
        };
        day.map(|day| stretch.name(day)).unwrap_or_default()
    }
}

impl Stretch {
    /// The name of the stretch that a day is in. A day has no one hour.
    fn name(self, day: CivilDate) -> String {
        match self {
            Self::Hour => String::new(),
            Self::Day => day.to_string(),
            Self::Week => day.iso_week(),
            Self::Month => day.month(),
        }
    }
}

/// How many there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// All.
    pub all: u64,
    /// Those that came to nothing ([`FAILED`]).
    pub failed: u64,
}

impl Counted {
    fn add(&mut self, outcome: &str, count: u64) {
        self.all = self.all.saturating_add(count);
        if FAILED.contains(&outcome) {
            self.failed = self.failed.saturating_add(count);
        }
    }
}

/// A line of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The stretch of time; empty where time is not told apart.
    pub stretch: String,
    /// By [`Query::by`], in its order; empty where the events have no such thing.
    pub values: Vec<String>,
    /// How many.
    pub counted: Counted,
    /// Days of the period in the stretch, up to today; nothing for an hour.
    pub days: Option<u32>,
}

/// More rows in one stretch of time than a report may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("more than {} rows in one stretch of time", Rows::MOST)]
pub struct TooMany;

/// Puts counts together. They come in the order of their keys, so that a stretch is over when the next one begins.
#[derive(Debug)]
pub struct Rows {
    query: Query,
    /// Day or hour that was looked at last, and the name of its stretch.
    at: Option<(u32, String)>,
    days: BTreeMap<String, u32>,
    open: BTreeMap<Vec<String>, Counted>,
    total: Counted,
}

impl Rows {
    /// Most rows in one stretch of time.
    pub const MOST: usize = 50_000;

    /// Nothing counted yet. Days after `today` are not counted as days.
    pub fn new(query: Query, today: CivilDate) -> Self {
        let mut days: BTreeMap<String, u32> = BTreeMap::new();
        let mut day = Some(query.from);
        while let Some(one) = day.filter(|one| *one <= query.to && *one <= today) {
            let name = query.stretch.map(|stretch| stretch.name(one)).unwrap_or_default();
            let count = days.entry(name).or_default();
            *count = count.saturating_add(1);
            day = one.tomorrow();
        }
        Self { query, at: None, days, open: BTreeMap::new(), total: Counted::default() }
    }

    /// One count more; answers the rows of the stretch that it ends.
    ///
    /// # Errors
    /// [`TooMany`].
    pub fn add(&mut self, unit: u32, cell: &Cell, count: u64) -> Result<Vec<Row>, TooMany> {
        if !self.query.takes(cell) {
            return Ok(Vec::new());
        }
        let mut over = Vec::new();
        if self.at.as_ref().is_none_or(|(at, _)| *at != unit) {
            let name = self.query.stretch_of(unit);
            if self.at.as_ref().is_some_and(|(_, before)| *before != name) {
                over = self.close();
            }
            self.at = Some((unit, name));
        }
        let values = self.query.by.iter().map(|by| by.of(cell).to_owned()).collect();
        self.open.entry(values).or_default().add(&cell.outcome, count);
        self.total.add(&cell.outcome, count);
        if self.open.len() > Self::MOST { Err(TooMany) } else { Ok(over) }
    }

    /// The rows of the stretch that is open.
    pub fn close(&mut self) -> Vec<Row> {
        let stretch = self.at.as_ref().map(|(_, name)| name.clone()).unwrap_or_default();
        let days = self.days.get(&stretch).copied().filter(|_| self.query.stretch != Some(Stretch::Hour));
        let row = |(values, counted)| Row { stretch: stretch.clone(), values, counted, days };
        std::mem::take(&mut self.open).into_iter().map(row).collect()
    }

    /// All that was counted, over the days of the whole period.
    pub fn total(&self) -> (Counted, u32) {
        (self.total, self.days.values().fold(0, |all, days| all.saturating_add(*days)))
    }
}

/// What is shown of a count.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figures {
    /// How many; nothing where there are fewer than may be told.
    pub count: Option<u64>,
    /// Nothing, or the number that the count is below and not 0.
    pub below: Option<u64>,
    /// How many came to nothing.
    pub failed: Option<u64>,
    /// Their share, 0 to 1, four decimals.
    pub share_failed: Option<f64>,
    /// Mean of a day, two decimals.
    pub per_day: Option<f64>,
}

impl Figures {
    /// Shows a count whose least number that may be told is `smallest`; 0 and 1 show all.
    pub fn new(counted: Counted, days: Option<u32>, smallest: u64) -> Self {
        let Counted { all, failed } = counted;
        let is_small = |n: u64| n > 0 && n < smallest;
        if is_small(all) {
            let nothing = Self { count: None, below: None, failed: None, share_failed: None, per_day: None };
            return Self { below: Some(smallest), ..nothing };
        }
        // What is left is a small number too.
        let hidden = is_small(failed) || is_small(all.saturating_sub(failed));
        let told = (!hidden).then_some(failed);
        Self {
            count: Some(all),
            below: None,
            failed: told,
            share_failed: told.and_then(|failed| ratio(failed, all, 10_000)),
            per_day: days.and_then(|days| ratio(all, days.into(), 100)),
        }
    }
}

/// The rows of a report as they were told, for its total: a total that counts what a row hides would tell it by subtraction.
#[derive(Clone, Copy, Debug, Default)]
pub struct Told {
    sum: Counted,
    hides_count: bool,
    hides_failed: bool,
}

impl Told {
    /// Takes a row that was counted so and is told so.
    pub const fn add(&mut self, counted: Counted, figures: &Figures) {
        match figures.count {
            Some(_) => {
                self.sum.all = self.sum.all.saturating_add(counted.all);
                self.sum.failed = self.sum.failed.saturating_add(counted.failed);
                self.hides_failed |= figures.failed.is_none();
            }
            None => self.hides_count = true,
        }
    }

    /// The total: of all rows, or of those alone whose count is told where another's is not; without what came to nothing
    /// where a row does not tell that.
    pub fn total(&self, total: Counted, days: Option<u32>, smallest: u64) -> Figures {
        let figures = Figures::new(if self.hides_count { self.sum } else { total }, days, smallest);
        match self.hides_failed {
            true => Figures { failed: None, share_failed: None, ..figures },
            false => figures,
        }
    }
}

/// `part / whole`, rounded to a part of `parts`; nothing where there is no whole.
fn ratio(part: u64, whole: u64, parts: u32) -> Option<f64> {
    let (part, whole) = (u128::from(part), u128::from(whole));
    let half = whole.checked_div(2)?;
    let scaled = part.checked_mul(parts.into())?.checked_add(half)?.checked_div(whole)?;
    Some(f64::from(u32::try_from(scaled).ok()?) / f64::from(parts))
}

#[cfg(test)]
mod tests;
