//! A line of a batch of produced cards.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    sigillo::routes::hostile::batch_line(bytes);
});
