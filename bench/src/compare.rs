//! Two files of results: how much the second differs from the first, with intervals.
//!
//! The windows of each run (half a second each) are drawn anew with replacement, 10,000 times (bootstrap); the interval holds
//! the middle 95 % of the quotients. One that holds 1 tells no difference, nor does one of few windows, which is too narrow.

use std::fmt::Write;

use crate::{
    number::{float, mixed, per},
    run::{Run, Window},
};

const DRAWS: u64 = 10_000;
/// Windows of each file below which an interval says nothing.
const ENOUGH: usize = 8;

/// A figure of a window, with its weight.
type Figure = fn(&Window) -> Option<(f64, f64)>;

/// What is compared: name, and sum and weight of a window whose quotient it is.
const FIGURES: [(&str, Figure); 5] = [
    ("requests a second", |window| Some((float(window.requests), window.seconds))),
    ("server's CPU each", |window| weighted(window, window.server_us)),
    ("client's CPU each", |window| weighted(window, window.client_us)),
    ("p50", |window| weighted(window, Some(float(window.p50_us)))),
    ("p99", |window| weighted(window, Some(float(window.p99_us)))),
];

fn weighted(window: &Window, each: Option<f64>) -> Option<(f64, f64)> {
    let weight = float(window.requests);
    each.map(|each| (each * weight, weight))
}

/// A mean over windows, of those that `draw` gives.
fn mean(windows: &[(f64, f64)], mut draw: impl FnMut(usize) -> usize) -> Option<f64> {
    let (mut sum, mut weight) = (0.0, 0.0);
    for index in 0..windows.len() {
        let (one, its) = windows.get(draw(index))?;
        sum += one;
        weight += its;
    }
    per(sum, weight)
}

/// A quotient and the interval around it.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Quotient {
    of: f64,
    low: f64,
    high: f64,
}

fn quotient(before: &[(f64, f64)], after: &[(f64, f64)]) -> Option<Quotient> {
    let of = per(mean(after, |index| index)?, mean(before, |index| index)?)?;
    let mut seed = 0_u64;
    let mut draw = |among: usize| {
        seed = seed.wrapping_add(1);
        let among = u64::try_from(among).unwrap_or(u64::MAX);
        mixed(seed).checked_rem(among).and_then(|n| usize::try_from(n).ok()).unwrap_or(0)
    };
    let mut drawn = Vec::new();
    for _ in 0..DRAWS {
        let after = mean(after, |_| draw(after.len()))?;
        let before = mean(before, |_| draw(before.len()))?;
        drawn.extend(per(after, before));
    }
    drawn.sort_unstable_by(f64::total_cmp);
    let at = |of_thousand: usize| {
        let index = drawn.len().saturating_mul(of_thousand).checked_div(1000)?;
        drawn.get(index.min(drawn.len().saturating_sub(1))).copied()
    };
    Some(Quotient { of, low: at(25)?, high: at(975)? })
}

/// Runs of one name and pace, as one: those of a report are made in turns.
fn together(runs: &[Run]) -> Vec<(String, Vec<Window>)> {
    let mut all: Vec<(String, Vec<Window>)> = Vec::new();
    for run in runs {
        let name = format!("{}, {}", run.what, run.pace);
        match all.iter_mut().find(|(other, _)| *other == name) {
            Some((_, windows)) => windows.extend_from_slice(&run.windows),
            None => all.push((name, run.windows.clone())),
        }
    }
    all
}

/// A table for people, of the runs that both files have, and the names of the others.
pub(crate) fn table(before: &[Run], after: &[Run]) -> Result<String, String> {
    let (before, mut after) = (together(before), together(after));
    let (mut text, mut alone) = (String::new(), Vec::new());
    for (name, first) in before {
        let Some(second) = after.iter().position(|(other, _)| *other == name) else {
            alone.push(name);
            continue;
        };
        let (_, second) = after.remove(second);
        writeln!(text, "{name}").map_err(|e| e.to_string())?;
        for (figure_name, figure) in FIGURES {
            let windows = |windows: &[Window]| windows.iter().filter_map(figure).collect::<Vec<_>>();
            let (before, after) = (windows(&first), windows(&second));
            let Some(Quotient { of, low, high }) = quotient(&before, &after) else {
                continue;
            };
            let said = match before.len().min(after.len()) {
                ..ENOUGH => "too few parts to tell",
                _ if low <= 1.0 && 1.0 <= high => "no difference told",
                _ => "differs",
            };
            writeln!(text, "  {figure_name:<18} x {of:.3}  [{low:.3}, {high:.3}]  {said}")
                .map_err(|e| e.to_string())?;
        }
    }
    if text.is_empty() {
        return Err("the two files have no run in common (same name and same pace)".into());
    }
    for name in alone.into_iter().chain(after.into_iter().map(|(name, _)| name)) {
        writeln!(text, "in one file only: {name}").map_err(|e| e.to_string())?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(requests: &[u64]) -> Run {
        let window =
            |requests: &u64| Window { seconds: 1.0, requests: *requests, p50_us: 1000, ..Window::default() };
        Run { what: "verify".into(), windows: requests.iter().map(window).collect(), ..Run::default() }
    }

    #[test]
    fn a_real_difference_is_told_and_noise_is_not() {
        let (slow, fast) =
            (run(&[100, 104, 98, 101, 97, 103, 99, 102]), run(&[200, 207, 195, 201, 203, 203, 198, 206]));
        let text = table(std::slice::from_ref(&slow), &[fast]).unwrap();
        let rate = text.lines().nth(1).unwrap();
        assert!(rate.contains("x 2.0") && rate.ends_with("differs"), "{text}");
        let again = run(&[99, 105, 96, 102, 100, 98, 104, 101]);
        let text = table(&[slow], std::slice::from_ref(&again)).unwrap();
        assert!(text.lines().nth(1).unwrap().ends_with("no difference told"), "{text}");
        // What neither has is not compared.
        assert!(!text.contains("server's CPU"));
        // One part has no spread, and seven have little.
        for few in [&[50][..], &[50; 7]] {
            let text = table(&[run(few)], std::slice::from_ref(&again)).unwrap();
            assert!(text.lines().nth(1).unwrap().ends_with("too few parts to tell"), "{text}");
        }
    }

    #[test]
    fn the_interval_is_around_the_quotient_and_is_the_same_each_time() {
        let windows: Vec<_> = [3.0, 5.0, 4.0, 6.0].map(|sum| (sum, 1.0)).to_vec();
        let first = quotient(&windows, &windows).unwrap();
        assert!(first.low < 1.0 && 1.0 < first.high && (first.of - 1.0).abs() < 1e-9);
        assert_eq!(quotient(&windows, &windows), Some(first));
        assert_eq!(quotient(&[], &windows), None);
    }

    #[test]
    fn runs_of_one_name_are_one_and_the_others_are_named() {
        let other = Run { what: "activate".into(), ..run(&[50]) };
        let (first, second) = (run(&[100, 104, 96, 101]), run(&[300, 296, 304, 299]));
        let text = table(&[first, second], &[run(&[200, 210, 190, 201, 198, 203, 196, 202]), other]).unwrap();
        let rate = text.lines().nth(1).unwrap();
        assert!(rate.contains("x 1.00") && rate.ends_with("no difference told"), "{text}");
        assert_eq!(text.lines().filter(|line| line.starts_with("verify")).count(), 1);
        assert!(text.ends_with("in one file only: activate, \n"), "{text}");
    }

    #[test]
    fn files_without_a_run_in_common_are_refused() {
        let other = Run { what: "activate".into(), ..Run::default() };
        table(&[run(&[1])], &[other]).unwrap_err();
    }
}
