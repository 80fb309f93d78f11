//! The log's own operations: export.

use serde::Serialize;

use super::{Call, Error, Service};
use crate::{
    domain::audit::{Kind, Outcome},
    policy::act,
    store::Space,
};

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
