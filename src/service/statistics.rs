//! Reports (Reportistica): figures of the log, out of the counts that follow it, at one point of the log.
//!
//! The counts are read from a snapshot, one stretch of time after the other, while others go on; nothing is read of the log.

use super::{Call, Error, Service, audit, records::DeliveryState};
use crate::{
    domain::{
        audit::{Head, Kind, Outcome},
        counts::{Cell, Grain, read_count},
        report::{Counted, Query, Row, Rows},
    },
    policy::{Asks, act},
    store::{Snapshot, Space},
};

/// Counts read in one step.
const STEP: usize = 1024;

/// Figures that are asked for.
#[derive(Debug)]
pub struct StatisticsRequest {
    /// What is counted. Without an office it is the operator's own, unless all are asked for.
    pub query: Query,
    /// Of all offices together, and what no operator did.
    pub all_offices: bool,
}

/// A report on its way.
pub struct Statistics {
    head: Head,
    query: Query,
    smallest: u64,
    /// Rows that are ready and not yet given out.
    ready: Vec<Row>,
    /// Nothing once a step has failed, or was given up half-way.
    reading: Option<Reading>,
    total: (Counted, u32),
}

/// What a step works on.
struct Reading {
    snapshot: Snapshot,
    grain: Grain,
    rows: Rows,
    over: bool,
}

impl StatisticsRequest {
    /// Whether events end so: by their outcome or, as the courier reports them, in a state of the delivery.
    pub fn is_end(text: &str) -> bool {
        Outcome::from_text(text).is_some() || DeliveryState::TEXTS.contains(&text)
    }
}

impl Service {
    /// Begins a report. That it was read is an event, and counted in it where it asks for that.
    pub async fn statistics(
        &self,
        mut call: Call<act::ReadReports>,
        request: StatisticsRequest,
    ) -> Result<Statistics, Error> {
        self.know_operator(&mut call).await?;
        self.charge_look_up(&call).await?;
        let StatisticsRequest { mut query, all_offices } = request;
        let own = call.permit.office().ok_or(Error::OperatorMissing)?;
        if !all_offices && query.office.is_none() {
            query.office = Some(own.to_owned());
        }
        let all_offices = query.office.as_deref() != Some(own);
        let asks = Asks { operators: query.names_operators(), all_offices };
        let mut event = self.event(&call, Kind::ReportRead, Outcome::Done);
        let by: Vec<_> = query.by.iter().map(|by| by.text()).collect();
        event = event.with("from", query.from.to_string()).with("to", query.to.to_string());
        event = event.with("by", by.join(" "));
        event = event.with("offices", if all_offices { "all" } else { "own" });
        if let Err(refused) = call.permit.report(asks) {
            let rule = refused.rule().to_owned();
            event.outcome = Outcome::Refused;
            self.record(event.with("reason", "report_not_allowed").with("rule", rule.clone())).await?;
            return Err(Error::ReportNotAllowed(rule));
        }
        self.record(event).await?;
        let parameters = call.permit.policy().parameters();
        // What an office did its own supervisor sees anyway.
        let smallest = if all_offices { parameters.smallest_count } else { 1 };

        let grain = query.grain();
        let (from, until) = grain.keys(query.from, query.to);
        let guard = self.followed(self.store.head().seq).await?;
        let snapshot = self.store.snapshot().await?.within(Space::History, &from, &until);
        let seq = self.followed_up_to()?;
        drop(guard);
        let hash = self.hash_of_event(seq)?;
        let rows = Rows::new(query.clone(), self.today()?);
        let reading = Reading { snapshot, grain, rows, over: false };
        let mut report = Statistics {
            head: Head { seq, hash },
            query,
            smallest,
            ready: Vec::new(),
            reading: Some(reading),
            total: (Counted::default(), 0),
        };
        // What does not fit, or cannot be read, is refused before an answer has begun, as far as that can be.
        report.ready = report.read().await?;
        Ok(report)
    }

    /// The chain's hash up to an event.
    fn hash_of_event(&self, seq: u64) -> Result<[u8; 32], Error> {
        let found = self.store.get(Space::Event, &seq.to_be_bytes())?;
        let found = found.ok_or_else(|| Error::Bug(format!("event {seq} is missing")))?;
        audit::parse_stored(&found.value).map(|(hash, _)| *hash)
    }
}

impl Statistics {
    /// The event up to which everything is counted and nothing after it, with the chain's hash.
    pub const fn head(&self) -> Head {
        self.head
    }

    /// What is counted: of which office, too.
    pub const fn query(&self) -> &Query {
        &self.query
    }

    /// Least count that may be told.
    pub const fn smallest(&self) -> u64 {
        self.smallest
    }

    /// The next rows, in the order of time and then of their values; none at the end.
    pub async fn next_rows(&mut self) -> Result<Vec<Row>, Error> {
        if self.ready.is_empty() { self.read().await } else { Ok(std::mem::take(&mut self.ready)) }
    }

    /// All that was counted, and over how many days: complete after the last row.
    pub const fn total(&self) -> (Counted, u32) {
        self.total
    }

    /// Reads of the disk have a thread of their own.
    async fn read(&mut self) -> Result<Vec<Row>, Error> {
        let mut reading =
            self.reading.take().ok_or_else(|| Error::Bug("a report that broke off goes on".into()))?;
        let step = tokio::task::spawn_blocking(move || reading.next_rows().map(|rows| (reading, rows))).await;
        let (reading, rows) = step.map_err(|e| Error::Bug(e.to_string()))??;
        self.total = reading.rows.total();
        self.reading = Some(reading);
        Ok(rows)
    }
}

impl Reading {
    fn next_rows(&mut self) -> Result<Vec<Row>, Error> {
        let mut ready = Vec::new();
        while ready.is_empty() && !self.over {
            let Some(entries) = self.snapshot.next(STEP)? else {
                self.over = true;
                return Ok(self.rows.close());
            };
            for (key, value) in entries {
                let damaged = || Error::Bug("count of another form".into());
                // The space's byte before the key, the version before the value.
                let key = key.get(1..).ok_or_else(damaged)?;
                let (unit, cell) = Cell::read(self.grain, key).ok_or_else(damaged)?;
                let count = value.get(8..).and_then(read_count).ok_or_else(damaged)?;
                let rows = self.rows.add(unit, &cell, count).map_err(|e| {
                    tracing::warn!("a report is given up: {e}");
                    let detail = "more rows in one stretch of time than fit: fewer things to tell apart, or more filters";
                    Error::Field { field: "by", code: "report_too_large", detail }
                })?;
                ready.extend(rows);
            }
        }
        Ok(ready)
    }
}
