//! Parts are uniform: chi-square over a million parts of each length that shipped templates use.
//!
//! The MACs are HMACs over a counter under fixed keys, so every run gives the same statistic. A correct program fails
//! for two keys in a million; these keys are known to be none of them.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a panic is how a test fails"
)]

use aws_lc_rs::hmac;
use sigillo::{domain::derive, secret::Secret};

const PARTS: u32 = 1_000_000;

/// Quantile of the normal distribution at 1 - 1e-6.
const Z: f64 = 4.753_424;

fn count(cells: &[u32]) -> f64 {
    f64::from(u32::try_from(cells.len()).unwrap())
}

/// Refuses a chi-square statistic whose probability is below 1e-6 on either side (Wilson and Hilferty 1931).
fn check(what: &str, cells: &[u32]) {
    let total: u32 = cells.iter().sum();
    let expected = f64::from(total) / count(cells);
    let statistic: f64 = cells.iter().map(|n| (f64::from(*n) - expected).powi(2) / expected).sum();
    let freedom = count(cells) - 1.0;
    let quantile = |z: f64| {
        let spread = 2.0 / (9.0 * freedom);
        freedom * (1.0 - spread + z * spread.sqrt()).powi(3)
    };
    let (low, high) = (quantile(-Z), quantile(Z));
    assert!((low..=high).contains(&statistic), "{what}: {statistic:.1} is not in {low:.1}..={high:.1}");
}

/// Counts `PARTS` parts of `length` digits: whole values up to four digits, else each pair of neighbours.
fn uniform(length: u8) {
    let key = hmac::Key::new(hmac::HMAC_SHA256, &[length; 32]);
    let width = usize::from(length);
    let window = if width <= 4 { width } else { 2 };
    let mut cells = vec![vec![0_u32; 10_usize.pow(u32::try_from(window).unwrap())]; width - window + 1];
    for counter in 0..PARTS {
        let tag = hmac::sign(&key, &counter.to_be_bytes());
        let part = derive::digits(&Secret::new(tag.as_ref().try_into().unwrap()), length).unwrap();
        for (cells, digits) in cells.iter_mut().zip(part.expose().as_bytes().windows(window)) {
            let value = digits.iter().fold(0, |sum, digit| sum * 10 + usize::from(digit - b'0'));
            cells[value] += 1;
        }
    }
    for (position, cells) in cells.iter().enumerate() {
        check(&format!("{length} digits from {position}"), cells);
    }
}

#[test]
fn two_digits() {
    uniform(2);
}

#[test]
fn three_digits() {
    uniform(3);
}

#[test]
fn four_digits() {
    uniform(4);
}

#[test]
fn five_digits() {
    uniform(5);
}

#[test]
fn six_digits() {
    uniform(6);
}

#[test]
fn eight_digits() {
    uniform(8);
}

/// The check itself bites: a value that comes up too seldom, and counts too even to be random.
#[test]
fn bias_is_found() {
    let fails = |cells: Vec<u32>| std::panic::catch_unwind(|| check("biased", &cells)).is_err();
    let mut cells = vec![10_000; 100];
    assert!(fails(cells.clone()), "too even");
    for (number, cell) in (0..).zip(&mut cells) {
        *cell = if number % 2 == 0 { 9_900 } else { 10_100 };
    }
    assert!(!fails(cells.clone()), "as random counts scatter");
    cells[0] -= 1_500;
    cells[99] += 1_500;
    assert!(fails(cells), "one value came up too seldom");
}
