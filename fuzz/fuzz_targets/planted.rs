//! The control of all the others: a fault that is there for certain. Built with the feature `planted` alone.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let [b'C', b'N', b'S', ..] = bytes {
        panic!("planted");
    }
});
