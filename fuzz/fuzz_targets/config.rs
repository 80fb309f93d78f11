//! Configuration of `serve`, of a token, of a courier, and what a courier's officers allow it. What is refused is refused by the
//! file's name.
#![no_main]

use std::{path::PathBuf, sync::LazyLock};

use libfuzzer_sys::fuzz_target;
use sigillo::{cli, courier, hsm};
use tempfile::TempDir;

/// The file, beside all that the shipped ones name.
static FILE: LazyLock<(TempDir, PathBuf)> = LazyLock::new(|| {
    let at = tempfile::tempdir().unwrap();
    sigillo_fuzz::copy("policies/courier", at.path());
    let file = at.path().join("config.toml");
    (at, file)
});

fuzz_target!(|bytes: &[u8]| {
    let file = &FILE.1;
    std::fs::write(file, bytes).unwrap();
    let named = |said: &str| assert!(said.contains("config.toml"), "{said}");
    // What is accepted can be told to the kernel; what is refused says where.
    match hsm::config::Config::load(file) {
        Ok(config) => drop((config.profile(), config.missing_environment())),
        Err(error) => named(&error.to_string()),
    }
    if let Err(error) = cli::hostile::configuration(file) {
        named(&error);
    }
    if let Err(error) = courier::config::Config::load(file) {
        assert!(!error.to_string().is_empty());
    }
    if let Err(error) = courier::judge::Policy::load(file) {
        assert!(!error.to_string().is_empty());
    }
});
