//! How many in the last hour and in the last day: counts by minute, pure.
//!
//! A minute counts in full for as long as any second of it does, so that no hour and no day ever holds more than its
//! limit. A clock that is set back forgets nothing.

use serde::{Deserialize, Serialize};

/// Minutes looked back at: those of the span and the one that has begun.
const HOUR: u64 = 60;
const DAY: u64 = 24 * HOUR;
const MINUTE_MS: u64 = 60_000;

/// At most so many in any hour, and in any day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// In any 60 minutes.
    pub hour: u32,
    /// In any 24 hours.
    pub day: u32,
}

/// A limit is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full {
    /// `hour` or `day`.
    pub(super) span: &'static str,
    /// When there is room again, milliseconds since 1970 UTC.
    pub(super) until_ms: u64,
}

/// What was counted, as minute since 1970 and number, the oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Window(Vec<(u64, u32)>);

impl Window {
    /// Whether one more fits.
    pub(super) fn room(&self, rate: Rate, now_ms: u64) -> Result<(), Full> {
        let day = self.room_in("day", DAY, rate.day, now_ms);
        let hour = self.room_in("hour", HOUR, rate.hour, now_ms);
        day.and(hour)
    }

    fn room_in(&self, span: &'static str, minutes: u64, limit: u32, now_ms: u64) -> Result<(), Full> {
        let first = (now_ms / MINUTE_MS).saturating_sub(minutes);
        let counted = self.0.iter().filter(|(minute, _)| *minute >= first);
        let mut sum = counted.clone().fold(0_u32, |sum, (_, count)| sum.saturating_add(*count));
        if sum < limit {
            return Ok(());
        }
        let mut until_ms = now_ms;
        for (minute, count) in counted {
            until_ms = minute.saturating_add(minutes).saturating_add(1).saturating_mul(MINUTE_MS);
            sum = sum.saturating_sub(*count);
            if sum < limit {
                break;
            }
        }
        Err(Full { span, until_ms })
    }

    /// Counts one, and forgets what is older than a day.
    pub(super) fn add(&mut self, now_ms: u64) {
        let now = now_ms / MINUTE_MS;
        match self.0.last_mut() {
            Some((minute, count)) if *minute >= now => *count = count.saturating_add(1),
            Some(_) | None => self.0.push((now, 1)),
        }
        self.0.retain(|(minute, _)| *minute >= now.saturating_sub(DAY));
    }

    /// Nothing in it counts any more.
    pub(super) fn is_over(&self, now_ms: u64) -> bool {
        self.0.iter().all(|(minute, _)| *minute < (now_ms / MINUTE_MS).saturating_sub(DAY))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: u64 = 1_800_000_000_000;
    const RATE: Rate = Rate { hour: 2, day: 3 };

    #[test]
    fn no_hour_and_no_day_holds_more_than_its_limit() {
        let mut window = Window::default();
        let mut taken: Vec<u64> = Vec::new();
        for step in 0..5000_u64 {
            let now = T + step * 29_000;
            if window.room(RATE, now).is_ok() {
                window.add(now);
                taken.push(now);
            }
        }
        for (span_ms, limit) in [(3_600_000, 2), (86_400_000, 3)] {
            for start in &taken {
                let inside = taken.iter().filter(|t| (*start..start + span_ms).contains(*t)).count();
                assert!(inside <= limit, "{inside} in {span_ms} ms");
            }
        }
        assert_eq!(taken.len(), 6, "both days are used to the full");
    }

    #[test]
    fn there_is_room_when_it_says_so_and_not_before() {
        let mut window = Window::default();
        for at in [T, T + 1_200_000] {
            window.room(RATE, at).unwrap();
            window.add(at);
        }
        let full = window.room(RATE, T + 1_300_000).unwrap_err();
        assert_eq!((full.span, full.until_ms), ("hour", T + 3_660_000));
        assert!(window.room(RATE, full.until_ms - 1).is_err());
        window.room(RATE, full.until_ms).unwrap();
        window.add(full.until_ms);
        let full = window.room(RATE, full.until_ms + 7_200_000).unwrap_err();
        assert_eq!((full.span, full.until_ms), ("day", T + 86_460_000));
        window.room(RATE, full.until_ms).unwrap();
    }

    #[test]
    fn a_clock_set_back_gives_nothing_back() {
        let mut window = Window::default();
        window.add(T);
        window.add(T - 86_400_000);
        assert_eq!(window.room(RATE, T - 86_400_000).unwrap_err().span, "hour");
        assert!(!window.is_over(T) && window.is_over(T + 86_400_000 + 60_000));
    }
}
