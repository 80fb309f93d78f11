//! Every number that the service shows, in one table.
//!
//! Labels come from closed sets: routes, key roles, reasons. Nothing says how a single verification ended, and
//! no duration is split by outcome.

use std::time::Duration;

use prometheus::{
    Gauge, GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder, core::Collector,
};

use crate::tls::HandshakeFailure;

/// Bounds of duration buckets, seconds.
const SECONDS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// A metric: its name, its labels, its meaning.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Name, with the unit at its end.
    pub name: &'static str,
    /// Names of the labels.
    pub labels: &'static [&'static str],
    /// What it counts.
    pub help: &'static str,
}

macro_rules! table {
    ($($row:ident: $name:literal $labels:tt $help:literal;)*) => {
        $(const $row: Row = Row { name: $name, labels: &$labels, help: $help };)*
        /// All metrics.
        pub const TABLE: &[Row] = &[$($row),*];
    };
}

table! {
    BUILD: "sigillo_build_info" ["version"] "1, for the version that runs.";
    CHECKPOINT_BEHIND: "sigillo_checkpoint_behind_events" [] "Events that no checkpoint in the token vouches for yet.";
    CONNECTIONS: "sigillo_connections_open" [] "Authenticated connections now open.";
    CONNECTIONS_REFUSED: "sigillo_connections_refused_total" [] "Connections closed because all places were taken.";
    CONNECTIONS_TOTAL: "sigillo_connections_total" [] "Authenticated connections opened.";
    HANDSHAKES_FAILED: "sigillo_handshakes_failed_total" ["reason"] "TLS handshakes that failed.";
    HSM_GIVEN_UP: "sigillo_hsm_given_up" [] "1 once a call did not come back from the HSM's module and the process is ending.";
    HSM_LAST_RECOVERY: "sigillo_hsm_last_recovery_seconds" [] "How long the HSM was down before it came back last; 0 if it was never lost.";
    HSM_OPERATIONS: "sigillo_hsm_operations_total" ["key"] "HSM operations, by key role; to be reconciled with the audit log.";
    HSM_RECOVERIES: "sigillo_hsm_recoveries_total" [] "Times that a lost HSM came back in this process.";
    HSM_STATE: "sigillo_hsm_state" ["state"] "1 for the state the HSM is in, 0 for the others.";
    HSM_UNACCOUNTED: "sigillo_hsm_operations_unaccounted" ["key"] "Operations with a key of codes that no intent accounts for; anything but 0 is an alarm.";
    OVER_LIMITS: "sigillo_over_limits_total" ["scope", "use"] "Requests refused by a limit of an operator, an office or a front end; anything but 0 is an alarm.";
    REQUESTS: "sigillo_requests_total" ["route", "class"] "Requests answered, by route and class of status.";
    REQUEST_SECONDS: "sigillo_request_seconds" ["route"] "Time from a request's headers to its answer.";
    STORE_COMMITS: "sigillo_store_commits_total" ["result"] "Commits, by result.";
    STORE_PATROLS: "sigillo_store_patrols_total" [] "Passes over all records of the store that ended, and found that they add up.";
    STORE_QUEUE: "sigillo_store_queue_length" [] "Units waiting for the store.";
    STORE_UNITS: "sigillo_store_units_total" [] "Units in applied commits; by commits, the mean size of a batch.";
    VERIFICATIONS: "sigillo_verifications_total" ["answer"] "C.I.P. verifications answered, all together.";
    WITNESS_BEHIND: "sigillo_witness_behind_events" ["witness"] "Events that no checkpoint with this witness vouches for yet.";
    WITNESS_WAITING: "sigillo_witness_waiting_seconds" ["witness"] "For how long a checkpoint has waited for this witness; above 10 nothing is spent.";
}

/// State of the HSM, as a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HsmState {
    /// It is late with an answer.
    Degraded,
    /// The token is lost.
    Down,
    /// All is well.
    Up,
}

impl HsmState {
    const ALL: [Self; 3] = [Self::Degraded, Self::Down, Self::Up];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Degraded => "degraded",
            Self::Down => "down",
            Self::Up => "up",
        }
    }
}

/// The metrics could not be set up: two rows of the table are in conflict.
#[derive(Debug, thiserror::Error)]
#[error("metrics cannot be set up: {0}")]
pub struct MetricsError(#[from] prometheus::Error);

/// The numbers of one process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    checkpoint_behind: IntGauge,
    connections: IntGauge,
    connections_refused: IntCounter,
    connections_total: IntCounter,
    handshakes_failed: IntCounterVec,
    hsm_given_up: IntGauge,
    hsm_last_recovery: Gauge,
    hsm_operations: IntCounterVec,
    hsm_recoveries: IntCounter,
    hsm_state: IntGaugeVec,
    hsm_unaccounted: IntGaugeVec,
    over_limits: IntCounterVec,
    requests: IntCounterVec,
    request_seconds: HistogramVec,
    store_commits: IntCounterVec,
    store_patrols: IntCounter,
    store_queue: IntGauge,
    store_units: IntCounter,
    verifications: IntCounterVec,
    witness_behind: IntGaugeVec,
    witness_waiting: GaugeVec,
}

impl Metrics {
    /// Sets all of them up; those with labels known beforehand are shown from the start, at 0.
    ///
    /// # Errors
    /// [`MetricsError`] if the table contradicts itself.
    pub fn new() -> Result<Self, MetricsError> {
        let registry = Registry::new();
        let metrics = Self {
            checkpoint_behind: add(&registry, IntGauge::with_opts(options(CHECKPOINT_BEHIND))?)?,
            connections: add(&registry, IntGauge::with_opts(options(CONNECTIONS))?)?,
            connections_refused: add(&registry, IntCounter::with_opts(options(CONNECTIONS_REFUSED))?)?,
            connections_total: add(&registry, IntCounter::with_opts(options(CONNECTIONS_TOTAL))?)?,
            handshakes_failed: counters(&registry, HANDSHAKES_FAILED)?,
            hsm_given_up: add(&registry, IntGauge::with_opts(options(HSM_GIVEN_UP))?)?,
            hsm_last_recovery: add(&registry, Gauge::with_opts(options(HSM_LAST_RECOVERY))?)?,
            hsm_operations: counters(&registry, HSM_OPERATIONS)?,
            hsm_recoveries: add(&registry, IntCounter::with_opts(options(HSM_RECOVERIES))?)?,
            hsm_state: gauges(&registry, HSM_STATE)?,
            hsm_unaccounted: gauges(&registry, HSM_UNACCOUNTED)?,
            over_limits: counters(&registry, OVER_LIMITS)?,
            requests: counters(&registry, REQUESTS)?,
            request_seconds: durations(&registry, REQUEST_SECONDS)?,
            store_commits: counters(&registry, STORE_COMMITS)?,
            store_patrols: add(&registry, IntCounter::with_opts(options(STORE_PATROLS))?)?,
            store_queue: add(&registry, IntGauge::with_opts(options(STORE_QUEUE))?)?,
            store_units: add(&registry, IntCounter::with_opts(options(STORE_UNITS))?)?,
            verifications: counters(&registry, VERIFICATIONS)?,
            witness_behind: gauges(&registry, WITNESS_BEHIND)?,
            witness_waiting: add(
                &registry,
                GaugeVec::new(options(WITNESS_WAITING), WITNESS_WAITING.labels)?,
            )?,
            registry,
        };
        gauges(&metrics.registry, BUILD)?.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        for reason in HandshakeFailure::ALL {
            metrics.handshakes_failed.with_label_values(&[reason.as_str()]).inc_by(0);
        }
        for result in ["applied", "failed"] {
            metrics.store_commits.with_label_values(&[result]).inc_by(0);
        }
        for answer in ["accepted", "rejected"] {
            metrics.verifications.with_label_values(&[answer]).inc_by(0);
        }
        metrics.hsm_state(HsmState::Down);
        Ok(metrics)
    }

    /// All of them in the text format of Prometheus.
    pub fn render(&self) -> String {
        let mut text = String::new();
        if let Err(error) = TextEncoder::new().encode_utf8(&self.registry.gather(), &mut text) {
            tracing::error!(%error, "metrics cannot be written");
        }
        text
    }

    /// A request has been answered. `route` is a name from the routing table, never a path that a client sent.
    pub fn request(&self, route: &'static str, status: u16, took: Duration) {
        let class = match status {
            100..=199 => "1xx",
            200..=299 => "2xx",
            300..=399 => "3xx",
            400..=499 => "4xx",
            _ => "5xx",
        };
        self.requests.with_label_values(&[route, class]).inc();
        self.request_seconds.with_label_values(&[route]).observe(took.as_secs_f64());
    }

    /// A verification has been answered.
    pub fn verification(&self, accepted: bool) {
        let answer = if accepted { "accepted" } else { "rejected" };
        self.verifications.with_label_values(&[answer]).inc();
    }

    /// Counts a connection as open until the guard is dropped.
    pub fn connection_opened(&self) -> OpenConnection {
        self.connections_total.inc();
        self.connections.inc();
        OpenConnection(self.connections.clone())
    }

    /// A connection found no place.
    pub fn connection_refused(&self) {
        self.connections_refused.inc();
    }

    /// A handshake failed.
    pub fn handshake_failed(&self, reason: HandshakeFailure) {
        self.handshakes_failed.with_label_values(&[reason.as_str()]).inc();
    }

    /// The HSM has done this many operations with the key of this role since the start.
    pub fn hsm_operations(&self, key: &'static str, total: u64) {
        let counter = self.hsm_operations.with_label_values(&[key]);
        counter.inc_by(total.saturating_sub(counter.get()));
    }

    /// So many requests were refused by this limit since the start.
    pub fn over_limits(&self, scope: &'static str, of: &'static str, total: u64) {
        let counter = self.over_limits.with_label_values(&[scope, of]);
        counter.inc_by(total.saturating_sub(counter.get()));
    }

    /// So many operations with the key of this role have no intent.
    pub fn hsm_unaccounted(&self, key: &'static str, operations: u64) {
        self.hsm_unaccounted.with_label_values(&[key]).set(i64::try_from(operations).unwrap_or(i64::MAX));
    }

    /// How often the HSM was lost and came back since the start, how long that took the last time, and whether its
    /// module is given up.
    pub fn hsm_supervised(&self, recoveries: u64, last: Duration, given_up: bool) {
        self.hsm_last_recovery.set(last.as_secs_f64());
        self.hsm_recoveries.inc_by(recoveries.saturating_sub(self.hsm_recoveries.get()));
        self.hsm_given_up.set(i64::from(given_up));
    }

    /// The HSM is in this state.
    pub fn hsm_state(&self, state: HsmState) {
        for other in HsmState::ALL {
            self.hsm_state.with_label_values(&[other.as_str()]).set(i64::from(other == state));
        }
    }

    /// So many events have no checkpoint in the token yet.
    pub fn unmarked(&self, events: u64) {
        self.checkpoint_behind.set(i64::try_from(events).unwrap_or(i64::MAX));
    }

    /// This witness is so many events behind, and the newest checkpoint has waited for it for so long.
    pub fn witness(&self, kind: &'static str, events: u64, waiting: Duration) {
        let events = i64::try_from(events).unwrap_or(i64::MAX);
        self.witness_behind.with_label_values(&[kind]).set(events);
        self.witness_waiting.with_label_values(&[kind]).set(waiting.as_secs_f64());
    }

    /// What the store has done since the start: batches, units in them, batches that failed, passes over all records; and units
    /// that wait now.
    pub fn store(&self, commits: u64, units: u64, failed: u64, patrols: u64, waiting: u64) {
        for (result, total) in [("applied", commits), ("failed", failed)] {
            let counter = self.store_commits.with_label_values(&[result]);
            counter.inc_by(total.saturating_sub(counter.get()));
        }
        self.store_units.inc_by(units.saturating_sub(self.store_units.get()));
        self.store_patrols.inc_by(patrols.saturating_sub(self.store_patrols.get()));
        self.store_queue.set(i64::try_from(waiting).unwrap_or(i64::MAX));
    }
}

/// A connection counted as open.
#[derive(Debug)]
pub struct OpenConnection(IntGauge);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn options(row: Row) -> Opts {
    Opts::new(row.name, row.help)
}

fn buckets(row: Row, bounds: &[f64]) -> HistogramOpts {
    HistogramOpts::new(row.name, row.help).buckets(bounds.to_vec())
}

fn counters(registry: &Registry, row: Row) -> Result<IntCounterVec, prometheus::Error> {
    add(registry, IntCounterVec::new(options(row), row.labels)?)
}

fn gauges(registry: &Registry, row: Row) -> Result<IntGaugeVec, prometheus::Error> {
    add(registry, IntGaugeVec::new(options(row), row.labels)?)
}

fn durations(registry: &Registry, row: Row) -> Result<HistogramVec, prometheus::Error> {
    add(registry, HistogramVec::new(buckets(row, &SECONDS), row.labels)?)
}

fn add<C: Collector + Clone + 'static>(registry: &Registry, metric: C) -> Result<C, prometheus::Error> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}
