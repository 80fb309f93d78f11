//! What an operator may do at a front end now: the same decisions that requests meet, asked beforehand.

use std::collections::BTreeSet;

use super::{Action, Asks, CardFacts, OPERATORS_ACTIONS, Permit, Question, act};
use crate::domain::{card::State, team::Region};

/// An action that is allowed now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// Which.
    pub action: Action,
    /// On the cards of these regions, as far as a card's state goes with it; nothing for what does not look at cards
    /// ([`Action::is_on_a_card`]).
    pub regions: Option<BTreeSet<Region>>,
}

impl Permit<act::Session> {
    /// Every operator's action that the caller may ask for and that the rules allow this operator now: for an activation on
    /// registered cards, else on active ones; for a history or a report, in its plainest form.
    pub fn allowed(&self) -> Vec<Allowed> {
        let Some(caller) = self.policy().caller_named(self.caller()) else { return Vec::new() };
        let actions = OPERATORS_ACTIONS.into_iter().filter(|action| caller.may(*action));
        actions.filter_map(|action| self.allowed_to(action)).collect()
    }

    fn allowed_to(&self, action: Action) -> Option<Allowed> {
        let (operator, front_end, at) = (self.operator()?, self.caller(), self.at());
        // What may be done with one proof or the other is allowed: the request names which.
        let decide = |card| {
            action.proofs().iter().any(|proof| {
                let asks = Asks::default();
                let question = Question { action, operator, front_end, card, asks, at, proof: *proof };
                self.policy().decide(&question).allowed
            })
        };
        if !action.is_on_a_card() {
            return decide(None).then_some(Allowed { action, regions: None });
        }
        let state = if action == Action::Activate {
            State::Registered.text()
        } else {
            State::Active { activated_at_ms: 0 }.text()
        };
        let known = Region::KNOWN.iter().map(|(region, _)| *region);
        let regions: BTreeSet<_> =
            known.filter(|region| decide(Some(CardFacts { region: *region, state }))).collect();
        (!regions.is_empty()).then_some(Allowed { action, regions: Some(regions) })
    }
}
