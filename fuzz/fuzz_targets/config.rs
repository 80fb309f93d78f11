//! Configuration of a token, of a courier, and what a courier's officers allow it.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use sigillo::{courier, hsm};
use tempfile::TempDir;

static AT: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().unwrap());

fuzz_target!(|bytes: &[u8]| {
    let file = AT.path().join("config.toml");
    std::fs::write(&file, bytes).unwrap();
    // What is accepted can be told to the kernel; what is refused says where.
    match hsm::config::Config::load(&file) {
        Ok(config) => drop((config.profile(), config.missing_environment())),
        Err(error) => assert!(error.to_string().contains("config.toml")),
    }
    if let Err(error) = courier::config::Config::load(&file) {
        assert!(error.to_string().contains("config.toml"));
    }
});
