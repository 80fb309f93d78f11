//! The way back from an older store, by order of the officers (I13).
//!
//! What may be run again after a crash changes nothing twice. The event of the recovery and the new checkpoint in the token
//! come last: until then the store stays refused. Nothing here gives a try back, makes a revoked card alive, or hands
//! a code out.

use std::collections::BTreeMap;

use serde::Serialize;
use tokio::task::JoinSet;

use super::{Error, Parts, Service, audit::parse_stored, commitments::card_counter, marks::RECOVERIES};
use crate::{
    domain::{
        audit::{Event, Head, Kind, Outcome, time_text},
        card::{Card, State},
        checkpoint::Checkpoint,
        going_back::{self, GoneBack},
        id::{CardId, RequestId},
        recovery::{Order, Touched},
        tries::Tries,
    },
    store::{self, Expect, Op, Space, Unit},
};

/// Cards whose units are committed together.
const STEP: usize = 256;

/// Where a store stands that may be too old.
#[derive(Clone, Debug)]
pub struct Standing {
    /// End of its log.
    pub store: Head,
    /// Recoveries that it knows of.
    pub recoveries: u64,
    /// The newest checkpoint that is known: the token's, or a witness's.
    pub known: Option<Checkpoint>,
    /// Why it is not served from; nothing where it could be.
    pub refused: Option<GoneBack>,
}

/// Why a recovery is refused, whatever the officers have signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoRecovery {
    /// Evidence has no checkpoint to reach.
    #[error(
        "no checkpoint is known: give the newest one that was kept elsewhere with --witness, or recover without \
         evidence"
    )]
    NothingKnown,
    /// The store could be served from.
    #[error("the store is as new as the newest checkpoint: start `sigillo serve`")]
    NotOlder,
}

impl Standing {
    /// Refuses a recovery that is not needed, or whose evidence has no checkpoint to reach.
    pub const fn needs_recovery(&self, with_evidence: bool) -> Result<(), NoRecovery> {
        match (&self.known, &self.refused) {
            (Some(_), None) => Err(NoRecovery::NotOlder),
            (None, _) if with_evidence => Err(NoRecovery::NothingKnown),
            (Some(_) | None, _) => Ok(()),
        }
    }
}

/// What a recovery did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Recovered {
    /// Cards whose C.I.P. is locked now.
    pub locked: u64,
    /// Cards that are held: nobody knows what became of them. They can only be replaced.
    pub held: u64,
    /// Cards whose activation was repeated: with PIN and PUK, which can be reprinted, and without a C.I.P.
    pub activated: Vec<CardId>,
    /// Cards that were revoked again.
    pub revoked: Vec<CardId>,
    /// Cards that were registered and are lost, with their salts: no code of theirs can be derived any more. The bureau
    /// makes them anew.
    pub lost: Vec<CardId>,
}

/// The event that is looked at to see whether an order has begun or ended.
#[derive(serde::Deserialize)]
struct Logged {
    request: RequestId,
    kind: Kind,
}

impl Service {
    /// Puts the parts together over a store that may be too old, for a recovery and nothing else.
    ///
    /// `witnesses` are checkpoints kept elsewhere, beside those of the witnesses in `parts`.
    pub async fn for_recovery(parts: Parts, witnesses: &[String]) -> Result<(Self, Standing), Error> {
        let service = Self::assemble(parts)?;
        let marks = service.hsm.read_marks().await?;
        let kept = match service.marks.newest(&marks) {
            Ok(kept) => kept,
            Err(Error::NoMark(why)) => {
                tracing::warn!("the token vouches for no checkpoint: {why}");
                None
            }
            Err(other) => return Err(other),
        };
        if let Some((mark, place)) = &kept {
            service.marks.spare(*place, mark.head.seq).await;
        }
        let mut witnesses = witnesses.to_vec();
        match service.witnesses.read().await {
            Ok(texts) => witnesses.extend(texts.into_iter().filter_map(|(_, text)| text)),
            Err(error) => tracing::warn!("{error}"),
        }
        let mut all: Vec<_> = witnesses.iter().filter_map(|text| service.marks.open(text).ok()).collect();
        all.extend(kept.map(|(mark, _)| mark));
        let policy = service.policy();
        let now = service.now(&policy)?;
        let (known, refused) = service.compare_all(all, &now, going_back::compare_store)?;
        if let Some(known) = &known {
            going_back::compare_policy(known, &now)?;
        }
        // Its officers order the recovery.
        service.admit(&policy, known.as_ref())?;
        let standing = Standing { store: now.head, recoveries: now.recoveries, known, refused };
        Ok((service, standing))
    }

    /// Carries an order out, if `standing` is what it says and a recovery is needed. `cards` is what evidence tells of the gap; nothing for a recovery without evidence, which
    /// holds every card that is not revoked. `progress` is told of cards looked at.
    pub async fn recover(
        &self,
        order: &Order,
        standing: &Standing,
        officers: &[&str],
        cards: Option<&BTreeMap<CardId, Touched>>,
        mut progress: impl FnMut(u64),
    ) -> Result<Recovered, Error> {
        // Again, and not only when the order was made: store and token are others by now, or the order is.
        let need = standing.needs_recovery(order.evidence.is_some());
        need.map_err(|why| Error::Unavailable(why.to_string()))?;
        self.check(order, standing)?;
        let id = order.id();
        let mut report = Recovered::default();
        if self.begun(order, &id)? != Some(Kind::StoreRecovered) {
            match cards {
                Some(cards) => self.recover_touched(&id, cards, &mut report, &mut progress).await?,
                None => self.hold_all(&id, &mut report, &mut progress).await?,
            }
            self.conclude_recovery(order, &id, officers, &report).await?;
        }
        self.checkpoint().await?;
        Ok(report)
    }

    /// Whether the order is about this log, under this policy set, after what is known.
    fn check(&self, order: &Order, standing: &Standing) -> Result<(), Error> {
        let known = standing.known.as_ref().map_or(Head::EMPTY, |known| known.head);
        let other =
            |what: &str| Err(Error::Unavailable(format!("the order is of another {what}: make a new one")));
        if order.log != self.log {
            return other("log");
        }
        if order.policy != **self.policy().digest() {
            return other("policy set");
        }
        let recoveries = standing.known.as_ref().map(|known| known.recoveries);
        if order.known != known || recoveries.is_some_and(|recoveries| recoveries != order.recoveries) {
            return other("checkpoint than the newest that is known now");
        }
        Ok(())
    }

    /// The kind of the last event that this order has caused; nothing if it has not begun. Refuses a store that has
    /// moved on otherwise since the order was made.
    fn begun(&self, order: &Order, id: &RequestId) -> Result<Option<Kind>, Error> {
        let moved =
            |what: &str| Error::Unavailable(format!("the store is not the one that the order names: {what}"));
        if self.hash_at(order.store.seq)? != Some(order.store.hash) {
            return Err(moved("its log is another one"));
        }
        let mut last = None;
        let mut after = order.store.seq;
        loop {
            let from = after.saturating_add(1).to_be_bytes();
            let found = self.store.scan(Space::Event, &[], &from, STEP)?;
            for event in &found {
                let (_, bytes) = parse_stored(&event.record.value)?;
                let logged: Logged =
                    serde_json::from_slice(bytes).map_err(|e| Error::Bug(format!("stored event: {e}")))?;
                if logged.request != *id {
                    return Err(moved("it has events of other requests since"));
                }
                last = Some(logged.kind);
                after = after.saturating_add(1);
            }
            if found.len() < STEP {
                return Ok(last);
            }
        }
    }

    async fn recover_touched(
        &self,
        order: &RequestId,
        cards: &BTreeMap<CardId, Touched>,
        report: &mut Recovered,
        progress: &mut impl FnMut(u64),
    ) -> Result<(), Error> {
        let all: Vec<_> = cards.iter().collect();
        for step in all.chunks(STEP) {
            let mut units = Vec::new();
            for (id, touched) in step {
                let Some(found) = self.store.get(Space::Card, id.bytes())? else {
                    // A stand-in for an unknown card has no record either.
                    report.lost.extend(touched.registered.then_some(**id));
                    continue;
                };
                report.locked = report.locked.saturating_add(1);
                report.revoked.extend(touched.revoked.map(|_| **id));
                if touched.activated_at_ms.is_some() && touched.revoked.is_none() {
                    report.activated.push(**id);
                }
                units.extend(self.recover_card(order, id, &found, Some(touched))?);
            }
            self.commit_all(units).await?;
            progress(u64::try_from(step.len()).unwrap_or(u64::MAX));
        }
        Ok(())
    }

    async fn hold_all(
        &self,
        order: &RequestId,
        report: &mut Recovered,
        progress: &mut impl FnMut(u64),
    ) -> Result<(), Error> {
        let mut from = Vec::new();
        loop {
            let found = self.store.scan(Space::Card, &[], &from, STEP)?;
            let mut units = Vec::new();
            for entry in &found {
                let id = <[u8; 16]>::try_from(entry.key.as_slice()).map(CardId::new);
                let id = id.map_err(|_| Error::Bug("a card with another key".into()))?;
                let card = decode(&id, &entry.record)?;
                if !matches!(card.state(), State::Revoked { .. }) {
                    (report.locked, report.held) =
                        (report.locked.saturating_add(1), report.held.saturating_add(1));
                    units.extend(self.recover_card(order, &id, &entry.record, None)?);
                }
            }
            self.commit_all(units).await?;
            progress(u64::try_from(found.len()).unwrap_or(u64::MAX));
            match found.last() {
                Some(last) if found.len() == STEP => from = [last.key.as_slice(), &[0]].concat(),
                Some(_) | None => return Ok(()),
            }
        }
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
                    card = card.activated_before(at_ms);
                    changes.extend((card != before).then_some("activated"));
                }
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
        let key = card_counter(id);
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
            let detail = vec![("reason", reason.text().to_owned())];
            unit.events.push(Event { detail, ..event(Kind::CardRevoked)? });
        }
        let mut recovered = event(Kind::CardRecovered)?.with("changes", changes.join(","));
        if let Some(at_ms) = touched.and_then(|touched| touched.activated_at_ms) {
            recovered = recovered.with("activated_at", time_text(at_ms));
        }
        unit.events.push(recovered);
        Ok(Some(unit))
    }

    async fn commit_all(&self, units: Vec<Unit>) -> Result<(), Error> {
        let mut running = JoinSet::new();
        for unit in units {
            let store = self.store.clone();
            running.spawn(async move { store.submit(unit).await });
        }
        while let Some(done) = running.join_next().await {
            match done.map_err(|e| Error::Bug(e.to_string()))?? {
                store::Outcome::Applied { .. } => {}
                store::Outcome::Refused { op } => {
                    return Err(Error::Bug(format!("a change of the recovery was refused: {op}")));
                }
            }
        }
        Ok(())
    }

    /// The event that names the officers, and the count that tells the branches apart.
    async fn conclude_recovery(
        &self,
        order: &Order,
        id: &RequestId,
        officers: &[&str],
        report: &Recovered,
    ) -> Result<(), Error> {
        let recoveries = order.recoveries.max(self.recoveries()?).saturating_add(1);
        let own = self.own_event(Kind::StoreRecovered, Outcome::Done)?;
        let detail = vec![
            ("officers", officers.join(",")),
            ("from_seq", order.store.seq.to_string()),
            ("lost_seq", order.known.seq.to_string()),
            ("lost_hash", hex::encode(order.known.hash)),
            ("evidence", order.evidence.map_or_else(|| "none".to_owned(), hex::encode)),
            ("recoveries", recoveries.to_string()),
            ("locked", report.locked.to_string()),
            ("held", report.held.to_string()),
        ];
        let event = Event { request: *id, detail, ..own };
        let (key, value) = (RECOVERIES.to_vec(), recoveries.to_be_bytes().to_vec());
        let put = Op::Put { space: Space::Checkpoint, key, value, expect: Expect::Any };
        // An older store holds an older set as the one in force.
        let in_force = self.keep_in_force(&self.policy()).await?;
        let unit = Unit { ops: vec![put, in_force], events: vec![event] };
        self.commit(unit).await?.map_err(|g| Error::Bug(format!("the recovery's event: {g:?}")))
    }
}

fn decode(id: &CardId, record: &store::Versioned) -> Result<Card, Error> {
    Card::decode(&record.value).ok_or_else(|| Error::Bug(format!("record of card {id} is damaged")))
}
