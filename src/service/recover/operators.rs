//! Operators' cards in a recovery (Registra CNS): a card that was ended or replaced since must not act again.
//!
//! An event of a registration or of its end holds all that the record does, so that with evidence the record becomes exactly
//! what it was. Where there is none, or nobody knows how far the log went, every card is held: it acts no more until it
//! is registered again by its own signature, under the policy set in force.

use std::collections::BTreeSet;

use super::{Recovered, STEP, Standing};
use crate::{
    domain::{
        audit::{Event, Kind, Outcome, time_text},
        id::RequestId,
        recovery::Told,
    },
    service::{
        Error, Service, records,
        registry::{FoundOperatorCard, OperatorCard},
    },
    store::{self, Expect, Op, Space, Unit},
};

/// An operator whom a recovery looks at.
struct Concerned {
    name: [u8; 16],
    found: FoundOperatorCard,
    /// What the record becomes.
    becomes: OperatorCard,
}

/// What became of an operator's card, as events say it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Became {
    Bound,
    Ended,
    Held,
}

impl Concerned {
    const fn became(&self) -> Became {
        match (&self.becomes.key, &self.becomes.held) {
            (Some(_), _) => Became::Bound,
            (None, Some(_)) => Became::Held,
            (None, None) => Became::Ended,
        }
    }
}

/// Whether every operator's card is held.
const fn holds_every(standing: &Standing, told: Option<&Told>) -> bool {
    told.is_none() || !standing.known_by_token
}

impl Service {
    pub(super) fn foresee_operators(
        &self,
        standing: &Standing,
        told: Option<&Told>,
        report: &mut Recovered,
    ) -> Result<(), Error> {
        report.every_operator = holds_every(standing, told);
        for one in self.concerned(standing, told)? {
            let count = match one.became() {
                Became::Bound => &mut report.operators_bound,
                Became::Ended => &mut report.operators_ended,
                Became::Held => &mut report.operators_held,
            };
            *count = count.saturating_add(1);
        }
        Ok(())
    }

    pub(super) async fn recover_operators(
        &self,
        order: &RequestId,
        standing: &Standing,
        told: Option<&Told>,
    ) -> Result<(), Error> {
        for step in self.concerned(standing, told)?.chunks(STEP) {
            let mut units = Vec::new();
            for one in step {
                units.extend(self.recover_operator(order, one)?);
            }
            self.commit_all(units).await?;
        }
        Ok(())
    }

    /// Those whom evidence tells of; with those of the store, where every card is held.
    fn concerned(&self, standing: &Standing, told: Option<&Told>) -> Result<Vec<Concerned>, Error> {
        let every = holds_every(standing, told);
        let mut names: BTreeSet<_> = told.iter().flat_map(|told| told.operators.keys().copied()).collect();
        if every {
            names.extend(self.operators_with_a_card()?);
        }
        let concerned = names.into_iter().map(|name| {
            let found = self.operator_card(&name)?;
            let mut becomes = found.record.clone();
            if let Some(told) = told.and_then(|told| told.operators.get(&name)) {
                becomes.become_as_told(told);
            }
            if every {
                becomes.hold();
            }
            Ok(Concerned { name, found, becomes })
        });
        concerned.collect()
    }

    /// Who has a card that is bound, or held already.
    fn operators_with_a_card(&self) -> Result<Vec<[u8; 16]>, Error> {
        let (mut from, mut names) = (Vec::new(), Vec::new());
        loop {
            let found = self.store.scan(Space::OperatorCard, &[], &from, STEP)?;
            for entry in &found {
                let name = <[u8; 16]>::try_from(entry.key.as_slice());
                let name = name.map_err(|_| Error::Bug("an operator's card with another key".into()))?;
                let card: OperatorCard = records::read(&entry.record)?;
                names.extend((card.key.is_some() || card.held.is_some()).then_some(name));
            }
            match found.last() {
                Some(last) if found.len() == STEP => from = store::after(&last.key),
                Some(_) | None => return Ok(names),
            }
        }
    }

    /// What brings one operator's record to what it must be, and ends a registration that was open; nothing where it is that
    /// already.
    fn recover_operator(&self, order: &RequestId, one: &Concerned) -> Result<Option<Unit>, Error> {
        let Concerned { name, found, becomes } = one;
        if found.record == *becomes {
            return Ok(None);
        }
        let changes = match one.became() {
            Became::Bound => "registered",
            Became::Ended => "ended",
            Became::Held => "held",
        };
        let own = self.own_event(Kind::OperatorRecovered, Outcome::Done)?;
        let mut event = Event { request: *order, ..own }.with("operator", hex::encode(name));
        event = event.with("changes", changes);
        if let Some(key) = becomes.key.as_ref().or(becomes.held.as_ref()) {
            event = event.with("key", key).with("registered_at", time_text(becomes.at_ms));
        }
        let ended: Vec<_> = becomes.former.iter().filter(|key| !found.record.former.contains(key)).collect();
        if !ended.is_empty() {
            let ended: Vec<_> = ended.into_iter().map(String::as_str).collect();
            event = event.with("former", ended.join(","));
        }
        let ops = vec![
            records::put(Space::OperatorCard, name, becomes, found.expect)?,
            Op::Delete { space: Space::OpenRegistration, key: name.to_vec(), expect: Expect::Any },
        ];
        Ok(Some(Unit { ops, events: vec![event] }))
    }
}
