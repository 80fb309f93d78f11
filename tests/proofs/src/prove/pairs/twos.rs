//! Each two classes by themselves: what tells one class from one other is lost among what it is to all of them.

use std::collections::BTreeMap;

use sigillo_proofs::{
    claim::Claim,
    shares::{Order, order},
    statistics::TOLD_APART,
};

use super::{ROUND, Tally, percent, share};
use crate::{Run, field::CLASSES};

/// How often the one of two classes came first, by their numbers; the smaller one is meant.
pub(super) type Twos = BTreeMap<(usize, usize), Tally>;

/// Notes a pair that was sent in this order.
pub(super) fn note(twos: &mut Twos, [sent_first, sent_second]: [usize; 2], in_order: bool) {
    let two = (sent_first.min(sent_second), sent_first.max(sent_second));
    let place = usize::from(sent_first > sent_second);
    twos.entry(two).or_default().add(place, in_order == (place == 0));
}

/// Whether the order tells nothing: one half is in the interval, and that inside the bound.
fn is_even(order: &Order, bound: f64) -> bool {
    let (low, high) = order.interval;
    order.same > TOLD_APART && 0.5 - bound <= low && high <= 0.5 + bound
}

/// Each interval fails with this probability, and any of so many with the sum of theirs at most (Bonferroni): how certain all of
/// them are at one time, in percent.
fn at_one_time(number: usize) -> f64 {
    100.0 * (1.0 - TOLD_APART * f64::from(u32::try_from(number).unwrap_or(u32::MAX)))
}

/// The two whose order is furthest from one half.
fn furthest(twos: &Twos) -> Option<(&(usize, usize), &Tally)> {
    let far = |tally: &Tally| (tally.order().share - 0.5).abs();
    twos.iter().max_by(|(_, a), (_, b)| far(a).total_cmp(&far(b)))
}

fn are_even(twos: &Twos, bound: f64) -> bool {
    twos.len() == ROUND && twos.values().all(|tally| is_even(&tally.order(), bound))
}

fn told(Order { share, interval, same }: &Order) -> String {
    let [share, low, high] = [*share, interval.0.max(0.0), interval.1.min(1.0)].map(percent);
    format!("first in {share} %, {low} to {high} %, p = {same:.1e}")
}

/// One claim for all of them. Its control is the order that was planted: what is sent first where the second request leaves later,
/// and second where it does not, is taken for a class.
pub(super) fn claim(
    run: &Run<'_>,
    twos: &Twos,
    (in_order, later): ((usize, usize), (usize, usize)),
    bound: f64,
) -> Claim {
    let planted = order(later, (in_order.1.saturating_sub(in_order.0), in_order.1));
    let of = |tally: &Tally| tally.0.iter().map(|(_, of)| of).sum::<usize>();
    let width = |tally: &Tally| tally.order().interval.1 - tally.order().interval.0;
    let furthest = furthest(twos).map(|((one, other), tally)| {
        let name = |class: &usize| CLASSES.get(*class).copied().unwrap_or_default();
        let [sent_first, sent_second] = tally.0.map(share);
        format!(
            "\"{}\" against \"{}\", {} (sent first: {sent_first} %, sent second: {sent_second} %)",
            name(one),
            name(other),
            told(&tally.order())
        )
    });
    let figure = format!(
        "{} pairs of classes, each of {} meetings or more; furthest from one half: {}; the widest interval has {} points; a class \
         that is planted: {}",
        twos.len(),
        twos.values().map(of).min().unwrap_or(0),
        furthest.unwrap_or_default(),
        percent(twos.values().map(width).fold(0.0, f64::max)),
        told(&planted),
    );
    let within = if bound < 0.5 {
        format!("within {} points of it", percent(bound))
    } else {
        "of any width: in so few meetings hardly anything shows".to_owned()
    };
    let bound_told = format!(
        "50 % in each interval, p above {TOLD_APART:.0e}; the intervals, which hold all at one time with {:.3} %, {within}",
        at_one_time(twos.len())
    );
    run.claim(
        "of no two classes one is answered before the other oftener than after it",
        (figure, bound_told),
        are_even(twos, bound),
        Some(!is_even(&planted, bound)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many rounds of every two classes; who is sent first comes first in 6 of 10, and class 3 before class 7 in so many.
    fn twos(rounds: usize, three_of_ten: usize) -> Twos {
        let mut twos = Twos::new();
        for round in 0..rounds {
            for b in 0..CLASSES.len() {
                for a in 0..b {
                    let pair = if round % 2 == 0 { [a, b] } else { [b, a] };
                    let step = round / 2 % 10;
                    let in_order =
                        if (a, b) == (3, 7) { (step < three_of_ten) == (pair[0] == 3) } else { step < 6 };
                    note(&mut twos, pair, in_order);
                }
            }
        }
        twos
    }

    #[test]
    fn what_one_class_does_to_one_other_is_found() {
        let [even, uneven] = [5, 8].map(|of_ten| twos(880, of_ten));
        assert!(are_even(&even, 0.15) && !are_even(&uneven, 0.15) && !are_even(&uneven, f64::INFINITY));
        assert_eq!(furthest(&uneven).map(|(two, _)| *two), Some((3, 7)));
        assert!((furthest(&uneven).unwrap().1.order().share - 0.8).abs() < 0.01);
        // All others together hide it.
        let mut of_class = Tally::default();
        for (_, tally) in uneven.iter().filter(|((a, _), _)| *a == 3) {
            for (place, (so, of)) in tally.0.into_iter().enumerate() {
                (0..of).for_each(|n| of_class.add(place, n < so));
            }
        }
        assert!((of_class.order().share - 0.5).abs() < 0.06, "{:?}", of_class.order());
    }

    #[test]
    fn too_few_meetings_and_too_few_classes_show_nothing() {
        assert!(!are_even(&twos(100, 5), 0.15) && are_even(&twos(100, 5), f64::INFINITY));
        let mut fewer = twos(880, 5);
        fewer.pop_last();
        assert!(!are_even(&fewer, 0.15) && !are_even(&Twos::new(), f64::INFINITY));
        assert!((at_one_time(ROUND) - 99.955).abs() < 1e-9);
    }
}
