//! Whoever tells the demonstration to end, its processes end with it: Ctrl-C, a service manager, a terminal that is closed.

use std::fs;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Hears signals from its making on.
pub(crate) struct Ending(Vec<(&'static str, Signal)>);

impl Ending {
    /// # Errors
    /// A sentence.
    pub(crate) fn new() -> Result<Self, String> {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let signals = [
            ("SIGINT", SignalKind::interrupt()),
            ("SIGTERM", SignalKind::terminate()),
            ("SIGHUP", SignalKind::hangup()),
        ];
        let mut heard = Vec::new();
        for (name, kind) in signals {
            // Who started it by nohup wants it to outlive the terminal: what is ignored stays so.
            if kind != SignalKind::hangup() || !is_ignored(&status, kind.as_raw_value()) {
                heard.push((name, signal(kind).map_err(|e| format!("{name}: {e}"))?));
            }
        }
        Ok(Self(heard))
    }

    /// Waits for the first of them, and names it.
    pub(crate) async fn told(&mut self) -> &'static str {
        std::future::poll_fn(|context| {
            let mut heard = self.0.iter_mut();
            heard
                .find_map(|(name, signal)| signal.poll_recv(context).is_ready().then_some(*name))
                .map_or(std::task::Poll::Pending, std::task::Poll::Ready)
        })
        .await
    }
}

/// Whether a process of this status ignores a signal.
fn is_ignored(status: &str, number: i32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    let bit = u32::try_from(number).ok().and_then(|number| number.checked_sub(1));
    bit.and_then(|bit| mask.checked_shr(bit)).is_some_and(|mask| mask & 1 == 1)
}

#[cfg(test)]
mod tests {
    use rustix::process::{Signal as Sent, getpid, kill_process};

    use super::*;

    #[tokio::test]
    async fn each_signal_is_heard_and_named() {
        let mut ending = Ending::new().unwrap();
        for (sent, name) in [(Sent::TERM, "SIGTERM"), (Sent::INT, "SIGINT")] {
            kill_process(getpid(), sent).unwrap();
            assert_eq!(ending.told().await, name);
        }
    }

    #[test]
    fn a_signal_that_is_ignored_is_seen() {
        let status = "Name:\tdemo\nSigIgn:\t0000000000001001\n";
        assert!(is_ignored(status, 1) && is_ignored(status, 13));
        assert!(!is_ignored(status, 15) && !is_ignored("", 1) && !is_ignored(status, 0));
    }
}
