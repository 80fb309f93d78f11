//! The citizen's mailbox: what the relay wrote.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

const LOOK_EVERY: Duration = Duration::from_millis(50);
const PATIENCE: u32 = 600;

/// A message with second parts.
#[derive(Debug)]
pub struct Message {
    /// As it stands in the file, headers included.
    pub text: String,
    /// Second part by code.
    pub second_parts: BTreeMap<&'static str, String>,
}

/// Waits for the message with this control number.
///
/// # Errors
/// A sentence; none has come in half a minute.
pub async fn wait_for(directory: &Path, control: &str) -> Result<Message, String> {
    for _ in 0..PATIENCE {
        for entry in fs::read_dir(directory).map_err(|e| format!("{}: {e}", directory.display()))? {
            let text =
                fs::read_to_string(entry.map_err(|e| e.to_string())?.path()).map_err(|e| e.to_string())?;
            if text.contains(control) {
                return Ok(read(text));
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Err("no message has arrived".into())
}

fn read(text: String) -> Message {
    let mut second_parts = BTreeMap::new();
    for line in text.lines() {
        for (code, start) in [
            ("PIN", "Seconda parte del PIN: "),
            ("PUK", "Seconda parte del PUK: "),
            ("CIP", "Seconda parte del C.I.P.: "),
        ] {
            if let Some(digits) = line.trim().strip_prefix(start) {
                second_parts.insert(code, digits.to_owned());
            }
        }
    }
    Message { text, second_parts }
}
