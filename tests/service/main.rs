//! The whole service over memory: a store and a token with faults on demand, a clock that moves when told, and a
//! courier that derives second parts as the real one does.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a panic is how a test fails"
)]

mod accounts;
mod applicants;
mod approvals;
mod approvals_faults;
mod audit;
mod audit_key;
mod backup;
mod consents;
mod contacts;
mod deliveries;
mod ends;
mod export;
mod faults;
mod faults_courier;
mod faults_hsm;
mod former;
mod going_back;
mod guesses;
mod history;
mod idempotency;
mod journey;
mod languages;
mod limits;
mod model;
mod own_card;
mod people;
mod policies;
mod post;
mod presented;
mod readers;
mod recover;
mod recover_operators;
mod registration;
mod registry;
mod renewals;
mod replay;
mod reprints;
mod resends;
mod revocations;
mod rules;
mod salts;
mod secrets;
mod self_renewals;
mod shape;
mod statistics;
mod templates;
mod unlocks;
mod watch;
mod witness;
mod world;
