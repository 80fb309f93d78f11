//! The courier against a software token: with a scripted authority and gateway, and with a real relay.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a panic is how a test fails"
)]

mod accounts;
mod authority;
mod effects;
mod fakes;
mod judge;
mod kannel;
mod kept;
mod languages;
mod relay;
mod rounds;
mod smpp;
mod sms;
#[path = "../support/smsc.rs"]
mod smsc;
mod vain;
