//! Every function that the adapter calls fails with every return value of PKCS#11 3.0, once and until it is mended: at
//! the start, while it serves, and when a lost token is opened again. The token is SoftHSM behind a module that fails on
//! demand (`tests/shim`); the service is whole, over memory.
//!
//! Never is a wrong code accepted or a right one rejected, the tries are those that the log tells, and afterwards the
//! same process serves again, or says that it must not and the next one does. `SIGILLO_ROUNDS=100` or more (`make prove`)
//! goes through all values, else those of `values::FEW`.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a panic is how a test fails, and its table is for people"
)]

mod contact;
#[path = "../hsm/kind.rs"]
mod kind;
#[path = "../hsm/lab.rs"]
#[expect(dead_code, reason = "shared with tests/hsm")]
mod lab;
mod opening;
#[path = "../support/p11_kit.rs"]
mod p11_kit;
#[path = "../service/people.rs"]
#[expect(dead_code, reason = "shared with tests/service")]
mod people;
mod rig;
#[path = "../support/rounds.rs"]
mod rounds;
#[path = "../service/rules.rs"]
#[expect(dead_code, reason = "shared with tests/service")]
mod rules;
mod serving;
#[path = "../support/shim.rs"]
mod shim;
mod table;
mod values;
/// What `people` needs of tests/service.
mod world {
    /// A moment in 2026, before any fictional card expires.
    pub(crate) const NOW_MS: u64 = 1_780_000_000_000;
}
/// What a lab calls its children by.
mod inside {
    pub(crate) use super::child::ACT;
}
mod child;
