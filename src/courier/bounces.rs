//! Bounces: what the relay, or a server behind it, returns when a message that was accepted cannot be delivered.
//!
//! The relay puts them into a Maildir, which is read and emptied here. Whoever knows the address can write to it, so a
//! file counts for nothing unless it holds a slip of ours ([`Envelope`]), which is looked for before anything is parsed:
//! who has never had a message from us does not even reach the parser. What is taken of a bounce is three numbers.

#[cfg(feature = "testing")]
pub mod hostile;
mod report;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use tokio::sync::watch;

use super::{
    Authority, Limits,
    late::{End, Told, tell},
    slip::{NoSlip, SEALED, SlipKey},
};
use crate::{
    domain::id::{DeliveryId, LeaseId},
    files::read_no_link,
};

/// Longest bounce that is looked at, in bytes: headers and two texts, since none of ours is longer.
const MAX_BOUNCE: u64 = 128 << 10;

/// Most files in one look.
const LOOK: usize = 100;

/// Between two looks at an empty directory.
const PAUSE: Duration = Duration::from_secs(1);

/// What stands before a slip, so that it is found in whatever comes back.
const MARK: &str = "sigillo.";

/// Length of a slip in base64url.
const SLIP: usize = (SEALED * 8).div_ceil(6);

/// Slips tried in one file: a bounce has one or two copies of one.
const TRIES: usize = 8;

/// Where bounces are sent to, and what names a message in them. The sending and the receiving side share it.
pub struct Envelope {
    /// The envelope's sender: where bounces go.
    pub(super) address: lettre::Address,
    key: SlipKey,
}

impl std::fmt::Debug for Envelope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Envelope").finish_non_exhaustive()
    }
}

impl Envelope {
    /// # Errors
    /// [`NoSlip`] if the cryptographic library refuses the key.
    pub fn new(address: lettre::Address, key: &[u8; 32]) -> Result<Self, NoSlip> {
        Ok(Self { address, key: SlipKey::new(key, b"sigillo/v1 bounce")? })
    }

    /// The name of a message in its envelope (ENVID, RFC 3461, 4.4: at most 100 characters) and in a header.
    pub(super) fn name(&self, delivery: DeliveryId, lease: LeaseId) -> Result<String, NoSlip> {
        Ok(format!("{MARK}{}", URL_SAFE_NO_PAD.encode(self.key.seal(delivery, lease)?)))
    }

    /// The hold that a slip in these bytes names, wherever it stands.
    fn find(&self, bytes: &[u8]) -> Option<(DeliveryId, LeaseId)> {
        let places = bytes.windows(MARK.len()).enumerate().filter(|(_, window)| *window == MARK.as_bytes());
        places.take(TRIES).find_map(|(at, _)| {
            let from = at.checked_add(MARK.len())?;
            let slip = bytes.get(from..from.checked_add(SLIP)?)?;
            let mut sealed = [0; SEALED];
            let length = URL_SAFE_NO_PAD.decode_slice(slip, &mut sealed).ok()?;
            (length == SEALED).then(|| self.key.open(sealed))?
        })
    }
}

/// The directory that bounces come into.
#[derive(Debug)]
pub struct Bounces {
    new: PathBuf,
    envelope: Arc<Envelope>,
}

/// A bounce of a message of ours, and what it says.
type Bounce = ((DeliveryId, LeaseId), Option<String>);

impl Bounces {
    /// Of this Maildir.
    pub(super) fn new(maildir: &Path, envelope: Arc<Envelope>) -> Self {
        Self { new: maildir.join("new"), envelope }
    }

    /// For the gateway, so that its messages can come back.
    pub fn envelope(&self) -> Arc<Envelope> {
        Arc::clone(&self.envelope)
    }

    /// Reads and empties the directory until `stop` becomes true.
    pub async fn serve<A: Authority>(
        self,
        authority: Arc<A>,
        limits: Limits,
        mut stop: watch::Receiver<bool>,
    ) {
        let this = Arc::new(self);
        loop {
            let is_done = this.look(&*authority, limits).await;
            let pause = if is_done { PAUSE } else { Duration::ZERO };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
        }
    }

    /// One look. Answers whether there is no hurry for the next.
    async fn look<A: Authority>(self: &Arc<Self>, authority: &A, limits: Limits) -> bool {
        let this = Arc::clone(self);
        let found = match tokio::task::spawn_blocking(move || this.read()).await {
            Ok(found) => found,
            Err(error) => {
                tracing::error!(%error, "a look at the bounces was not ended");
                return true;
            }
        };
        let is_all = found.len() < LOOK;
        for (file, bounce) in found {
            match bounce {
                Some((hold, Some(reason))) => {
                    if tell(authority, limits, hold, &End::Failed(reason)).await == Told::Later {
                        return true;
                    }
                }
                Some(((delivery, _), None)) => {
                    tracing::info!(%delivery, "mail about a message that says of no failure");
                }
                None => tracing::debug!("mail to the bounces' address that is none of ours"),
            }
            if let Err(error) = std::fs::remove_file(&file) {
                tracing::error!(file = %file.display(), %error, "a bounce that was read cannot be removed");
                return true;
            }
        }
        is_all
    }

    fn read(&self) -> Vec<(PathBuf, Option<Bounce>)> {
        let entries = match std::fs::read_dir(&self.new) {
            Ok(entries) => entries,
            Err(error) => {
                tracing::error!(directory = %self.new.display(), %error, "bounces cannot be read");
                return Vec::new();
            }
        };
        let files = entries.filter_map(Result::ok).map(|entry| entry.path()).take(LOOK);
        files.map(|file| (self.bounce(&file), file)).map(|(bounce, file)| (file, bounce)).collect()
    }

    fn bounce(&self, file: &Path) -> Option<Bounce> {
        match read_no_link(file, MAX_BOUNCE) {
            Ok(bytes) => Some((self.envelope.find(&bytes)?, report::failure(&bytes))),
            Err(error) => {
                tracing::warn!(%error, "mail to the bounces' address that is not looked at");
                None
            }
        }
    }
}

#[cfg(test)]
mod tests;
