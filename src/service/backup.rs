//! Backups: the whole store as it is between two commits, encrypted to the officers' certificates.
//!
//! Nothing waits for a backup. What leaves here can be opened by officers only, and its end is signed with the audit key.

use super::{Call, Error, Service};
use crate::{
    backup::{self, Writer},
    domain::audit::{Kind, Outcome, time_text},
    hsm::Hsm,
    policy::act,
    store::Snapshot,
};

/// Entries read in one step.
const STEP: usize = 512;

/// A backup on its way.
pub struct Backup {
    /// Nothing once a step has failed, or was given up half-way.
    state: Option<State>,
    hsm: Hsm,
}

/// What a step of it works on.
struct State {
    /// Bytes that are ready and not yet given out.
    ready: Vec<u8>,
    snapshot: Snapshot,
    writer: Writer,
}

impl Service {
    /// Begins a backup. It is an event of the log, and in the backup itself, which holds everything that was acknowledged
    /// before this call.
    pub async fn back_up(&self, call: &Call<act::Backup>) -> Result<Backup, Error> {
        let policy = call.permit.policy();
        let officers = policy.officers().list();
        if officers.is_empty() {
            return Err(Error::Unavailable("officers.toml names nobody to encrypt a backup to".into()));
        }
        self.record(self.event(call, Kind::StoreBackedUp, Outcome::Done)).await?;
        let snapshot = self.store.snapshot().await?;
        let head = snapshot.head();
        let checkpoint = self.sign_head(head).await?;
        let time = time_text(self.clock.now_ms());
        let (mut writer, mut ready) = Writer::begin(officers, &self.log, &time, head)?;
        ready.extend(writer.checkpoint(&checkpoint)?);
        Ok(Backup { state: Some(State { ready, snapshot, writer }), hsm: self.hsm.clone() })
    }
}

impl Backup {
    /// The next bytes of the file; nothing after the last entry, when [`Backup::end`] is due. Reads of the disk have a
    /// thread of their own.
    pub async fn next_part(&mut self) -> Result<Option<Vec<u8>>, Error> {
        let mut state = self.state.take().ok_or_else(broken)?;
        let step = tokio::task::spawn_blocking(move || state.next_part().map(|part| (state, part))).await;
        let (state, part) = step.map_err(|e| Error::Bug(e.to_string()))??;
        self.state = Some(state);
        Ok(part)
    }

    /// The last bytes of the file, over all that was given out: without them it is no backup.
    pub async fn end(self) -> Result<Vec<u8>, Error> {
        let State { writer, .. } = self.state.ok_or_else(broken)?;
        let signature = self.hsm.sign(writer.to_sign()).await?;
        Ok(writer.finish(&signature)?)
    }
}

fn broken() -> Error {
    Error::Bug("a backup that broke off goes on".into())
}

impl State {
    fn next_part(&mut self) -> Result<Option<Vec<u8>>, Error> {
        while self.ready.is_empty() {
            match self.snapshot.next(STEP)? {
                Some(entries) => self.ready = self.writer.entries(&entries)?,
                None => return Ok(None),
            }
        }
        Ok(Some(std::mem::take(&mut self.ready)))
    }
}

impl From<backup::Error> for Error {
    fn from(e: backup::Error) -> Self {
        Self::Bug(e.to_string())
    }
}
