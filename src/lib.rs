//! Sigillo, the credential authority behind the Italian health card (TS-CNS).
//!
//! Layers, top down: `cli` -> `routes`, `http`, `courier` -> `service` -> `domain` and the ports `hsm`, `store`,
//! `clock`; adapters know their port, the domain and `secret`, nothing above (`tests/tidy.rs` checks it).

pub mod cli;
pub mod clock;
pub mod domain;
pub mod hsm;
pub mod seal;
pub mod secret;
pub mod store;
