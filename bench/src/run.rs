//! What a run measured: as a file, and in lines for people.

use std::{fmt, fs, path::Path};

use serde::{Deserialize, Serialize};

use crate::number::{count, float, per};

/// A part of a run, for intervals.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Window {
    /// Its length, seconds.
    pub(crate) seconds: f64,
    /// Requests answered in it.
    pub(crate) requests: u64,
    /// CPU of the server for each, microseconds.
    pub(crate) server_us: Option<f64>,
    /// CPU of this program for each, microseconds.
    pub(crate) client_us: Option<f64>,
    /// Median latency, microseconds.
    pub(crate) p50_us: u64,
    /// 99th percentile, microseconds.
    pub(crate) p99_us: u64,
    /// Resident memory of the server at its end, MiB.
    pub(crate) resident_mib: Option<f64>,
}

/// A run. `None` is what could not be measured.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Run {
    /// What was asked for, and over which version of HTTP.
    pub(crate) what: String,
    /// Closed or open loop.
    pub(crate) pace: String,
    /// Its length, seconds, without the warm-up.
    pub(crate) seconds: f64,
    /// Requests answered.
    pub(crate) requests: u64,
    /// Requests refused or not answered, those of the warm-up too.
    pub(crate) errors: u64,
    /// What the first of them said.
    pub(crate) first_error: Option<String>,
    /// Requests answered in a second.
    pub(crate) per_second: f64,
    /// It ended before its time, since nothing was left to do.
    #[serde(default)]
    pub(crate) used_up: bool,
    /// Latencies, microseconds; those of an open loop count from the intended time.
    pub(crate) p50_us: u64,
    pub(crate) p90_us: u64,
    pub(crate) p99_us: u64,
    pub(crate) p999_us: u64,
    pub(crate) most_us: u64,
    /// CPU of the server for each request, microseconds.
    pub(crate) server_us: Option<f64>,
    /// CPU of this program for each request, microseconds.
    pub(crate) client_us: Option<f64>,
    /// CPU of the courier for each request, microseconds.
    pub(crate) courier_us: Option<f64>,
    /// Operations of the HSM for each request.
    pub(crate) hsm_calls: Option<f64>,
    /// Durable commits for each request.
    pub(crate) commits: Option<f64>,
    /// Bytes given to the disk for each request.
    pub(crate) written: Option<f64>,
    /// `fsync` and `fdatasync` for each request.
    pub(crate) syncs: Option<f64>,
    /// System calls for each request.
    pub(crate) syscalls: Option<f64>,
    /// Bytes on the wire for each request, both directions, TLS included.
    pub(crate) bytes: Option<f64>,
    /// Resident memory of the server at the end, MiB.
    pub(crate) resident_mib: Option<f64>,
    /// Parts of it.
    pub(crate) windows: Vec<Window>,
    /// Latencies and their counts.
    pub(crate) histogram: Vec<(u64, u64)>,
}

impl Run {
    /// Memory of the server at the end by that at a quarter of the time, which is behind every warm-up.
    pub(crate) fn memory_growth(&self) -> Option<f64> {
        let at = |window: usize| self.windows.get(window).and_then(|window| window.resident_mib);
        per(at(self.windows.len().checked_sub(1)?)?, at(self.windows.len() / 4)?)
    }

    /// Bytes of memory that the server has more with each request, from a quarter of the time on: the slope of a line through the ends
    /// of the parts, by least squares. One page that comes or goes is little beside many parts.
    pub(crate) fn memory_each(&self) -> Option<f64> {
        let mut turns = 0.0;
        let mut points = Vec::new();
        for (n, window) in self.windows.iter().enumerate() {
            turns += float(window.requests);
            if n >= self.windows.len() / 4 {
                points.push((turns, window.resident_mib?));
            }
        }
        let mean = |of: fn(&(f64, f64)) -> f64| per(points.iter().map(of).sum(), float(count(points.len())));
        let (x, y) = (mean(|point| point.0)?, mean(|point| point.1)?);
        let along: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
        let square: f64 = points.iter().map(|point| (point.0 - x) * (point.0 - x)).sum();
        per(along * 1024.0 * 1024.0, square)
    }

    /// Refuses figures of a run with errors.
    pub(crate) fn without_errors(self) -> Result<Self, String> {
        match (self.errors, &self.first_error) {
            (0, _) if self.requests > 0 => Ok(self),
            (0, _) => Err(format!("{}: nothing was answered", self.what)),
            (errors, why) => {
                Err(format!("{}: {errors} errors, the first: {}", self.what, why.as_deref().unwrap_or("?")))
            }
        }
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |us: u64| std::time::Duration::from_micros(us).as_secs_f64() * 1e3;
        let or_dash = |value: Option<f64>| value.map_or_else(|| "-".into(), |value| format!("{value:.2}"));
        writeln!(f, "{}, {}", self.what, self.pace)?;
        writeln!(
            f,
            "  {:.0} /s; p50 {:.1} ms, p90 {:.1}, p99 {:.1}, p99.9 {:.1}, most {:.1}; {} requests in {:.1} s, {} errors",
            self.per_second,
            ms(self.p50_us),
            ms(self.p90_us),
            ms(self.p99_us),
            ms(self.p999_us),
            ms(self.most_us),
            self.requests,
            self.seconds,
            self.errors,
        )?;
        write!(
            f,
            "  each: server {} us of CPU, client {} us, HSM calls {}, commits {}, syncs {}, system calls {}, bytes to disk {}, \
             bytes on the wire {}; server's memory {} MiB",
            or_dash(self.server_us),
            or_dash(self.client_us),
            or_dash(self.hsm_calls),
            or_dash(self.commits),
            or_dash(self.syncs),
            or_dash(self.syscalls),
            or_dash(self.written),
            or_dash(self.bytes),
            or_dash(self.resident_mib),
        )?;
        if let Some(courier) = self.courier_us {
            write!(f, "; courier {courier:.2} us of CPU each")?;
        }
        if self.used_up {
            write!(f, "\n  it ended there, before its time: no card was left")?;
        }
        match &self.first_error {
            Some(why) => write!(f, "\n  first error: {why}"),
            None => Ok(()),
        }
    }
}

/// Reads a file of runs.
pub(crate) fn read(file: &Path) -> Result<Vec<Run>, String> {
    let fault = |e: &dyn fmt::Display| format!("{}: {e}", file.display());
    let text = fs::read(file).map_err(|e| fault(&e))?;
    serde_json::from_slice(&text).map_err(|e| fault(&e))
}

/// Writes anything as JSON.
pub(crate) fn write(file: &Path, value: &impl Serialize) -> Result<(), String> {
    let fault = |e: &dyn fmt::Display| format!("{}: {e}", file.display());
    if let Some(directory) = file.parent().filter(|at| !at.as_os_str().is_empty()) {
        fs::create_dir_all(directory).map_err(|e| fault(&e))?;
    }
    let text = serde_json::to_vec_pretty(value).map_err(|e| fault(&e))?;
    fs::write(file, text).map_err(|e| fault(&e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_for_each_turn_is_a_slope_behind_the_warm_up() {
        let run = |memory: &[f64]| Run {
            windows: memory
                .iter()
                .map(|mib| Window { requests: 1024, resident_mib: Some(*mib), ..Window::default() })
                .collect(),
            ..Run::default()
        };
        // A MiB with each 1024 turns is a KiB with each; what the first quarter did is no part of it.
        let each = run(&[1.0, 90.0, 100.0, 101.0, 102.0, 103.0, 104.0, 105.0]).memory_each().unwrap();
        assert!((each - 1024.0).abs() < 1e-6, "{each}");
        assert!(
            run(&[1.0, 90.0, 100.0, 100.0, 100.0, 100.0, 100.0, 100.0]).memory_each().unwrap().abs() < 1e-6
        );
        assert_eq!((run(&[]).memory_each(), run(&[1.0]).memory_each()), (None, None));
        let unknown = Window { requests: 1, ..Window::default() };
        assert_eq!(Run { windows: vec![unknown; 4], ..Run::default() }.memory_each(), None);
    }
}
