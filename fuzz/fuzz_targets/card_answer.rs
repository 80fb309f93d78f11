//! What a smart card answers: its answer to reset, and its files.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sigillo::domain::chip::{self, CnsAtr, Field, PersonalData};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(atr) = CnsAtr::parse(bytes) {
        assert!(matches!(atr.pin_reference(), 0x10 | 0x90));
    }
    if let Ok(number) = chip::id_carta(bytes) {
        assert!(bytes.starts_with(number.as_str().as_bytes()));
    }
    if let Ok(certificate) = chip::certificate(bytes) {
        assert!(bytes.starts_with(certificate), "a certificate is what the file begins with");
        let _ = sigillo::auth::Peer::from_certificate(certificate, 1_780_000_000_000);
    }
    if let Ok(data) = PersonalData::parse(bytes) {
        let _ = (data.tax_code(), data.date(Field::BirthDate), data.date(Field::ExpiryDate));
        for field in [Field::Surname, Field::GivenName, Field::TravelNote] {
            assert!(!data.field(field).chars().any(char::is_control), "what steers a terminal");
        }
    }
    let _ = sigillo::auth::Peer::from_certificate(bytes, 1_780_000_000_000);
});
