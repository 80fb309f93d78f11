//! The offline check of an export: the chain, the keys in force along it, and every checkpoint.

use std::io::BufRead;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Broken, Checkpoint, Unchecked};
use crate::domain::{
    audit::Head,
    handover::{self, AuditKeys, BadHandover, Handover},
};

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
    handover: Option<String>,
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
    /// The keys that have signed for the log, by its own word.
    pub keys: AuditKeys,
}

/// Checks an export from event 1 on: every link of the chain, every replacement of the audit key, every checkpoint in it
/// and those of `witnesses`. Needs nothing but the export and the public key of the log at any time: keys that came later were named by it or
/// by one of those that it named, keys before it stand in the chain that it vouches for. `seen` is told of every event that is linked; what
/// it was told counts only if the whole export holds.
pub fn verify_export(
    export: impl BufRead,
    public_key: &[u8],
    witnesses: &[String],
    mut seen: impl FnMut(&Head, &str),
) -> Result<Verified, Broken> {
    let mut witnesses: Vec<Unchecked> =
        witnesses.iter().map(|text| Unchecked::read(text)).collect::<Result<_, _>>()?;
    let mut inside: Vec<Unchecked> = Vec::new();
    let mut chain = Chain::default();
    let (mut astray, mut settled) = (Vec::new(), Vec::new());
    let mut head = Head::EMPTY;
    for (number, line) in (1_u64..).zip(export.lines()) {
        let line = line?;
        let bad = |reason: String| Broken::NotAnExport { line: number, reason };
        let parsed: Line<'_> = serde_json::from_str(&line).map_err(|e| bad(e.to_string()))?;
        match (parsed.hash, parsed.event, parsed.checkpoint) {
            (Some(hash), Some(event), None) => {
                let before = head;
                let numbered;
                (head, numbered) = link(&before, hash, event.get(), number)?;
                chain.take(before, &numbered, number)?;
                seen(&head, event.get());
            }
            (None, None, Some(text)) => {
                let checkpoint = Unchecked::read(&text)?;
                if checkpoint.checkpoint.head.seq < head.seq {
                    return Err(bad("a checkpoint stands right after the event that it vouches for".into()));
                }
                inside.push(checkpoint);
            }
            _ => return Err(bad("neither an event with its hash nor a checkpoint".into())),
        }
        for checkpoint in inside.extract_if(.., |c| c.checkpoint.head.seq == head.seq) {
            if checkpoint.checkpoint.head != head {
                return Err(Broken::History(head.seq));
            }
            settled.push(checkpoint);
        }
        for checkpoint in witnesses.extract_if(.., |c| c.checkpoint.head.seq == head.seq) {
            let on_chain = checkpoint.checkpoint.head == head;
            if on_chain { settled.push(checkpoint) } else { astray.push(checkpoint) }
        }
    }
    if let Some(ahead) = inside.iter().map(|c| c.checkpoint.head.seq).max() {
        return Err(Broken::Truncated { vouched: ahead, end: head.seq });
    }
    let Chain { ended, handovers } = chain;
    let keys = keys(&handovers, public_key)?;
    // On the chain a checkpoint's place is the event; what it says of recoveries is the word of whoever has signed it.
    let mut newest: Option<Checkpoint> = None;
    for unchecked in settled {
        let key = keys.at_event(unchecked.checkpoint.head.seq);
        settle(unchecked.check(key, &keys)?, &mut newest)?;
    }
    let covered = |checkpoint: &Checkpoint| ended.iter().any(|recovery| recovery.covers(checkpoint));
    let opened = |unchecked: Unchecked| {
        let key = keys.at(unchecked.checkpoint.age());
        unchecked.check(key, &keys)
    };
    let mut astray: Vec<Checkpoint> = astray.into_iter().map(opened).collect::<Result<_, _>>()?;
    let ahead: Vec<Checkpoint> = witnesses.into_iter().map(opened).collect::<Result<_, _>>()?;
    if let Some(other) = astray.iter().find(|checkpoint| !covered(checkpoint)) {
        return Err(Broken::History(other.head.seq));
    }
    if let Some(ahead) = ahead.iter().find(|checkpoint| !covered(checkpoint)) {
        return Err(Broken::Truncated { vouched: ahead.head.seq, end: head.seq });
    }
    astray.extend(ahead);
    match newest {
        Some(newest) if newest.head == head => {
            let named = handovers.iter().map(|handover| &handover.log);
            if let Some(other) =
                astray.iter().map(|lost| &lost.log).chain(named).find(|log| **log != newest.log)
            {
                return Err(Broken::OtherLog { other: other.clone(), log: newest.log });
            }
            Ok(Verified { newest, lost: astray, keys })
        }
        Some(checkpoint) => Err(Broken::NotCovered(head.seq.saturating_sub(checkpoint.head.seq))),
        None => Err(Broken::NotCovered(head.seq)),
    }
}

/// What the events of the chain say of the log itself.
#[derive(Default)]
struct Chain {
    ended: Vec<Ended>,
    handovers: Vec<Handover>,
}

impl Chain {
    /// The event after `before`.
    fn take(&mut self, before: Head, event: &Numbered, line: u64) -> Result<(), Broken> {
        match event.kind.as_deref() {
            Some("store.recovered") => {
                let bad = || Broken::NotAnExport { line, reason: "a recovery that cannot be read".into() };
                self.ended.push(Ended::read(event).ok_or_else(bad)?);
            }
            Some(handover::KIND) => {
                let broken = |why| Broken::Handover { seq: event.seq, why };
                let text = event.handover.as_deref().ok_or_else(|| broken(BadHandover::Form("none")))?;
                let handover = Handover::open(text).map_err(broken)?;
                let recoveries = self.ended.last().map_or(0, |recovery| recovery.recoveries);
                if handover.head != before || handover.recoveries != recoveries {
                    return Err(broken(BadHandover::OtherPlace));
                }
                if self.handovers.last().is_some_and(|last| last.to != handover.from) {
                    return Err(broken(BadHandover::NotInForce));
                }
                self.handovers.push(handover);
            }
            Some(_) | None => {}
        }
        Ok(())
    }
}

/// The keys of the chain, of which `public_key` must be one.
fn keys(handovers: &[Handover], public_key: &[u8]) -> Result<AuditKeys, Broken> {
    let Some(first) = handovers.first() else { return Ok(AuditKeys::only(public_key)) };
    let mut keys = AuditKeys::only(&first.from);
    for handover in handovers {
        let seq = handover.head.seq.saturating_add(1);
        keys.hand_over(handover).map_err(|why| Broken::Handover { seq, why })?;
    }
    let is_one = keys.newest_first().any(|key| key == public_key);
    if is_one { Ok(keys) } else { Err(Broken::KeyNotOfLog(keys.count())) }
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

/// All on the chain are of one log; the last one given is the newest.
fn settle(checkpoint: Checkpoint, newest: &mut Option<Checkpoint>) -> Result<(), Broken> {
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
