//! The citizen's mailbox: what the relay wrote.

use std::{
    collections::{BTreeMap, HashSet},
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

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

/// Messages in one directory, each file read once.
#[derive(Debug)]
pub struct Mailbox {
    directory: PathBuf,
    known: HashSet<OsString>,
    /// Those that nobody has waited for yet.
    texts: Vec<String>,
}

impl Mailbox {
    /// What the relay writes into this directory.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into(), known: HashSet::new(), texts: Vec::new() }
    }

    fn look(&mut self) -> std::io::Result<()> {
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            if self.known.insert(entry.file_name()) {
                self.texts.push(fs::read_to_string(entry.path())?);
            }
        }
        Ok(())
    }

    /// Waits for the message to this address with this control number, of six digits: among thousands some are the same.
    ///
    /// # Errors
    /// A sentence; none has come in half a minute.
    pub async fn wait_for(&mut self, address: &str, control: &str) -> Result<Message, String> {
        let to = format!("X-Rcpt-To: {address}\r\n");
        self.wait(|text| text.contains(&to) && text.contains(control)).await
    }

    async fn wait(&mut self, is: impl Fn(&str) -> bool) -> Result<Message, String> {
        for _ in 0..PATIENCE {
            if let Some(at) = self.texts.iter().position(|text| is(text)) {
                return Ok(read(self.texts.swap_remove(at)));
            }
            // The directory holds all that ever came: among thousands it is not read for each.
            let before = self.texts.len();
            self.look().map_err(|e| format!("{}: {e}", self.directory.display()))?;
            if self.texts.len() == before {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }
        Err("no message has arrived".into())
    }
}

/// Waits for the message with this control number, to whomever.
///
/// # Errors
/// A sentence; none has come in half a minute.
pub async fn wait_for(directory: &Path, control: &str) -> Result<Message, String> {
    Mailbox::new(directory).wait(|text| text.contains(control)).await
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
