//! What load generator, demonstration, proofs and micro-benchmarks share: an installation of their own, a desk that talks to it, the mailbox
//! where second parts arrive, a baseline of instruction counts.

pub mod cards;
pub mod desk;
pub mod installation;
pub mod instructions;
pub mod mailbox;

#[path = "../../tests/support/limits.rs"]
mod limits;
