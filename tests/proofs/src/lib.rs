//! What proofs have in common: claims, their report, how a log and answers are judged, tests of series of times and of shares, and a
//! disk with a volatile cache.

pub mod answers;
pub mod claim;
pub mod disk;
pub mod guesses;
pub mod report;
pub mod shares;
pub mod statistics;
