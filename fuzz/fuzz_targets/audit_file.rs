//! An exported log, as `sigillo audit verify` and `sigillo audit operations` read it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sigillo::domain::{checkpoint, operations::Account};

fuzz_target!(|bytes: &[u8]| {
    // The generator's point of P-256: a key that nobody has signed with.
    const KEY: [u8; 91] = *include_bytes!("../seeds/audit.spki");
    let whole = checkpoint::verify_export(bytes, &KEY, &[], |_, _| ());
    assert!(whole.is_err(), "a log that nobody signed holds");
    if let Ok(text) = std::str::from_utf8(bytes) {
        assert!(checkpoint::Checkpoint::open(text, &KEY).is_err(), "a checkpoint that nobody signed");
        let mut account = Account::default();
        for line in text.lines() {
            let _ = account.take(line);
        }
        let _ = (account.since_start(), account.total(), checkpoint::sequence(text));
    }
});
