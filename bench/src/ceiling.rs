//! Ceilings, measured in the same run: what TLS, HTTP, the HSM and the disk cost without Sigillo.

pub(crate) mod disk;
pub(crate) mod hello;
pub(crate) mod hsm;
pub(crate) mod wire;
