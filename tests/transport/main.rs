//! The transport over real sockets and real TLS.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may panic"
)]

mod cards;
mod client;
mod internal;
mod kit;
mod limits;
mod peer;
mod requests;
mod tls;
