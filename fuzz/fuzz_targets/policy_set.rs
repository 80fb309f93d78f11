//! A policy set: the shipped one with one file in the place of another. The first byte says which.
#![no_main]

use std::{
    fs,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use libfuzzer_sys::fuzz_target;
use sigillo::policy::Policy;
use tempfile::TempDir;

const FILES: [&str; 9] = [
    "authority.toml",
    "callers.toml",
    "consents.toml",
    "officers.toml",
    "operators.toml",
    "rules/operators.cedar",
    "rules/schema.cedarschema",
    "templates/default.toml",
    "trust.toml",
];

static AT: LazyLock<TempDir> = LazyLock::new(|| {
    let at = tempfile::tempdir().unwrap();
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies"), at.path());
    Policy::load_with_test_templates(at.path()).expect("the shipped set is good");
    at
});

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path: PathBuf = entry.unwrap().path();
        let there = to.join(path.file_name().unwrap());
        if path.is_dir() { copy(&path, &there) } else { drop(fs::copy(&path, &there).unwrap()) }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((first, text)) = bytes.split_first() else { return };
    let file = AT.path().join(FILES[usize::from(*first) % FILES.len()]);
    let good = fs::read(&file).unwrap();
    fs::write(&file, text).unwrap();
    let loaded = Policy::load_with_test_templates(AT.path());
    fs::write(&file, good).unwrap();
    if let Err(error) = loaded {
        assert!(!error.to_string().is_empty());
    }
});
