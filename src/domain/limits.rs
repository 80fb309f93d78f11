//! Limits: how often an operator, an office or a front end may ask, by minute, hour and day. Pure.
//!
//! A use is *charged* before anything is evaluated; what was charged for a wrong guess is given back once a code was
//! right. Windows are those of the UTC clock, the same for everybody, so that the uses of one operator in a window can be
//! compared with the limit of the office in the same one. They never give more than the limit in one window. A clock that
//! is set back by less than a window finds the counts as they were; one that was far ahead locks nobody out.

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Use {
    /// A request that finds a card by its number: look-up, activation, reprint, revocation.
    LookUp,
    /// A presented C.I.P.
    Verification,
    /// A presented C.I.P. that is not right, or not yet known to be.
    WrongGuess,
}

impl Use {
    /// All of them, in the order of records.
    pub const ALL: [Self; 3] = [Self::LookUp, Self::Verification, Self::WrongGuess];

    /// Its name in the policy, in events and metrics.
    pub const fn text(self) -> &'static str {
        match self {
            Self::LookUp => "look_ups",
            Self::Verification => "verifications",
            Self::WrongGuess => "wrong_guesses",
        }
    }
}

/// Over what time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Window {
    /// A minute of the clock.
    Minute,
    /// An hour of the clock.
    Hour,
    /// A day in UTC.
    Day,
}

impl Window {
    /// All of them, in the order of records.
    pub const ALL: [Self; 3] = [Self::Minute, Self::Hour, Self::Day];

    /// Its name in the policy and in events.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Minute => "per_minute",
            Self::Hour => "per_hour",
            Self::Day => "per_day",
        }
    }

    const fn length_ms(self) -> u64 {
        match self {
            Self::Minute => 60_000,
            Self::Hour => 3_600_000,
            Self::Day => 86_400_000,
        }
    }

    /// Number of the window that holds this moment (milliseconds since 1970 UTC).
    pub fn number(self, at_ms: u64) -> u64 {
        at_ms.checked_div(self.length_ms()).unwrap_or(0)
    }

    /// When the window that holds this moment ends.
    pub fn end_ms(self, at_ms: u64) -> u64 {
        self.number(at_ms).saturating_add(1).saturating_mul(self.length_ms())
    }
}

/// The most of one use, by window: 1 or more, and no window has less than a shorter one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Most {
    /// In a minute.
    pub per_minute: u32,
    /// In an hour.
    pub per_hour: u32,
    /// In a day.
    pub per_day: u32,
}

impl Most {
    /// The most in this window.
    pub const fn of(self, window: Window) -> u32 {
        match window {
            Window::Minute => self.per_minute,
            Window::Hour => self.per_hour,
            Window::Day => self.per_day,
        }
    }
}

/// What one of them may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Of [`Use::LookUp`].
    pub look_ups: Most,
    /// Of [`Use::Verification`].
    pub verifications: Most,
    /// Of [`Use::WrongGuess`]; nothing where they are not counted.
    pub wrong_guesses: Option<Most>,
}

impl Budget {
    /// The most of this use, where it is limited.
    pub const fn of(&self, what: Use) -> Option<Most> {
        match what {
            Use::LookUp => Some(self.look_ups),
            Use::Verification => Some(self.verifications),
            Use::WrongGuess => self.wrong_guesses,
        }
    }

    /// How many right guesses are expected in a window, at most, of who presents codes until nothing is left and is right with
    /// the chance `p` (0 to 1) each time. Right ones are given back: with `w` wrong ones to spend, `w / (1 - p)` codes are
    /// presented on average, and never more than the verifications.
    pub fn right_guesses(&self, window: Window, p: f64) -> f64 {
        let presented = f64::from(self.verifications.of(window));
        let until_spent = self.wrong_guesses.map(|most| f64::from(most.of(window)) / (1.0 - p));
        p * until_spent.map_or(presented, |n| n.min(presented))
    }
}

/// A limit that leaves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reached {
    /// Of what.
    pub what: Use,
    /// In which window; the longest, if several leave nothing.
    pub window: Window,
    /// The limit.
    pub most: u32,
    /// When that window ends, milliseconds since 1970 UTC.
    pub until_ms: u64,
}

/// What somebody has used in the windows of the last use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// Numbers of the windows, in the order of [`Window::ALL`].
    windows: [u64; 3],
    /// By use, then by window.
    counts: [[u32; 3]; 3],
}

impl Used {
    /// Bytes of [`Used::encode`].
    pub const SIZE: usize = 61;
    const FORMAT: u8 = 1;

    /// The counts as they hold at `now_ms`. The next window, which a clock that was set back leaves, becomes that of now with
    /// the counts that it has.
    fn at(mut self, now_ms: u64) -> Self {
        for (place, window) in Window::ALL.into_iter().enumerate() {
            let now = window.number(now_ms);
            let Some(number) = self.windows.get_mut(place) else { continue };
            let is_over = *number != now && *number != now.saturating_add(1);
            *number = now;
            if is_over {
                self.counts
                    .iter_mut()
                    .filter_map(|of_use| of_use.get_mut(place))
                    .for_each(|count| *count = 0);
            }
        }
        self
    }

    fn count(&self, what: Use, place: usize) -> u32 {
        let of_use = Use::ALL.iter().zip(&self.counts).find(|(other, _)| **other == what);
        of_use.and_then(|(_, counts)| counts.get(place)).copied().unwrap_or(u32::MAX)
    }

    fn change(&mut self, what: Use, change: impl Fn(usize, &mut u32)) {
        let of_use = Use::ALL.iter().zip(&mut self.counts).find(|(other, _)| **other == what);
        if let Some((_, counts)) = of_use {
            counts.iter_mut().enumerate().for_each(|(place, count)| change(place, count));
        }
    }

    /// Counts one of each of `uses`, or none of them if the budget has none left of one.
    pub fn charge(self, now_ms: u64, uses: &[Use], budget: &Budget) -> Result<Self, Reached> {
        let mut after = self.at(now_ms);
        for (place, window) in Window::ALL.into_iter().enumerate().rev() {
            for what in uses {
                let Some(most) = budget.of(*what).map(|most| most.of(window)) else { continue };
                if after.count(*what, place) >= most {
                    return Err(Reached { what: *what, window, most, until_ms: window.end_ms(now_ms) });
                }
            }
        }
        for what in uses {
            after.change(*what, |_, count| *count = count.saturating_add(1));
        }
        Ok(after)
    }

    /// Gives one of `what` back that was charged at `charged_ms`, in those windows that are still the same.
    #[must_use]
    pub fn refund(mut self, charged_ms: u64, what: Use) -> Self {
        let windows = self.windows;
        self.change(what, |place, count| {
            let window = Window::ALL.get(place).map(|window| window.number(charged_ms));
            if window == windows.get(place).copied() {
                *count = count.saturating_sub(1);
            }
        });
        self
    }

    /// The stored record: format byte, numbers of the windows, counts. Same size for everybody.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![Self::FORMAT];
        self.windows.iter().for_each(|number| out.extend(number.to_be_bytes()));
        self.counts.iter().flatten().for_each(|count| out.extend(count.to_be_bytes()));
        out
    }

    /// Reads a stored record; nothing if it is not one.
    pub fn decode(record: &[u8]) -> Option<Self> {
        let (format, rest) = record.split_first()?;
        if *format != Self::FORMAT || record.len() != Self::SIZE {
            return None;
        }
        let (windows, counts) = rest.split_at_checked(24)?;
        let mut used = Self::default();
        for (to, from) in used.windows.iter_mut().zip(windows.chunks_exact(8)) {
            *to = u64::from_be_bytes(from.try_into().ok()?);
        }
        for (to, from) in used.counts.iter_mut().flatten().zip(counts.chunks_exact(4)) {
            *to = u32::from_be_bytes(from.try_into().ok()?);
        }
        Some(used)
    }
}

#[cfg(test)]
mod tests;
