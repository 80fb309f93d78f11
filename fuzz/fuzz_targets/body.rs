//! A body, as every operation that takes one reads it. What is taken is what a client writes of the same.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    sigillo::routes::hostile::bodies(bytes).unwrap();
});
