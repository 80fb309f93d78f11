//! How often one card is unlocked: pure. Wrong guesses that somebody forgives time and again are still guesses.

use super::tries::NotUnlocked;

/// At most so many in any such time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Often {
    /// How many.
    pub most: u8,
    /// In which time, milliseconds.
    pub within_ms: u64,
}

/// When a card was unlocked, as long as that counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unlocks(Vec<u64>);

impl Unlocks {
    /// One more, now.
    ///
    /// # Errors
    /// [`NotUnlocked::TooMany`].
    pub fn once_more(mut self, often: Often, now_ms: u64) -> Result<Self, NotUnlocked> {
        // A time to come is that of a clock since set back: it counts.
        self.0.retain(|at_ms| at_ms.saturating_add(often.within_ms) > now_ms);
        if self.0.len() >= usize::from(often.most) {
            return Err(NotUnlocked::TooMany);
        }
        self.0.push(now_ms);
        Ok(self)
    }

    /// The stored record: big-endian milliseconds since 1970 UTC, eight bytes each.
    pub fn encode(&self) -> Vec<u8> {
        self.0.iter().flat_map(|at_ms| at_ms.to_be_bytes()).collect()
    }

    /// Reads a stored record; nothing if it is not one.
    pub fn decode(record: &[u8]) -> Option<Self> {
        let (times, rest) = record.as_chunks::<8>();
        rest.is_empty().then(|| Self(times.iter().copied().map(u64::from_be_bytes).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_in_any_such_time() {
        let often = Often { most: 2, within_ms: 100 };
        let more = |unlocks: &Unlocks, now| unlocks.clone().once_more(often, now);
        let two = more(&more(&Unlocks::default(), 1000).unwrap(), 1050).unwrap();
        assert_eq!(more(&two, 1099), Err(NotUnlocked::TooMany));
        assert_eq!(more(&two, 10), Err(NotUnlocked::TooMany), "a clock set back gives nothing");
        let third = more(&two, 1100).unwrap();
        assert_eq!(more(&third, 1149), Err(NotUnlocked::TooMany));
        assert_eq!(Unlocks::decode(&third.encode()), Some(third.clone()));
        assert_eq!(third.encode().len(), 16, "what counts no more is gone");
        assert_eq!(Unlocks::decode(&[0; 7]), None);
    }
}
