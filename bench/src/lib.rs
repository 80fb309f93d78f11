//! What load generator and demonstration share: an installation of their own, and a desk that talks to it.

pub mod cards;
pub mod desk;
pub mod installation;

#[path = "../../tests/support/limits.rs"]
mod limits;
