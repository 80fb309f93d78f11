//! What processes have used, as the system and Sigillo's own metrics tell it. Whatever cannot be read is absent, never zero.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use sigillo_bench::installation::get;

use crate::number::{float, per};

/// Clock ticks of `/proc/PID/stat` in a second (`USER_HZ`), which is 100 on every machine that Sigillo runs on.
const TICK: Duration = Duration::from_millis(10);

/// The server that is measured: what is known of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Server {
    /// Its process, if it runs on this machine.
    pub(crate) pid: Option<u32>,
    /// Address of its internal listener, which has `/metrics`.
    pub(crate) internal: Option<String>,
    /// Process of the courier, where it is measured too.
    pub(crate) courier: Option<u32>,
}

/// What a server had used at one moment. Differences of two are what a run used.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reading {
    /// CPU of all threads, user and system.
    pub(crate) cpu: Option<Duration>,
    /// The same, of the courier.
    pub(crate) courier: Option<Duration>,
    /// Operations of the HSM.
    pub(crate) hsm: Option<f64>,
    /// Commits that are durable.
    pub(crate) commits: Option<f64>,
    /// Bytes given to the disk.
    pub(crate) written: Option<f64>,
}

impl Server {
    /// Reads all that can be read.
    pub(crate) fn read(&self) -> Reading {
        let metrics = self.internal.as_ref().and_then(|address| get(address, "/metrics").ok());
        let sum = |name: &str| metrics.as_deref().and_then(|text| sum(text, name));
        Reading {
            cpu: self.cpu(),
            courier: self.courier.and_then(|pid| cpu(&pid.to_string())),
            hsm: sum("sigillo_hsm_operations_total"),
            commits: sum("sigillo_store_commits_total{result=\"applied\"}"),
            written: self.pid.and_then(written),
        }
    }

    /// CPU alone.
    pub(crate) fn cpu(&self) -> Option<Duration> {
        self.pid.and_then(|pid| cpu(&pid.to_string()))
    }

    /// Resident memory, MiB.
    pub(crate) fn resident(&self) -> Option<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid?)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kib: f64 = line.trim().split(' ').next()?.parse().ok()?;
        Some(kib / 1024.0)
    }
}

/// CPU of a process (`self` for this one), to 10 ms. Threads that have ended are in it.
pub(crate) fn cpu(process: &str) -> Option<Duration> {
    cpu_of(&fs::read_to_string(format!("/proc/{process}/stat")).ok()?)
}

/// proc(5): fields 14 and 15, behind a name that may have blanks and brackets.
fn cpu_of(stat: &str) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ').skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    Some(TICK.saturating_mul(user.saturating_add(system)))
}

/// Bytes that the files of a directory have, and of those within.
pub(crate) fn size(directory: &Path) -> std::io::Result<u64> {
    let mut sum = 0_u64;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let of = if entry.file_type()?.is_dir() {
            size(&entry.path())
        } else {
            entry.metadata().map(|is| is.len())
        };
        // A file of a store that is at work may go between the listing and the look at it.
        let more = of.or_else(|e| if e.kind() == std::io::ErrorKind::NotFound { Ok(0) } else { Err(e) })?;
        sum = sum.saturating_add(more);
    }
    Ok(sum)
}

fn written(pid: u32) -> Option<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/io")).ok()?;
    text.lines().find_map(|line| line.strip_prefix("write_bytes: "))?.parse().ok()
}

/// The sum over all series of a metric, or over those that begin with `name`.
fn sum(text: &str, name: &str) -> Option<f64> {
    let mut values = text.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let is_whole = rest.starts_with([' ', '{']);
        if is_whole { rest.rsplit_once(' ')?.1.parse::<f64>().ok() } else { None }
    });
    let first = values.next()?;
    Some(values.fold(first, |sum, value| sum + value))
}

/// System calls of a process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Calls {
    /// `fsync` and `fdatasync`.
    pub(crate) syncs: f64,
    /// All of them.
    pub(crate) all: f64,
}

/// Counts a process's system calls for a time with `perf`; nothing where there is no `perf`, or it may not look.
pub(crate) fn calls(pid: u32, time: Duration) -> Option<Calls> {
    let events = "syscalls:sys_enter_fsync,syscalls:sys_enter_fdatasync,raw_syscalls:sys_enter";
    let mut perf = Command::new("perf");
    perf.args(["stat", "-x", ",", "-e", events, "-p", &pid.to_string(), "--", "sleep"]);
    let done = perf.arg(time.as_secs_f64().to_string()).stdin(Stdio::null()).output().ok()?;
    calls_of(&String::from_utf8_lossy(&done.stderr))
}

fn calls_of(table: &str) -> Option<Calls> {
    let count = |event: &str| {
        let line = table.lines().find(|line| line.split(',').nth(2) == Some(event))?;
        line.split(',').next()?.parse::<f64>().ok()
    };
    let syncs = count("syscalls:sys_enter_fsync")? + count("syscalls:sys_enter_fdatasync")?;
    Some(Calls { syncs, all: count("raw_syscalls:sys_enter")? })
}

/// Microseconds of CPU for each of `requests`.
pub(crate) fn micros_each(before: Option<Duration>, after: Option<Duration>, requests: u64) -> Option<f64> {
    let used = after?.checked_sub(before?)?;
    per(used.as_secs_f64() * 1e6, float(requests))
}

/// How much of a count falls to each of `requests`.
pub(crate) fn each(before: Option<f64>, after: Option<f64>, requests: u64) -> Option<f64> {
    per(after? - before?, float(requests))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_is_user_and_system_of_a_process_whatever_its_name() {
        let stat = "7 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 250 50 9 9 20 0";
        assert_eq!(cpu_of(stat), Some(Duration::from_secs(3)));
        assert_eq!(cpu_of("7 cut off"), None);
        assert!(cpu("self").is_some());
    }

    #[test]
    fn metrics_are_summed_over_their_series_and_absent_ones_are_absent() {
        let text = "# HELP ops_total x\nops_total{key=\"a\"} 3\nops_total{key=\"b\"} 4\nops_total_other 9\nplain 2\n";
        assert_eq!(sum(text, "ops_total"), Some(7.0));
        assert_eq!(sum(text, "plain"), Some(2.0));
        assert_eq!(sum(text, "ops"), None);
    }

    #[test]
    fn perf_is_read_and_no_count_is_not_zero() {
        let table = "12,,syscalls:sys_enter_fsync,1,100.00,,\n3,,syscalls:sys_enter_fdatasync,1,100.00,,\n\
                     99,,raw_syscalls:sys_enter,1,100.00,,\n";
        let calls = calls_of(table).unwrap();
        assert!((calls.syncs - 15.0).abs() < 1e-9 && (calls.all - 99.0).abs() < 1e-9);
        assert!(calls_of("<not counted>,,syscalls:sys_enter_fsync,0,0,,\n").is_none());
    }

    #[test]
    fn what_is_unknown_stays_unknown() {
        assert_eq!(each(Some(1.0), Some(5.0), 2), Some(2.0));
        assert_eq!(each(None, Some(5.0), 2), None);
        assert_eq!(micros_each(Some(Duration::ZERO), Some(Duration::from_millis(3)), 3), Some(1000.0));
        assert_eq!(micros_each(Some(Duration::ZERO), Some(Duration::from_millis(3)), 0), None);
    }
}
