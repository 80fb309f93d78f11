//! A model of how tries are spent, evaluated and forgiven, with crashes, unlocks and stores that go back, checked in every
//! order of its steps (stateright). It knows nothing of `domain::tries`: what the two have in common is the specification.
//! `replay.rs` walks through it with the real service beside it.

use stateright::{Checker, Model, Property};

/// The limits, and what may happen how often.
#[derive(Clone, Debug)]
pub(crate) struct Spec {
    pub(crate) in_a_row: u8,
    pub(crate) lifetime: u8,
    /// Requests in flight at one time.
    pub(crate) at_once: usize,
    /// Tries that are granted in all, at most: beyond, a walk ends.
    pub(crate) grants: usize,
    pub(crate) unlocks: u8,
    pub(crate) restores: u8,
    pub(crate) bug: Option<Bug>,
}

/// What could be programmed wrongly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    /// A code is compared when the request comes, and the try is spent afterwards.
    EvaluateBeforeSpend,
    /// Wrong guesses are forgiven too.
    ForgiveWrong,
    /// A success forgives whatever was spent until now.
    ForgiveToNow,
    /// What was spent since the last outcome is only in memory.
    ForgetInCrash,
    /// A store that is put back from a backup is served from as it is.
    RestoreUnlocked,
    /// An unlock gives back a life too.
    UnlockLife,
}

pub(crate) const BUGS: [Bug; 6] = [
    Bug::EvaluateBeforeSpend,
    Bug::ForgiveWrong,
    Bug::ForgiveToNow,
    Bug::ForgetInCrash,
    Bug::RestoreUnlocked,
    Bug::UnlockLife,
];

/// What a store holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Counters {
    spent: u8,
    forgiven: u8,
    accepted: u8,
}

/// A granted try, as somebody would see it who watches the codes themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Seen {
    /// Granted: it may be evaluated at any moment, so that it counts as a wrong one.
    Wrong,
    Right,
    /// Two people have unlocked the C.I.P. here.
    Unlocked,
}

/// A request whose try is spent, or refused, and whose outcome is still to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Flight {
    pub(crate) right: bool,
    /// The ticket, and its place in what was seen.
    granted: Option<(u8, usize)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub(crate) store: Counters,
    backup: Option<Counters>,
    /// `store` at the last outcome, for [`Bug::ForgetInCrash`].
    settled: Counters,
    pub(crate) flights: Vec<Flight>,
    seen: Vec<Seen>,
    pub(crate) unlocks: u8,
    restores: u8,
    /// Tries came back without a success or an unlock.
    given_back: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A request comes; its try is spent if one is left.
    Begin {
        right: bool,
    },
    /// The outcome of the flight at this place is committed and answered.
    End(usize),
    /// The process dies with all its flights, and another one starts.
    Crash,
    Unlock,
    Backup,
    /// The newest store is lost: the backup takes its place, by the recovery's rules.
    Restore,
}

impl Spec {
    pub(crate) fn left(&self, store: &Counters) -> u8 {
        let row = self.in_a_row.saturating_sub(store.spent - store.forgiven);
        row.min(self.lifetime.saturating_sub(self.wrong(store)))
    }

    pub(crate) fn wrong(&self, store: &Counters) -> u8 {
        store.spent - store.accepted
    }

    fn spend(&self, state: &mut State) -> Option<u8> {
        (self.left(&state.store) > 0).then(|| {
            state.store.spent += 1;
            state.store.spent
        })
    }

    fn begin(&self, state: &mut State, right: bool) {
        let early = self.bug == Some(Bug::EvaluateBeforeSpend) && self.left(&state.store) > 0;
        let ticket = if early { None } else { self.spend(state) };
        let granted = (early || ticket.is_some()).then(|| {
            state.seen.push(Seen::Wrong);
            (ticket.unwrap_or(0), state.seen.len() - 1)
        });
        state.flights.push(Flight { right, granted });
    }

    /// Whether it was accepted.
    pub(crate) fn end(&self, state: &mut State, place: usize) -> bool {
        let flight = state.flights.remove(place);
        let Some((ticket, seen)) = flight.granted else { return false };
        let ticket = if ticket == 0 { self.spend(state).unwrap_or(0) } else { ticket };
        if flight.right {
            state.seen[seen] = Seen::Right;
        }
        if flight.right || self.bug == Some(Bug::ForgiveWrong) {
            let to = if self.bug == Some(Bug::ForgiveToNow) { state.store.spent } else { ticket };
            state.store.forgiven = state.store.forgiven.max(to);
            state.store.accepted += u8::from(flight.right && state.store.accepted < state.store.spent);
        }
        state.settled = state.store;
        flight.right
    }

    fn restore(&self, state: &mut State, backup: Counters) {
        let lost = state.store;
        state.store = backup;
        if self.bug != Some(Bug::RestoreUnlocked) {
            // The export of the log says what was spent; the rest of the row is taken away.
            let locks = backup.forgiven + self.in_a_row;
            state.store.spent = backup.spent.max(lost.spent).max(locks);
        }
        state.settled = state.store;
        state.flights.clear();
        state.restores += 1;
    }
}

impl Model for Spec {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            store: Counters::default(),
            backup: None,
            settled: Counters::default(),
            flights: Vec::new(),
            seen: Vec::new(),
            unlocks: 0,
            restores: 0,
            given_back: false,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Step>) {
        if state.flights.len() < self.at_once && state.seen.len() < self.grants {
            actions.extend([Step::Begin { right: false }, Step::Begin { right: true }]);
        }
        actions.extend((0..state.flights.len()).map(Step::End));
        if !state.flights.is_empty() {
            actions.push(Step::Crash);
        }
        let locked = self.left(&state.store) == 0;
        let life = self.wrong(&state.store) >= self.lifetime && self.bug != Some(Bug::UnlockLife);
        if state.unlocks < self.unlocks && locked && !life {
            actions.push(Step::Unlock);
        }
        if state.restores < self.restores {
            match state.backup {
                None => actions.push(Step::Backup),
                Some(_) => actions.push(Step::Restore),
            }
        }
    }

    fn next_state(&self, last: &State, step: Step) -> Option<State> {
        let mut state = last.clone();
        let mut may_give = false;
        match step {
            Step::Begin { right } => self.begin(&mut state, right),
            Step::End(place) => may_give = self.end(&mut state, place),
            Step::Crash => {
                state.flights.clear();
                if self.bug == Some(Bug::ForgetInCrash) {
                    state.store = state.settled;
                }
            }
            Step::Unlock => {
                state.store.forgiven = state.store.spent;
                if self.bug == Some(Bug::UnlockLife) {
                    state.store.accepted = state.store.spent;
                }
                state.settled = state.store;
                state.seen.push(Seen::Unlocked);
                state.unlocks += 1;
                may_give = true;
            }
            Step::Backup => state.backup = Some(state.store),
            Step::Restore => self.restore(&mut state, last.backup?),
        }
        state.given_back |= !may_give && self.left(&state.store) > self.left(&last.store);
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(
                "no more wrong guesses in a row than the limit",
                |spec: &Self, state: &State| {
                    let (mut row, mut most) = (0_u8, 0);
                    for seen in &state.seen {
                        row = if *seen == Seen::Wrong { row + 1 } else { 0 };
                        most = most.max(row);
                    }
                    most <= spec.in_a_row
                },
            ),
            Property::always(
                "no more wrong guesses in a life than the limit",
                |spec: &Self, state: &State| {
                    state.seen.iter().filter(|seen| **seen == Seen::Wrong).count()
                        <= usize::from(spec.lifetime)
                },
            ),
            Property::always("no try comes back but by a success or an unlock", |_, state: &State| {
                !state.given_back
            }),
            Property::sometimes("the row is used up", |spec: &Self, state: &State| {
                spec.left(&state.store) == 0 && spec.wrong(&state.store) < spec.lifetime
            }),
            Property::sometimes("a life is used up", |spec: &Self, state: &State| {
                spec.wrong(&state.store) >= spec.lifetime
            }),
            Property::sometimes("a success comes after later tries were spent", |_, state: &State| {
                state.seen.windows(2).any(|two| two == [Seen::Right, Seen::Wrong]) && state.store.forgiven > 0
            }),
        ]
    }
}

/// Small enough for every order of every step.
pub(crate) fn small(bug: Option<Bug>) -> Spec {
    Spec { in_a_row: 2, lifetime: 3, at_once: 2, grants: 5, unlocks: 1, restores: 1, bug }
}

/// A line for `make prove`.
#[expect(clippy::print_stdout, reason = "the program that runs this test reads it")]
pub(crate) fn say(claim: &str, figure: &str, bound: &str, control: bool) {
    let line = serde_json::json!({
        "proof": "guess-model", "claim": claim, "figure": figure, "bound": bound, "holds": true,
        "control_failed_as_it_must": control,
    });
    println!("claim {line}");
}

#[test]
fn in_every_order_of_steps_the_limits_hold_and_every_planted_bug_is_found() {
    let checked = small(None).checker().spawn_bfs().join();
    checked.assert_properties();
    assert!(checked.is_done() && checked.unique_state_count() > 1_000, "{}", checked.unique_state_count());
    let mut found = Vec::new();
    for bug in BUGS {
        let planted = small(Some(bug)).checker().spawn_bfs().join();
        let broken: Vec<_> = planted
            .discoveries()
            .into_iter()
            .filter(|(name, _)| name.starts_with("no "))
            .map(|(name, path)| format!("{bug:?} breaks \"{name}\" in {} steps", path.into_actions().len()))
            .collect();
        assert!(!broken.is_empty(), "{bug:?} is not found");
        found.push(broken.join(", "));
    }
    say(
        "a model of spend, evaluate, forgive, crash, unlock, backup and restore keeps the limits in every order of steps",
        &format!(
            "{} states, all of them; {} planted bugs found: {}",
            checked.unique_state_count(),
            found.len(),
            found.join("; ")
        ),
        "no state beyond a limit, no try given back",
        true,
    );
}
