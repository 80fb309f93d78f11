//! The message centre's ids of messages, kept until their receipts have come: in the courier's own store, so that a receipt
//! is understood after a restart. An id says nothing of a citizen.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

use serde::{Deserialize, Serialize};

use crate::{
    clock::Clock,
    courier::Setback,
    domain::id::{DeliveryId, LeaseId},
    store::{self, Expect, Op, Outcome, Space, Store, Unit},
};

/// How long a receipt is waited for: longer than any network tries.
const KEPT_MS: u64 = 10 * 86_400_000;
const TIDY_EVERY_MS: u64 = 3_600_000;
/// Records looked at in one step.
const STEP: usize = 100;

/// What an id stands for.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Named {
    delivery: DeliveryId,
    lease: LeaseId,
    at_ms: u64,
}

/// The ids.
pub(super) struct Ids {
    store: Store,
    clock: Arc<dyn Clock>,
    tidy_ms: AtomicU64,
    under_way: AtomicUsize,
}

/// Somebody waits for an id; over when dropped.
pub(super) struct UnderWay<'a>(&'a AtomicUsize);

impl Ids {
    pub(super) fn new(store: Store, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock, tidy_ms: AtomicU64::new(0), under_way: AtomicUsize::new(0) }
    }

    /// To be held while a message is handed over: its receipt may come before its id is kept.
    pub(super) fn under_way(&self) -> UnderWay<'_> {
        self.under_way.fetch_add(1, Ordering::SeqCst);
        UnderWay(&self.under_way)
    }

    /// Whether an id that is not known may still become so.
    pub(super) fn is_under_way(&self) -> bool {
        self.under_way.load(Ordering::SeqCst) > 0
    }

    /// Keeps an id, durably. The message has been taken whatever happens here.
    pub(super) async fn keep(
        &self,
        id: &str,
        (delivery, lease): (DeliveryId, LeaseId),
    ) -> Result<(), Setback> {
        if id.is_empty() {
            return Ok(());
        }
        let lost = || Setback::Unknown("the courier's memory does not work".to_owned());
        let named = Named { delivery, lease, at_ms: self.clock.now_ms() };
        let value = serde_json::to_vec(&named).map_err(|_| lost())?;
        let op = Op::Put { space: Space::CourierSms, key: key(id), value, expect: Expect::Any };
        self.commit(vec![op]).await.map_err(|error| {
            tracing::error!(%error, "the id of a message that was sent is not kept");
            lost()
        })
    }

    /// The hold that an id stands for.
    pub(super) fn find(&self, id: &str) -> Result<Option<(DeliveryId, LeaseId)>, store::Error> {
        let found = self.store.get(Space::CourierSms, &key(id))?;
        let named = found.and_then(|found| serde_json::from_slice::<Named>(&found.value).ok());
        Ok(named.map(|named| (named.delivery, named.lease)))
    }

    /// Its receipt has come.
    pub(super) async fn forget(&self, id: &str) {
        let op = Op::Delete { space: Space::CourierSms, key: key(id), expect: Expect::Any };
        if let Err(error) = self.commit(vec![op]).await {
            tracing::error!(%error, "the id of a message is kept longer than it serves");
        }
    }

    /// Forgets ids whose receipts never came, once an hour.
    pub(super) async fn tidy(&self) {
        let now_ms = self.clock.now_ms();
        if now_ms < self.tidy_ms.load(Ordering::Relaxed) {
            return;
        }
        self.tidy_ms.store(now_ms.saturating_add(TIDY_EVERY_MS), Ordering::Relaxed);
        if let Err(error) = self.forget_old(now_ms).await {
            tracing::error!(%error, "ids of messages are kept longer than they serve");
        }
    }

    async fn forget_old(&self, now_ms: u64) -> Result<(), store::Error> {
        let mut from = Vec::new();
        loop {
            let found = self.store.scan(Space::CourierSms, &[], &from, STEP)?;
            let is_old = |value: &[u8]| {
                serde_json::from_slice::<Named>(value)
                    .is_ok_and(|named| named.at_ms.saturating_add(KEPT_MS) < now_ms)
            };
            let old = found.iter().filter(|entry| is_old(&entry.record.value));
            let delete = |key: &Vec<u8>| Op::Delete {
                space: Space::CourierSms,
                key: key.clone(),
                expect: Expect::Any,
            };
            let ops: Vec<_> = old.map(|entry| delete(&entry.key)).collect();
            if !ops.is_empty() {
                self.commit(ops).await?;
            }
            match found.last() {
                Some(last) if found.len() == STEP => from = store::after(&last.key),
                Some(_) | None => return Ok(()),
            }
        }
    }

    async fn commit(&self, ops: Vec<Op>) -> Result<(), store::Error> {
        match self.store.submit(Unit { ops, events: Vec::new() }).await? {
            Outcome::Applied { .. } => Ok(()),
            Outcome::Refused { op } => {
                // No guard is set.
                tracing::error!(op, "the courier's memory refuses");
                Ok(())
            }
        }
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Centres are not of one mind about leading zeros and capital letters.
fn key(id: &str) -> Vec<u8> {
    id.trim_start_matches('0').to_ascii_lowercase().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::ManualClock, store::memory::Memory};

    #[tokio::test]
    async fn an_id_is_known_after_a_restart_and_not_for_ever() {
        let (memory, clock) = (Memory::new(), Arc::new(ManualClock::new(0)));
        let open = || {
            let (engine, reader) = memory.open().unwrap();
            let clock: Arc<dyn Clock> = clock.clone();
            Ids::new(Store::start(engine, reader, store::Limits::default()), clock)
        };
        let hold = (DeliveryId::new([1; 16]), LeaseId::new([2; 16]));
        let ids = open();
        ids.keep("00aF", hold).await.unwrap();
        ids.keep("", hold).await.unwrap();
        ids.store.close().await;
        let ids = open();
        assert_eq!(
            (ids.find("AF").unwrap(), ids.find("0").unwrap(), ids.find("ae").unwrap()),
            (Some(hold), None, None)
        );
        clock.advance(std::time::Duration::from_millis(KEPT_MS));
        ids.tidy().await;
        assert_eq!(ids.find("af").unwrap(), Some(hold));
        clock.advance(std::time::Duration::from_millis(TIDY_EVERY_MS));
        ids.tidy().await;
        assert_eq!(ids.find("af").unwrap(), None);
    }
}
