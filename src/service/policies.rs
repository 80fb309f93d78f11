//! The policy set in force: kept in the store under the token's signature, and changed while the service runs.
//!
//! All or nothing: a set that is not read whole, not admitted, or that contradicts what the store holds is refused with
//! its reason, and the one in force stays. Requests go by the set that permitted them to their end.

use std::sync::{Arc, PoisonError};

use super::{Call, Error, Service};
use crate::{
    domain::{
        audit::{Event, Kind, Outcome},
        checkpoint::{self, Checkpoint},
        in_force::{Admission, InForce, Signing, admit},
    },
    policy::{Directory, Policy, act},
    store::{Expect, Op, Space, Unit},
};

/// Where the record of the set in force is kept in the store.
const IN_FORCE: &[u8] = b"policy";

/// What became of a reload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reloaded {
    /// Digest of the set in force now, hexadecimal.
    pub policy: String,
    /// Its sequence number.
    pub sequence: u64,
    /// Whether it was another one before.
    pub changed: bool,
    /// The officers who signed it, where it changed.
    pub signed_by: Vec<String>,
}

/// Where sets come from, and whether officers sign them.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) directory: Directory,
    pub(super) signing: Signing,
    /// One reload at a time.
    turn: tokio::sync::Mutex<()>,
    /// Read while cards are registered, so that no set comes into force without a template that a card is getting.
    pub(super) registering: tokio::sync::RwLock<()>,
}

impl Source {
    pub(super) fn new(directory: Directory, signing: Signing) -> Self {
        Self {
            directory,
            signing,
            turn: tokio::sync::Mutex::default(),
            registering: tokio::sync::RwLock::default(),
        }
    }
}

impl Service {
    /// Whether this set may come into force, given the newest checkpoint that is known.
    pub(super) fn admit(&self, policy: &Policy, known: Option<&Checkpoint>) -> Result<Admission, Error> {
        let kept = self.in_force()?;
        let mark = known.map(|known| (known.sequence, known.policy.as_str()));
        admit(&policy.candidate(), mark, kept.as_ref(), self.source.signing).map_err(Error::PolicyRefused)
    }

    /// What the store holds; nothing in a new store. A record that the token has not signed is an error.
    fn in_force(&self) -> Result<Option<InForce>, Error> {
        let Some(found) = self.store.get(Space::Checkpoint, IN_FORCE)? else { return Ok(None) };
        let text = std::str::from_utf8(&found.value).unwrap_or_default();
        let opened = InForce::open(text, &self.log, self.marks.audit_key());
        opened.map(Some).map_err(|e| Error::Unavailable(e.to_string()))
    }

    /// What keeps a set as the one in force.
    pub(super) async fn keep_in_force(&self, policy: &Policy) -> Result<Op, Error> {
        let text = policy.candidate().in_force().text(&self.log);
        let signature = self.hsm.sign(checkpoint::digest(&text)).await?;
        Ok(Self::keep_signed(&text, &signature))
    }

    /// The set in force, as another key than the token's is to sign it; nothing in a new store.
    pub(super) fn in_force_text(&self) -> Result<Option<String>, Error> {
        Ok(self.in_force()?.map(|set| set.text(&self.log)))
    }

    /// What keeps it under that key.
    pub(super) fn keep_signed(text: &str, signature: &[u8; 64]) -> Op {
        let value = checkpoint::signed(text, signature).into_bytes();
        Op::Put { space: Space::Checkpoint, key: IN_FORCE.into(), value, expect: Expect::Any }
    }

    /// Keeps the set that the service starts with, unless it is kept.
    pub(super) async fn bring_into_force(&self, known: Option<&Checkpoint>) -> Result<(), Error> {
        let policy = self.policy();
        let admission = self.admit(&policy, known)?;
        if admission != Admission::Already {
            let event = self.own_event(Kind::PolicyActivated, Outcome::Done)?;
            self.commit_in_force(&policy, &admission, event).await?;
        }
        Ok(())
    }

    async fn commit_in_force(
        &self,
        policy: &Policy,
        admission: &Admission,
        event: Event,
    ) -> Result<(), Error> {
        let sequence = policy.parameters().sequence.to_string();
        let event = event.with("sequence", sequence).with("set", &**policy.digest());
        let event = event.with("word", word(admission)).with("officers", signers(admission).join(","));
        let unit = Unit { ops: vec![self.keep_in_force(policy).await?], events: vec![event] };
        self.commit(unit).await?.map_err(|g| Error::Bug(format!("policy set in force: {g:?}")))
    }

    /// Reads the directory again and brings its set into force, if it may be; for a caller, or by itself. A refusal is an event, and changes nothing.
    pub async fn reload_policy(&self, asked: Option<&Call<act::ReloadPolicy>>) -> Result<Reloaded, Error> {
        let _turn = self.source.turn.lock().await;
        let result = self.reload(asked).await;
        let reason = match &result {
            Err(Error::BadPolicy(_)) => "does_not_hold",
            Err(Error::PolicyInUse(_)) => "changes_what_cards_have",
            Err(Error::PolicyRefused(_)) => "not_admitted",
            Ok(_) | Err(_) => return result,
        };
        let event = self.event_of(asked, Kind::PolicyRefused, Outcome::Refused)?;
        self.record(event.with("reason", reason)).await?;
        result
    }

    async fn reload(&self, asked: Option<&Call<act::ReloadPolicy>>) -> Result<Reloaded, Error> {
        let directory = self.source.directory.clone();
        let read = tokio::task::spawn_blocking(move || directory.load()).await;
        let policy = Arc::new(read.map_err(|e| Error::Bug(e.to_string()))??);
        let sequence = policy.parameters().sequence;
        let digest = policy.digest().to_string();
        if digest == **self.policy().digest() {
            return Ok(Reloaded { policy: digest, sequence, changed: false, signed_by: Vec::new() });
        }
        let admission = self.admit(&policy, None)?;
        let nothing_registers = self.source.registering.write().await;
        self.frozen.check(&policy)?;
        self.make_decoys(&policy).await?;
        let event = self.event_of(asked, Kind::PolicyActivated, Outcome::Done)?;
        self.commit_in_force(&policy, &admission, event).await?;
        *self.policy.write().unwrap_or_else(PoisonError::into_inner) = policy;
        drop(nothing_registers);
        tracing::info!(policy = digest, sequence, "another policy set is in force");
        // The next mark would say it within a second; until one has, an older copy of the store would not be known by it.
        if let Err(e) = self.checkpoint().await {
            tracing::error!("the policy set is in force; no checkpoint says so yet: {e}");
        }
        Ok(Reloaded { policy: digest, sequence, changed: true, signed_by: signers(&admission) })
    }

    fn event_of(
        &self,
        asked: Option<&Call<act::ReloadPolicy>>,
        kind: Kind,
        outcome: Outcome,
    ) -> Result<Event, Error> {
        asked.map_or_else(|| self.own_event(kind, outcome), |call| Ok(self.event(call, kind, outcome)))
    }
}

/// On whose word, in the event.
const fn word(admission: &Admission) -> &'static str {
    match admission {
        Admission::Already => "in_force",
        Admission::Known => "checkpoint",
        Admission::Signed(_) => "signed",
        Admission::Waived => "waived",
    }
}

fn signers(admission: &Admission) -> Vec<String> {
    match admission {
        Admission::Signed(officers) => officers.clone(),
        Admission::Already | Admission::Known | Admission::Waived => Vec::new(),
    }
}
