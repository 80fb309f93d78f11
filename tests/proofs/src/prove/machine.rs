//! Where and when a report is written.

use std::fs;

use sigillo::{
    clock::{Clock as _, SystemClock},
    domain::date::CivilDate,
};

/// Processors and memory of this machine.
pub(crate) fn machine() -> String {
    let processors = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory = memory.lines().next().unwrap_or_default().replace("MemTotal:", "");
    let model = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = model.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let model = model.trim_start_matches(['\t', ' ', ':']);
    format!("{processors} processors ({model}), {} of memory", memory.trim())
}

/// Name and version of its kernel.
pub(crate) fn kernel() -> String {
    let read = |name: &str| fs::read_to_string(format!("/proc/sys/kernel/{name}")).unwrap_or_default();
    let (name, release) = (read("ostype"), read("osrelease"));
    format!("{} {}", name.trim(), release.trim())
}

/// The day it is in Italy.
pub(crate) fn date() -> String {
    let today = CivilDate::in_italy(SystemClock::new().now_ms());
    today.map_or_else(|| "a day that the clock does not know".into(), |day| day.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_and_date_are_there() {
        let kernel = kernel();
        assert!(kernel.starts_with("Linux ") && kernel.contains('.'), "{kernel}");
        let date = date();
        assert!(date.len() == 10 && date.starts_with('2'), "{date}");
    }
}
