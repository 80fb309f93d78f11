//! The whole of it, from outside: the real program, real tokens in SoftHSM, real mutual TLS, a real mail relay.
//!
//! Every test has an installation of its own or shares one with tests that do not disturb each other; nothing is
//! asserted about elapsed time.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a panic is how a test fails"
)]

/// The allocator of the program, without its wiping.
#[global_allocator]
static UNWIPED: mimalloc::MiMalloc = mimalloc::MiMalloc;

mod fixture;

mod approvals;
mod audit_key;
mod backups;
mod bad_input;
mod batch;
mod bounces;
mod callers;
mod confined;
mod contract;
mod crash;
mod damage;
mod deliveries;
mod deliveries_in_outages;
mod direct;
mod floods;
mod going_back;
mod guesses;
mod hsm_loss;
mod hsm_shim;
mod import;
mod inside;
mod internal;
mod journey;
mod languages;
mod memory;
mod nothing_to_steal;
mod operators;
mod outage;
mod p11_kit;
#[path = "../support/p11_kit.rs"]
mod p11_kit_server;
mod personalise;
mod policies;
mod procedures;
mod recover;
mod recover_operators;
mod refused_start;
mod registry;
#[path = "../support/rounds.rs"]
mod rounds;
mod rules;
#[path = "../support/shim.rs"]
#[expect(dead_code, reason = "shared with tests/hsm_faults")]
mod shim;
mod smart_card;
mod smpp;
mod sms;
#[path = "../support/smsc.rs"]
mod smsc;
mod snapshot;
mod taken_over;
mod versions;
mod witness;
