//! Tests of whether two or more series of times differ, and how far they could.

/// Below this probability two series are told apart.
pub const TOLD_APART: f64 = 1e-5;

/// As many deviations from its mean a normal value is with the probability [`TOLD_APART`].
pub(crate) const DEVIATIONS: f64 = 4.417_173;

/// What comes out of a comparison of pairs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pairs {
    /// Median of the differences.
    pub median: f64,
    /// Bootstrap interval of it, 99.9 %.
    pub interval: (f64, f64),
    /// Probability of the signs, if both are the same (two-sided).
    pub sign: f64,
    /// Probability of Wilcoxon's signed ranks, if both are the same (two-sided).
    pub wilcoxon: f64,
}

pub(crate) fn count(n: usize) -> f64 {
    u32::try_from(n).map_or(f64::INFINITY, f64::from)
}

/// Probability that a normal value is further from 0 than `z`, on either side (Press et al., `erfcc`; error below 1.2e-7,
/// relative).
pub fn beyond(z: f64) -> f64 {
    let z = z.abs() / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.5 * z);
    let terms = [
        -1.265_512_23,
        1.000_023_68,
        0.374_091_96,
        0.096_784_18,
        -0.186_288_06,
        0.278_868_07,
        -1.135_203_98,
        1.488_515_87,
        -0.822_152_23,
        0.170_872_77,
    ];
    t * (-z * z + terms.iter().rev().fold(0.0, |sum, term| sum * t + term)).exp()
}

/// Median of a series; 0 of none.
pub fn median(series: &[f64]) -> f64 {
    let mut sorted = series.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let at = |index: usize| sorted.get(index).copied().unwrap_or(0.0);
    let half = sorted.len() / 2;
    if sorted.len() % 2 == 1 { at(half) } else { f64::midpoint(at(half.saturating_sub(1)), at(half)) }
}

/// Numbers without any meaning, the same for the same seed.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// From a seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `bound`; 0 if that is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) >> 1).unwrap_or(0).checked_rem(bound).unwrap_or(0)
    }

    /// Puts a list into another order.
    pub fn shuffle<T>(&mut self, list: &mut [T]) {
        for last in (1..list.len()).rev() {
            list.swap(last, self.below(last.saturating_add(1)));
        }
    }
}

/// Percentile bootstrap of the median, 99.9 %.
fn bootstrap(series: &[f64]) -> (f64, f64) {
    const DRAWS: usize = 2_000;
    let mut random = Random::new(7);
    let mut medians: Vec<f64> = (0..DRAWS)
        .map(|_| {
            let draw = |_| series.get(random.below(series.len())).copied().unwrap_or(0.0);
            median(&series.iter().map(draw).collect::<Vec<_>>())
        })
        .collect();
    medians.sort_unstable_by(f64::total_cmp);
    let at = |index: usize| medians.get(index).copied().unwrap_or(0.0);
    (at(0), at(DRAWS.saturating_sub(1)))
}

/// Ranks from 1, equal values share theirs; and the sum of t^3 - t over groups of equal values.
fn ranks(values: &[f64]) -> (Vec<f64>, f64) {
    let mut order: Vec<(usize, f64)> = values.iter().copied().enumerate().collect();
    order.sort_unstable_by(|a, b| a.1.total_cmp(&b.1));
    let (mut ranks, mut ties, mut before) = (vec![0.0; values.len()], 0.0, 0_usize);
    for group in order.chunk_by(|a, b| a.1.total_cmp(&b.1).is_eq()) {
        let size = count(group.len());
        for (index, _) in group {
            if let Some(rank) = ranks.get_mut(*index) {
                *rank = count(before) + f64::midpoint(size, 1.0);
            }
        }
        ties += size.powi(3) - size;
        before = before.saturating_add(group.len());
    }
    (ranks, ties)
}

/// Compares two series pair by pair: `a` less `b`.
pub fn pairs(a: &[f64], b: &[f64]) -> Pairs {
    let all: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
    let differ: Vec<f64> = all.iter().copied().filter(|d| *d != 0.0).collect();
    let n = count(differ.len());
    let above = count(differ.iter().filter(|d| **d > 0.0).count());
    // Both with the correction for continuity.
    let corrected = |distance: f64, spread: f64| {
        if spread > 0.0 { beyond((distance.abs() - 0.5).max(0.0) / spread) } else { 1.0 }
    };
    let sign = corrected(above - n / 2.0, n.sqrt() / 2.0);
    let (ranks, ties) = ranks(&differ.iter().map(|d| d.abs()).collect::<Vec<_>>());
    let positive: f64 = ranks.iter().zip(&differ).filter(|(_, d)| **d > 0.0).map(|(rank, _)| rank).sum();
    let spread = (n * (n + 1.0) * (2.0 * n + 1.0) / 24.0 - ties / 48.0).sqrt();
    let wilcoxon = corrected(positive - n * (n + 1.0) / 4.0, spread);
    Pairs { median: median(&all), interval: bootstrap(&all), sign, wilcoxon }
}

/// Friedman's test: probability of the rank sums of these classes, if all are the same. Each row is one tuple.
pub fn friedman(rows: &[Vec<f64>]) -> f64 {
    let classes = rows.first().map_or(0, Vec::len);
    let (k, n) = (count(classes), count(rows.len()));
    let (mut sums, mut all_ties) = (vec![0.0; classes], 0.0);
    for row in rows {
        let (ranks, ties) = ranks(row);
        sums.iter_mut().zip(ranks).for_each(|(sum, rank)| *sum += rank);
        all_ties += ties;
    }
    let mean = n * (k + 1.0) / 2.0;
    let spread: f64 = sums.iter().map(|sum: &f64| (sum - mean).powi(2)).sum();
    let scale = n * k * (k + 1.0) - all_ties / (k - 1.0);
    if scale <= 0.0 { 1.0 } else { chi_square(12.0 * spread / scale, k - 1.0) }
}

/// Probability that a chi-square value is above this (Wilson and Hilferty 1931).
fn chi_square(value: f64, freedom: f64) -> f64 {
    let spread = 2.0 / (9.0 * freedom);
    let z = ((value / freedom).cbrt() - (1.0 - spread)) / spread.sqrt();
    if z > 0.0 { beyond(z) / 2.0 } else { 1.0 - beyond(z) / 2.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: f64, b: f64, share: f64) -> bool {
        (a - b).abs() <= share * b.abs()
    }

    /// About normal: sums of twelve.
    fn noise(seed: u64, n: usize, scale: f64) -> Vec<f64> {
        let mut random = Random::new(seed);
        let mut one = || (0..12).map(|_| count(random.below(1_000_000)) / 1e6).sum::<f64>() - 6.0;
        (0..n).map(|_| scale * one()).collect()
    }

    #[test]
    fn tails_are_as_in_tables() {
        for (z, p) in [(1.959_964, 0.05), (3.290_527, 1e-3), (4.417_173, 1e-5)] {
            assert!(near(beyond(z), p, 1e-5) && near(beyond(-z), p, 1e-5), "{z}: {}", beyond(z));
        }
        for (value, freedom, p) in [(16.919, 9.0, 0.05), (3.841, 1.0, 0.05), (27.877, 9.0, 1e-3)] {
            assert!(near(chi_square(value, freedom), p, 0.12), "{value}: {}", chi_square(value, freedom));
        }
        assert!(
            (median(&[3.0, 1.0, 2.0]) - 2.0).abs() < 1e-12
                && (median(&[4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < 1e-12
        );
    }

    #[test]
    fn equal_ranks_are_shared() {
        assert_eq!(ranks(&[10.0, 20.0, 10.0, 5.0]), (vec![2.5, 4.0, 2.5, 1.0], 6.0));
    }

    #[test]
    fn what_is_the_same_passes_and_what_differs_is_found() {
        let (a, b) = (noise(1, 2_000, 50.0), noise(2, 2_000, 50.0));
        let same = pairs(&a, &b);
        assert!(same.sign > 1e-3 && same.wilcoxon > 1e-3, "{same:?}");
        assert!(same.interval.0 < 0.0 && 0.0 < same.interval.1 && same.interval.1 < 8.0, "{same:?}");
        let later: Vec<f64> = b.iter().map(|time| time - 20.0).collect();
        let differ = pairs(&a, &later);
        assert!(differ.sign < 1e-5 && differ.wilcoxon < 1e-5 && differ.interval.0 > 10.0, "{differ:?}");
        let rows = |c: &[f64]| -> Vec<Vec<f64>> {
            a.iter().zip(&b).zip(c).map(|((a, b), c)| vec![*a, *b, *c]).collect()
        };
        let c = noise(3, 2_000, 50.0);
        let late: Vec<f64> = c.iter().map(|time| time + 20.0).collect();
        assert!(friedman(&rows(&c)) > 1e-3 && friedman(&rows(&late)) < 1e-5);
    }
}
