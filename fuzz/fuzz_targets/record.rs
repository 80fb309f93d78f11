//! A record as the store holds it: what is damaged is told from what is whole, and what is whole is written as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sigillo::domain::{card::Card, limits, readers, reprints, tries::Tries, unlocks};

fuzz_target!(|bytes: &[u8]| {
    if let Some(card) = Card::decode(bytes) {
        assert_eq!(card.encode(), bytes, "a card's record has one form");
    }
    if let Some(tries) = Tries::decode(bytes) {
        assert!(tries.left() <= 100);
        assert_eq!(tries.encode().as_slice(), bytes, "a counter's record has one form");
    }
    let _ = limits::Used::decode(bytes);
    let _ = readers::Desk::decode(bytes);
    let _ = reprints::Reprints::decode(bytes);
    let _ = unlocks::Unlocks::decode(bytes);
});
