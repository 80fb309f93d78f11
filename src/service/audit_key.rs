//! The audit key and those before it: which one the store's log was handed over to, and how it is handed over.
//!
//! The event, the record of all handovers and the set in force under the new key are one commit: a log is its former key's or
//! its new one's, and nothing in it waits for a second step. Only where nothing is served: what would be signed meanwhile
//! would be signed by the key that goes.

use std::time::Duration;

use super::{Error, Parts, Service};
use crate::{
    domain::{
        audit::{Head, Kind, Outcome},
        checkpoint,
        handover::{self, AuditKeys, Handover},
    },
    hsm::{self, Place},
    store::{Expect, Op, Space, Store, Unit},
};

/// Where the handovers are kept in the store, one after another; missing before the first.
const AUDIT_KEYS: &[u8] = b"audit_keys";

/// The keys that this store's log was handed over through; nothing where its audit key was never replaced.
///
/// # Errors
/// The store does not answer, or its record does not hold.
pub fn handed_over(store: &Store, log: &str) -> Result<Option<AuditKeys>, Error> {
    let Some(record) = record(store)? else { return Ok(None) };
    AuditKeys::read(log, &record)
        .map_err(|why| Error::Unavailable(format!("the store's record of audit keys does not hold: {why}")))
}

fn record(store: &Store) -> Result<Option<String>, Error> {
    let found = store.get(Space::Checkpoint, AUDIT_KEYS)?;
    Ok(found.map(|found| String::from_utf8_lossy(&found.value).into_owned()))
}

/// As [`handed_over`], where the token's audit key must be the one in force.
pub(super) fn keys(store: &Store, log: &str, audit_key: &[u8]) -> Result<AuditKeys, Error> {
    let Some(keys) = handed_over(store, log)? else { return Ok(AuditKeys::only(audit_key)) };
    if keys.now() == audit_key {
        return Ok(keys);
    }
    let (ours, theirs) = (handover::key_id(audit_key), handover::key_id(keys.now()));
    Err(Error::Unavailable(format!(
        "the store's log was handed over to audit key {theirs}, and the token's is {ours}: store and token are not of one \
         installation, or one of them is an older copy"
    )))
}

impl Service {
    /// Puts the parts together for a replacement of the audit key and nothing else, and refuses what a start refuses.
    pub async fn for_key_replacement(parts: Parts) -> Result<Self, Error> {
        let service = Self::assemble(parts)?;
        let known = service.refuse_going_back().await?;
        service.bring_into_force(known.as_ref()).await?;
        Ok(service)
    }

    /// Hands the log over to another key (`SubjectPublicKeyInfo`, DER), which signs what `accept` is given. Answers the event's
    /// number. From here on this service must not be asked for anything.
    pub async fn hand_over(
        &self,
        to: &[u8],
        accept: impl Fn([u8; 32]) -> Result<[u8; 64], hsm::Error>,
    ) -> Result<u64, Error> {
        let head = self.store.head();
        let handover = Handover {
            log: self.log.clone(),
            head,
            recoveries: self.recoveries()?,
            from: self.marks.audit_key().to_vec(),
            to: to.to_vec(),
            at_ms: self.clock.now_ms(),
        };
        let text = handover.text();
        let signed = handover::signed(&text, &self.hsm.sign(checkpoint::digest(&text)).await?);
        let whole = handover::accepted(&signed, &accept(checkpoint::digest(&signed))?);
        Handover::open(&whole).map_err(|why| Error::Bug(format!("a handover that does not hold: {why}")))?;
        let record = record(&self.store)?.unwrap_or_default() + &whole;
        let put = |key: &[u8], value: String| {
            let (key, value) = (key.to_vec(), value.into_bytes());
            Op::Put { space: Space::Checkpoint, key, value, expect: Expect::Any }
        };
        let mut ops = vec![put(AUDIT_KEYS, record)];
        if let Some(text) = self.in_force_text()? {
            ops.push(Self::keep_signed(&text, &accept(checkpoint::digest(&text))?));
        }
        let event = self.own_event(Kind::AuditKeyReplaced, Outcome::Done)?.with(handover::MEMBER, whole);
        self.commit(Unit { ops, events: vec![event] })
            .await?
            .map_err(|g| Error::Bug(format!("handover: {g:?}")))?;
        let seq = head.seq.saturating_add(1);
        let end = self.store.head();
        if end.seq != seq {
            return Err(Error::Bug(format!(
                "the handover is of event {seq}, and the log ends at {}",
                end.seq
            )));
        }
        Ok(seq)
    }

    /// Leaves a checkpoint by the key in force in the store and in both places of the token: none of a former key is left
    /// there. Answers where the log ends.
    pub async fn mark_both(&self) -> Result<Head, Error> {
        let head = self.store.head();
        for _both in Place::ALL {
            self.checkpoint().await?;
            // Equal texts in both places are what a courier's checkpoint leaves (`recover`): these differ in their time.
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Ok(head)
    }
}
