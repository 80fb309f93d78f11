//! What proofs have in common: claims and their report.

pub mod claim;
pub mod report;
