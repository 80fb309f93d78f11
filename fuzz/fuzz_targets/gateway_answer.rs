//! What gateways of messages say: mails that a relay returns, PDUs and receipts of an SMS centre.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sigillo::courier::{bounces, sms::smpp};

fuzz_target!(|bytes: &[u8]| {
    bounces::hostile::mail(bytes).unwrap();
    smpp::hostile::stream(bytes).unwrap();
});
