//! How much is written of leases that come to nothing: pure. Whoever asks in vain must not fill the courier's disk.

use std::{collections::BTreeMap, time::Duration};

/// Events about leases that came to nothing, in one span. As many fit into a bad day of an honest authority.
const MOST: u32 = 200;
/// Events about an authority that is refused, in one span. They have a number of their own: whoever asks in vain first must not
/// hide what is shown afterwards.
const MOST_OF_AUTHORITY: u32 = 20;
/// From the first of them.
const SPAN: Duration = Duration::from_secs(3600);
/// Between two alarms about the same limit.
const ALARM_EVERY: Duration = Duration::from_secs(60);

/// Why a lease came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Vain {
    /// The authority's checkpoint.
    Authority,
    /// Its form or the courier's policy.
    Refused,
    /// A limit, or a wait that had begun before.
    Waiting,
}

/// What was not written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Unwritten {
    pub(super) refused: u64,
    pub(super) waiting: u64,
}

/// What is written, each kind in its own measure.
#[derive(Debug)]
pub(super) struct Quiet {
    /// Of leases.
    pub(super) leases: Span,
    /// Of checkpoints that are refused.
    pub(super) authority: Span,
    /// When the alarm about a limit was last raised: there are few limits.
    alarms: BTreeMap<(&'static str, &'static str), Duration>,
}

impl Default for Quiet {
    fn default() -> Self {
        let (leases, authority) = (Span::of(MOST), Span::of(MOST_OF_AUTHORITY));
        Self { leases, authority, alarms: BTreeMap::new() }
    }
}

impl Quiet {
    /// As [`Span::writes`], of the span that counts this.
    pub(super) fn writes(&mut self, vain: Vain, now: Duration) -> bool {
        let span = match vain {
            Vain::Authority => &mut self.authority,
            Vain::Refused | Vain::Waiting => &mut self.leases,
        };
        span.writes(vain, now)
    }

    /// Whether the alarm about a limit is raised now, whatever else is written: not twice a minute.
    pub(super) fn alarms(&mut self, limit: (&'static str, &'static str), now: Duration) -> bool {
        let due = self.alarms.get(&limit).is_none_or(|last| now.saturating_sub(*last) >= ALARM_EVERY);
        if due {
            self.alarms.insert(limit, now);
        }
        due
    }
}

/// The present span.
#[derive(Debug)]
pub(super) struct Span {
    most: u32,
    since: Duration,
    written: u32,
    unwritten: Unwritten,
}

impl Span {
    const fn of(most: u32) -> Self {
        let unwritten = Unwritten { refused: 0, waiting: 0 };
        Self { most, since: Duration::ZERO, written: 0, unwritten }
    }

    /// Whether an event is to be written; counted either way. `now` is the uptime.
    pub(super) fn writes(&mut self, vain: Vain, now: Duration) -> bool {
        if self.written == 0 || (self.unwritten == Unwritten::default() && self.is_over(now)) {
            (self.since, self.written) = (now, 0);
        }
        if self.written < self.most {
            self.written = self.written.saturating_add(1);
            return true;
        }
        let count = match vain {
            Vain::Authority | Vain::Refused => &mut self.unwritten.refused,
            Vain::Waiting => &mut self.unwritten.waiting,
        };
        *count = count.saturating_add(1);
        false
    }

    /// What is to be told in one event now that the span is over, or nothing. It is told again until
    /// [`Span::told`] says that it was written.
    pub(super) fn due(&self, now: Duration) -> Option<Unwritten> {
        if self.is_over(now) { self.rest() } else { None }
    }

    /// As [`Span::due`], whether the span is over or not.
    pub(super) fn rest(&self) -> Option<Unwritten> {
        (self.unwritten != Unwritten::default()).then_some(self.unwritten)
    }

    /// That event is written: a new span begins.
    pub(super) fn told(&mut self, unwritten: Unwritten) {
        let Unwritten { refused, waiting } = &mut self.unwritten;
        *refused = refused.saturating_sub(unwritten.refused);
        *waiting = waiting.saturating_sub(unwritten.waiting);
        self.written = 0;
    }

    fn is_over(&self, now: Duration) -> bool {
        now.saturating_sub(self.since) >= SPAN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Duration = Duration::from_secs(7);

    #[test]
    fn beyond_the_most_of_an_hour_one_event_tells_the_rest() {
        let mut quiet = Span::of(MOST);
        let written = (0..MOST + 30).filter(|_| quiet.writes(Vain::Refused, START)).count();
        assert_eq!(written, usize::try_from(MOST).unwrap());
        assert!(!quiet.writes(Vain::Waiting, START + SPAN / 2));
        assert_eq!(quiet.due(START + SPAN - Duration::from_millis(1)), None);
        // Not before the rest is told does another span begin.
        assert!(!quiet.writes(Vain::Waiting, START + SPAN));
        let rest = Unwritten { refused: 30, waiting: 2 };
        assert_eq!((quiet.due(START + SPAN), quiet.rest()), (Some(rest), Some(rest)));
        quiet.told(rest);
        assert_eq!((quiet.due(START + SPAN), quiet.rest()), (None, None));
        let written = (0..2 * MOST).filter(|_| quiet.writes(Vain::Waiting, START + SPAN)).count();
        assert_eq!(written, usize::try_from(MOST).unwrap());
    }

    #[test]
    fn few_events_are_all_written_hour_after_hour() {
        let mut quiet = Span::of(MOST);
        for hour in 0..3 {
            assert!((0..MOST).all(|_| quiet.writes(Vain::Refused, START + SPAN * hour)), "{hour}");
        }
        assert_eq!(quiet.rest(), None);
    }

    #[test]
    fn the_alarm_about_a_limit_is_raised_once_a_minute_and_hides_no_other() {
        let mut quiet = Quiet::default();
        let just = Duration::from_millis(1);
        assert!(quiet.alarms(("all", "hour"), START));
        assert!(!quiet.alarms(("all", "hour"), START + ALARM_EVERY - just));
        assert!(quiet.alarms(("all", "day"), START + ALARM_EVERY - just));
        assert!(quiet.alarms(("all", "hour"), START + ALARM_EVERY));
    }
}
