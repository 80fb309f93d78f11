//! The log's own operations: signed checkpoints and export.

use serde::Serialize;

use super::{Call, Error, Service};
use crate::{
    domain::{
        audit::{Head, Kind, Outcome},
        checkpoint,
    },
    policy::act,
    store::{Expect, Op, Space, Unit},
};

/// Where the newest checkpoint is kept in the store.
const LATEST: &[u8] = b"latest";

/// One event of an export.
#[derive(Debug, Serialize)]
pub struct Exported {
    /// Chain hash up to and including it, hexadecimal.
    pub hash: String,
    /// Its bytes as written.
    pub event: Box<serde_json::value::RawValue>,
}

/// Splits a stored event into its chain hash and its bytes.
pub(super) fn parse_stored(value: &[u8]) -> Result<(&[u8; 32], &[u8]), Error> {
    value.split_first_chunk().ok_or_else(|| Error::Bug("stored event of another form".into()))
}

impl Service {
    /// Signs where the chain is now, and keeps it as the newest checkpoint. Answers it with its event number.
    pub async fn checkpoint(&self) -> Result<(String, u64), Error> {
        let Head { seq, hash } = self.store.head();
        let text = checkpoint::text(&self.log, seq, &hash, self.policy().digest(), self.clock.now_ms());
        let signature = self.hsm.sign(checkpoint::digest(&text)).await?;
        let signed = checkpoint::signed(&text, &signature);
        let value = signed.clone().into_bytes();
        let put = Op::Put { space: Space::Checkpoint, key: LATEST.into(), value, expect: Expect::Any };
        let unit = Unit { ops: vec![put], events: Vec::new() };
        self.commit(unit).await?.map_err(|g| Error::Bug(format!("checkpoint: {g:?}")))?;
        Ok((signed, seq))
    }

    /// The newest checkpoint, signed now. Reading the log is an event of the log.
    pub async fn read_checkpoint(&self, call: &Call<act::ReadAudit>) -> Result<(String, u64), Error> {
        self.record(self.event(call, Kind::AuditRead, Outcome::Done)).await?;
        self.checkpoint().await
    }

    /// Up to `limit` events after event `after`, in order.
    pub fn events(
        &self,
        _call: &Call<act::ReadAudit>,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Exported>, Error> {
        let from = after.saturating_add(1).to_be_bytes();
        let found = self.store.scan(Space::Event, &[], &from, limit)?;
        let export = |value: &[u8]| {
            let (hash, bytes) = parse_stored(value)?;
            let text =
                String::from_utf8(bytes.to_vec()).map_err(|e| Error::Bug(format!("stored event: {e}")))?;
            let event = serde_json::value::RawValue::from_string(text)
                .map_err(|e| Error::Bug(format!("stored event: {e}")))?;
            Ok(Exported { hash: hex::encode(hash), event })
        };
        found.iter().map(|f| export(&f.record.value)).collect()
    }

    /// Records that the service has started, under which policy.
    pub(super) async fn record_start(&self) -> Result<(), Error> {
        self.record(self.own_event(Kind::ServiceStarted, Outcome::Done)?).await
    }
}
