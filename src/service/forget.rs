//! What happens to records when their time is over: most are forgotten, a delivery is given up, its contact is dropped, the
//! salt of a revoked card is destroyed.
//!
//! `Space::Expiry` has a note for each, in the order of time. A note may be of a time that has since changed: the record
//! itself says whether it is meant.

use super::{
    Error, Service,
    effects::Guard,
    records::{self, Delivery, DeliveryState, Perishable, due_key},
};
use crate::{
    domain::{
        audit::{Event, Kind, Outcome},
        id::{CardId, DeliveryId},
    },
    policy::DeliveryRules,
    store::{self, Expect, Found, Op, Space, Unit},
};

/// Notes in one commit: each changes at most four records, and a unit holds 1,024 changes.
const STEP: usize = 256;

impl Service {
    /// Does what is due by now; how many notes were dealt with. An idempotency key without an answer has no note: it stays
    /// `unavailable` for ever (I9).
    pub async fn forget_expired(&self) -> Result<usize, Error> {
        let (now_ms, mut done, mut from) = (self.clock.now_ms(), 0_usize, Vec::new());
        loop {
            let found = self.store.scan(Space::Expiry, &[], &from, STEP)?;
            let is_due =
                |note: &&Found| Perishable::read(&note.key).is_none_or(|(at_ms, ..)| at_ms <= now_ms);
            let due: Vec<_> = found.iter().take_while(is_due).collect();
            let mut units = Vec::with_capacity(due.len());
            for note in &due {
                match self.perished(note, now_ms) {
                    Ok(unit) => units.push(unit),
                    // A record that cannot be read keeps nobody else's.
                    Err(Error::Bug(what)) => {
                        tracing::error!(what, "a record whose time is over is passed over")
                    }
                    Err(other) => return Err(other),
                }
            }
            done = done.saturating_add(units.len());
            let mut all = Unit::default();
            for unit in &units {
                all.ops.extend(unit.ops.iter().cloned());
                all.events.extend(unit.events.iter().cloned());
            }
            if !units.is_empty() && self.commit(all).await?.is_err() {
                // Something of it changed meanwhile. The others go on, and that one is looked at again next time.
                for unit in units {
                    if let Err(Guard(_)) = self.commit(unit).await? {
                        done = done.saturating_sub(1);
                    }
                }
            }
            match due.last() {
                Some(last) if due.len() == STEP => from = store::after(&last.key),
                Some(_) | None => return Ok(done),
            }
        }
    }

    /// When the salt of a card that is revoked now is to go.
    pub(super) fn salt_perishes(&self, card: &CardId) -> Op {
        let keep_ms = self.policy().parameters().keep_salt_ms;
        Perishable::Salt.expires(card.bytes(), self.clock.now_ms().saturating_add(keep_ms))
    }

    /// What one note comes to, with its own end.
    fn perished(&self, note: &Found, now_ms: u64) -> Result<Unit, Error> {
        let key = note.key.clone();
        let mut unit = Unit::default();
        unit.ops.push(Op::Delete { space: Space::Expiry, key, expect: Expect::Any });
        let Some((_, perishable, key)) = Perishable::read(&note.key) else {
            tracing::error!("an expiry of another form is dropped");
            return Ok(unit);
        };
        let mut forget = |space| unit.ops.push(Op::Delete { space, key: key.to_vec(), expect: Expect::Any });
        match perishable {
            Perishable::Approval => forget(Space::Approval),
            Perishable::Dossier => forget(Space::Dossier),
            Perishable::Idempotency => forget(Space::Idem),
            Perishable::Verified => {
                let both = key.split_first_chunk::<16>();
                let (answer, verification) =
                    both.ok_or_else(|| Error::Bug("an expiry of another form".into()))?;
                let mut forget = |space, key: &[u8]| {
                    unit.ops.push(Op::Delete { space, key: key.to_vec(), expect: Expect::Any });
                };
                forget(Space::Idem, answer);
                forget(Space::Verification, verification);
            }
            Perishable::Contact => {
                let (id, (mut record, version)) = self.noted_delivery(key)?;
                if record.contact_until_ms.is_some_and(|at_ms| at_ms <= now_ms) {
                    record.contact = None;
                    record.contact_until_ms = None;
                    let expect = Expect::Version(version);
                    unit.ops.push(records::put(Space::Delivery, id.bytes(), &record, expect)?);
                }
            }
            Perishable::Salt => {
                let id = <[u8; 16]>::try_from(key).map(CardId::new);
                let id = id.map_err(|_| Error::Bug("an expiry of another form".into()))?;
                let found = self.card(&id)?;
                // Noted twice where a recovery has revoked it again.
                if found.card.salt().is_some() {
                    let (key, value) = (id.bytes().to_vec(), found.card.destroy_salt()?.encode());
                    unit.ops.push(Op::Put { space: Space::Card, key, value, expect: found.unchanged() });
                    let event = self.own_event(Kind::CardSaltDestroyed, Outcome::Done)?;
                    unit.events.push(Event { card: Some(*id.bytes()), ..event });
                }
            }
            Perishable::Delivery => {
                let (id, found) = self.noted_delivery(key)?;
                let is_meant = found.0.expires_ms.is_some_and(|at_ms| at_ms <= now_ms);
                if is_meant && found.0.state.due_ms().is_some() {
                    let rules = self.policy().parameters().delivery;
                    self.expires_into(&mut unit, &id, found, rules)?;
                }
            }
        }
        Ok(unit)
    }

    fn noted_delivery(&self, key: &[u8]) -> Result<(DeliveryId, (Delivery, u64)), Error> {
        let id = <[u8; 16]>::try_from(key).map(DeliveryId::new);
        let id = id.map_err(|_| Error::Bug("an expiry of another form".into()))?;
        Ok((id, self.delivery_record(&id)?))
    }

    /// Adds the end of a delivery whose time is over to `unit`. A hold that is not over is waited for: its message may be
    /// leaving.
    pub(super) fn expires_into(
        &self,
        unit: &mut Unit,
        id: &DeliveryId,
        (mut record, version): (Delivery, u64),
        rules: DeliveryRules,
    ) -> Result<(), Error> {
        let due_ms = record.state.due_ms();
        if let DeliveryState::Leased { until_ms, .. } = record.state
            && until_ms > self.clock.now_ms()
        {
            unit.ops.push(Perishable::Delivery.expires(id.bytes(), until_ms));
            return Ok(());
        }
        let due = due_ms.map(|at_ms| due_key(at_ms, id));
        unit.ops.extend(due.map(|key| Op::Delete { space: Space::Due, key, expect: Expect::Any }));
        record.state = DeliveryState::Failed { lease: None };
        record.reason = Some("expired".into());
        unit.ops.extend(self.ends_contact(id, &mut record, rules));
        unit.ops.push(records::put(Space::Delivery, id.bytes(), &record, Expect::Version(version))?);
        let event = self.own_event(Kind::DeliveryExpired, Outcome::Done)?;
        let event = Event { card: Some(*record.card.bytes()), ..event };
        unit.events.push(event.with("delivery", id.to_string()));
        Ok(())
    }

    /// Nothing more is to be sent (I10): the contact goes now, or after the time that the policy keeps it for. From the first
    /// end on: what is learnt of it later lengthens nothing.
    pub(super) fn ends_contact(
        &self,
        id: &DeliveryId,
        record: &mut Delivery,
        rules: DeliveryRules,
    ) -> Option<Op> {
        if rules.keep_contact_ms == 0 {
            record.contact = None;
        }
        if record.contact.is_none() || record.contact_until_ms.is_some() {
            return None;
        }
        let until_ms = self.clock.now_ms().saturating_add(rules.keep_contact_ms);
        record.contact_until_ms = Some(until_ms);
        Some(Perishable::Contact.expires(id.bytes(), until_ms))
    }
}
