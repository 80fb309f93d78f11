//! The courier's own audit chain: an event for each decision, checkpoints signed by its token's audit key.

use super::Judge;
use crate::{
    api::courier::Lease,
    domain::{
        audit::{Event, Kind, Outcome},
        checkpoint::{self, Claim},
        id::RequestId,
    },
    store::{self, Expect, Op, Space, Unit},
};

/// The log's name in checkpoints.
const LOG: &str = "courier";
/// Where the newest checkpoint is kept.
const LATEST: &[u8] = b"latest";

impl Judge {
    /// An event about a lease. References and keyed commitments only.
    pub(super) fn event(
        &self,
        kind: Kind,
        outcome: Outcome,
        lease: &Lease,
        more: Vec<(&'static str, String)>,
    ) -> Event {
        let codes: Vec<String> = lease.codes.iter().map(|c| format!("{} {}", c.code, c.generation)).collect();
        let mut detail = vec![("delivery", lease.delivery.to_string())];
        // What is written is bounded, whoever wrote the lease.
        let bounded = |text: &str| text.chars().filter(|c| !c.is_control()).take(100).collect::<String>();
        detail.push(("message", bounded(&lease.message)));
        detail.push(("codes", bounded(&codes.join(", "))));
        detail.extend(more);
        let request = RequestId::new(*lease.lease.bytes());
        Event { card: Some(*lease.card.bytes()), request, detail, ..self.own_event(kind, outcome) }
    }

    /// An event that no lease caused.
    pub(super) fn own_event(&self, kind: Kind, outcome: Outcome) -> Event {
        Event {
            at_ms: self.clock.now_ms(),
            kind,
            outcome,
            caller: "courier".to_owned(),
            request: RequestId::new([0; 16]),
            policy: self.policy.digest.to_string(),
            card: None,
            with_ticket: false,
            detail: Vec::new(),
        }
    }

    /// Writes down that the courier has started, under which policy.
    ///
    /// # Errors
    /// The store does not write.
    pub async fn note_start(&self) -> Result<(), store::Error> {
        let event = self.own_event(Kind::CourierStarted, Outcome::Done);
        self.store.submit(Unit { ops: Vec::new(), events: vec![event] }).await.map(|_| ())
    }

    /// Signs where the chain is now, if it has grown since the last checkpoint. Without a token or a store it stays
    /// as it was, and the log says so.
    pub(super) async fn checkpoint(&self) {
        let head = self.store.head();
        let seq = head.seq;
        match self.store.get(Space::Checkpoint, LATEST) {
            Ok(Some(last)) if checkpoint::sequence(&String::from_utf8_lossy(&last.value)) == Some(seq) => {
                return;
            }
            Ok(_) => {}
            Err(error) => {
                tracing::error!(%error, "no checkpoint");
                return;
            }
        }
        let text = checkpoint::text(&Claim {
            log: LOG,
            head,
            policy: &self.policy.digest,
            sequence: 0, // its policy has none
            recoveries: 0,
            at_ms: self.clock.now_ms(),
        });
        let signed = match self.hsm.sign(checkpoint::digest(&text)).await {
            Ok(signature) => checkpoint::signed(&text, &signature),
            Err(error) => {
                tracing::error!(%error, "no checkpoint");
                return;
            }
        };
        let value = signed.into_bytes();
        let put = Op::Put { space: Space::Checkpoint, key: LATEST.to_vec(), value, expect: Expect::Any };
        if let Err(error) = self.store.submit(Unit { ops: vec![put], events: Vec::new() }).await {
            tracing::error!(%error, "no checkpoint");
        }
    }
}
