//! Limits of operators, offices and front ends: charged before anything is evaluated, whatever is asked about.
//!
//! A budget is charged in the store, so that a restart gives nothing back. An alarm is raised once in a window.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use super::{Call, Error, Service, effects::Guard};
use crate::{
    domain::{
        audit::{Kind, Outcome},
        limits::{Reached, Use, Used, Window},
    },
    policy::{Act, Scope},
    store::{Expect, Op, Space, Unit},
};

/// What a request costs that looks a card up.
pub(super) const LOOK_UP: &[Use] = &[Use::LookUp];
/// What a verification costs the operator. A right code gets the guess back.
const GUESS: &[Use] = &[Use::Verification, Use::WrongGuess];
const VERIFICATION: &[Use] = &[Use::Verification];

/// Requests refused by each limit since the start, for metrics.
#[derive(Debug, Default)]
pub(super) struct Refusals([[AtomicU64; 3]; 3]);

/// What a request is charged: an operation for each scope, in this order, the first of them whoever acts.
pub(super) struct Charges {
    at_ms: u64,
    of: Vec<(Scope, Vec<u8>, &'static [Use])>,
}

impl Charges {
    fn ops<A: Act>(&self, call: &Call<A>) -> Vec<Op> {
        let limits = &call.permit.policy().parameters().limits;
        let op = |(scope, key, uses): &(Scope, Vec<u8>, &'static [Use])| Op::Charge {
            key: key.clone(),
            at_ms: self.at_ms,
            uses,
            budget: *limits.of(*scope),
        };
        self.of.iter().map(op).collect()
    }

    /// Puts the charges before the other operations of an intent; a [`Guard`] below [`Scope::ALL`]'s length is one of theirs.
    pub(super) fn before<A: Act>(&self, call: &Call<A>, mut unit: Unit) -> Unit {
        unit.ops.splice(0..0, self.ops(call));
        unit
    }

    /// Ends the operator's guess, in the outcome: the same work whether it is given back or not.
    pub(super) fn settle(&self, refund: bool) -> Op {
        let key = self.of.first().map(|(_, operator, _)| operator.clone()).unwrap_or_default();
        Op::Settle { key, at_ms: self.at_ms, refund }
    }
}

impl Service {
    /// Requests refused by limits since the start, by scope and use.
    pub fn over_limits(&self) -> impl Iterator<Item = (Scope, Use, u64)> {
        Scope::ALL.into_iter().zip(&self.over_limits.0).flat_map(|(scope, of_scope)| {
            Use::ALL.into_iter().zip(of_scope).map(move |(what, count)| (scope, what, count.load(Relaxed)))
        })
    }

    /// What a verification is charged.
    pub(super) fn charges_of_guess<A: Act>(&self, call: &Call<A>) -> Result<Charges, Error> {
        self.charges(call, GUESS, VERIFICATION)
    }

    fn charges<A: Act>(
        &self,
        call: &Call<A>,
        operators: &'static [Use],
        others: &'static [Use],
    ) -> Result<Charges, Error> {
        let operator = call.operator.as_ref().ok_or(Error::OperatorMissing)?;
        let office = match call.permit.office() {
            Some(office) => Some(office),
            // Citizens have none: their names are no operators', and the front end's budget is their common one.
            None if operator.is_citizen() => None,
            None => return Err(Error::OperatorMissing),
        };
        let key = |byte: &[u8], name: &[u8]| [byte, name].concat();
        Ok(Charges {
            at_ms: self.clock.now_ms(),
            of: [
                Some((Scope::Operator, key(b"o", operator.name()?), operators)),
                office.map(|office| (Scope::Office, key(b"w", office.as_bytes()), others)),
                Some((Scope::FrontEnd, key(b"f", call.permit.caller().as_bytes()), others)),
            ]
            .into_iter()
            .flatten()
            .collect(),
        })
    }

    /// Charges a request that looks a card up, in a commit of its own.
    pub(super) async fn charge_look_up<A: Act>(&self, call: &Call<A>) -> Result<(), Error> {
        let charges = self.charges(call, LOOK_UP, LOOK_UP)?;
        match self.commit(charges.before(call, Unit::default())).await? {
            Ok(()) => Ok(()),
            Err(guard) => Err(self.over_limit(call, &charges, &guard).await?),
        }
    }

    /// The refusal of a request whose charges found nothing left; raises the alarm if this is the first in its window.
    pub(super) async fn over_limit<A: Act>(
        &self,
        call: &Call<A>,
        charges: &Charges,
        guard: &Guard,
    ) -> Result<Error, Error> {
        let (scope, key, uses) =
            charges.of.get(guard.0).ok_or_else(|| Error::Bug(format!("a charge refused: {guard:?}")))?;
        let budget = call.permit.policy().parameters().limits.of(*scope);
        let used = match self.store.get(Space::Budget, key)? {
            Some(found) => Used::decode(&found.value)
                .ok_or_else(|| Error::Bug("a record of a budget is damaged".into()))?,
            None => Used::default(),
        };
        let Err(reached) = used.charge(charges.at_ms, uses, budget) else {
            // What another request had charged was given back since.
            return Ok(Error::TooMany { limit: scope.text().to_owned(), after: Duration::from_secs(1) });
        };
        let of_use = Scope::ALL.iter().zip(&self.over_limits.0).find(|(other, _)| *other == scope);
        let count = of_use
            .and_then(|(_, counts)| Use::ALL.iter().zip(counts).find(|(other, _)| **other == reached.what));
        if let Some((_, count)) = count {
            count.fetch_add(1, Relaxed);
        }
        self.raise_alarm(call, *scope, key, reached, charges.at_ms).await?;
        let Reached { what, window, until_ms, .. } = reached;
        Ok(Error::TooMany {
            limit: format!("limits.{}.{}.{}", scope.text(), what.text(), window.text()),
            after: Duration::from_millis(until_ms.saturating_sub(charges.at_ms)),
        })
    }

    async fn raise_alarm<A: Act>(
        &self,
        call: &Call<A>,
        scope: Scope,
        key: &[u8],
        reached: Reached,
        at_ms: u64,
    ) -> Result<(), Error> {
        let Reached { what, window, most, .. } = reached;
        let place = |at: Option<usize>| u8::try_from(at.unwrap_or(0)).unwrap_or(0);
        let use_and_window = [
            place(Use::ALL.iter().position(|other| *other == what)),
            place(Window::ALL.iter().position(|other| *other == window)),
        ];
        let key = [b"a", key, &use_and_window].concat();
        let value = window.number(at_ms).to_be_bytes().to_vec();
        let raised = self.store.get(Space::Budget, &key)?;
        if raised.as_ref().is_some_and(|raised| raised.value == value) {
            return Ok(());
        }
        let expect = raised.map_or(Expect::Absent, |raised| Expect::Version(raised.version));
        let mut event = self.event(call, Kind::LimitReached, Outcome::Refused);
        event = event.with("scope", scope.text()).with("use", what.text()).with("window", window.text());
        event = event.with("limit", most.to_string());
        tracing::warn!(
            scope = scope.text(),
            what = what.text(),
            window = window.text(),
            "a limit is reached"
        );
        let ops = vec![Op::Put { space: Space::Budget, key, value, expect }];
        // Refused: another request has raised it meanwhile.
        self.commit(Unit { ops, events: vec![event] }).await.map(|_| ())
    }
}
