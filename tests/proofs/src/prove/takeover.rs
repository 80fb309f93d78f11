//! A log that is handed over to a key of the attacker's: all that whoever has the store, and no audit key, can make of it.

use aws_lc_rs::{
    encoding::{AsDer as _, PublicKeyX509Der},
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use serde_json::Value;
use sigillo::domain::{
    checkpoint,
    handover::{Handover, accepted, signed},
};

/// A key of one's own.
struct Key {
    pair: EcdsaKeyPair,
    public: Vec<u8>,
}

impl Key {
    fn new() -> Result<Self, String> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(|e| e.to_string())?;
        let public: PublicKeyX509Der<'_> = pair.public_key().as_der().map_err(|e| e.to_string())?;
        let public = public.as_ref().to_vec();
        Ok(Self { pair, public })
    }

    fn sign(&self, text: &str) -> Result<[u8; 64], String> {
        let signature = self.pair.sign(&SystemRandom::new(), text.as_bytes()).map_err(|e| e.to_string())?;
        signature.as_ref().try_into().map_err(|_| "a signature of another size".to_owned())
    }
}

/// Who signs the handover in the place of the key that goes.
#[derive(Clone, Copy, Debug)]
pub(super) enum By {
    /// The attacker's key.
    Own,
    /// The key that goes: its signature of the true handover.
    Copied,
}

/// These events with the handover in this one (`handover`, as JSON) changed to a key of one's own, the chain made anew by `chain`,
/// and a checkpoint of that key at the end.
pub(super) fn taken_over(
    (events, newest): (&[String], &str),
    (place, handover): (usize, &str),
    by: By,
    chain: impl Fn(&[String]) -> Result<Vec<String>, String>,
) -> Result<Vec<String>, String> {
    let key = Key::new()?;
    let before: String = serde_json::from_str(handover).map_err(|e| e.to_string())?;
    let truly = Handover::open(&before).map_err(|e| e.to_string())?;
    let text = Handover { to: key.public.clone(), ..truly }.text();
    let signature = match by {
        By::Own => key.sign(&text)?,
        By::Copied => signature_of(&before)?,
    };
    let text = signed(&text, &signature);
    let text = accepted(&text, &key.sign(&text)?);
    let mut lines = events.to_vec();
    let line = lines.get_mut(place).ok_or("no handover")?;
    *line = line.replacen(handover, &Value::from(text).to_string(), 1);
    let mut lines = chain(&lines)?;
    let last: Value = serde_json::from_str(lines.last().ok_or("no events")?).map_err(|e| e.to_string())?;
    let hash = last.get("hash").and_then(Value::as_str).ok_or("no hash")?;
    let mut checkpoint: Value = serde_json::from_str(newest).map_err(|e| e.to_string())?;
    let claimed = checkpoint.get_mut("checkpoint").ok_or("no checkpoint")?;
    let claim: String = claimed
        .as_str()
        .ok_or("no text")?
        .lines()
        .filter(|line| !line.starts_with("signature "))
        .map(|line| if line.starts_with("hash ") { format!("hash {hash}\n") } else { format!("{line}\n") })
        .collect();
    *claimed = checkpoint::signed(&claim, &key.sign(&claim)?).into();
    lines.push(checkpoint.to_string());
    Ok(lines)
}

/// The first signature of a handover.
fn signature_of(handover: &str) -> Result<[u8; 64], String> {
    let digits = handover.lines().find_map(|line| line.strip_prefix("signature ")).ok_or("no signature")?;
    let mut bytes = [0; 64];
    hex::decode_to_slice(digits, &mut bytes).map_err(|e| e.to_string())?;
    Ok(bytes)
}
