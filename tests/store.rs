//! The store's contract, for every adapter, and what only one of them promises.

#![expect(clippy::arithmetic_side_effects, reason = "an overflow fails the test")]

#[cfg(test)]
#[path = "store/check.rs"]
mod check;
#[cfg(test)]
#[path = "store/contract.rs"]
mod contract;
#[cfg(test)]
#[path = "store/faults.rs"]
mod faults;
#[cfg(test)]
#[path = "store/io_error.rs"]
mod io_error;
#[cfg(test)]
#[path = "store/kill.rs"]
mod kill;
#[cfg(test)]
#[path = "store/on_disk.rs"]
mod on_disk;
#[cfg(test)]
#[path = "store/packs.rs"]
mod packs;
#[cfg(test)]
#[path = "store/patrol.rs"]
mod patrol;
#[cfg(test)]
#[path = "support/rounds.rs"]
mod rounds;
#[cfg(test)]
#[path = "store/setup.rs"]
mod setup;
#[cfg(test)]
#[path = "store/snapshot.rs"]
mod snapshot;
