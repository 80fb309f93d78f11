//! How often a crash test crashes: as written in CI, more for `make prove`.

/// `usual`, or what the variable `SIGILLO_ROUNDS` says.
pub(crate) fn rounds(usual: usize) -> usize {
    std::env::var_os("SIGILLO_ROUNDS").and_then(|text| text.to_str()?.parse().ok()).unwrap_or(usual)
}
