//! Records of the courier's memory as it reads them, for fuzz targets (`fuzz/`).

use super::{memory::Memory, notice::Notice, window::Window};
use crate::domain::hostile::one_form;

/// Reads these bytes as each of them, and asks a window for room.
///
/// # Errors
/// A sentence about what is read and is not the same once it is written.
pub fn records(bytes: &[u8]) -> Result<(), String> {
    one_form::<Memory>(bytes).map_err(|why| format!("memory of a card: {why}"))?;
    one_form::<Notice>(bytes).map_err(|why| format!("notice: {why}"))?;
    one_form::<Window>(bytes).map_err(|why| format!("counts by minute: {why}"))?;
    if let Ok(mut window) = serde_json::from_slice::<Window>(bytes) {
        const NOW_MS: u64 = 1_800_000_000_000;
        let none = super::Rate { hour: 0, day: 0 };
        if window.room(none, NOW_MS).is_ok() {
            return Err("a limit of none leaves room".to_owned());
        }
        window.add(NOW_MS);
        if window.room(super::Rate { hour: 1, day: 1 }, NOW_MS).is_ok() {
            return Err("what was counted leaves room where one is allowed".to_owned());
        }
    }
    Ok(())
}
