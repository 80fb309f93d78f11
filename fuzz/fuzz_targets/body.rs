//! A body, as every operation that takes one reads it.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    sigillo::routes::hostile::bodies(bytes);
});
