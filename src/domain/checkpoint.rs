//! Checkpoints of the audit log: text, signature, and the offline check of an export against them.
//!
//! A checkpoint is lines of text, the last one the ECDSA P-256 signature (`r || s`, hexadecimal) of the SHA-256 of those
//! before it, each with its line feed. Those of version 1 have no `sequence` and no `recoveries`: both count as 0.

use std::io::{self, BufRead};

use aws_lc_rs::{digest as sha, signature};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::audit::{Head, time_text};

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
        let mut bytes = [0; 64];
        let hexadecimal = last.strip_prefix("signature ").unwrap_or_default().trim_end_matches('\n');
        hex::decode_to_slice(hexadecimal, &mut bytes).map_err(|_| Broken::NotACheckpoint("signature"))?;
        signature::UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, public_key)
            .verify(body.as_bytes(), &bytes)
            .map_err(|_| Broken::Signature(seq))?;
        Ok(Self { log, head: Head { seq, hash }, policy, sequence, recoveries, time })
    }
}

/// A line of an export: an event with its chain hash, or a checkpoint.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    hash: Option<&'a str>,
    #[serde(borrow)]
    event: Option<&'a RawValue>,
    checkpoint: Option<String>,
}

#[derive(Deserialize)]
struct Numbered {
    seq: u64,
    kind: Option<String>,
    from_seq: Option<String>,
    lost_seq: Option<String>,
    lost_hash: Option<String>,
    recoveries: Option<String>,
}

/// A branch of the log that a recovery by officers ended, as its event says.
struct Ended {
    /// Recoveries with this one.
    recoveries: u64,
    /// Last event that both branches have.
    from_seq: u64,
    /// Newest checkpoint of the lost branch that was known.
    lost: Head,
}

impl Ended {
    fn read(event: &Numbered) -> Option<Self> {
        let mut hash = [0; 32];
        hex::decode_to_slice(event.lost_hash.as_deref()?, &mut hash).ok()?;
        let number = |text: &Option<String>| text.as_deref()?.parse().ok();
        Some(Self {
            recoveries: number(&event.recoveries)?,
            from_seq: number(&event.from_seq)?,
            lost: Head { seq: number(&event.lost_seq)?, hash },
        })
    }

    /// Whether this checkpoint is of the branch that it ended, up to what was known of it.
    fn covers(&self, checkpoint: &Checkpoint) -> bool {
        let (head, lost) = (&checkpoint.head, &self.lost);
        self.recoveries == checkpoint.recoveries.saturating_add(1)
            && head.seq > self.from_seq
            && (head.seq < lost.seq || head == lost)
    }
}

/// An export that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The newest checkpoint, which covers every event.
    pub newest: Checkpoint,
    /// Those of the witnesses that are of a branch which officers ended by a recovery: the log says so itself.
    pub lost: Vec<Checkpoint>,
}

/// Checks an export from event 1 on: every link of the chain, every checkpoint in it and those of `witnesses`. Needs
/// nothing but the export and the public key. `seen` is told of every event that is linked; what it was told counts only if
/// the whole export holds.
pub fn verify_export(
    export: impl BufRead,
    public_key: &[u8],
    witnesses: &[String],
    mut seen: impl FnMut(&Head, &str),
) -> Result<Verified, Broken> {
    let mut witnesses: Vec<Checkpoint> =
        witnesses.iter().map(|text| Checkpoint::open(text, public_key)).collect::<Result<_, _>>()?;
    let mut inside: Vec<Checkpoint> = Vec::new();
    let (mut astray, mut ended) = (Vec::new(), Vec::new());
    let mut newest: Option<Checkpoint> = None;
    let mut head = Head::EMPTY;
    for (number, line) in (1_u64..).zip(export.lines()) {
        let line = line?;
        let bad = |reason: String| Broken::NotAnExport { line: number, reason };
        let parsed: Line<'_> = serde_json::from_str(&line).map_err(|e| bad(e.to_string()))?;
        match (parsed.hash, parsed.event, parsed.checkpoint) {
            (Some(hash), Some(event), None) => {
                let numbered;
                (head, numbered) = link(&head, hash, event.get(), number)?;
                if numbered.kind.as_deref() == Some("store.recovered") {
                    let recovery = Ended::read(&numbered);
                    ended.push(recovery.ok_or_else(|| bad("a recovery that cannot be read".into()))?);
                }
                seen(&head, event.get());
            }
            (None, None, Some(text)) => {
                let checkpoint = Checkpoint::open(&text, public_key)?;
                if checkpoint.head.seq < head.seq {
                    return Err(bad("a checkpoint stands right after the event that it vouches for".into()));
                }
                inside.push(checkpoint);
            }
            _ => return Err(bad("neither an event with its hash nor a checkpoint".into())),
        }
        for checkpoint in inside.extract_if(.., |c| c.head.seq == head.seq) {
            settle(checkpoint, &mut newest, &head)?;
        }
        for checkpoint in witnesses.extract_if(.., |c| c.head.seq == head.seq) {
            if checkpoint.head == head {
                settle(checkpoint, &mut newest, &head)?;
            } else {
                astray.push(checkpoint);
            }
        }
    }
    if let Some(ahead) = inside.iter().map(|c| c.head.seq).max() {
        return Err(Broken::Truncated { vouched: ahead, end: head.seq });
    }
    let covered = |checkpoint: &Checkpoint| ended.iter().any(|recovery| recovery.covers(checkpoint));
    if let Some(other) = astray.iter().find(|checkpoint| !covered(checkpoint)) {
        return Err(Broken::History(other.head.seq));
    }
    if let Some(ahead) = witnesses.iter().find(|checkpoint| !covered(checkpoint)) {
        return Err(Broken::Truncated { vouched: ahead.head.seq, end: head.seq });
    }
    astray.extend(witnesses);
    match newest {
        Some(newest) if newest.head == head => {
            if let Some(other) = astray.iter().find(|lost| lost.log != newest.log) {
                return Err(Broken::OtherLog { log: newest.log, other: other.log.clone() });
            }
            Ok(Verified { newest, lost: astray })
        }
        Some(checkpoint) => Err(Broken::NotCovered(head.seq.saturating_sub(checkpoint.head.seq))),
        None => Err(Broken::NotCovered(head.seq)),
    }
}

/// One link: the event's own number and its hash must follow from the head before it.
fn link(head: &Head, hash: &str, event: &str, line: u64) -> Result<(Head, Numbered), Broken> {
    let broken = || Broken::Chain(head.seq.saturating_add(1));
    let numbered: Numbered =
        serde_json::from_str(event).map_err(|e| Broken::NotAnExport { line, reason: e.to_string() })?;
    let next = head.next(event.as_bytes()).ok_or_else(broken)?;
    if numbered.seq != next.seq || hash != hex::encode(next.hash) {
        return Err(broken());
    }
    Ok((next, numbered))
}

/// Compares a checkpoint at this place with the chain.
fn settle(checkpoint: Checkpoint, newest: &mut Option<Checkpoint>, head: &Head) -> Result<(), Broken> {
    if checkpoint.head != *head {
        return Err(Broken::History(head.seq));
    }
    if let Some(Checkpoint { log, .. }) = newest.as_ref().filter(|known| known.log != checkpoint.log) {
        return Err(Broken::OtherLog { log: log.clone(), other: checkpoint.log });
    }
    *newest = Some(checkpoint);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recovery_covers_its_lost_branch_and_no_more() {
        let head = |seq, hash| Head { seq, hash: [hash; 32] };
        let recovery = Ended { recoveries: 2, from_seq: 10, lost: head(20, 2) };
        let covers = |recoveries, head| {
            let (log, policy, time) = Default::default();
            recovery.covers(&Checkpoint { log, head, policy, sequence: 1, recoveries, time })
        };
        assert!(covers(1, head(11, 7)) && covers(1, head(19, 7)) && covers(1, head(20, 2)));
        for (recoveries, head, why) in [
            (1, head(10, 7), "both branches have it"),
            (1, head(20, 7), "another end than the one that was known"),
            (1, head(21, 7), "nobody knew of it when the officers signed"),
            (0, head(15, 7), "of a branch that an earlier recovery ended"),
            (2, head(15, 7), "of the branch that goes on"),
        ] {
            assert!(!covers(recoveries, head), "{why}");
        }
    }
}
