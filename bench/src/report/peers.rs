//! Others that verify a PIN, measured by scripts in the same run.

use std::{path::Path, process::Command};

use serde::Deserialize;
use sigillo_bench::installation::printed;

/// What a peer's script says in the last line of its output.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct Peer {
    pub(crate) peer: String,
    pub(crate) version: String,
    /// Verifications a second.
    pub(crate) per_second: f64,
    /// CPU of its server and its database for one of them, microseconds.
    pub(crate) cpu_us: f64,
    /// Clients in a closed loop.
    pub(crate) clients: u32,
    /// In what it is less than, or other than, a verification of Sigillo.
    pub(crate) differs: String,
}

/// Runs a peer's script, which installs it in `directory` where it is not there yet.
pub(super) fn measure(script: &Path, directory: &Path, seconds: u64) -> Result<Peer, String> {
    let output = Command::new("sh").arg(script).arg(directory).arg(seconds.to_string()).output();
    let output = output.map_err(|e| format!("{}: {e}", script.display()))?;
    read(&printed(&output).map_err(|why| format!("{}: {why}", script.display()))?)
}

fn read(said: &str) -> Result<Peer, String> {
    let last = said.lines().last().ok_or("the peer's script said nothing")?;
    serde_json::from_str(last).map_err(|e| format!("not the figures of a peer: {e}: {last}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_has_the_figures() {
        let line =
            r#"{"peer":"p","version":"1","per_second":14.5,"cpu_us":50000,"clients":4,"differs":"no TLS"}"#;
        let peer = read(&format!("installing\n{line}")).unwrap();
        assert_eq!((peer.peer.as_str(), peer.cpu_us, peer.clients), ("p", 50_000.0, 4));
        assert!(read("").is_err() && read("done").is_err());
    }
}
