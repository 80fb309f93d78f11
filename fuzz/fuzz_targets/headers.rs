//! Headers that say who acts and what is repeated: one line of the input is one header, its first byte says which. A certificate
//! that is taken is judged too.
#![no_main]

use std::{path::Path, sync::LazyLock};

use hyper::{
    HeaderMap,
    header::{HeaderName, HeaderValue},
};
use libfuzzer_sys::fuzz_target;
use sigillo::{auth::cns::Validator, policy::Policy, routes::hostile};

static JUDGE: LazyLock<(Policy, Validator)> = LazyLock::new(|| {
    let policies = Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies");
    (Policy::load_with_test_templates(&policies).expect("the shipped set is good"), Validator::new(None))
});

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
    if let Some((leaf, chain)) = hostile::headers(&headers).unwrap() {
        let (policy, validator) = &*JUDGE;
        let judged = validator.validate(policy.trust(), &leaf, &chain, 1_800_000_000_000);
        assert!(judged.is_err(), "a certificate of no authority");
    }
});
