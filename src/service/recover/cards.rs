//! Citizens' cards in a recovery: those that evidence tells of, or every one.

use std::collections::BTreeMap;

use super::{Recovered, STEP};
use crate::{
    domain::{
        audit::{Event, Kind, Outcome, time_text},
        card::{Card, State},
        id::{CardId, RequestId},
        recovery::{Told, Touched},
        template::CodeName,
        tries::Tries,
    },
    service::{Error, Service, commitments::card_counter},
    store::{self, Expect, Op, Space, Unit},
};

impl Service {
    /// Counts what the recovery comes to: by the evidence and by which cards there are, which it does not change.
    pub(super) fn foresee_cards(&self, told: Option<&Told>, report: &mut Recovered) -> Result<(), Error> {
        let Some(told) = told else {
            report.held = self.count_not_revoked()?;
            report.locked = report.held;
            return Ok(());
        };
        for (id, touched) in &told.cards {
            if self.store.get(Space::Card, id.bytes())?.is_none() {
                // A stand-in for an unknown card has no record either.
                report.lost.extend(touched.registered.then_some(*id));
                continue;
            }
            report.locked = report.locked.saturating_add(1);
            report.held = report.held.saturating_add(u64::from(touched.held));
            report.revoked.extend(touched.revoked.map(|_| *id));
            if touched.activated_at_ms.is_some() && touched.revoked.is_none() {
                report.activated.push(*id);
            }
        }
        Ok(())
    }

    pub(super) async fn recover_touched(
        &self,
        order: &RequestId,
        cards: &BTreeMap<CardId, Touched>,
        progress: &mut impl FnMut(u64),
    ) -> Result<(), Error> {
        let all: Vec<_> = cards.iter().collect();
        for step in all.chunks(STEP) {
            let mut units = Vec::new();
            for (id, touched) in step {
                if let Some(found) = self.store.get(Space::Card, id.bytes())? {
                    units.extend(self.recover_card(order, id, &found, Some(touched))?);
                }
            }
            self.commit_all(units).await?;
            progress(u64::try_from(step.len()).unwrap_or(u64::MAX));
        }
        Ok(())
    }

    pub(super) async fn hold_all(
        &self,
        order: &RequestId,
        progress: &mut impl FnMut(u64),
    ) -> Result<(), Error> {
        let mut from = Vec::new();
        loop {
            let found = self.cards_from(&from)?;
            let mut units = Vec::new();
            for (id, card, record) in &found {
                if !matches!(card.state(), State::Revoked { .. }) {
                    units.extend(self.recover_card(order, id, record, None)?);
                }
            }
            self.commit_all(units).await?;
            progress(u64::try_from(found.len()).unwrap_or(u64::MAX));
            match found.last() {
                Some((id, ..)) if found.len() == STEP => from = store::after(id.bytes()),
                Some(_) | None => return Ok(()),
            }
        }
    }

    fn count_not_revoked(&self) -> Result<u64, Error> {
        let (mut from, mut count) = (Vec::new(), 0_u64);
        loop {
            let found = self.cards_from(&from)?;
            for (_, card, _) in &found {
                count = count.saturating_add(u64::from(!matches!(card.state(), State::Revoked { .. })));
            }
            match found.last() {
                Some((id, ..)) if found.len() == STEP => from = store::after(id.bytes()),
                Some(_) | None => return Ok(count),
            }
        }
    }

    /// The next cards, [`STEP`] of them or the last.
    fn cards_from(&self, from: &[u8]) -> Result<Vec<FoundCard>, Error> {
        let found = self.store.scan(Space::Card, &[], from, STEP)?;
        let cards = found.into_iter().map(|entry| {
            let id = <[u8; 16]>::try_from(entry.key.as_slice()).map(CardId::new);
            let id = id.map_err(|_| Error::Bug("a card with another key".into()))?;
            let card = decode(&id, &entry.record)?;
            Ok((id, card, entry.record))
        });
        cards.collect()
    }

    /// What brings one card to the state that it must have; nothing where it has it already.
    fn recover_card(
        &self,
        order: &RequestId,
        id: &CardId,
        record: &store::Versioned,
        touched: Option<&Touched>,
    ) -> Result<Option<Unit>, Error> {
        let before = decode(id, record)?;
        let (mut card, mut changes) = (before.clone(), Vec::new());
        let mut revoked = None;
        match touched {
            None => {
                card = card.hold();
                changes.extend((card != before).then_some("held"));
            }
            Some(touched) => {
                if let Some(at_ms) = touched.activated_at_ms {
                    card = card.activated_before(at_ms, touched.activation);
                    changes.extend((card != before).then_some("activated"));
                }
                let former = card.clone();
                card = card.cip_renewed_before(touched.cip_generation);
                changes.extend((card != former).then_some("cip_voided"));
                if touched.held {
                    let open = card.clone();
                    card = card.hold();
                    changes.extend((card != open).then_some("held"));
                }
                if let Some((reason, at_ms)) = touched.revoked
                    && let Ok(ended) = card.revoke(reason, at_ms)
                {
                    (card, revoked) = (ended, Some(reason));
                    changes.push("revoked");
                }
            }
        }
        let event = |kind| -> Result<Event, Error> {
            let own = self.own_event(kind, Outcome::Done)?;
            Ok(Event { request: *order, card: Some(*id.bytes()), ..own })
        };
        let mut unit = Unit::default();
        if card != before {
            let (key, value) = (id.bytes().to_vec(), card.encode());
            unit.ops.push(Op::Put {
                space: Space::Card,
                key,
                value,
                expect: Expect::Version(record.version),
            });
        }
        let key = card_counter(id).to_vec();
        let counter = self.store.get(Space::Tries, &key)?;
        let counter = counter.ok_or_else(|| Error::Bug(format!("card {id} has no counter")))?;
        let tries = Tries::decode(&counter.value)
            .ok_or_else(|| Error::Bug(format!("counter of card {id} is damaged")))?;
        let locked = tries.lock(touched.map_or(0, |touched| touched.spent));
        if locked != tries {
            let (value, expect) = (locked.encode().to_vec(), Expect::Version(counter.version));
            unit.ops.push(Op::Put { space: Space::Tries, key, value, expect });
            changes.push("locked");
        }
        let cancelled = event(Kind::DeliveryCancelled)?;
        if let Some(delivery) = self.latest_delivery(id)? {
            self.cancel_into(&mut unit, &delivery, || cancelled)?;
        }
        if unit.ops.is_empty() {
            return Ok(None);
        }
        if let Some(reason) = revoked {
            unit.ops.push(self.salt_perishes(id));
            let detail = vec![("reason", reason.text().to_owned())];
            unit.events.push(Event { detail, ..event(Kind::CardRevoked)? });
        }
        let mut recovered = event(Kind::CardRecovered)?.with("changes", changes.join(","));
        if let Some(at_ms) = touched.and_then(|touched| touched.activated_at_ms) {
            recovered = recovered.with("activated_at", time_text(at_ms));
            recovered.detail.extend(card.activation().map(|how| ("activation", how.text().to_owned())));
        }
        if changes.contains(&"cip_voided") {
            recovered = recovered.with("generation", card.generation(CodeName::Cip).to_string());
        }
        unit.events.push(recovered);
        Ok(Some(unit))
    }
}

type FoundCard = (CardId, Card, store::Versioned);

fn decode(id: &CardId, record: &store::Versioned) -> Result<Card, Error> {
    Card::decode(&record.value).ok_or_else(|| Error::Bug(format!("record of card {id} is damaged")))
}
