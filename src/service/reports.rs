//! What the courier reports of a delivery that it holds: prepared, sent, delivered, to be retried, failed.

use super::{
    Call, Error, Service,
    error::What,
    records::{self, Delivery, DeliveryState, due_key},
};
use crate::{
    domain::{
        audit::Kind,
        id::{DeliveryId, LeaseId},
        template::CodeName,
    },
    policy::act,
    store::{Expect, Op, Space, Unit},
};

/// What the courier says of an attempt.
#[derive(Debug)]
pub enum Outcome {
    /// It arrived.
    Delivered,
    /// It will never work.
    Failed(String),
    /// Second parts are derived; the tag of the C.I.P.'s, with its generation, where the delivery has one.
    Prepared(Option<(u32, [u8; 32])>),
    /// It may work later.
    Retry(String),
    /// It was not this delivery's turn to fail: gateway or courier did not work. Not counted as an attempt.
    Returned(String),
    /// The gateway has it.
    Sent,
    /// The courier's own policy holds it back until this time. Not counted as an attempt.
    Waiting {
        /// Why.
        reason: String,
        /// Milliseconds since 1970 UTC.
        until_ms: u64,
    },
}

/// How often a report is tried when another request changes card or delivery at the same time.
const REPORT_TRIES: u32 = 3;
/// Longest wait that is taken from a courier, whatever its clock and policy say: 31 days.
const WAIT_MOST_MS: u64 = 31 * 86_400_000;

/// Whether this holder may say this now. A delivery only moves on: held, sent, and one of two ends, the first that is
/// reported. What was sent can still fail, since a gateway learns later than it answers; an end is never taken back.
fn is_next(state: DeliveryState, lease: LeaseId, outcome: &Outcome) -> bool {
    match state {
        DeliveryState::Leased { lease: holder, .. } => holder == lease,
        DeliveryState::Sent { lease: holder } => {
            holder == lease && matches!(outcome, Outcome::Delivered | Outcome::Failed(_) | Outcome::Sent)
        }
        DeliveryState::Delivered { lease: holder } => {
            holder == Some(lease) && matches!(outcome, Outcome::Delivered | Outcome::Sent)
        }
        DeliveryState::Failed { lease: holder } => {
            holder == Some(lease) && matches!(outcome, Outcome::Failed(_) | Outcome::Sent)
        }
        DeliveryState::Cancelled | DeliveryState::Queued { .. } | DeliveryState::Waiting { .. } => false,
    }
}

impl Service {
    /// Takes the courier's report, from the present or last holder only. The same report again
    /// changes nothing, and is no event.
    pub async fn report(
        &self,
        call: &Call<act::Courier>,
        lease: LeaseId,
        id: DeliveryId,
        outcome: &Outcome,
    ) -> Result<&'static str, Error> {
        for _ in 0..REPORT_TRIES {
            if let Some(state) = self.report_once(call, lease, id, outcome).await? {
                return Ok(state);
            }
        }
        Err(Error::Conflict)
    }

    /// The state after the report; nothing if card or delivery changed between reading and writing.
    async fn report_once(
        &self,
        call: &Call<act::Courier>,
        lease: LeaseId,
        id: DeliveryId,
        outcome: &Outcome,
    ) -> Result<Option<&'static str>, Error> {
        let (record, version) = self.find_delivery(&id)?.ok_or(Error::NotFound(What::Lease))?;
        if !is_next(record.state, lease, outcome) {
            return Err(Error::NotFound(What::Lease));
        }
        let (before, mut record) = (record.clone(), record);
        let due_ms = record.state.due_ms();
        let mut unit = Unit::default();
        let rules = call.permit.policy().parameters().delivery;
        match outcome {
            Outcome::Prepared(tag) => {
                self.prepared_into(&mut unit, &record, *tag)?;
                if let DeliveryState::Leased { prepared, .. } = &mut record.state {
                    *prepared = true;
                }
            }
            Outcome::Sent => {
                // What the gateway said of its end may have come before the courier's word that it was sent.
                if !matches!(record.state, DeliveryState::Delivered { .. } | DeliveryState::Failed { .. }) {
                    record.state = DeliveryState::Sent { lease };
                }
            }
            Outcome::Delivered => record.state = DeliveryState::Delivered { lease: Some(lease) },
            Outcome::Failed(reason) => {
                // A gateway's word about what it had: none of it has arrived. The courier's about a later copy says nothing of the first.
                if matches!(record.state, DeliveryState::Sent { .. }) {
                    record.taken_before = false;
                }
                record.state = DeliveryState::Failed { lease: Some(lease) };
                record.reason = Some(reason.clone());
            }
            Outcome::Retry(reason) => {
                let wait_ms = rules.back_off_ms(record.attempts);
                record.state = if record.attempts >= rules.attempts {
                    DeliveryState::Failed { lease: None }
                } else {
                    DeliveryState::Queued { due_ms: self.clock.now_ms().saturating_add(wait_ms) }
                };
                record.reason = Some(reason.clone());
            }
            Outcome::Returned(reason) => {
                record.attempts = record.attempts.saturating_sub(1);
                let due_ms = self.clock.now_ms().saturating_add(rules.back_off_first_ms);
                record.state = DeliveryState::Queued { due_ms };
                record.reason = Some(reason.clone());
            }
            Outcome::Waiting { reason, until_ms } => {
                record.attempts = record.attempts.saturating_sub(1);
                let most_ms = self.clock.now_ms().saturating_add(WAIT_MOST_MS);
                record.state = DeliveryState::Waiting { until_ms: (*until_ms).min(most_ms) };
                record.reason = Some(reason.clone());
            }
        }
        if record.state.due_ms() != due_ms {
            let old = due_ms.map(|at| due_key(at, &id));
            unit.ops.extend(old.map(|key| Op::Delete { space: Space::Due, key, expect: Expect::Any }));
            let new = record.state.due_ms().map(|at| due_key(at, &id));
            let put = |key| Op::Put { space: Space::Due, key, value: Vec::new(), expect: Expect::Any };
            unit.ops.extend(new.map(put));
        }
        if record.state.due_ms().is_none() {
            unit.ops.extend(self.ends_contact(&id, &mut record, rules));
        }
        if record == before && unit.ops.is_empty() {
            // Nothing is written: whoever repeats a report must not hold other requests about the card up.
            self.refuse_if_gone_back()?;
            return Ok(Some(record.state.text()));
        }
        unit.ops.push(records::put(Space::Delivery, id.bytes(), &record, Expect::Version(version))?);
        unit.events.push(self.delivery_event(call, Kind::DeliveryReported, &id, &record));
        Ok(self.commit(unit).await?.ok().map(|()| record.state.text()))
    }

    /// Adds the tag of the C.I.P.'s second part to the card: from now on the code can be accepted.
    fn prepared_into(
        &self,
        unit: &mut Unit,
        record: &Delivery,
        tag: Option<(u32, [u8; 32])>,
    ) -> Result<(), Error> {
        let wanted = record.codes.iter().any(|c| c.code == CodeName::Cip);
        let (generation, tag) = match (wanted, tag) {
            (false, None) => return Ok(()),
            (true, Some(tag)) => tag,
            (true, None) | (false, Some(_)) => {
                let detail = "given exactly when the delivery has a C.I.P.";
                return Err(Error::Field { field: "second_part_tag", code: "tag_not_expected", detail });
            }
        };
        let found = self.card(&record.card)?;
        let card = found.card.set_second_tag(generation, tag)?;
        if card == found.card {
            return Ok(());
        }
        unit.ops.push(Op::Put {
            space: Space::Card,
            key: record.card.bytes().to_vec(),
            value: card.encode(),
            expect: found.unchanged(),
        });
        Ok(())
    }
}
