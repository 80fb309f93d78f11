//! The targets, and what was found beside them.

use serde::Serialize;

use super::peers::Peer;
use crate::number::per;

/// A line of the table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Row {
    /// What.
    pub(crate) what: String,
    /// As measured; absent where it was not.
    pub(crate) value: Option<f64>,
    /// Its unit.
    pub(crate) unit: &'static str,
    /// What it is compared with, of the same run and in the same unit.
    pub(crate) ceiling: Option<f64>,
    /// Value by ceiling.
    pub(crate) share: Option<f64>,
    /// Of the share where there is a ceiling, else of the value; empty where there is none.
    pub(crate) target: String,
    /// Whether it is met; absent without value or target.
    pub(crate) met: Option<bool>,
}

/// CPU of the fastest open HSM server that was measured, microseconds for an operation (Cosmian KMS 5.26.0, AES-GCM in SoftHSM
/// by PKCS#11, two cores, 8 clients; no audit, no limit, no TLS). Of another run.
const FASTEST_HSM_SERVER_US: f64 = 282.0;

/// What a version of HTTP showed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Http {
    /// CPU of the bare server for a request, microseconds.
    pub(crate) hello_us: Option<f64>,
    /// Its requests a second.
    pub(crate) hello_rate: Option<f64>,
    /// CPU of Sigillo for a verification, microseconds.
    pub(crate) verify_us: Option<f64>,
    /// Its verifications a second.
    pub(crate) verify_rate: Option<f64>,
    /// HSM calls for a verification.
    pub(crate) calls: Option<f64>,
    /// Syncs for a verification.
    pub(crate) syncs: Option<f64>,
    /// Processors busy with verifications and with their load, of all that there are.
    pub(crate) busy: Option<f64>,
    /// Commits for a verification.
    pub(crate) commits: Option<f64>,
}

/// What was measured.
#[derive(Clone, Debug, Default)]
pub(crate) struct Found {
    pub(crate) http1: Http,
    pub(crate) http2: Http,
    /// CPU of a MAC in a raw loop, microseconds, and how many a second.
    pub(crate) mac_us: Option<f64>,
    pub(crate) mac_rate: Option<f64>,
    /// Durable appends a second, of batches as big as the store's.
    pub(crate) appends: Option<f64>,
    /// Open loop at half of the saturation: p99, p50 (ms) and errors.
    pub(crate) open_p99: Option<f64>,
    pub(crate) open_p50: Option<f64>,
    pub(crate) open_errors: Option<f64>,
    /// Verifications a second with a slow HSM, and without, with the same settings.
    pub(crate) delayed: Option<f64>,
    pub(crate) undelayed: Option<f64>,
    /// Activations a second, with HSM calls each.
    pub(crate) activations: Option<f64>,
    pub(crate) activation_calls: Option<f64>,
    /// From activation to the mail relay: how many a second, and CPU of authority and courier for each.
    pub(crate) deliveries: Option<f64>,
    pub(crate) delivery_us: Option<f64>,
    pub(crate) courier_us: Option<f64>,
    /// MiB of the store's cache, requests in flight of closed loops.
    pub(crate) cache_mib: Option<f64>,
    pub(crate) in_flight: Option<f64>,
    /// Cards that the store grew from and to; cost of a verification after by before, each by `hello` beside it; and itself,
    /// microseconds.
    pub(crate) grown: Option<(u64, u64)>,
    pub(crate) growth: Option<f64>,
    pub(crate) grown_us: Option<f64>,
    pub(crate) imported: Option<f64>,
    /// Start-up behind all that was written, and once more.
    pub(crate) start: Option<f64>,
    pub(crate) start_again: Option<f64>,
    pub(crate) bytes_per_card: Option<f64>,
    /// Mixture: seconds, requests a second, errors, memory at the end by memory after the warm-up, whether the audit log verifies.
    pub(crate) soak: Option<f64>,
    pub(crate) soak_rate: Option<f64>,
    pub(crate) soak_errors: Option<f64>,
    pub(crate) soak_memory: Option<f64>,
    pub(crate) soak_leak: Option<f64>,
    pub(crate) audit: Option<f64>,
    /// Another that verifies a PIN, measured in this run.
    pub(crate) peer: Option<Peer>,
}

#[derive(Clone, Copy)]
enum Target {
    AtMost(f64),
    AtLeast(f64),
    Untold,
}

fn row(what: &str, unit: &'static str, value: Option<f64>, ceiling: Option<f64>, target: Target) -> Row {
    let share = value.zip(ceiling).and_then(|(value, ceiling)| per(value, ceiling));
    let judged = if ceiling.is_some() { share } else { value };
    let (target, met) = match target {
        Target::AtMost(most) => (format!("<= {most}"), judged.map(|judged| judged <= most)),
        Target::AtLeast(least) => (format!(">= {least}"), judged.map(|judged| judged >= least)),
        Target::Untold => (String::new(), None),
    };
    Row { what: what.into(), value, unit, ceiling, share, target, met }
}

/// A row whose target is of its share: without a ceiling there is nothing to judge.
fn shared(what: &str, unit: &'static str, value: Option<f64>, ceiling: Option<f64>, target: Target) -> Row {
    let row = row(what, unit, value, ceiling, target);
    Row { met: row.met.filter(|_| row.ceiling.is_some()), ..row }
}

/// The table.
pub(crate) fn rows(found: &Found) -> Vec<Row> {
    use Target::{AtLeast, AtMost, Untold};
    let mut rows = Vec::new();
    for (name, http) in [("HTTP/1.1", &found.http1), ("HTTP/2", &found.http2)] {
        let macs = http.calls.zip(found.mac_us).map(|(calls, each)| calls * each);
        let cost = http.hello_us.zip(macs).map(|(hello, macs)| hello + macs);
        let what = format!("server's CPU per verification, by hello + its MACs, {name}");
        rows.push(shared(&what, "us", http.verify_us, cost, AtMost(2.5)));
        let what = format!("verifications at saturation, by hello, {name}");
        rows.push(shared(&what, "/s", http.verify_rate, http.hello_rate, AtLeast(0.25)));
        let what = format!("share of the processors that is busy at saturation, {name}");
        rows.push(row(&what, "", http.busy, None, Untold));
    }
    let best = &found.http2;
    let calls = best.verify_rate.zip(best.calls).map(|(rate, each)| rate * each);
    let commits = best.verify_rate.zip(best.commits).map(|(rate, each)| rate * each);
    let quarter = Some(FASTEST_HSM_SERVER_US / 4.0);
    let what = "server's CPU per verification, HTTP/2, by 1/4 of the fastest HSM server's (of another run)";
    rows.push(shared(what, "us", best.verify_us, quarter, AtMost(1.0)));
    if let Some(peer) = &found.peer {
        let name = format!("{} {}", peer.peer, peer.version);
        let what = format!("CPU per verification of {name} ({}), by Sigillo's over HTTP/1.1", peer.differs);
        rows.push(shared(&what, "us", Some(peer.cpu_us), found.http1.verify_us, AtLeast(200.0)));
        let what = format!("verifications of {name}, {} clients, by Sigillo's at saturation", peer.clients);
        rows.push(shared(&what, "/s", Some(peer.per_second), found.http1.verify_rate, Untold));
    }
    rows.push(shared(
        "HSM calls at saturation, HTTP/2, by a raw loop in one thread",
        "/s",
        calls,
        found.mac_rate,
        Untold,
    ));
    rows.push(shared(
        "commits at saturation, HTTP/2, by raw durable appends",
        "/s",
        commits,
        found.appends,
        Untold,
    ));
    let what = "open loop at 50 % of saturation, HTTP/2: p99, by p50";
    rows.push(shared(what, "ms", found.open_p99, found.open_p50, AtMost(5.0)));
    rows.push(row("open loop at 50 % of saturation: errors", "", found.open_errors, None, AtMost(0.0)));
    let what = "verifications with 500 us added to each PKCS#11 call, by without";
    rows.push(shared(what, "/s", found.delayed, found.undelayed, AtLeast(0.6)));
    rows.push(row("fsyncs per verification at saturation, HTTP/2", "", best.syncs, None, AtMost(0.1)));
    rows.push(row(
        "activations, with courier, delivery queued",
        "/s",
        found.activations,
        None,
        AtLeast(500.0),
    ));
    let calls = found.activations.zip(found.activation_calls).map(|(rate, each)| rate * each);
    let what = "authority's HSM calls in activations, by a raw loop in one thread";
    rows.push(shared(what, "/s", calls, found.mac_rate, Untold));
    let what = "deliveries, from activation until the mail relay has them";
    rows.push(row(what, "/s", found.deliveries, None, Untold));
    let what = "courier's CPU per delivery, by the authority's for activation, lease and report";
    rows.push(shared(what, "us", found.courier_us, found.delivery_us, Untold));
    let grown = found.grown.map_or_else(String::new, |(from, to)| format!(", {from} to {to}"));
    let what = format!("cost of a verification as cards grow{grown}");
    rows.push(row(&what, "x", found.growth, None, AtMost(1.3)));
    rows.push(row(
        "server's CPU per verification with all cards, HTTP/2",
        "us",
        found.grown_us,
        None,
        Untold,
    ));
    rows.push(row("import of cards, registered and audited", "/s", found.imported, None, Untold));
    rows.push(row("bytes on disk per card", "B", found.bytes_per_card, None, Untold));
    let what = "start-up with all cards, behind all that was written since the last";
    rows.push(row(what, "s", found.start, None, AtMost(5.0)));
    rows.push(row("start-up with all cards, again", "s", found.start_again, None, AtMost(5.0)));
    let of = found.soak.map_or_else(String::new, |seconds| format!(" of {seconds:.0} s"));
    rows.push(row(&format!("mixture{of}: turns"), "/s", found.soak_rate, None, Untold));
    rows.push(row(
        &format!("mixture{of}: memory, end by quarter"),
        "x",
        found.soak_memory,
        None,
        AtMost(1.05),
    ));
    let what = format!("mixture{of}: memory more with each turn, from a quarter on");
    rows.push(row(&what, "B", found.soak_leak, None, Untold));
    rows.push(row(&format!("mixture{of}: errors"), "", found.soak_errors, None, AtMost(0.0)));
    rows.push(row("the audit log verifies afterwards", "", found.audit, None, AtLeast(1.0)));
    rows.push(row("setting: cache of the store", "MiB", found.cache_mib, None, Untold));
    rows.push(row("setting: requests in flight", "", found.in_flight, None, Untold));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find<'a>(rows: &'a [Row], what: &str) -> &'a Row {
        rows.iter().find(|row| row.what.starts_with(what)).unwrap()
    }

    #[test]
    fn what_was_not_measured_is_neither_met_nor_missed() {
        for row in rows(&Found::default()) {
            assert_eq!((row.value, row.met), (None, None), "{row:?}");
        }
    }

    #[test]
    fn a_peer_is_measured_by_our_own_cost() {
        let peer = Peer {
            peer: "peer".into(),
            version: "1".into(),
            per_second: 10.0,
            cpu_us: 40_000.0,
            clients: 4,
            differs: "no TLS".into(),
        };
        let http1 = Http { verify_us: Some(250.0), ..Http::default() };
        let rows = rows(&Found { peer: Some(peer), http1, ..Found::default() });
        let row = find(&rows, "CPU per verification of peer 1 (no TLS)");
        assert_eq!((row.share, row.met), (Some(160.0), Some(false)));
    }

    #[test]
    fn shares_are_of_the_same_run_and_judged_at_the_target() {
        let http2 = Http {
            hello_us: Some(30.0),
            verify_us: Some(100.0),
            calls: Some(5.0),
            hello_rate: Some(10_000.0),
            verify_rate: Some(2500.0),
            syncs: Some(0.11),
            ..Http::default()
        };
        let found = Found { http2, mac_us: Some(2.0), open_p99: Some(30.0), ..Found::default() };
        let rows = rows(&found);
        let cpu = find(&rows, "server's CPU per verification, by hello + its MACs, HTTP/2");
        assert_eq!((cpu.ceiling, cpu.share, cpu.met), (Some(40.0), Some(2.5), Some(true)));
        let rate = find(&rows, "verifications at saturation, by hello, HTTP/2");
        assert_eq!((rate.share, rate.met), (Some(0.25), Some(true)));
        let syncs = find(&rows, "fsyncs per verification");
        assert_eq!((syncs.met, syncs.target.as_str()), (Some(false), "<= 0.1"));
        // A latency without the other one says nothing of their quotient.
        assert_eq!(find(&rows, "open loop at 50 % of saturation, HTTP/2: p99").met, None);
    }
}
