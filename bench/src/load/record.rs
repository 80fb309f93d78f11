//! Latencies and counts of a run while it is made.

use std::{ops::Range, time::Duration};

use hdrhistogram::Histogram;

use super::Pace;
use crate::{
    meter::micros_each,
    number::{float, per},
    run::{Run, Window},
};

/// Latencies from 1 microsecond to 10 minutes, to one thousandth.
const LONGEST_US: u64 = 600_000_000;

/// What has been measured since [`Recorder::begin`].
pub(super) struct Recorder {
    all: Histogram<u64>,
    now: Histogram<u64>,
    /// Of the last window that has ended.
    last: Histogram<u64>,
    errors: u64,
    first_error: Option<String>,
    windows: Vec<Window>,
    /// What counts: a turn of an open loop that was due in this time, whenever it ends; one of a closed loop that ends in it.
    time: Range<Duration>,
    by_due: bool,
    window_from: Duration,
    server: Option<Duration>,
    client: Option<Duration>,
}

fn histogram() -> Result<Histogram<u64>, String> {
    Histogram::new_with_bounds(1, LONGEST_US, 3).map_err(|e| e.to_string())
}

/// Microseconds within the histogram's bounds.
fn micros(took: Duration) -> u64 {
    u64::try_from(took.as_micros()).unwrap_or(LONGEST_US).clamp(1, LONGEST_US)
}

impl Recorder {
    pub(super) fn new(pace: Pace) -> Result<Self, String> {
        Ok(Self {
            all: histogram()?,
            now: histogram()?,
            last: histogram()?,
            errors: 0,
            first_error: None,
            windows: Vec::new(),
            time: Duration::ZERO..Duration::MAX,
            by_due: matches!(pace, Pace::Open(_)),
            window_from: Duration::ZERO,
            server: None,
            client: None,
        })
    }

    /// This is the time that counts. Errors of the warm-up stay: a run that had some is not a good one.
    pub(super) fn begin(
        &mut self,
        time: Range<Duration>,
        server: Option<Duration>,
        client: Option<Duration>,
    ) {
        self.all.reset();
        self.now.reset();
        self.last.reset();
        self.windows.clear();
        self.window_from = time.start;
        self.time = time;
        (self.server, self.client) = (server, client);
    }

    /// A turn that was due at one time and ended well at another.
    pub(super) fn done(&mut self, due: Duration, end: Duration) {
        if self.counts(if self.by_due { due } else { end }) {
            self.now.saturating_record(micros(end.saturating_sub(due)));
        }
    }

    /// Whether this is in the time that counts.
    pub(super) fn counts(&self, at: Duration) -> bool {
        self.time.contains(&at)
    }

    /// Counts an error, and gives their number.
    pub(super) fn failed(&mut self, why: String) -> u64 {
        self.errors = self.errors.saturating_add(1);
        self.first_error.get_or_insert(why);
        self.errors
    }

    /// Ends a window at this time, and gives it.
    pub(super) fn window(
        &mut self,
        at: Duration,
        server: Option<Duration>,
        client: Option<Duration>,
        resident_mib: Option<f64>,
    ) -> Window {
        let requests = self.now.len();
        let window = Window {
            seconds: at.saturating_sub(self.window_from).as_secs_f64(),
            requests,
            server_us: micros_each(self.server, server, requests),
            client_us: micros_each(self.client, client, requests),
            p50_us: self.now.value_at_quantile(0.5),
            p99_us: self.now.value_at_quantile(0.99),
            resident_mib,
        };
        self.windows.push(window);
        self.window_from = at;
        (self.server, self.client) = (server, client);
        self.gather();
        window
    }

    fn gather(&mut self) {
        self.add_up();
        std::mem::swap(&mut self.last, &mut self.now);
        self.now.reset();
    }

    fn add_up(&mut self) {
        // All have the same bounds: nothing is out of range.
        if self.all.add(&self.now).is_err() {
            self.errors = self.errors.saturating_add(1);
        }
    }

    /// What was due in an open loop's time and ended behind it belongs to the last window, which is known without it by then.
    fn late(&mut self) {
        self.add_up();
        let (Some(window), true) = (self.windows.last_mut(), !self.now.is_empty()) else { return };
        if self.last.add(&self.now).is_err() {
            self.errors = self.errors.saturating_add(1);
        }
        let all = self.last.len();
        let each = |micros: Option<f64>| per(micros? * float(window.requests), float(all));
        (window.server_us, window.client_us) = (each(window.server_us), each(window.client_us));
        window.requests = all;
        (window.p50_us, window.p99_us) =
            (self.last.value_at_quantile(0.5), self.last.value_at_quantile(0.99));
        self.now.reset();
    }

    /// Takes out what was measured.
    pub(super) fn end(&mut self) -> Measured {
        self.late();
        Measured {
            all: self.all.clone(),
            errors: self.errors,
            first_error: self.first_error.clone(),
            windows: std::mem::take(&mut self.windows),
        }
    }
}

/// What a run measured.
pub(super) struct Measured {
    all: Histogram<u64>,
    errors: u64,
    first_error: Option<String>,
    windows: Vec<Window>,
}

impl Measured {
    pub(super) fn run(self, what: &str, pace: Pace, seconds: f64) -> Run {
        let all = &self.all;
        Run {
            what: what.to_owned(),
            pace: match pace {
                Pace::Closed(in_flight) => format!("closed loop, {in_flight} in flight"),
                Pace::Open(per_second) => format!("open loop, {per_second:.0} a second"),
            },
            seconds,
            requests: all.len(),
            errors: self.errors,
            first_error: self.first_error,
            per_second: per(float(all.len()), seconds).unwrap_or(0.0),
            p50_us: all.value_at_quantile(0.5),
            p90_us: all.value_at_quantile(0.9),
            p99_us: all.value_at_quantile(0.99),
            p999_us: all.value_at_quantile(0.999),
            most_us: all.max(),
            windows: self.windows,
            histogram: all.iter_recorded().map(|at| (at.value_iterated_to(), at.count_at_value())).collect(),
            ..Run::default()
        }
    }
}
