//! What uses cards: registration of many, deliveries, activations, the mixture; and the log of it all.

use std::{sync::Arc, time::Duration};

use sigillo::api::cards::NewCard;

use super::Bench;
use crate::{
    courier,
    load::{Pace, Plan, Windows},
    measure,
    number::{float, per},
    place::Place,
    report::rows::Http,
    soak,
    work::cards_for,
};

/// A mixture that lasts longer tells how it goes.
const LONG: Duration = Duration::from_secs(120);
/// Cards of a grown store that are asked about, evenly of all: no round asks about one twice.
const SOME: u64 = 150_000;
/// More activations than any machine makes in a second, and more deliveries.
const MOST_ACTIVATIONS: u64 = 5000;
const MOST_DELIVERIES: u64 = 2000;
/// Deliveries under way: some of the courier's leases.
const DELIVERIES_IN_FLIGHT: usize = 128;

impl Bench<'_> {
    /// Cost of a verification on a store of more cards; start-up.
    pub(super) async fn grow(&mut self) -> Result<(), String> {
        let (from, to) = (self.arguments.cards, self.arguments.grow);
        let cost = |http: Http| per(http.verify_us?, http.hello_us?);
        let before = cost(self.found.http2);
        if to > from {
            println!("{} cards more are registered", to.saturating_sub(from));
            let done = self.own.import(from, to).await?;
            println!("{done}");
            self.registered = to;
            (self.found.imported, self.found.bytes_per_card) = (done.per_second(), done.stored_each());
            self.runs.push(done.run);
        }
        let (start, again) = self.own.restart_twice()?;
        (self.found.start, self.found.start_again) = (Some(start), Some(again));
        if to > from {
            let mut first = self.own.some(to, SOME);
            let second = first.split_off(first.len() / 2);
            let after = self.in_turns(true, &[first, second].map(Arc::new)).await?;
            self.found.grown_us = after.verify_us;
            self.found.growth = cost(after).zip(before).and_then(|(after, before)| per(after, before));
            self.found.grown = Some((from, to));
        }
        Ok(())
    }

    /// Cards that were never activated: so many, or half of those that are left.
    fn fresh(&mut self, wanted: u64) -> Vec<NewCard> {
        let left = self.arguments.grow.saturating_sub(self.unused);
        let from = self.unused;
        self.unused = from.saturating_add(wanted.min(left / 2));
        self.own.cards(from, self.unused)
    }

    /// Before the activations, whose deliveries the courier has to do for a while.
    pub(super) async fn deliver(&mut self) -> Result<(), String> {
        let cards = self.fresh(self.arguments.seconds.saturating_mul(MOST_DELIVERIES));
        let (courier, plan) = (self.own.courier(DELIVERIES_IN_FLIGHT), self.closed(DELIVERIES_IN_FLIGHT));
        let run = courier::measure(&courier, cards, plan).await?;
        let run = self.keep(run)?;
        (self.found.deliveries, self.found.delivery_us, self.found.courier_us) =
            (Some(run.per_second), run.server_us, run.courier_us);
        Ok(())
    }

    pub(super) async fn activate(&mut self) -> Result<(), String> {
        let cards = Arc::new(self.fresh(self.arguments.seconds.saturating_mul(MOST_ACTIVATIONS)));
        let run = measure::activate(&self.place(true), &cards, self.closed(self.arguments.in_flight)).await?;
        let run = self.keep(run)?;
        (self.found.activations, self.found.activation_calls) = (Some(run.per_second), run.hsm_calls);
        Ok(())
    }

    pub(super) async fn soak(&mut self) -> Result<(), String> {
        let time = Duration::from_secs(self.arguments.soak.max(4));
        let place = Place { rate: Some(soak::RATE), ..self.place(true) };
        let windows = if time > LONG { soak::parts(time) } else { Windows::SHORT };
        let plan = Plan { time, windows, ..self.plan(Pace::Open(soak::RATE)) };
        let turns = soak::RATE * time.saturating_add(plan.warm_up).as_secs_f64();
        let wanted = Duration::try_from_secs_f64(cards_for(turns)).map_err(|e| e.to_string())?.as_secs();
        let cards = Arc::new(self.fresh(wanted));
        let run = measure::mixed(&place, &cards, plan).await?;
        (self.found.soak, self.found.soak_rate) = (Some(run.seconds), Some(run.per_second));
        self.found.soak_errors = Some(float(run.errors));
        (self.found.soak_memory, self.found.soak_leak) = (run.memory_growth(), run.memory_each());
        self.keep(run).map(drop)
    }

    /// A log that cannot be exported is not one that does not verify.
    pub(super) fn audit(&mut self) -> Result<(), String> {
        println!("the audit log is exported and verified");
        let said = self.own.audit()?;
        self.found.audit = Some(if said.is_ok() { 1.0 } else { 0.0 });
        println!("  {}", said.unwrap_or_else(|why| why));
        Ok(())
    }
}
