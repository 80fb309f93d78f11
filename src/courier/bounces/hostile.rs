//! What a relay returns, for fuzz targets (`fuzz/`).

use super::{Envelope, report};
use crate::courier::NoSlip;

/// Looks for a slip in a mail, and reads it as a bounce whether or not it has one.
///
/// # Errors
/// A sentence about a mail that nobody of ours has sent and is taken for one, or about words of a mail that are repeated.
pub fn mail(bytes: &[u8]) -> Result<(), String> {
    let sender = lettre::Address::new("bounces", "authority.example").map_err(|error| error.to_string())?;
    let envelope = Envelope::new(sender, &[7; 32]).map_err(|error: NoSlip| error.to_string())?;
    if envelope.find(bytes).is_some() {
        return Err("a slip that nobody made".to_owned());
    }
    match report::failure(bytes) {
        Some(said) if !is_fixed(&said) => Err(format!("a reason with words of the mail: {said:?}")),
        Some(_) | None => Ok(()),
    }
}

fn is_fixed(said: &str) -> bool {
    said == "relay: bounced"
        || said.strip_prefix("relay: bounced: ").is_some_and(|code| {
            code.len() <= 11 && code.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
        })
}
