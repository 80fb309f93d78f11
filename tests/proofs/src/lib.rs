//! What proofs have in common: claims, their report, how a log is judged, and tests of series of times.

pub mod claim;
pub mod guesses;
pub mod report;
pub mod statistics;
