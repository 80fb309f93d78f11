//! Checkpoints of the audit log: text, signature, and the offline check of an export against them.
//!
//! A checkpoint is lines of text, the last one the ECDSA P-256 signature (`r || s`, hexadecimal) of the SHA-256 of those
//! before it, each with its line feed. Those of version 1 have no `sequence` and no `recoveries`: both count as 0.

mod export;

use std::io;

use aws_lc_rs::{digest as sha, signature};

pub use export::{Verified, verify_export};

use super::{
    audit::{Head, time_text},
    handover::{AuditKeys, BadHandover},
};

const FIRST: &str = "sigillo audit checkpoint v2";
const FIRST_OF_V1: &str = "sigillo audit checkpoint v1";

/// What a checkpoint says.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// The log's name.
    pub log: &'a str,
    /// Where the chain is.
    pub head: Head,
    /// Digest of the policy set in force, hexadecimal.
    pub policy: &'a str,
    /// The set's sequence number.
    pub sequence: u64,
    /// How often officers have brought the log back from an older store.
    pub recoveries: u64,
    /// Milliseconds since 1970 UTC.
    pub at_ms: u64,
}

/// The text that is signed.
pub fn text(claim: &Claim<'_>) -> String {
    let Claim { log, head: Head { seq, hash }, policy, sequence, recoveries, at_ms } = claim;
    let (hash, at) = (hex::encode(hash), time_text(*at_ms));
    format!(
        "{FIRST}\nlog {log}\nseq {seq}\nhash {hash}\npolicy {policy}\nsequence {sequence}\nrecoveries {recoveries}\n\
         time {at}\n"
    )
}

/// What the token signs.
pub fn digest(text: &str) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(sha::digest(&sha::SHA256, text.as_bytes()).as_ref());
    out
}

/// The whole checkpoint.
pub fn signed(text: &str, signature: &[u8; 64]) -> String {
    format!("{text}signature {}\n", hex::encode(signature))
}

/// Whether this is a key that checkpoints can be signed with: P-256, `SubjectPublicKeyInfo`, DER.
pub fn is_key(der: &[u8]) -> bool {
    signature::ParsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, der).is_ok()
}

/// The event that a checkpoint's text says it vouches for; whether it does, only [`Checkpoint::open`] tells.
pub fn sequence(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("seq "))?.parse().ok()
}

/// Refuses a text that is no checkpoint, whoever has signed it.
///
/// # Errors
/// [`Broken::NotACheckpoint`].
pub fn well_formed(text: &str) -> Result<(), Broken> {
    Unchecked::read(text).map(drop)
}

/// Why an export or a checkpoint does not hold.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// The event's bytes and the hash before it do not give its hash.
    #[error(
        "event {0}: the chain is broken here: this event or the one before was changed, removed or moved"
    )]
    Chain(u64),
    /// The checkpoint has another hash for its event than the export.
    #[error("checkpoint at event {0}: the export has another history up to there")]
    History(u64),
    /// The event that replaces the audit key does not.
    #[error("event {seq} does not replace the audit key: {why}")]
    Handover {
        /// The event.
        seq: u64,
        /// What is wrong with it.
        why: BadHandover,
    },
    /// A key of the log has signed it, and not the one that was in force there.
    #[error(
        "checkpoint at event {0}: it is signed by another key of this log than the one that was in force there"
    )]
    KeyNotInForce(u64),
    /// The key that is trusted is none of the log's.
    #[error("the public key is none of the {0} that the log was handed over to")]
    KeyNotOfLog(usize),
    /// Events after the newest checkpoint: nothing vouches for them yet.
    #[error("the last {0} events have no checkpoint")]
    NotCovered(u64),
    /// The text is not a checkpoint.
    #[error("not a checkpoint: {0}")]
    NotACheckpoint(&'static str),
    /// A line of the export is not an event or a checkpoint.
    #[error("line {line}: {reason}")]
    NotAnExport {
        /// From 1.
        line: u64,
        /// What is wrong.
        reason: String,
    },
    /// Checkpoints of two logs.
    #[error("a checkpoint is of log \"{other}\", another of log \"{log}\"")]
    OtherLog {
        /// One name.
        log: String,
        /// Another.
        other: String,
    },
    /// The export could not be read.
    #[error("cannot read: {0}")]
    Read(#[from] io::Error),
    /// The signature is not the key's.
    #[error("checkpoint at event {0}: the signature is not of this key")]
    Signature(u64),
    /// The export ends before an event that a checkpoint vouches for.
    #[error(
        "the export ends at event {end}, a checkpoint vouches for event {vouched}: cut off, or older than the checkpoint"
    )]
    Truncated {
        /// Last event of the checkpoint.
        vouched: u64,
        /// Last event of the export.
        end: u64,
    },
}

/// A checkpoint whose signature holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's name.
    pub log: String,
    /// The place in the chain that it vouches for.
    pub head: Head,
    /// Policy set in force, hexadecimal.
    pub policy: String,
    /// Its sequence number.
    pub sequence: u64,
    /// How often officers had brought the log back from an older store.
    pub recoveries: u64,
    /// When, RFC 3339.
    pub time: String,
}

impl Checkpoint {
    /// Tells the newer of two checkpoints of one log: a recovery goes before any event of the branch that it ended.
    pub const fn age(&self) -> (u64, u64) {
        (self.recoveries, self.head.seq)
    }

    /// Reads a checkpoint and checks its signature against a P-256 key (`SubjectPublicKeyInfo`, DER).
    pub fn open(text: &str, public_key: &[u8]) -> Result<Self, Broken> {
        let unchecked = Unchecked::read(text)?;
        if unchecked.is_of(public_key) {
            return Ok(unchecked.checkpoint);
        }
        Err(Broken::Signature(unchecked.checkpoint.head.seq))
    }
}

/// A checkpoint that was read, and whose signature nobody has looked at.
#[derive(Clone, Debug)]
pub(super) struct Unchecked {
    pub(super) checkpoint: Checkpoint,
    body: String,
    signature: [u8; 64],
}

impl Unchecked {
    pub(super) fn read(text: &str) -> Result<Self, Broken> {
        let at = text.find("signature ").ok_or(Broken::NotACheckpoint("no signature"))?;
        let (body, last) = text.split_at(at);
        let mut lines = body.lines();
        let counted = match lines.next() {
            Some(FIRST) => true,
            Some(FIRST_OF_V1) => false,
            Some(_) | None => return Err(Broken::NotACheckpoint("first line")),
        };
        let mut field = |name: &'static str| {
            let line = lines.next().ok_or(Broken::NotACheckpoint(name))?;
            let value = line.strip_prefix(name).and_then(|rest| rest.strip_prefix(' '));
            value.ok_or(Broken::NotACheckpoint(name))
        };
        let log = field("log")?.to_owned();
        let seq = field("seq")?.parse().map_err(|_| Broken::NotACheckpoint("seq"))?;
        let mut hash = [0; 32];
        hex::decode_to_slice(field("hash")?, &mut hash).map_err(|_| Broken::NotACheckpoint("hash"))?;
        let policy = field("policy")?.to_owned();
        let mut count = |name: &'static str| match counted {
            true => field(name)?.parse().map_err(|_| Broken::NotACheckpoint(name)),
            false => Ok(0),
        };
        let (sequence, recoveries) = (count("sequence")?, count("recoveries")?);
        let time = field("time")?.to_owned();
        if lines.next().is_some() {
            return Err(Broken::NotACheckpoint("more lines than it has"));
        }
        let mut signature = [0; 64];
        let hexadecimal = last.strip_prefix("signature ").unwrap_or_default().trim_end_matches('\n');
        hex::decode_to_slice(hexadecimal, &mut signature).map_err(|_| Broken::NotACheckpoint("signature"))?;
        let checkpoint = Checkpoint { log, head: Head { seq, hash }, policy, sequence, recoveries, time };
        Ok(Self { checkpoint, body: body.to_owned(), signature })
    }

    /// Whether this key has signed it.
    fn is_of(&self, public_key: &[u8]) -> bool {
        signature::UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, public_key)
            .verify(self.body.as_bytes(), &self.signature)
            .is_ok()
    }

    /// The checkpoint, if this key of a log has signed it.
    pub(super) fn check(self, key: &[u8], keys: &AuditKeys) -> Result<Checkpoint, Broken> {
        if self.is_of(key) {
            return Ok(self.checkpoint);
        }
        let seq = self.checkpoint.head.seq;
        let other = keys.newest_first().any(|other| self.is_of(other));
        Err(if other { Broken::KeyNotInForce(seq) } else { Broken::Signature(seq) })
    }
}
