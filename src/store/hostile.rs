//! Stored keys and values as every engine reads them, for fuzz targets (`fuzz/`).

use super::{
    Space,
    patrol::Patrol,
    record::{event, event_number, is_event, logged_event, stored_key, stored_value, versioned},
    sum::Sum,
};

/// Reads these bytes as a stored value, an event, a sum and a key.
///
/// # Errors
/// A sentence about what is read and is not the same once it is written.
pub fn records(bytes: &[u8]) -> Result<(), String> {
    if let Ok(found) = versioned(bytes) {
        if stored_value(found.version, &found.value) != bytes {
            return Err("a stored value".to_owned());
        }
        if let Some((hash, text)) = logged_event(&found.value)
            && event(hash, text) != found.value
        {
            return Err("an event".to_owned());
        }
    }
    if let Some(number) = event_number(bytes)
        && (!is_event(bytes) || stored_key(Space::Event, &number.to_be_bytes()) != bytes)
    {
        return Err("the key of an event".to_owned());
    }
    if let Some(sum) = Sum::decode(bytes)
        && sum.encode() != bytes
    {
        return Err("a sum".to_owned());
    }
    drop(Patrol::open(Some(bytes)));
    Ok(())
}
