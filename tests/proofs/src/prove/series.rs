//! Series of times of several classes: whether anything tells them apart, and what a planted difference does.

use sigillo_proofs::{
    claim::Claim,
    statistics::{TOLD_APART, friedman, median, pairs},
};

use crate::Run;

/// One claim for all classes, and one for each beside the first. `times` are rows, one time a class; `bound` is in the unit
/// that they are in.
pub(crate) fn claims(
    run: &Run<'_>,
    (classes, times): (&[&str], &[Vec<f64>]),
    bound: f64,
    unit: &str,
) -> Vec<Claim> {
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
        let is_inside = |(low, high): (f64, f64)| -bound < low && high < bound;
        let late: Vec<f64> = times.iter().map(|time| time + 2.0 * bound).collect();
        let planted = pairs(&late, &reference);
        let caught = !is_inside(planted.interval) && planted.wilcoxon < TOLD_APART;
        let figure = format!(
            "{} pairs, median {:.0} {unit}, difference {:+.1} {unit}, 99.9 % in {:+.1} to {:+.1} {unit}; sign p = {:.1e}, Wilcoxon \
             p = {:.1e}; smallest effect that it sees: {:.1} {unit}",
            times.len(),
            median(&times),
            pair.median,
            pair.interval.0,
            pair.interval.1,
            pair.sign,
            pair.wilcoxon,
            (pair.interval.1 - pair.interval.0) / 2.0
        );
        let holds = is_inside(pair.interval) && pair.sign > TOLD_APART && pair.wilcoxon > TOLD_APART;
        claims.push(run.claim(
            format!("\"{name}\" takes as long as \"{first}\""),
            (figure, format!("interval inside {bound} {unit}, both p above {TOLD_APART:.0e}")),
            holds,
            Some(caught),
        ));
    }
    claims
}

/// A tuple in which one class takes longer.
fn planted(row: &[f64], class: usize, by: f64) -> Vec<f64> {
    row.iter().enumerate().map(|(n, time)| if n == class { time + by } else { *time }).collect()
}
