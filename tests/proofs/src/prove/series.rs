//! Series of times of several classes: whether anything tells them apart, and what a planted difference does.

use sigillo_proofs::{
    claim::Claim,
    shares::{Share, paired},
    statistics::{TOLD_APART, friedman, median, pairs},
};

use crate::Run;

/// Answers to a verification leave on a multiple of this, microseconds, as shipped.
pub(crate) const TICK: f64 = 20_000.0;

/// What takes longer than a tick shows in no median, but in how many answers leave on a later one.
#[derive(Clone, Copy)]
pub(crate) struct Late {
    /// The tick, in the unit of the times.
    pub(crate) tick: f64,
    /// By how much shares of late answers may differ.
    pub(crate) bound: f64,
    /// The leak that is planted makes one answer of so many late by a tick: more than the bound, and than noise hides.
    pub(crate) planted: usize,
}

/// What differences are held against.
pub(crate) struct Bounds {
    /// Of times, in `unit`.
    pub(crate) time: f64,
    pub(crate) unit: &'static str,
    /// Where answers leave on a tick.
    pub(crate) late: Option<Late>,
}

/// Whether an interval lies inside a bound on both sides of 0.
fn is_inside((low, high): (f64, f64), bound: f64) -> bool {
    -bound < low && high < bound
}

/// One claim for all classes, and one or two for each beside the first. `times` are rows, one time a class.
pub(crate) fn claims(run: &Run<'_>, (classes, times): (&[&str], &[Vec<f64>]), bounds: &Bounds) -> Vec<Claim> {
    let Bounds { time: bound, unit, late } = bounds;
    let series = |class: usize| -> Vec<f64> {
        times.iter().map(|row| row.get(class).copied().unwrap_or(0.0)).collect()
    };
    let same = friedman(times);
    let leaking: Vec<Vec<f64>> = times.iter().map(|row| planted(row, 2, 2.0 * bound)).collect();
    let found = friedman(&leaking);
    let figure = format!("p = {same:.2e}; with {} {unit} planted p = {found:.2e}", 2.0 * bound);
    let mut claims = vec![run.claim(
        "the classes are not told apart by time (Friedman)",
        (figure, format!("p above {TOLD_APART:.0e}")),
        same > TOLD_APART,
        Some(found < TOLD_APART),
    )];
    let reference = series(0);
    let first = classes.first().copied().unwrap_or_default();
    for (class, name) in classes.iter().enumerate().skip(1) {
        let times = series(class);
        let pair = pairs(&times, &reference);
        let later: Vec<f64> = times.iter().map(|time| time + 2.0 * bound).collect();
        let planted = pairs(&later, &reference);
        let caught = !is_inside(planted.interval, *bound) && planted.wilcoxon < TOLD_APART;
        let figure = format!(
            "{} pairs, median {:.0} {unit}, difference {:+.1} {unit}, 99.9 % in {:+.1} to {:+.1} {unit}, half of which is {:.1} {unit}; \
             sign p = {:.1e}, Wilcoxon p = {:.1e}; with {} {unit} planted {:+.1} to {:+.1} {unit}, Wilcoxon p = {:.1e}",
            times.len(),
            median(&times),
            pair.median,
            pair.interval.0,
            pair.interval.1,
            (pair.interval.1 - pair.interval.0) / 2.0,
            pair.sign,
            pair.wilcoxon,
            2.0 * bound,
            planted.interval.0,
            planted.interval.1,
            planted.wilcoxon
        );
        let holds = is_inside(pair.interval, *bound) && pair.sign > TOLD_APART && pair.wilcoxon > TOLD_APART;
        claims.push(run.claim(
            format!("\"{name}\" takes as long as \"{first}\""),
            (figure, format!("interval inside {bound} {unit}, both p above {TOLD_APART:.0e}")),
            holds,
            Some(caught),
        ));
        if let Some(late) = late {
            claims.push(lateness(run, (name, &times), (first, &reference), (*late, unit)));
        }
    }
    claims
}

/// One claim: as many answers of a class leave a tick later or more as of the first.
fn lateness(
    run: &Run<'_>,
    (name, times): (&str, &[f64]),
    (first, reference): (&str, &[f64]),
    (Late { tick, bound, planted }, unit): (Late, &str),
) -> Claim {
    let from = median(reference) + tick / 2.0;
    let both = |times: &[f64]| -> Vec<(bool, bool)> {
        times.iter().zip(reference).map(|(one, other)| (*one > from, *other > from)).collect()
    };
    let pairs = both(times);
    let later = |(n, time): (usize, &f64)| if n.is_multiple_of(planted) { time + tick } else { *time };
    let leaking = paired(&both(&times.iter().enumerate().map(later).collect::<Vec<_>>()));
    let share = paired(&pairs);
    let percent = |is: fn(&(bool, bool)) -> bool| {
        let number = |n: usize| u32::try_from(n).map_or(f64::INFINITY, f64::from);
        100.0 * number(pairs.iter().filter(|pair| is(pair)).count()) / number(pairs.len().max(1))
    };
    let figure = format!(
        "{:.2} % and {:.2} % later than {from:.0} {unit}, difference {}; with {tick} {unit} more for one of {planted}: {}",
        percent(|pair| pair.0),
        percent(|pair| pair.1),
        told(&share),
        told(&leaking)
    );
    run.claim(
        format!("\"{name}\" leaves on a later tick as often as \"{first}\""),
        (figure, format!("interval inside {} points, p above {TOLD_APART:.0e}", 100.0 * bound)),
        is_inside(share.interval, bound) && share.same > TOLD_APART,
        Some(!is_inside(leaking.interval, bound) && leaking.same < TOLD_APART),
    )
}

fn told(share: &Share) -> String {
    let Share { difference, interval, same } = share;
    let [difference, low, high] = [*difference, interval.0, interval.1].map(|share| 100.0 * share);
    format!("{difference:+.2}, in {low:+.2} to {high:+.2} points, p = {same:.1e}")
}

/// A tuple in which one class takes longer.
fn planted(row: &[f64], class: usize, by: f64) -> Vec<f64> {
    row.iter().enumerate().map(|(n, time)| if n == class { time + by } else { *time }).collect()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use clap::Parser as _;
    use indicatif::ProgressBar;
    use sigillo_proofs::statistics::Random;

    use super::*;
    use crate::arguments::Arguments;

    #[test]
    fn what_the_planted_difference_does_is_in_the_figure() {
        let (arguments, bar) = (Arguments::try_parse_from(["prove"]).unwrap(), ProgressBar::hidden());
        let run = Run { arguments: &arguments, bar: &bar, directory: PathBuf::new(), proof: "p" };
        let mut random = Random::new(7);
        let mut time = || 100.0 + f64::from(u32::try_from(random.below(10)).unwrap());
        let times: Vec<_> = (0..200).map(|_| vec![time(), time(), time()]).collect();
        let claims = claims(&run, (&["a", "b", "c"], &times), &Bounds { time: 5.0, unit: "us", late: None });
        assert_eq!(claims.len(), 3);
        for claim in claims.iter().skip(1) {
            let (_, planted) = claim.figure.split_once("; with 10 us planted +").unwrap();
            let (low, rest) = planted.split_once(" to +").unwrap();
            let (high, p) = rest.split_once(" us, Wilcoxon p = ").unwrap();
            let [low, high, p] = [low, high, p].map(|text| text.parse::<f64>().unwrap());
            assert!(5.0 < low && low < high && high < 15.0 && p < TOLD_APART, "{}", claim.figure);
            assert!(claim.is_shown(), "{}", claim.figure);
        }
    }
}
