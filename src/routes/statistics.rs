//! Reports (Reportistica), as a stream of JSON or CSV.

use std::{sync::Arc, time::Duration};

use hyper::{
    HeaderMap, Response,
    header::{ACCEPT, CONTENT_TYPE, HeaderName, HeaderValue},
};
use serde::Serialize;

use super::{App, Arrived, csv, problems, read};
use crate::{
    api::statistics::{ReadReport, ReportHead, ReportRow},
    domain::{
        audit::Kind,
        report::{By, Figures, Query, Row, Stretch, Told},
    },
    http::{Body, MediaType, Problem, StreamSender},
    service::{Statistics, StatisticsRequest},
};

/// When to ask again while as many reports are made as may be at one time.
const AGAIN: Duration = Duration::from_secs(5);
/// Parts that wait for the reader at most.
const AHEAD: usize = 4;
/// Most days of a period.
const DAYS_MAX: u32 = 3_660;
/// Up to which event of the log, for whoever takes CSV.
const LOG: HeaderName = HeaderName::from_static("x-sigillo-log");

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Csv,
    Json,
}

impl Form {
    /// CSV where it is named, else JSON.
    fn asked(headers: &HeaderMap) -> Self {
        let named = |value: &HeaderValue| {
            let types = value.to_str().unwrap_or_default().split(',');
            types
                .filter_map(|one| one.split(';').next())
                .any(|one| one.trim().eq_ignore_ascii_case("text/csv"))
        };
        if headers.get_all(ACCEPT).iter().any(named) { Self::Csv } else { Self::Json }
    }

    const fn media_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::Json => MediaType::Json.as_str(),
        }
    }
}

impl App {
    pub(super) async fn statistics(&self, arrived: Arrived) -> Result<Response<Body>, Problem> {
        let (id, form) = (arrived.id, Form::asked(arrived.request.headers()));
        let call = self.call(arrived).await?;
        let body: ReadReport = read::json_with_lists(&call.body, &["by", "kinds", "outcomes"])?;
        let request = StatisticsRequest { query: query(&body)?, all_offices: body.all_offices };
        let one_of_few = Arc::clone(&self.reports)
            .try_acquire_owned()
            .map_err(|_| Problem::unavailable().retry_after(AGAIN))?;
        let report = self.service.statistics(call, request).await.map_err(|e| problems::of(&e, id))?;
        let head = report.head();
        let log = format!("seq={}; hash={}", head.seq, hex::encode(head.hash));
        let (sender, stream) = Body::stream(AHEAD, self.limits.stall());
        let age = self.limits.backup_age();
        tokio::spawn(async move {
            let _one_of_few = one_of_few;
            let late = |_| Err("it was not read in time (limits.backup_age_ms)".to_owned());
            let sent = tokio::time::timeout(age, send(report, form, sender)).await.unwrap_or_else(late);
            if let Err(reason) = sent {
                tracing::warn!(request = %id, reason, "report broke off");
            }
        });
        let mut response = Response::new(stream);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(form.media_type()));
        headers.insert(LOG, HeaderValue::from_str(&log).map_err(|_| Problem::internal())?);
        Ok(response)
    }
}

pub(super) fn query(body: &ReadReport) -> Result<Query, Problem> {
    let (mut stretch, mut by) = (None, Vec::new());
    for name in &body.by {
        let twice =
            match (Stretch::ALL.iter().find(|s| s.text() == name), By::ALL.iter().find(|b| b.text() == name))
            {
                (Some(found), _) => stretch.replace(*found).is_some(),
                (None, Some(found)) if by.contains(found) => true,
                (None, Some(found)) => {
                    by.push(*found);
                    false
                }
                (None, None) => {
                    let known =
                        "of hour, day, week, month, office, operator, kind, outcome, channel, front_end";
                    return Err(read::invalid("by", read::NotOneOf(known)));
                }
            };
        if twice {
            return Err(read::invalid(
                "by",
                read::NotOneOf("one stretch of time at most, and each thing once"),
            ));
        }
    }
    by.sort_unstable();
    if let Some(unknown) = body.kinds.iter().find(|kind| Kind::from_text(kind).is_none()) {
        tracing::debug!(length = unknown.len(), "a report on an unknown kind");
        return Err(read::invalid("kinds", read::NotOneOf("kinds of event")));
    }
    if let Some(unknown) = body.outcomes.iter().find(|end| !StatisticsRequest::is_end(end)) {
        tracing::debug!(length = unknown.len(), "a report on an unknown outcome");
        return Err(read::invalid("outcomes", read::NotOneOf("outcomes of events or states of deliveries")));
    }
    if body.all_offices && body.office.is_some() {
        return Err(read::invalid("office", read::NotOneOf("given without all_offices")));
    }
    let query = Query {
        from: read::field("from", &body.from)?,
        to: read::field("to", &body.to)?,
        stretch,
        by,
        office: body.office.clone(),
        operator: body.operator.clone(),
        kinds: body.kinds.clone(),
        outcomes: body.outcomes.clone(),
        channel: body.channel.clone(),
        front_end: body.front_end.clone(),
    };
    let days = query.to.day_number().checked_sub(query.from.day_number());
    match days {
        None => Err(read::invalid("to", read::NotOneOf("not before from"))),
        Some(DAYS_MAX..) => Err(read::invalid("to", read::NotOneOf("within 3660 days from the first one"))),
        Some(_) => Ok(query),
    }
}

/// What one line says.
fn line(query: &Query, row: Option<&Row>, figures: &Figures) -> ReportRow {
    let Figures { count, below, failed, share_failed, per_day } = *figures;
    let mut line = ReportRow { count, below, failed, share_failed, per_day, ..ReportRow::default() };
    let Some(row) = row else { return line };
    line.time = query.stretch.map(|_| row.stretch.clone());
    for (by, value) in query.by.iter().zip(&row.values) {
        let place = match by {
            By::Office => &mut line.office,
            By::Operator => &mut line.operator,
            By::Kind => &mut line.kind,
            By::Outcome => &mut line.outcome,
            By::Channel => &mut line.channel,
            By::FrontEnd => &mut line.front_end,
        };
        *place = Some(value.clone());
    }
    line
}

fn head(report: &Statistics) -> ReportHead {
    let (query, head) = (report.query(), report.head());
    let names = query.stretch.map(Stretch::text).into_iter().chain(query.by.iter().map(|by| by.text()));
    ReportHead {
        from: query.from.to_string(),
        to: query.to.to_string(),
        by: names.map(str::to_owned).collect(),
        office: query.office.clone(),
        smallest: report.smallest(),
        log_seq: head.seq,
        log_hash: hex::encode(head.hash),
    }
}

/// Sends it to its end. An error leaves the stream without its end, so that the reader can tell.
async fn send(mut report: Statistics, form: Form, mut to: StreamSender) -> Result<(), String> {
    let (query, smallest) = (report.query().clone(), report.smallest());
    let mut text = match form {
        Form::Csv => titles(&query),
        // What is open here is closed after the last row.
        Form::Json => {
            let head = json(&head(&report))?;
            format!("{},\"rows\":[", head.strip_suffix('}').unwrap_or(&head))
        }
    };
    let (mut is_first, mut told) = (true, Told::default());
    loop {
        let rows = report.next_rows().await.map_err(|e| e.to_string())?;
        if rows.is_empty() {
            break;
        }
        for row in rows {
            let figures = Figures::new(row.counted, row.days, smallest);
            told.add(row.counted, &figures);
            let shown = line(&query, Some(&row), &figures);
            match form {
                Form::Csv => fields(&mut text, &shown),
                Form::Json => {
                    text.push_str(if is_first { "" } else { "," });
                    text.push_str(&json(&shown)?);
                }
            }
            is_first = false;
        }
        to.send(std::mem::take(&mut text)).await.map_err(|e| e.to_string())?;
    }
    if form == Form::Json {
        let (counted, days) = report.total();
        let total = json(&line(&query, None, &told.total(counted, Some(days), smallest)))?;
        text.push_str(&format!("],\"total\":{total}}}"));
    }
    if !text.is_empty() {
        to.send(text).await.map_err(|e| e.to_string())?;
    }
    to.finish().await.map_err(|e| e.to_string())
}

fn json(value: &impl Serialize) -> Result<String, String> {
    serde_json::to_string(value).map_err(|e| e.to_string())
}

fn titles(query: &Query) -> String {
    let mut text = String::new();
    let time = query.stretch.map(|_| "time").into_iter();
    let names = time.chain(query.by.iter().map(|by| by.text()));
    csv::line(&mut text, names.chain(["count", "failed", "share_failed", "per_day"]));
    text
}

fn fields(text: &mut String, row: &ReportRow) {
    let ReportRow { time, office, operator, kind, outcome, channel, front_end, .. } = row;
    let values = [time, office, operator, kind, outcome, channel, front_end];
    let told = values.into_iter().filter_map(Option::as_deref);
    let count = match (row.count, row.below) {
        (Some(count), _) => count.to_string(),
        (None, below) => below.map(|below| format!("<{below}")).unwrap_or_default(),
    };
    let number = |number: Option<f64>| number.map(|n| n.to_string()).unwrap_or_default();
    let failed = row.failed.map(|failed| failed.to_string()).unwrap_or_default();
    let figures = [count, failed, number(row.share_failed), number(row.per_day)];
    csv::line(text, told.chain(figures.iter().map(String::as_str)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_is_written_for_who_names_it() {
        for (accept, form) in [
            (&[][..], Form::Json),
            (&["*/*"], Form::Json),
            (&["application/json"], Form::Json),
            (&["text/csv"], Form::Csv),
            (&["application/json;q=0.5, Text/CSV; q=0.9"], Form::Csv),
            (&["application/json", "text/csv"], Form::Csv),
            (&["text/csvx"], Form::Json),
        ] {
            let mut headers = HeaderMap::new();
            for one in accept {
                headers.append(ACCEPT, one.parse().unwrap());
            }
            assert_eq!(Form::asked(&headers), form, "{accept:?}");
        }
    }

    #[test]
    fn a_query_is_read_whole_or_refused_by_field() {
        let body = |by: &[&str]| ReadReport {
            from: "2026-01-01".into(),
            to: "2026-01-31".into(),
            by: by.iter().map(|name| (*name).to_owned()).collect(),
            ..ReadReport::default()
        };
        let read = query(&body(&["outcome", "week", "office"])).unwrap();
        assert_eq!((read.stretch, read.by), (Some(Stretch::Week), vec![By::Office, By::Outcome]));
        let other = |change: fn(&mut ReadReport)| {
            let mut body = body(&[]);
            change(&mut body);
            body
        };
        for bad in [
            body(&["day", "week"]),
            body(&["kind", "kind"]),
            body(&["minute"]),
            other(|b| b.to = "2025-12-31".into()),
            other(|b| b.to = "2036-01-09".into()),
            other(|b| b.from = "yesterday".into()),
            other(|b| b.kinds = vec!["card.eaten".into()]),
            other(|b| (b.all_offices, b.office) = (true, Some("o".into()))),
        ] {
            assert_eq!(query(&bad).unwrap_err().code(), "invalid_value", "{bad:?}");
        }
        assert!(query(&other(|b| b.to = "2036-01-08".into())).is_ok());
    }
}
