//! The courier's side of deliveries: the outbox, holds with a fence, and giving up after the last attempt.
//!
//! The outbox is the event stream: a cursor says up to which event `delivery.queued` has been turned into due
//! entries, so that an activation writes nothing twice.

use serde::Deserialize;

use super::{
    Call, Error, Service,
    effects::{Guard, fresh},
    records::{self, Delivery, DeliveryState, due_key, read_due_key},
};
use crate::{
    domain::{
        audit::{Event, Kind, Outcome as Ended},
        id::{CardId, DeliveryId, LeaseId},
        template::{CodeName, Shape, TemplateId},
    },
    policy::act,
    store::{Expect, Op, Space, Unit},
};

/// Answer to a lease.
#[derive(Debug)]
pub struct Leased {
    /// Oldest first.
    pub deliveries: Vec<LeasedDelivery>,
    /// The newest signed checkpoint, for the courier to keep.
    pub checkpoint: String,
}

/// A delivery held by the courier.
#[derive(Debug)]
pub struct LeasedDelivery {
    /// Names this hold.
    pub lease: LeaseId,
    /// The delivery.
    pub delivery: DeliveryId,
    /// The card.
    pub card: CardId,
    /// End of the hold, milliseconds since 1970 UTC.
    pub until_ms: u64,
    /// From 1.
    pub attempt: u32,
    /// The courier's text.
    pub message: String,
    /// Number on paper.
    pub control: String,
    /// The card's template.
    pub template: TemplateId,
    /// The card's salt.
    pub salt: [u8; 32],
    /// Codes, their generation, and the shape of their second part.
    pub codes: Vec<(CodeName, u32, Shape)>,
    /// Sealed to the courier's token, hexadecimal.
    pub contact: String,
}

const CURSOR: &[u8] = b"courier";
/// Events looked at in one step of the outbox.
const STEP: usize = 1024;

/// What the outbox reads of an event.
#[derive(Deserialize)]
struct Queued {
    kind: String,
    delivery: Option<DeliveryId>,
}

impl Service {
    /// Gives the courier up to `limit` due deliveries, oldest first, and the newest checkpoint. `kept` is the one that it has
    /// from before: nothing is leased, and nothing served any more, if the log does not hold it (I13).
    pub async fn lease(
        &self,
        call: &Call<act::Courier>,
        limit: usize,
        kept: Option<&str>,
    ) -> Result<Leased, Error> {
        if let Some(kept) = kept {
            self.compare_presented(call, kept).await?;
        }
        let deliveries = self.lease_due(call, limit).await?;
        Ok(Leased { deliveries, checkpoint: self.newest_checkpoint().await? })
    }

    async fn lease_due(&self, call: &Call<act::Courier>, limit: usize) -> Result<Vec<LeasedDelivery>, Error> {
        let _one_at_a_time = self.dispatch.lock().await;
        self.read_outbox().await?;
        let now_ms = self.clock.now_ms();
        let mut leased = Vec::new();
        for found in self.store.scan(Space::Due, &[], &[], limit)? {
            let (due_ms, id) =
                read_due_key(&found.key).ok_or_else(|| Error::Bug("due entry of another form".into()))?;
            if due_ms > now_ms {
                break;
            }
            match self.lease_one(call, id, due_ms, now_ms).await {
                Ok(one) => leased.extend(one),
                // A record that cannot be read stops nobody else's message.
                Err(Error::Bug(what)) => tracing::error!(delivery = %id, what, "delivery passed over"),
                Err(e) if leased.is_empty() => return Err(e),
                Err(e) => {
                    tracing::warn!(delivery = %id, "no more leases in this answer: {e}");
                    break;
                }
            }
        }
        Ok(leased)
    }

    /// Turns queued deliveries of the event stream into due entries, and moves the cursor, in one commit a step.
    async fn read_outbox(&self) -> Result<(), Error> {
        loop {
            let cursor = self.store.get(Space::Cursor, CURSOR)?;
            let at = match &cursor {
                Some(found) => u64::from_be_bytes(
                    found
                        .value
                        .as_slice()
                        .try_into()
                        .map_err(|_| Error::Bug("cursor of another form".into()))?,
                ),
                None => 0,
            };
            let events = self.store.scan(Space::Event, &[], &at.saturating_add(1).to_be_bytes(), STEP)?;
            let Some(last) = events.last() else { return Ok(()) };
            let mut unit = Unit::default();
            for found in &events {
                let (_, bytes) = super::audit::parse_stored(&found.record.value)?;
                let queued: Queued =
                    serde_json::from_slice(bytes).map_err(|e| Error::Bug(format!("stored event: {e}")))?;
                let Some(id) = queued.delivery.filter(|_| queued.kind == "delivery.queued") else { continue };
                let record = match self.delivery_record(&id) {
                    Ok((record, _)) => record,
                    // A record that cannot be read stops nobody else's message.
                    Err(Error::Bug(what)) => {
                        tracing::error!(delivery = %id, what, "delivery passed over");
                        continue;
                    }
                    Err(e) => return Err(e),
                };
                if let Some(due_ms) = record.state.due_ms() {
                    let key = due_key(due_ms, &id);
                    unit.ops.push(Op::Put { space: Space::Due, key, value: Vec::new(), expect: Expect::Any });
                }
            }
            let expect = cursor.map_or(Expect::Absent, |found| Expect::Version(found.version));
            let value = last.key.clone();
            unit.ops.push(Op::Put { space: Space::Cursor, key: CURSOR.into(), value, expect });
            self.commit(unit).await?.map_err(|g| Error::Bug(format!("outbox cursor: {g:?}")))?;
            if events.len() < STEP {
                return Ok(());
            }
        }
    }

    /// Leases one due delivery, gives it up after the last attempt, or drops an entry that is out of date. A hold that
    /// ended before anything was prepared does not count as an attempt.
    async fn lease_one(
        &self,
        call: &Call<act::Courier>,
        id: DeliveryId,
        due_ms: u64,
        now_ms: u64,
    ) -> Result<Option<LeasedDelivery>, Error> {
        let (mut record, version) = self.delivery_record(&id)?;
        let mut unit = Unit::default();
        unit.ops.push(Op::Delete { space: Space::Due, key: due_key(due_ms, &id), expect: Expect::Any });
        let contact = match record.contact.clone() {
            Some(contact) if record.state.due_ms() == Some(due_ms) => contact,
            Some(_) | None => {
                self.commit(unit).await?.map_err(|g| Error::Bug(format!("due entry: {g:?}")))?;
                return Ok(None);
            }
        };
        let rules = call.permit.policy().parameters().delivery;
        if record.expires_ms.is_some_and(|at_ms| at_ms <= now_ms) {
            self.expires_into(&mut unit, &id, (record, version), rules)?;
            return match self.commit(unit).await? {
                // Where it moved on meanwhile, it is looked at again.
                Ok(()) | Err(Guard(_)) => Ok(None),
            };
        }
        let lease = LeaseId::new(fresh()?);
        let until_ms = now_ms.saturating_add(rules.lease_ms);
        if matches!(record.state, DeliveryState::Leased { prepared: false, .. }) {
            record.attempts = record.attempts.saturating_sub(1);
        }
        let leased = if record.attempts >= rules.attempts {
            record.state = DeliveryState::Failed { lease: None };
            unit.ops.extend(self.ends_contact(&id, &mut record, rules));
            unit.events.push(self.delivery_event(call, Kind::DeliveryReported, &id, &record));
            None
        } else {
            record.attempts = record.attempts.saturating_add(1);
            record.state = DeliveryState::Leased { lease, until_ms, prepared: false };
            let key = due_key(until_ms, &id);
            unit.ops.push(Op::Put { space: Space::Due, key, value: Vec::new(), expect: Expect::Any });
            unit.events.push(self.delivery_event(call, Kind::DeliveryLeased, &id, &record));
            // All that the answer needs is read before the hold is taken.
            Some(self.leased(id, &record, lease, until_ms, contact)?)
        };
        unit.ops.push(records::put(Space::Delivery, id.bytes(), &record, Expect::Version(version))?);
        match self.commit(unit).await? {
            Ok(()) => Ok(leased),
            Err(Guard(_)) => Ok(None), // cancelled meanwhile; its entry is dropped next time
        }
    }

    fn leased(
        &self,
        delivery: DeliveryId,
        record: &Delivery,
        lease: LeaseId,
        until_ms: u64,
        contact: String,
    ) -> Result<LeasedDelivery, Error> {
        let found = self.card(&record.card)?;
        let template = self.frozen.get(&found.card.registration().template)?;
        let shape = |code: CodeName| {
            template.shape(code).cloned().ok_or_else(|| Error::Bug(format!("delivery of a missing {code}")))
        };
        let codes: Result<Vec<_>, Error> =
            record.codes.iter().map(|c| Ok((c.code, c.generation, shape(c.code)?))).collect();
        let salt =
            found.card.salt().ok_or_else(|| Error::Bug("the salt of this card is destroyed".into()))?;
        Ok(LeasedDelivery {
            lease,
            delivery,
            card: record.card,
            until_ms,
            attempt: record.attempts,
            message: record.message.clone(),
            control: record.control.clone(),
            template: template.id().clone(),
            salt: *salt,
            codes: codes?,
            contact,
        })
    }

    pub(super) fn delivery_event(
        &self,
        call: &Call<act::Courier>,
        kind: Kind,
        id: &DeliveryId,
        record: &Delivery,
    ) -> Event {
        let mut detail = vec![
            ("delivery", id.to_string()),
            ("channel", record.channel.clone()),
            ("state", record.state.text().to_owned()),
            ("attempt", record.attempts.to_string()),
        ];
        detail.extend(record.reason.clone().map(|reason| ("reason", reason)));
        Event { card: Some(*record.card.bytes()), detail, ..self.event(call, kind, Ended::Done) }
    }
}
