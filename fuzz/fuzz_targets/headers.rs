//! Headers that say who acts and what is repeated: one line of the input is one header.
#![no_main]

use hyper::{
    HeaderMap,
    header::{HeaderName, HeaderValue},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    const NAMES: [&str; 5] =
        ["idempotency-key", "client-cert", "client-cert-chain", "accept-language", "content-type"];
    let mut headers = HeaderMap::new();
    for line in bytes.split(|byte| *byte == b'\n').take(16) {
        let Some((first, value)) = line.split_first() else { continue };
        let name = HeaderName::from_static(NAMES[usize::from(*first) % NAMES.len()]);
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.append(name, value);
        }
    }
    sigillo::routes::hostile::headers(&headers);
});
