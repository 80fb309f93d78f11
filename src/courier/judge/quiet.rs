//! How much is written of leases that come to nothing: pure. Whoever asks in vain must not fill the courier's disk.

use std::time::Duration;

/// Events about leases that came to nothing, in one span. As many fit into a bad day of an honest authority.
pub(super) const MOST: u32 = 200;
/// From the first of them.
pub(super) const SPAN: Duration = Duration::from_secs(3600);

/// Why a lease came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Vain {
    /// Its form, the courier's policy or the authority's checkpoint.
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

/// The present span.
#[derive(Debug, Default)]
pub(super) struct Quiet {
    since: Duration,
    written: u32,
    unwritten: Unwritten,
}

impl Quiet {
    /// Whether an event is to be written; counted either way. `now` is the uptime.
    pub(super) fn writes(&mut self, vain: Vain, now: Duration) -> bool {
        if self.written == 0 || (self.unwritten == Unwritten::default() && self.is_over(now)) {
            (self.since, self.written) = (now, 0);
        }
        if self.written < MOST {
            self.written = self.written.saturating_add(1);
            return true;
        }
        let count = match vain {
            Vain::Refused => &mut self.unwritten.refused,
            Vain::Waiting => &mut self.unwritten.waiting,
        };
        *count = count.saturating_add(1);
        false
    }

    /// What is to be told in one event now that the span is over, or nothing. It is told again until
    /// [`Quiet::told`] says that it was written.
    pub(super) fn due(&self, now: Duration) -> Option<Unwritten> {
        if self.is_over(now) { self.rest() } else { None }
    }

    /// As [`Quiet::due`], whether the span is over or not.
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
        let mut quiet = Quiet::default();
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
        let mut quiet = Quiet::default();
        for hour in 0..3 {
            assert!((0..MOST).all(|_| quiet.writes(Vain::Refused, START + SPAN * hour)), "{hour}");
        }
        assert_eq!(quiet.rest(), None);
    }
}
