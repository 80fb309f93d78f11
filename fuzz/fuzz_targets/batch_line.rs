//! A line of a batch of produced cards, and a line of an export of cards to be personalised.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sigillo::{card_export::Reader, routes::hostile};

fuzz_target!(|bytes: &[u8]| {
    if hostile::batch_line(bytes) {
        let taken = hostile::bodies(bytes).unwrap();
        assert!(taken.contains(&"NewCard"), "what is taken as a line is a new card");
    }
    // A key that nobody has signed with.
    const KEY: &[u8] = include_bytes!("../seeds/audit.spki");
    let exported = Reader::new(bytes, KEY).next_export();
    assert!(exported.is_err() || bytes.is_empty(), "an export that nobody has signed");
});
