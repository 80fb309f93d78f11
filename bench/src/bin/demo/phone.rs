//! The citizen's phone: what Kannel's stand-in for a network got for its number.

use std::{fs, path::Path, time::Duration};

const LOOK_EVERY: Duration = Duration::from_millis(50);
const PATIENCE: u32 = 600;

/// Waits for a text message to `number` with this control number. One of several parts is not looked for: the shipped
/// text of an activation is short.
pub(crate) async fn wait_for(network_log: &Path, number: &str, control: &str) -> Result<String, String> {
    for _ in 0..PATIENCE {
        let log = fs::read_to_string(network_log).map_err(|e| format!("{}: {e}", network_log.display()))?;
        if let Some(text) = log.lines().find_map(|line| text(line, number).filter(|t| t.contains(control))) {
            return Ok(text.to_owned());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Err("no text message has arrived".into())
}

/// The text of a line such as `Got message 1: <TS-CNS +393331234567 text TEXT>`.
fn text<'a>(line: &'a str, number: &str) -> Option<&'a str> {
    let (_, rest) = line.split_once(": <")?.1.strip_suffix('>')?.split_once(number)?;
    rest.strip_prefix(" text ")
}
