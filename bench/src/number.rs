//! Figures: from counts to quotients.

/// A count as a figure.
#[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "counts of a run are far below 2^53")]
pub(crate) const fn float(count: u64) -> f64 {
    count as f64
}

/// A length as a count.
pub(crate) fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// A quotient, where there is one.
pub(crate) fn per(of: f64, by: f64) -> Option<f64> {
    (by > 0.0 && of.is_finite()).then(|| of / by)
}

/// A number of draws that is the same everywhere (SplitMix64; Steele, Lea, Flood 2014). Not for secrets.
pub(crate) const fn mixed(n: u64) -> u64 {
    let z = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_no_quotient_by_nothing() {
        assert_eq!(per(6.0, 3.0), Some(2.0));
        assert_eq!(per(6.0, 0.0), None);
        assert_eq!(per(f64::NAN, 1.0), None);
    }
}
