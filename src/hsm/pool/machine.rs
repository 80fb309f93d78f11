//! The states of a supervised token: pure, the time is given.
//!
//! Up and Degraded have workers. Everything else is Down to those who ask; the phase says what the supervisor does
//! next: wait for the workers to let go, open the token again, pause, or nothing any more.

use std::time::Duration;

/// What is known of the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// A deadline passed or a probe is late, and nothing good has been heard since.
    Degraded,
    /// The token is lost; whether it comes back in this process, the log says.
    Down,
    /// The last probe was good.
    Up,
}

/// First pause between two openings that failed; doubled each time up to [`PAUSE_MOST`].
const PAUSE_FIRST: Duration = Duration::from_millis(250);
const PAUSE_MOST: Duration = Duration::from_secs(10);
/// A token that was up for less than this and is lost again is not opened again at once.
const SETTLED: Duration = Duration::from_secs(30);
/// An opening makes many calls, so it has at least this time.
const OPENING_LEAST: Duration = Duration::from_secs(60);

/// What the supervisor is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Calls are sent.
    Up {
        /// When it came up.
        since: Duration,
        /// Openings that failed before, or tokens lost soon after theirs.
        tries: u32,
    },
    /// As `Up`, but late.
    Degraded {
        /// When it came up.
        since: Duration,
        /// As in `Up`.
        tries: u32,
    },
    /// Workers have been told to let go of the lost token.
    Leaving {
        /// When they were told.
        since: Duration,
        /// As in `Up`.
        tries: u32,
    },
    /// Nobody holds the token, and it is not the time to open it yet.
    Waiting {
        /// When it will be.
        until: Duration,
        /// Openings that failed.
        tries: u32,
    },
    /// The token is being opened.
    Opening {
        /// When that began.
        since: Duration,
        /// Openings that failed.
        tries: u32,
    },
    /// The token needs a human: it is not opened again.
    Refused,
    /// A call did not come back: the process has to end.
    GivenUp,
}

/// What was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// Every worker has let go.
    Gone,
    /// A probe was good.
    Good,
    /// A deadline passed or a probe is late.
    Late,
    /// The token is lost.
    Lost,
    /// The token was opened and has workers again.
    Opened,
    /// It could not be opened now.
    NotOpened,
    /// It must not be opened again.
    Refused,
    /// Time has passed; the longest call that is inside the module began at this moment.
    Tick(Option<Duration>),
}

/// The machine.
#[derive(Debug)]
pub(super) struct Machine {
    phase: Phase,
    give_up: Duration,
}

impl Machine {
    /// Up, with a token that is open.
    pub(super) const fn new(now: Duration, give_up: Duration) -> Self {
        Self { phase: Phase::Up { since: now, tries: 0 }, give_up }
    }

    pub(super) const fn phase(&self) -> Phase {
        self.phase
    }

    /// What those who ask are told.
    pub(super) const fn state(&self) -> State {
        match self.phase {
            Phase::Up { .. } => State::Up,
            Phase::Degraded { .. } => State::Degraded,
            Phase::Leaving { .. }
            | Phase::Waiting { .. }
            | Phase::Opening { .. }
            | Phase::Refused
            | Phase::GivenUp => State::Down,
        }
    }

    /// Takes a step; whether the phase is another one now. What does not fit the phase is old news and ignored.
    pub(super) fn on(&mut self, event: Event, now: Duration) -> bool {
        let next = self.next(event, now);
        let moved = next != self.phase;
        self.phase = next;
        moved
    }

    fn next(&self, event: Event, now: Duration) -> Phase {
        match (self.phase, event) {
            (Phase::Up { since, tries }, Event::Late) => Phase::Degraded { since, tries },
            (Phase::Degraded { since, tries }, Event::Good) => Phase::Up { since, tries },
            (Phase::Up { since, tries } | Phase::Degraded { since, tries }, Event::Lost) => {
                let settled = now.saturating_sub(since) >= SETTLED;
                Phase::Leaving { since: now, tries: if settled { 0 } else { tries } }
            }
            (Phase::Leaving { tries, .. }, Event::Gone) if tries == 0 => Phase::Opening { since: now, tries },
            (Phase::Leaving { tries, .. }, Event::Gone) => {
                Phase::Waiting { until: now.saturating_add(pause(tries)), tries }
            }
            (Phase::Opening { tries, .. }, Event::NotOpened) => {
                let tries = tries.saturating_add(1);
                Phase::Waiting { until: now.saturating_add(pause(tries)), tries }
            }
            (Phase::Opening { tries, .. }, Event::Opened) => {
                Phase::Up { since: now, tries: tries.saturating_add(1) }
            }
            (Phase::Opening { .. }, Event::Refused) => Phase::Refused,
            (Phase::Waiting { until, tries }, Event::Tick(_)) if now >= until => {
                Phase::Opening { since: now, tries }
            }
            (
                Phase::Up { .. } | Phase::Degraded { .. } | Phase::Leaving { .. },
                Event::Tick(Some(entered)),
            ) if self.is_too_long(entered, now) => Phase::GivenUp,
            // Workers that are between two calls leave at once: who has not left is inside.
            (Phase::Leaving { since, .. }, Event::Tick(_)) if self.is_too_long(since, now) => Phase::GivenUp,
            (Phase::Opening { since, .. }, Event::Tick(_))
                if now.saturating_sub(since) >= self.give_up.max(OPENING_LEAST) =>
            {
                Phase::GivenUp
            }
            (
                phase,
                Event::Gone
                | Event::Good
                | Event::Late
                | Event::Lost
                | Event::Opened
                | Event::NotOpened
                | Event::Refused
                | Event::Tick(_),
            ) => phase,
        }
    }

    fn is_too_long(&self, since: Duration, now: Duration) -> bool {
        now.saturating_sub(since) >= self.give_up
    }
}

/// The pause before the next opening, after so many that failed.
fn pause(tries: u32) -> Duration {
    let doubled = 2_u32.saturating_pow(tries.saturating_sub(1));
    PAUSE_FIRST.saturating_mul(doubled).min(PAUSE_MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIVE_UP: Duration = Duration::from_secs(15);

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn machine(events: &[(Event, u64)]) -> Machine {
        let mut machine = Machine::new(s(0), GIVE_UP);
        for (event, at) in events {
            machine.on(*event, s(*at));
        }
        machine
    }

    #[test]
    fn late_is_degraded_until_something_good_is_heard() {
        assert_eq!(machine(&[]).state(), State::Up);
        assert_eq!(machine(&[(Event::Late, 1)]).state(), State::Degraded);
        assert_eq!(machine(&[(Event::Late, 1), (Event::Late, 2), (Event::Good, 3)]).state(), State::Up);
    }

    #[test]
    fn a_lost_token_is_opened_only_when_every_worker_has_let_go() {
        let mut machine = machine(&[(Event::Lost, 100)]);
        assert_eq!(
            (machine.phase(), machine.state()),
            (Phase::Leaving { since: s(100), tries: 0 }, State::Down)
        );
        for early in
            [Event::Opened, Event::NotOpened, Event::Good, Event::Late, Event::Lost, Event::Tick(None)]
        {
            assert!(!machine.on(early, s(101)), "{early:?}");
        }
        assert!(machine.on(Event::Gone, s(102)));
        assert_eq!(machine.phase(), Phase::Opening { since: s(102), tries: 0 });
        assert!(
            !machine.on(Event::Good, s(102)) && machine.state() == State::Down,
            "only an opening lifts it"
        );
        assert!(machine.on(Event::Opened, s(103)));
        assert_eq!(machine.state(), State::Up);
    }

    #[test]
    fn openings_that_fail_are_further_and_further_apart_up_to_a_bound() {
        let mut machine = machine(&[(Event::Lost, 100), (Event::Gone, 100)]);
        let mut now = s(100);
        let mut pauses = Vec::new();
        for _ in 0..10 {
            assert!(machine.on(Event::NotOpened, now));
            let Phase::Waiting { until, .. } = machine.phase() else { panic!("{:?}", machine.phase()) };
            pauses.push((until - now).as_millis());
            assert!(!machine.on(Event::Tick(None), until - Duration::from_millis(1)));
            assert!(machine.on(Event::Tick(None), until));
            now = until;
        }
        assert_eq!(pauses, [250, 500, 1000, 2000, 4000, 8000, 10_000, 10_000, 10_000, 10_000]);
    }

    #[test]
    fn a_token_lost_again_soon_is_not_opened_at_once() {
        let lost_once = [(Event::Lost, 100), (Event::Gone, 100), (Event::Opened, 101)];
        let mut soon = machine(&lost_once);
        soon.on(Event::Lost, s(102));
        soon.on(Event::Gone, s(102));
        assert!(matches!(soon.phase(), Phase::Waiting { tries: 1, .. }), "{:?}", soon.phase());
        let mut later = machine(&lost_once);
        later.on(Event::Lost, s(131));
        later.on(Event::Gone, s(131));
        assert!(matches!(later.phase(), Phase::Opening { tries: 0, .. }), "{:?}", later.phase());
    }

    #[test]
    fn a_refused_token_stays_down_whatever_is_heard() {
        let mut machine = machine(&[(Event::Lost, 1), (Event::Gone, 1), (Event::Refused, 2)]);
        let all = [
            Event::Gone,
            Event::Good,
            Event::Late,
            Event::Lost,
            Event::Opened,
            Event::NotOpened,
            Event::Tick(Some(s(0))),
        ];
        for event in all {
            assert!(!machine.on(event, s(10_000)), "{event:?}");
        }
        assert_eq!((machine.phase(), machine.state()), (Phase::Refused, State::Down));
    }

    #[test]
    fn a_call_that_does_not_come_back_is_given_up_at_the_bound_and_not_before() {
        for before in [&[][..], &[(Event::Late, 1)], &[(Event::Late, 1), (Event::Lost, 10)]] {
            let mut machine = machine(before);
            assert!(!machine.on(Event::Tick(Some(s(0))), s(15) - Duration::from_millis(1)));
            assert!(machine.on(Event::Tick(Some(s(0))), s(15)));
            assert_eq!((machine.phase(), machine.state()), (Phase::GivenUp, State::Down));
            assert!(!machine.on(Event::Good, s(16)), "no way back: the process ends");
        }
    }

    #[test]
    fn workers_that_do_not_leave_and_openings_that_do_not_end_are_given_up() {
        let mut leaving = machine(&[(Event::Lost, 100)]);
        assert!(!leaving.on(Event::Tick(None), s(114)));
        assert!(leaving.on(Event::Tick(None), s(115)));
        assert_eq!(leaving.phase(), Phase::GivenUp);
        let mut opening = machine(&[(Event::Lost, 100), (Event::Gone, 100)]);
        assert!(!opening.on(Event::Tick(None), s(159)));
        assert!(opening.on(Event::Tick(None), s(160)));
        assert_eq!(opening.phase(), Phase::GivenUp);
    }
}
