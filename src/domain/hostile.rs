//! What a fuzz target (`fuzz/`) asks of whatever is read and written as JSON.

use serde::{Serialize, de::DeserializeOwned};

/// Whether what is read of these bytes is written so that it is read again, as the same.
///
/// # Errors
/// A sentence, where it is not. Bytes that are not read at all say nothing.
pub(crate) fn one_form<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Result<(), String> {
    read_again(bytes, |bytes| serde_json::from_slice::<T>(bytes).map_err(|error| error.to_string()))
}

/// As [`one_form`], by another reader.
pub(crate) fn read_again<T: Serialize>(
    bytes: &[u8],
    read: impl Fn(&[u8]) -> Result<T, String>,
) -> Result<(), String> {
    let Ok(value) = read(bytes) else { return Ok(()) };
    let written = serde_json::to_vec(&value).map_err(|error| format!("is not written: {error}"))?;
    let again = read(&written).map_err(|error| format!("is not read again: {error}"))?;
    match serde_json::to_vec(&again) {
        Ok(twice) if twice == written => Ok(()),
        Ok(_) | Err(_) => Err("is not what it was".to_owned()),
    }
}
