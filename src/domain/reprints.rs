//! How often a card's codes were handed out again, and whether they may be once more.

use super::record::Reader;

/// When a reprint is possible again, milliseconds since 1970 UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AgainAt(pub u64);

/// The times of a card's latest reprints, oldest first, milliseconds since 1970 UTC.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reprints(Vec<u64>);

const FORMAT: u8 = 1;

impl Reprints {
    /// The most that a policy may allow in its period: so many times are kept.
    pub const MOST: usize = 20;
    /// Bytes of every stored record.
    pub const SIZE: usize = 1 + 8 * Self::MOST;

    /// With one more at `now_ms`, if fewer than `most` lie in the `per_ms` before it.
    ///
    /// # Errors
    /// When so many of them are further back than `per_ms` that there may be one more.
    pub fn once_more(&self, now_ms: u64, most: usize, per_ms: u64) -> Result<Self, AgainAt> {
        let recent: Vec<u64> =
            self.0.iter().copied().filter(|at| at.saturating_add(per_ms) > now_ms).collect();
        // The one that must lie back first: with it and the later ones there are `most`.
        if let Some(at) = recent.len().checked_sub(most).and_then(|n| recent.get(n)) {
            return Err(AgainAt(at.saturating_add(per_ms)));
        }
        let kept = self.0.len().saturating_sub(Self::MOST - 1);
        Ok(Self(self.0.iter().copied().skip(kept).chain([now_ms]).collect()))
    }

    /// The stored record: a format byte and the times, unused places zero.
    pub fn encode(&self) -> Vec<u8> {
        let unused = std::iter::repeat_n(0, Self::MOST.saturating_sub(self.0.len()));
        let places = unused.chain(self.0.iter().copied());
        std::iter::once(FORMAT).chain(places.flat_map(u64::to_be_bytes)).collect()
    }

    /// Reads a stored record; nothing if it is not one.
    pub fn decode(record: &[u8]) -> Option<Self> {
        let mut from = Reader::new(record);
        if from.byte()? != FORMAT {
            return None;
        }
        let places = (0..Self::MOST).map(|_| from.u64()).collect::<Option<Vec<_>>>()?;
        from.is_done().then(|| Self(places.into_iter().filter(|at| *at != 0).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(times: &[u64]) -> Reprints {
        Reprints(times.to_vec())
    }

    #[test]
    fn so_many_in_a_period_and_then_one_for_each_that_is_over() {
        let mut reprints = Reprints::default();
        for at in [100, 200, 200] {
            reprints = reprints.once_more(at, 3, 1000).unwrap();
        }
        assert_eq!(reprints.once_more(300, 3, 1000), Err(AgainAt(1100)));
        assert_eq!(reprints.once_more(1099, 3, 1000), Err(AgainAt(1100)));
        let next = reprints.once_more(1100, 3, 1000).unwrap();
        assert_eq!(next, after(&[100, 200, 200, 1100]));
        assert_eq!(next.once_more(1100, 3, 1000), Err(AgainAt(1200)));
        assert_eq!(
            next.once_more(1100, 2, 1000),
            Err(AgainAt(1200)),
            "a stricter policy counts what was before"
        );
        assert_eq!(next.once_more(1100, 1, 1000), Err(AgainAt(2100)));
        assert!(next.once_more(1100, 4, 1000).is_ok());
        assert!(next.once_more(1100, 3, 50).is_ok());
    }

    #[test]
    fn the_latest_are_kept() {
        let mut reprints = Reprints::default();
        for at in 1..=30 {
            reprints = reprints.once_more(at * 10, Reprints::MOST, 5).unwrap();
        }
        assert_eq!(reprints, after(&(11..=30).map(|at| at * 10).collect::<Vec<_>>()));
        assert_eq!(reprints.once_more(301, Reprints::MOST, 1000), Err(AgainAt(1110)));
    }

    #[test]
    fn records_are_of_one_size() {
        for reprints in [after(&[]), after(&[7]), after(&[1; Reprints::MOST])] {
            let record = reprints.encode();
            assert_eq!(record.len(), Reprints::SIZE);
            assert_eq!(Reprints::decode(&record), Some(reprints));
            assert_eq!(Reprints::decode(&record[1..]), None);
            assert_eq!(Reprints::decode(&[&record[..], &[0]].concat()), None);
        }
    }
}
