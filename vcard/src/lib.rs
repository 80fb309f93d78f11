//! A virtual CNS card in a virtual reader of the real pcscd, in namespaces of one's own: for tests and the demonstration.
//!
//! It knows no Sigillo, so that it cannot agree with it by mistake, and no program that is shipped has it (`tests/tidy.rs`).
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a fault in it ends the test or the demonstration that uses it"
)]

pub mod card;
pub mod cns;
pub mod counter;
pub mod reader;

mod rsa;
