//! Whether a store and a policy set are as new as a checkpoint that was kept outside them (I13).
//!
//! It compares and says why not. It must never take "nothing is known" for "all is well": that is for the caller, who
//! knows whether the store is new.

use super::{audit::Head, checkpoint::Checkpoint, handover::AuditKeys};

/// A store and a policy set, as they are about to be used.
#[derive(Clone, Copy, Debug)]
pub struct Now<'a> {
    /// The log's name in the configuration.
    pub log: &'a str,
    /// End of the store's log.
    pub head: Head,
    /// Recoveries that the store knows of.
    pub recoveries: u64,
    /// Digest of the policy set, hexadecimal.
    pub policy: &'a str,
    /// The set's sequence number.
    pub sequence: u64,
}

/// What went back, or took another way.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GoneBack {
    /// The store has another event where the checkpoint stands.
    #[error(
        "the store has another history than the checkpoint of event {seq} ({hash}, signed at {time}): it is another copy \
         that went its own way"
    )]
    Forked {
        /// The checkpoint's event.
        seq: u64,
        /// The checkpoint's hash, hexadecimal.
        hash: String,
        /// When the checkpoint was signed.
        time: String,
    },
    /// The store ends before the checkpoint.
    #[error(
        "the store is older than the newest checkpoint: its log ends at event {end} ({end_hash}), the checkpoint is of \
         event {seq} ({hash}, signed at {time}). Tries, revocations and verifications since then are missing in it"
    )]
    Older {
        /// The store's last event.
        end: u64,
        /// Its hash, hexadecimal.
        end_hash: String,
        /// The checkpoint's event.
        seq: u64,
        /// The checkpoint's hash, hexadecimal.
        hash: String,
        /// When the checkpoint was signed.
        time: String,
    },
    /// The checkpoint is of another log.
    #[error("the checkpoint is of log \"{known}\", the configuration names log \"{log}\"")]
    OtherLog {
        /// The configuration's name.
        log: String,
        /// The checkpoint's.
        known: String,
    },
    /// The same sequence number stands for two policy sets.
    #[error(
        "the policy set is not the one that was in force ({known}), and its sequence number is still {sequence}: a set \
         that is changed gets the next number in authority.toml"
    )]
    PolicyChanged {
        /// The number of both.
        sequence: u64,
        /// Digest in the checkpoint.
        known: String,
    },
    /// The policy set is older than the one that was in force.
    #[error(
        "the policy set has sequence number {sequence}, number {known} was in force: an older set is not taken"
    )]
    PolicyOlder {
        /// The set's number.
        sequence: u64,
        /// The checkpoint's.
        known: u64,
    },
    /// Officers brought the log back more often than the store knows, or less often.
    #[error(
        "the store knows of {recoveries} recoveries, the newest checkpoint of {known}: it is a copy from before a recovery, \
         or a recovery has not come to its end"
    )]
    Recovered {
        /// The store's number.
        recoveries: u64,
        /// The checkpoint's.
        known: u64,
    },
}

impl GoneBack {
    /// What to do, in a sentence.
    pub const fn way_back(&self) -> &'static str {
        match self {
            Self::PolicyChanged { .. } | Self::PolicyOlder { .. } => {
                "Put the set back that was in force, or one with a higher number that the officers have signed"
            }
            Self::OtherLog { .. } => {
                "Name the log in serve.toml that the token is of, or use that log's token"
            }
            Self::Forked { .. } | Self::Older { .. } | Self::Recovered { .. } => {
                "The way back from a restored store is a recovery by officers: `sigillo recover plan --help`"
            }
        }
    }
}

/// Compares with the newest checkpoint that is known. `hash_at` is the store's chain hash at the checkpoint's event;
/// nothing where its log ends before that.
pub fn compare(known: &Checkpoint, now: &Now<'_>, hash_at: Option<[u8; 32]>) -> Result<(), GoneBack> {
    compare_store(known, now, hash_at)?;
    compare_policy(known, now)
}

/// Compares with a checkpoint that somebody outside kept. One from before a recovery is of a branch that officers may have
/// ended: it says nothing.
pub fn compare_kept(kept: &Checkpoint, now: &Now<'_>, hash_at: Option<[u8; 32]>) -> Result<(), GoneBack> {
    if kept.log == now.log && kept.recoveries < now.recoveries {
        return Ok(());
    }
    compare(kept, now, hash_at)
}

/// As [`compare_kept`], for whoever has no log but the newest checkpoint that its owner shows: whether that may follow the
/// one that was kept. That a later event follows an earlier one only the owner can tell.
pub fn compare_shown(kept: &Checkpoint, shown: &Checkpoint) -> Result<(), GoneBack> {
    let Checkpoint { log, head, policy, sequence, recoveries, time: _ } = shown;
    let now = Now { log, head: *head, recoveries: *recoveries, policy, sequence: *sequence };
    let hash_at = if head.seq == kept.head.seq { head.hash } else { kept.head.hash };
    compare_kept(kept, &now, Some(hash_at))
}

/// As [`compare`], the store alone.
pub fn compare_store(known: &Checkpoint, now: &Now<'_>, hash_at: Option<[u8; 32]>) -> Result<(), GoneBack> {
    if known.log != now.log {
        return Err(GoneBack::OtherLog { log: now.log.to_owned(), known: known.log.clone() });
    }
    let (seq, hash, time) = (known.head.seq, hex::encode(known.head.hash), known.time.clone());
    if known.recoveries != now.recoveries {
        return Err(GoneBack::Recovered { recoveries: now.recoveries, known: known.recoveries });
    }
    if now.head.seq < seq {
        let (end, end_hash) = (now.head.seq, hex::encode(now.head.hash));
        return Err(GoneBack::Older { end, end_hash, seq, hash, time });
    }
    if hash_at != Some(known.head.hash) {
        return Err(GoneBack::Forked { seq, hash, time });
    }
    Ok(())
}

/// As [`compare`], the policy set alone.
pub fn compare_policy(known: &Checkpoint, now: &Now<'_>) -> Result<(), GoneBack> {
    if now.sequence < known.sequence {
        return Err(GoneBack::PolicyOlder { sequence: now.sequence, known: known.sequence });
    }
    if now.sequence == known.sequence && now.policy != known.policy {
        return Err(GoneBack::PolicyChanged { sequence: now.sequence, known: known.policy.clone() });
    }
    Ok(())
}

/// The newest of these texts that the log's keys have signed, each in its time. Texts that none has signed, or only in
/// part, are passed over: a write that a crash cut short leaves such a one.
pub fn newest<'a>(texts: impl IntoIterator<Item = &'a str>, keys: &AuditKeys) -> Option<Checkpoint> {
    let opened = texts.into_iter().filter_map(|text| keys.open(text).ok());
    opened.max_by_key(Checkpoint::age)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(seq: u64, hash: u8) -> Checkpoint {
        Checkpoint {
            log: "demo".into(),
            head: Head { seq, hash: [hash; 32] },
            policy: "aa".into(),
            sequence: 3,
            recoveries: 1,
            time: "2026-01-01T00:00:00.000Z".into(),
        }
    }

    fn now(seq: u64) -> Now<'static> {
        Now { log: "demo", head: Head { seq, hash: [9; 32] }, recoveries: 1, policy: "aa", sequence: 3 }
    }

    #[test]
    fn the_way_back_from_an_older_policy_set_is_no_recovery() {
        let known = known(7, 7);
        let way = |now: &Now<'_>, at| compare(&known, now, at).unwrap_err().way_back();
        for set in [Now { sequence: 2, ..now(7) }, Now { policy: "bb", ..now(7) }] {
            assert!(way(&set, Some([7; 32])).starts_with("Put the set back"));
        }
        assert!(way(&now(6), None).contains("recover plan"));
        assert!(way(&Now { log: "other", ..now(7) }, Some([7; 32])).contains("serve.toml"));
    }

    #[test]
    fn as_new_or_newer_passes_and_nothing_else() {
        let known = known(7, 7);
        assert_eq!(compare(&known, &now(7), Some([7; 32])), Ok(()));
        assert_eq!(compare(&known, &now(90), Some([7; 32])), Ok(()));
        let said = |now: &Now<'_>, at| compare(&known, now, at).unwrap_err();
        assert!(matches!(said(&now(6), None), GoneBack::Older { end: 6, seq: 7, .. }));
        assert!(matches!(said(&now(7), Some([8; 32])), GoneBack::Forked { seq: 7, .. }));
        assert!(matches!(said(&now(9), None), GoneBack::Forked { .. }));
        let other = Now { log: "other", ..now(7) };
        assert!(matches!(said(&other, Some([7; 32])), GoneBack::OtherLog { .. }));
        for recoveries in [0, 2] {
            let other = Now { recoveries, ..now(7) };
            assert!(matches!(said(&other, Some([7; 32])), GoneBack::Recovered { known: 1, .. }));
        }
        let older = Now { sequence: 2, ..now(7) };
        assert!(matches!(said(&older, Some([7; 32])), GoneBack::PolicyOlder { sequence: 2, known: 3 }));
        let changed = Now { policy: "bb", ..now(7) };
        assert!(matches!(said(&changed, Some([7; 32])), GoneBack::PolicyChanged { sequence: 3, .. }));
        let next = Now { policy: "bb", sequence: 4, ..now(7) };
        assert_eq!(compare(&known, &next, Some([7; 32])), Ok(()));
    }

    #[test]
    fn what_was_kept_from_before_a_recovery_says_nothing() {
        let kept = known(7, 7);
        let later = Now { recoveries: 2, sequence: 1, ..now(3) };
        assert_eq!(compare_kept(&kept, &later, None), Ok(()));
        let elsewhere = Now { log: "other", ..later };
        assert!(matches!(compare_kept(&kept, &elsewhere, None), Err(GoneBack::OtherLog { .. })));
        let before = Now { recoveries: 0, ..now(90) };
        let said = compare_kept(&kept, &before, Some([7; 32]));
        assert!(matches!(said, Err(GoneBack::Recovered { recoveries: 0, known: 1 })));
        assert!(matches!(compare_kept(&kept, &now(6), None), Err(GoneBack::Older { .. })));
        assert!(matches!(compare_kept(&kept, &now(9), Some([8; 32])), Err(GoneBack::Forked { .. })));
    }

    #[test]
    fn a_checkpoint_that_is_shown_may_follow_the_one_kept_or_not() {
        let kept = known(7, 7);
        for follows in [known(7, 7), known(8, 1), Checkpoint { recoveries: 2, ..known(1, 1) }] {
            assert_eq!(compare_shown(&kept, &follows), Ok(()), "{follows:?}");
        }
        let refused = |shown: Checkpoint| compare_shown(&kept, &shown).unwrap_err();
        assert!(matches!(refused(known(6, 6)), GoneBack::Older { end: 6, seq: 7, .. }));
        assert!(matches!(refused(known(7, 8)), GoneBack::Forked { seq: 7, .. }));
        let before = Checkpoint { recoveries: 0, ..known(90, 9) };
        assert!(matches!(refused(before), GoneBack::Recovered { .. }));
        let policy = Checkpoint { sequence: 2, ..known(8, 8) };
        assert!(matches!(refused(policy), GoneBack::PolicyOlder { .. }));
        assert!(matches!(
            refused(Checkpoint { log: "other".into(), ..known(8, 8) }),
            GoneBack::OtherLog { .. }
        ));
    }
}
