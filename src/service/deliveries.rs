//! Deliveries as the authority sees them: queued, cancelled, shown.

use super::{
    Call, DeliveryView, Error, Service,
    effects::fresh,
    error::What,
    records::{self, DeliveredCode, Delivery, DeliveryState, Perishable, due_key},
};
use crate::{
    domain::{
        audit::{Event, Kind, Outcome},
        card::Card,
        contact::Contact,
        id::{CardId, DeliveryId},
        template::{CodeName, Part, Template},
    },
    policy::act,
    store::{Expect, Op, Space, Unit},
};

impl Service {
    /// Adds a delivery of the second parts of `codes` to `unit`; nothing if none of them has one.
    #[expect(clippy::too_many_arguments, reason = "one delivery is described by all of these, once")]
    pub(super) fn queue_into(
        &self,
        unit: &mut Unit,
        card: &Card,
        template: &Template,
        codes: &[CodeName],
        contact: &Contact,
        message: &str,
        control: &str,
        event: impl FnOnce() -> Event,
    ) -> Result<Option<DeliveryId>, Error> {
        let sent =
            |code: &CodeName| template.shape(*code).is_some_and(|shape| shape.length(Part::Second) > 0);
        let codes: Vec<_> = codes
            .iter()
            .filter(|code| sent(code))
            .map(|code| DeliveredCode { code: *code, generation: card.generation(*code) })
            .collect();
        if codes.is_empty() {
            return Ok(None);
        }
        let id = DeliveryId::new(fresh()?);
        let sealed =
            self.sealer.seal(&card.registration().id, &id, contact).map_err(|e| Error::Bug(e.to_string()))?;
        let now_ms = self.clock.now_ms();
        let expires_ms = now_ms.saturating_add(self.policy().parameters().delivery.expires_ms);
        let record = Delivery {
            format: records::FORMAT,
            card: card.registration().id,
            message: message.into(),
            codes,
            control: control.into(),
            channel: contact.channel().text().into(),
            contact: Some(hex::encode(sealed)),
            contact_until_ms: None,
            expires_ms: Some(expires_ms),
            state: DeliveryState::Queued { due_ms: now_ms },
            taken_before: false,
            queued_at_ms: now_ms,
            attempts: 0,
            reason: None,
        };
        unit.ops.push(records::put(Space::Delivery, id.bytes(), &record, Expect::Absent)?);
        unit.ops.push(Perishable::Delivery.expires(id.bytes(), expires_ms));
        unit.ops.push(Op::Put {
            space: Space::CardDelivery,
            key: card.registration().id.bytes().to_vec(),
            value: id.bytes().to_vec(),
            expect: Expect::Any,
        });
        unit.events.push(event().with("delivery", id.to_string()).with("channel", record.channel));
        Ok(Some(id))
    }

    /// Adds the end of a delivery that is still to be sent to `unit`. Of one that is over only the contact goes: nothing is sent
    /// again of what a later request took the place of.
    pub(super) fn cancel_into(
        &self,
        unit: &mut Unit,
        id: &DeliveryId,
        event: impl FnOnce() -> Event,
    ) -> Result<(), Error> {
        let (mut record, version) = self.delivery_record(id)?;
        let due_ms = record.state.due_ms();
        if due_ms.is_none() && record.contact.is_none() {
            return Ok(());
        }
        record.contact = None;
        record.contact_until_ms = None;
        let Some(due_ms) = due_ms else {
            unit.ops.push(records::put(Space::Delivery, id.bytes(), &record, Expect::Version(version))?);
            return Ok(());
        };
        record.state = DeliveryState::Cancelled;
        unit.ops.push(records::put(Space::Delivery, id.bytes(), &record, Expect::Version(version))?);
        unit.ops.push(Op::Delete { space: Space::Due, key: due_key(due_ms, id), expect: Expect::Any });
        unit.events.push(event().with("delivery", id.to_string()).with("channel", record.channel));
        Ok(())
    }

    /// Shows a delivery.
    pub async fn delivery(
        &self,
        call: Call<act::ReadDelivery>,
        id: DeliveryId,
    ) -> Result<DeliveryView, Error> {
        let event = self.event(&call, Kind::DeliveryLookedUp, Outcome::Done);
        let detail = vec![("delivery", id.to_string())];
        let Some((record, _)) = self.find_delivery(&id)? else {
            self.record(Event { outcome: Outcome::Refused, detail, ..event }).await?;
            return Err(Error::NotFound(What::Delivery));
        };
        self.record(Event { card: Some(*record.card.bytes()), detail, ..event }).await?;
        Ok(DeliveryView {
            state: record.state.text(),
            channel: record.channel,
            control: record.control,
            attempts: record.attempts,
            reason: record.reason,
            queued_at_ms: record.queued_at_ms,
        })
    }

    /// The codes of the card's latest delivery whose second parts no gateway has taken, or that have failed.
    pub(super) fn on_their_way(&self, card: &CardId) -> Result<Vec<CodeName>, Error> {
        let Some(id) = self.latest_delivery(card)? else { return Ok(Vec::new()) };
        let (record, _) = self.delivery_record(&id)?;
        Ok(record.codes.iter().filter(|_| !record.is_taken()).map(|sent| sent.code).collect())
    }

    /// The latest delivery of a card.
    pub(super) fn latest_delivery(&self, card: &CardId) -> Result<Option<DeliveryId>, Error> {
        let found = self.store.get(Space::CardDelivery, card.bytes())?;
        let id = |value: Vec<u8>| {
            let bytes = <[u8; 16]>::try_from(value.as_slice());
            bytes.map(DeliveryId::new).map_err(|_| Error::Bug("index entry is not a delivery id".into()))
        };
        found.map(|f| id(f.value)).transpose()
    }

    /// A delivery that a caller names, with the version that guards its change; nothing if there is none.
    pub(super) fn find_delivery(&self, id: &DeliveryId) -> Result<Option<(Delivery, u64)>, Error> {
        let found = self.store.get(Space::Delivery, id.bytes())?;
        found.map(|found| Ok((records::read(&found)?, found.version))).transpose()
    }

    /// A delivery that another record names.
    pub(super) fn delivery_record(&self, id: &DeliveryId) -> Result<(Delivery, u64), Error> {
        self.find_delivery(id)?.ok_or_else(|| Error::Bug(format!("delivery {id} is named but missing")))
    }
}
