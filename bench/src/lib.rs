//! What load generator, demonstration and proofs share: an installation of their own, a desk that talks to it, and the mailbox
//! where second parts arrive.

pub mod cards;
pub mod desk;
pub mod installation;
pub mod mailbox;

#[path = "../../tests/support/limits.rs"]
mod limits;
