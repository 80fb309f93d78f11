//! Smart cards: the program against a real pcscd with a virtual CNS card in its virtual reader.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a failed test panics"
)]

mod counter;
mod login;
mod opensc;
mod operator;
mod server;
mod stage;
mod standin;
mod terminal;
