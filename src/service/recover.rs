//! The way back from an older store, by order of the officers (I13).
//!
//! What may be run again after a crash changes nothing twice. The event of the recovery and the new checkpoint in the token
//! come last: until then the store stays refused. Nothing here gives a try back, makes a revoked card alive, or hands
//! a code out.

mod cards;
mod operators;

use serde::Serialize;
use tokio::task::JoinSet;

use super::{Error, Parts, Service, audit::parse_stored, marks::RECOVERIES};
use crate::{
    domain::{
        audit::{Event, Head, Kind, Outcome},
        checkpoint::Checkpoint,
        going_back::{self, GoneBack},
        id::{CardId, RequestId},
        recovery::{Effect, Order, Told},
    },
    store::{self, Expect, Op, Space, Unit},
};

/// Records whose units are committed together.
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
    /// Whether that is the token's own. Else it is not known how far the log went, and what evidence does not tell of
    /// operators' cards may be missing in it.
    pub known_by_token: bool,
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

/// What a recovery comes to. The same before it, after a part of it and at its end.
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
    /// Operators who are bound to the card that they registered in the gap.
    pub operators_bound: u64,
    /// Operators whose card was ended in the gap, and is ended again.
    pub operators_ended: u64,
    /// Operators whose card is held: they act again once they have registered again.
    pub operators_held: u64,
    /// Whether every operator is, whose card evidence does not end.
    pub every_operator: bool,
}

impl Recovered {
    /// In numbers, as an order says it.
    pub fn effect(&self) -> Effect {
        let count = |cards: &[CardId]| u64::try_from(cards.len()).unwrap_or(u64::MAX);
        Effect {
            locked: self.locked,
            held: self.held,
            activated: count(&self.activated),
            revoked: count(&self.revoked),
            lost: count(&self.lost),
            operators_bound: self.operators_bound,
            operators_ended: self.operators_ended,
            operators_held: self.operators_held,
            every_operator: self.every_operator,
        }
    }
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
        // The same in both places is what a courier presented: the token itself had gone back.
        let [a, b] = &marks;
        let own = kept.as_ref().filter(|_| a != b).map(|(mark, _)| (mark.head, mark.recoveries));
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
        let known_by_token = known.as_ref().is_some_and(|k| own == Some((k.head, k.recoveries)));
        let (store, recoveries) = (now.head, now.recoveries);
        let standing = Standing { store, recoveries, known, known_by_token, refused };
        Ok((service, standing))
    }

    /// What a recovery comes to, which changes nothing. `told` is what evidence tells of the gap; nothing for a recovery
    /// without evidence, which holds every card that is not revoked, and every operator's.
    pub fn foresee(&self, standing: &Standing, told: Option<&Told>) -> Result<Recovered, Error> {
        let mut report = Recovered::default();
        self.foresee_operators(standing, told, &mut report)?;
        self.foresee_cards(told, &mut report)?;
        Ok(report)
    }

    /// Carries an order out, if `standing` is what it says, a recovery is needed, and comes to what it says. `told` as in
    /// [`Service::foresee`]. `progress` is told of cards looked at.
    pub async fn recover(
        &self,
        order: &Order,
        standing: &Standing,
        officers: &[&str],
        told: Option<&Told>,
        mut progress: impl FnMut(u64),
    ) -> Result<Recovered, Error> {
        // Again, and not only when the order was made: store and token are others by now, or the order is.
        let need = standing.needs_recovery(order.evidence.is_some());
        need.map_err(|why| Error::Unavailable(why.to_string()))?;
        self.check(order, standing)?;
        let id = order.id();
        let begun = self.begun(order, &id)?;
        let report = self.foresee(standing, told)?;
        if report.effect() != order.effect {
            return Err(Error::Unavailable(format!(
                "the order is of another effect: make a new one. What it would do now:\n{}",
                report.effect()
            )));
        }
        if begun != Some(Kind::StoreRecovered) {
            // First those who could act, then what they could act on.
            self.recover_operators(&id, standing, told).await?;
            match told {
                Some(told) => self.recover_touched(&id, &told.cards, &mut progress).await?,
                None => self.hold_all(&id, &mut progress).await?,
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
            ("operators_bound", report.operators_bound.to_string()),
            ("operators_ended", report.operators_ended.to_string()),
            ("operators_held", report.operators_held.to_string()),
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
