//! A policy set: the shipped one with one file in the place of another. The first byte says which.
#![no_main]

use std::{fs, path::Path, sync::LazyLock};

use libfuzzer_sys::fuzz_target;
use sigillo::{courier, policy::Policy};
use tempfile::TempDir;

/// `seeds.py` reads this list: a line each.
const FILES: [&str; 12] = [
    "authority.toml",
    "callers.toml",
    "consents.toml",
    "officers.toml",
    "operators.toml",
    "rules/operators.cedar",
    "rules/schema.cedarschema",
    "templates/default.toml",
    "texts/forms/fse-consents.md",
    "trust.toml",
    "courier/policy.toml",
    "courier/messages/activation.txt",
];

static AT: LazyLock<TempDir> = LazyLock::new(|| {
    let at = tempfile::tempdir().unwrap();
    sigillo_fuzz::copy("policies", at.path());
    load(FILES[0], at.path()).expect("the shipped set is good");
    load(FILES[10], at.path()).expect("the shipped policy is good");
    load(FILES[11], at.path()).expect("the shipped texts are good");
    at
});

/// Loads what has this file in it.
fn load(file: &str, at: &Path) -> Result<(), String> {
    match file.strip_prefix("courier/") {
        None => Policy::load_with_test_templates(at).map(drop).map_err(|bad| bad.to_string()),
        Some("policy.toml") => {
            courier::judge::Policy::load(&at.join(file)).map(drop).map_err(|bad| bad.to_string())
        }
        Some(_) => courier::message::Messages::load(&at.join("courier/messages"))
            .map(drop)
            .map_err(|bad| bad.to_string()),
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((first, text)) = bytes.split_first() else { return };
    let name = FILES[usize::from(*first) % FILES.len()];
    let file = AT.path().join(name);
    let good = fs::read(&file).unwrap();
    fs::write(&file, text).unwrap();
    let loaded = load(name, AT.path());
    fs::write(&file, good).unwrap();
    if let Err(said) = loaded {
        assert!(!said.is_empty(), "a refusal says why");
    }
});
