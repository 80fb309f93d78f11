//! The common name of a card's certificate.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sigillo::domain::chip::HolderName;

fuzz_target!(|text: &str| {
    let _ = HolderName::parse(text);
});
