//! Operators' certificates: a table of good and bad ones with the code of each, and what is remembered of them.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "clippy allows these in test functions, and not in what test functions call; an overflow fails the test"
)]

mod build;
mod der;
mod remembered;
mod said;
mod table;
mod world;
