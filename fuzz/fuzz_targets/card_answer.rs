//! What a smart card answers: its answer to reset, and its files.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sigillo::domain::chip::{self, CnsAtr, PersonalData};

fuzz_target!(|bytes: &[u8]| {
    let _ = CnsAtr::parse(bytes);
    let _ = chip::id_carta(bytes);
    let _ = chip::certificate(bytes);
    if let Ok(data) = PersonalData::parse(bytes) {
        let _ = data.tax_code();
    }
    let _ = sigillo::auth::Peer::from_certificate(bytes, 1_780_000_000_000);
});
