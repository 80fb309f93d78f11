//! Reports: figures of the log.

use serde::{Deserialize, Serialize};

/// `POST /v1/reports`
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadReport {
    /// First day, `YYYY-MM-DD`, in Italy.
    pub from: String,
    /// Last day.
    pub to: String,
    /// What is told apart: one of `hour`, `day`, `week` and `month` at most, and any of `office`, `operator`, `kind`,
    /// `outcome`, `channel`, `front_end`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by: Vec<String>,
    /// Of this office; of the operator's own if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub office: Option<String>,
    /// Of all offices together, and of what no operator did.
    #[serde(default)]
    pub all_offices: bool,
    /// By this operator, by the name in events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<String>,
    /// Of these kinds of event; all if absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<String>,
    /// That ended so; all but `intent` if absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outcomes: Vec<String>,
    /// By this channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// Through this front end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub front_end: Option<String>,
}

/// What a report says of itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReportHead {
    /// First day.
    pub from: String,
    /// Last day.
    pub to: String,
    /// What is told apart, in the order of a row.
    pub by: Vec<String>,
    /// Of this office alone; absent for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub office: Option<String>,
    /// Counts below this are not told, unless it is 1.
    pub smallest: u64,
    /// The last event that is counted; no later one is.
    pub log_seq: u64,
    /// The log's chain hash up to it, hexadecimal: a checkpoint or an export of the log has the same.
    pub log_hash: String,
}

/// Answer to [`ReadReport`] in JSON: written as a stream, in this order.
#[derive(Debug, Serialize, Deserialize)]
pub struct Report {
    /// What it is of.
    #[serde(flatten)]
    pub head: ReportHead,
    /// In the order of time, then of values. What nothing was counted of has no row.
    pub rows: Vec<ReportRow>,
    /// All of it together.
    pub total: ReportRow,
}

/// A line of a report. An empty text: the events have no such thing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ReportRow {
    /// The stretch of time, in Italy: `2026-10-25T02:00+02:00`, `2026-10-25`, `2026-W43` or `2026-10`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// Where the operator worked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub office: Option<String>,
    /// Who acted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<String>,
    /// Kind of event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// How it ended; what the courier reported ends in the state of the delivery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// How second parts travel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// The caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub front_end: Option<String>,
    /// How many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// In the place of `count`: it is below this, and not 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub below: Option<u64>,
    /// How many came to nothing: refused, rejected, or a delivery that failed. Absent where that tells a small number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<u64>,
    /// `failed / count`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share_failed: Option<f64>,
    /// Mean of the days of the period in this stretch of time, up to today.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_day: Option<f64>,
}
