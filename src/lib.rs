//! Sigillo, the credential authority behind the Italian health card (TS-CNS).
//!
//! Layers, top down: `cli` -> `routes`, `http`, `courier` -> `service` -> `domain` and the ports `hsm`, `store`,
//! `clock`; adapters know their port, the domain and `secret`, nothing above (`tests/tidy.rs` checks it).

pub mod api;
pub mod auth;
pub mod backup;
pub mod card;
pub mod card_export;
pub mod cli;
pub mod client;
pub mod clock;
pub mod courier;
pub mod domain;
pub mod files;
pub mod hsm;
pub mod http;
pub mod metrics;
pub mod officer_key;
pub mod panics;
pub mod personalise;
pub mod pki;
pub mod policy;
pub mod routes;
pub mod sandbox;
pub mod seal;
pub mod secret;
pub mod service;
pub mod store;
pub mod tls;
pub mod witness;
