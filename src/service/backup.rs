//! Backups: the whole store as it is between two commits, encrypted to the officers' certificates.
//!
//! Nothing waits for a backup. What leaves here can be opened by officers only.

use super::{Call, Error, Service};
use crate::{
    backup::{self, Writer},
    domain::audit::{Kind, Outcome, time_text},
    policy::act,
    store::Snapshot,
};

/// Entries read in one step.
const STEP: usize = 512;

/// A backup on its way.
pub struct Backup {
    /// Bytes that are ready and not yet given out.
    ready: Vec<u8>,
    snapshot: Snapshot,
    /// Nothing once the end has been given out.
    writer: Option<Writer>,
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
        let checkpoint = self.sign_head(snapshot.head()).await?;
        let (mut writer, mut ready) = Writer::begin(officers, &self.log, &time_text(self.clock.now_ms()))?;
        ready.extend(writer.checkpoint(&checkpoint)?);
        Ok(Backup { ready, snapshot, writer: Some(writer) })
    }
}

impl Backup {
    /// The next bytes of the file; nothing after the last ones. Blocks for reads of the disk.
    pub fn next_part(&mut self) -> Result<Option<Vec<u8>>, Error> {
        while self.ready.is_empty() {
            let Some(writer) = &mut self.writer else { return Ok(None) };
            match self.snapshot.next(STEP)? {
                Some(entries) => self.ready = writer.entries(&entries)?,
                None => {
                    if let Some(writer) = self.writer.take() {
                        self.ready = writer.finish()?;
                    }
                }
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
