//! Tests of how often something happens, and how far shares could differ.

use crate::statistics::{DEVIATIONS, beyond, count};

/// By how much two shares differ.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    /// The one less the other.
    pub difference: f64,
    /// Interval of it: 0 is outside if `same` is below [`TOLD_APART`](crate::statistics::TOLD_APART).
    pub interval: (f64, f64),
    /// Probability of it, if both are the same (two-sided).
    pub same: f64,
}

impl Share {
    fn of(difference: f64, deviation: f64) -> Self {
        let interval = (difference - DEVIATIONS * deviation, difference + DEVIATIONS * deviation);
        Self { difference, interval, same: beyond(difference / deviation) }
    }
}

/// What comes out of a count of which of two came first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Order {
    /// Share in which the one came first, as if it had been sent first as often as second.
    pub share: f64,
    /// Interval of it: one half is outside if `same` is below [`TOLD_APART`](crate::statistics::TOLD_APART).
    pub interval: (f64, f64),
    /// Probability of it, if both are the same (two-sided).
    pub same: f64,
}

/// It happened so often of so many, there and here, to things that have nothing to do with each other (Agresti and Caffo 2000, with
/// one of either kind more).
pub fn differ(there: (usize, usize), here: (usize, usize)) -> Share {
    let [there, here] = [there, here].map(|(part, of)| {
        let n = count(of) + 2.0;
        let share = (count(part) + 1.0) / n;
        (share, share * (1.0 - share) / n)
    });
    Share::of(there.0 - here.0, (there.1 + here.1).sqrt())
}

/// Whether it happened to the one and to the other of each pair (Bonett and Price 2012, with one pair of either kind more): what
/// happens to both is no difference between them.
pub fn paired(pairs: &[(bool, bool)]) -> Share {
    let n = count(pairs.len()) + 2.0;
    let share = |which: (bool, bool)| (count(pairs.iter().filter(|pair| **pair == which).count()) + 1.0) / n;
    let (one, other) = (share((true, false)), share((false, true)));
    let difference = one - other;
    Share::of(difference, ((one + other - difference * difference) / n).sqrt())
}

/// How often the one of two came first: so often of so many where it was sent first, and where it was sent second. That who is
/// sent first comes first is no difference between them; each place counts by itself.
pub fn order(sent_first: (usize, usize), sent_second: (usize, usize)) -> Order {
    let (first, of) = sent_second;
    let Share { difference, interval, same } = differ(sent_first, (of.saturating_sub(first), of));
    let half = |difference: f64| 0.5 + difference / 2.0;
    Order { share: half(difference), interval: (half(interval.0), half(interval.1)), same }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::TOLD_APART;

    fn agrees(share: &Share) -> bool {
        (share.same < TOLD_APART) == (share.interval.0 > 0.0 || share.interval.1 < 0.0)
    }

    #[test]
    fn order_tells_classes_apart_and_not_places() {
        for (first, second) in [((505, 1_000), (489, 1_000)), ((998, 1_000), (1, 1_000)), ((0, 0), (0, 0))] {
            let same = order(first, second);
            assert!(same.same > 1e-3 && same.interval.0 < 0.5 && 0.5 < same.interval.1, "{same:?}");
        }
        for (first, second) in
            [((600, 1_000), (580, 1_000)), ((999, 1_000), (60, 1_000)), ((900, 1_000), (0, 0))]
        {
            let differs = order(first, second);
            assert!(differs.share > 0.5, "{differs:?}");
            assert_eq!(differs.same < TOLD_APART, differs.interval.0 > 0.5, "{differs:?}");
            assert_eq!(differs.same < TOLD_APART, second.1 > 0, "{differs:?}");
        }
    }

    #[test]
    fn shares_that_differ_are_found_and_others_are_not() {
        // By hand: 61/102 less 41/102, over the root of both variances.
        let some = differ((60, 100), (40, 100));
        assert!(
            (some.difference - 0.196_078).abs() < 1e-6 && (some.same - 0.004_290).abs() < 1e-5,
            "{some:?}"
        );
        for (there, here, told) in
            [((580, 1_000), (23_000, 40_000), false), ((700, 1_000), (23_000, 40_000), true)]
        {
            let share = differ(there, here);
            assert!(agrees(&share) && (share.same < TOLD_APART) == told, "{share:?}");
        }
    }

    #[test]
    fn what_happens_to_both_of_a_pair_is_no_difference() {
        let pairs = |both: usize, one: usize, other: usize, none: usize| {
            let kinds =
                [((true, true), both), ((true, false), one), ((false, true), other), ((false, false), none)];
            kinds.iter().flat_map(|(kind, n)| vec![*kind; *n]).collect::<Vec<_>>()
        };
        for (both, none) in [(400, 500), (0, 900)] {
            let (same, late) = (paired(&pairs(both, 52, 48, none)), paired(&pairs(both, 95, 5, none)));
            assert!(agrees(&same) && same.same > 0.5 && same.interval.1 < 0.06, "{same:?}");
            assert!(agrees(&late) && late.same < TOLD_APART && late.interval.0 > 0.04, "{late:?}");
        }
        assert!((paired(&[]).difference).abs() < 1e-12);
    }
}
