//! The adapter of PKCS#11: what is around `C_Sign`, and the module's own work.

use std::hint::black_box;

use sigillo::hsm::{MacKey, pkcs11::Device};

use super::Turn;
use crate::place;

/// About as long as the messages of a verification are.
const MESSAGE: [u8; 96] = [0x5a; 96];

pub(super) fn mac() -> Result<Turn, String> {
    let device = Device::open(&place::hsm()?).map_err(|e| e.to_string())?;
    let mut worker = device.tokens().map_err(|e| e.to_string())?.pop().ok_or("the token has no worker")?;
    Ok(Box::new(move || {
        black_box(worker.mac(MacKey::Verify, &MESSAGE).map_err(|e| e.to_string())?);
        Ok(())
    }))
}
