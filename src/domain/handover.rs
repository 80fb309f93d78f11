//! The audit key is replaced: the key that goes says which one comes, and where in the log, and the one that comes takes it.
//!
//! A handover is lines of text, the last but one the signature of the key that goes, the last one that of the key that comes,
//! each over all lines before it (ECDSA P-256, SHA-256, `r || s`, hexadecimal). It stands in the event of the log that it makes, so that an export
//! has every key it needs. Since both keys sign, whoever trusts either of them knows the other. It must never be taken for
//! another place of the log than the one that it names: what a key that is gone has signed holds up to there and no further.

mod keys;

use aws_lc_rs::{digest as sha, signature};

pub use keys::AuditKeys;

use super::{
    audit::{Head, time_ms, time_text},
    checkpoint,
};

const FIRST: &str = "sigillo audit key handover v1";
/// Name of the event's member that holds the text.
pub const MEMBER: &str = "handover";
/// The kind of event that a handover is, as the log writes it.
pub const KIND: &str = "audit.key_replaced";
const SIGNATURE: &str = "signature ";
const ACCEPTED: &str = "accepted ";

/// One audit key hands the log over to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handover {
    /// The log's name.
    pub log: String,
    /// End of the log before the event that holds this.
    pub head: Head,
    /// How often officers had brought the log back by then.
    pub recoveries: u64,
    /// The key that goes: `SubjectPublicKeyInfo`, DER.
    pub from: Vec<u8>,
    /// The key that comes.
    pub to: Vec<u8>,
    /// Milliseconds since 1970 UTC.
    pub at_ms: u64,
}

/// Why a text hands nothing over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadHandover {
    /// It has another form.
    #[error("not a handover: {0}")]
    Form(&'static str),
    /// The key that goes has not signed it.
    #[error("the signature is not of the key that goes")]
    NotSigned,
    /// The key that comes has not signed it.
    #[error("the key that comes has not signed it")]
    NotAccepted,
    /// The key that goes is not the one in force.
    #[error("the key that goes was not in force")]
    NotInForce,
    /// It is of another place.
    #[error("it is of another place in the log")]
    OtherPlace,
    /// It is of another log.
    #[error("it is of another log")]
    OtherLog,
}

impl Handover {
    /// The text that the key that goes signs.
    pub fn text(&self) -> String {
        let Self { log, head: Head { seq, hash }, recoveries, from, to, at_ms } = self;
        let (hash, at) = (hex::encode(hash), time_text(*at_ms));
        let (from, to) = (hex::encode(from), hex::encode(to));
        format!(
            "{FIRST}\nlog {log}\nseq {seq}\nhash {hash}\nrecoveries {recoveries}\nfrom {from}\nto {to}\ntime {at}\n"
        )
    }

    /// Reads a whole handover and checks both signatures. Whether it stands where it says, the caller looks.
    ///
    /// # Errors
    /// [`BadHandover`]: of another form, or not signed by both.
    pub fn open(text: &str) -> Result<Self, BadHandover> {
        let signed = text.rfind(SIGNATURE).ok_or(BadHandover::Form("no signature"))?;
        let accepted = text.rfind(ACCEPTED).ok_or(BadHandover::Form("no acceptance"))?;
        let body = text.get(..signed).ok_or(BadHandover::Form("signature"))?;
        let before = text.get(..accepted).ok_or(BadHandover::Form("acceptance"))?;
        let handover = Self::read(body)?;
        // Of every text there is one writing: what was signed is what is read.
        if handover.text() != body {
            return Err(BadHandover::Form("not as it is written"));
        }
        if handover.from == handover.to {
            return Err(BadHandover::Form("the key that comes is the one that goes"));
        }
        let goes = value(text.get(signed..accepted), SIGNATURE).ok_or(BadHandover::Form("signature"))?;
        let comes = value(text.get(accepted..), ACCEPTED).ok_or(BadHandover::Form("acceptance"))?;
        if !holds(&handover.from, body, &goes) {
            return Err(BadHandover::NotSigned);
        }
        if !holds(&handover.to, before, &comes) {
            return Err(BadHandover::NotAccepted);
        }
        Ok(handover)
    }

    fn read(body: &str) -> Result<Self, BadHandover> {
        let mut lines = body.lines();
        if lines.next() != Some(FIRST) {
            return Err(BadHandover::Form("first line"));
        }
        let mut field = |name: &'static str| {
            let value = lines.next().and_then(|line| line.strip_prefix(name)?.strip_prefix(' '));
            value.ok_or(BadHandover::Form(name))
        };
        let log = field("log")?.to_owned();
        let seq = field("seq")?.parse().map_err(|_| BadHandover::Form("seq"))?;
        let mut hash = [0; 32];
        hex::decode_to_slice(field("hash")?, &mut hash).map_err(|_| BadHandover::Form("hash"))?;
        let recoveries = field("recoveries")?.parse().map_err(|_| BadHandover::Form("recoveries"))?;
        let from = hex::decode(field("from")?).map_err(|_| BadHandover::Form("from"))?;
        let to = hex::decode(field("to")?).map_err(|_| BadHandover::Form("to"))?;
        let at_ms = time_ms(field("time")?).ok_or(BadHandover::Form("time"))?;
        Ok(Self { log, head: Head { seq, hash }, recoveries, from, to, at_ms })
    }

    /// Its place, as [`super::checkpoint::Checkpoint::age`]: the last one that the key that goes may sign.
    pub const fn age(&self) -> (u64, u64) {
        (self.recoveries, self.head.seq)
    }
}

/// The text with the signature of the key that goes: what the key that comes signs.
pub fn signed(text: &str, signature: &[u8; 64]) -> String {
    checkpoint::signed(text, signature)
}

/// The whole handover.
pub fn accepted(signed: &str, signature: &[u8; 64]) -> String {
    format!("{signed}{ACCEPTED}{}\n", hex::encode(signature))
}

/// Names a key where people read it: the start of the SHA-256 of its DER, hexadecimal.
pub fn key_id(key: &[u8]) -> String {
    let digest = sha::digest(&sha::SHA256, key);
    hex::encode(digest.as_ref().iter().copied().take(8).collect::<Vec<_>>())
}

/// The signature in a line of its own.
fn value(line: Option<&str>, name: &str) -> Option<[u8; 64]> {
    let digits = line?.strip_prefix(name)?.strip_suffix('\n')?;
    let mut bytes = [0; 64];
    hex::decode_to_slice(digits, &mut bytes).ok()?;
    Some(bytes)
}

fn holds(key: &[u8], text: &str, signature: &[u8; 64]) -> bool {
    let key = signature::UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, key);
    key.verify(text.as_bytes(), signature).is_ok()
}

#[cfg(test)]
mod tests;
