//! No going back (I13): the newest checkpoint is kept in the token too, and a store or policy set older than that is
//! refused at the start.
//!
//! A mark is never ahead of what is durable. Where the token takes none any more, nothing is spent.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{Error, Service};
use crate::{
    domain::{
        audit::Head,
        checkpoint::{self, Checkpoint, Claim},
        going_back::{self, GoneBack, Now},
        handover::AuditKeys,
    },
    hsm::Place,
    policy::Policy,
    store::{Expect, Op, Space, Unit, logged_event},
};

/// Where the newest checkpoint is kept in the store.
const LATEST: &[u8] = b"latest";
/// Where the store counts recoveries: 8 bytes, missing before the first one.
pub(super) const RECOVERIES: &[u8] = b"recoveries";
/// For so long the token may take no mark before nothing is spent any more.
pub(super) const MOST_FAILING: Duration = Duration::from_secs(10);
/// So many events may be without a mark before nothing is spent any more, whatever the time.
pub(super) const MOST_BEHIND: u64 = 20_000;

/// Why nothing is spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unspent {
    /// The store is known to be older than a checkpoint: nothing is served any more.
    GoneBack,
    /// The token takes no checkpoint.
    Unmarked,
    /// This witness takes no checkpoint.
    Unwitnessed(&'static str),
}

impl Unspent {
    /// In constant words, for `/readyz`.
    pub const fn text(self) -> &'static str {
        match self {
            Self::GoneBack => "store gone back",
            Self::Unmarked => "token behind: it takes no checkpoint, nothing is spent",
            Self::Unwitnessed(_) => "witness behind: it takes no checkpoint, nothing is spent",
        }
    }
}

/// What is known of the marks in the token.
pub(super) struct Marks {
    keys: AuditKeys,
    /// The place to write next: not the one that holds the newest mark. Held while one is signed and written, to the end
    /// of the write, so that no older one is written after a newer one.
    turn: Arc<tokio::sync::Mutex<Place>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Event of the newest mark.
    seq: u64,
    /// Time of the first failed attempt since the last good one.
    failing: Option<Duration>,
}

impl Marks {
    pub(super) fn new(keys: AuditKeys) -> Self {
        Self { keys, turn: Arc::new(tokio::sync::Mutex::new(Place::A)), state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The audit key in force, public half.
    pub(super) fn audit_key(&self) -> &[u8] {
        self.keys.now()
    }

    /// The next mark does not go to the place of the newest one.
    pub(super) async fn spare(&self, place: Place, seq: u64) {
        *self.turn.lock().await = place.other();
        self.state().seq = seq;
    }

    /// A checkpoint that somebody kept: signed by the audit key that was in force where it is of.
    pub(super) fn open(&self, text: &str) -> Result<Checkpoint, checkpoint::Broken> {
        self.keys.open(text)
    }

    /// What the token holds: the newest mark and its place; nothing on a token that never had one.
    pub(super) fn newest(&self, marks: &crate::hsm::Marks) -> Result<Option<(Checkpoint, Place)>, Error> {
        let mut newest: Option<(Checkpoint, Place)> = None;
        for (place, text) in Place::ALL.into_iter().zip(marks) {
            let text = text.as_deref().and_then(|bytes| std::str::from_utf8(bytes).ok());
            if let Some(found) = going_back::newest(text, &self.keys)
                && newest.as_ref().is_none_or(|(known, _)| known.age() < found.age())
            {
                newest = Some((found, place));
            }
        }
        if newest.is_none() && marks.iter().flatten().any(|text| !text.is_empty()) {
            return Err(Error::NoMark("what it keeps as checkpoints was not signed by its audit key".into()));
        }
        if marks.iter().all(Option::is_none) {
            return Err(Error::NoMark(
                "it has no places for them: it was not made by `sigillo hsm init`, or they were removed"
                    .into(),
            ));
        }
        Ok(newest)
    }
}

impl Service {
    /// Refuses a store or a policy set older than the newest checkpoint of token and witnesses. A new store on a token
    /// that never had one gets its first mark now, so that there is one before there is an event. Answers the
    /// newest that is known.
    pub(super) async fn refuse_going_back(&self) -> Result<Option<Checkpoint>, Error> {
        let head = self.store.head();
        let policy = self.policy();
        let kept = self.marks.newest(&self.hsm.read_marks().await?)?;
        if kept.is_none() && head != Head::EMPTY {
            return Err(Error::NoMark("it never had a checkpoint, and the store has a history".into()));
        }
        let mut all = self.witnessed(kept.is_none()).await?;
        all.extend(kept.iter().map(|(mark, _)| mark.clone()));
        let (known, refused) = self.compare_all(all, &self.now(&policy)?, going_back::compare)?;
        if let Some(gone_back) = refused {
            return Err(gone_back.into());
        }
        if let Some((mark, place)) = kept {
            self.marks.spare(place, mark.head.seq).await;
        } else {
            // A mark names its policy set as one that was in force: never one that nobody has signed.
            self.admit(&policy, known.as_ref())?;
            self.checkpoint().await?;
        }
        Ok(known)
    }

    /// Compares with all that is known, the newest first: that may be of a branch that an older one is not of, and then
    /// the older one counts. Answers the one that refuses, or the newest.
    pub(super) fn compare_all(
        &self,
        mut all: Vec<Checkpoint>,
        now: &Now<'_>,
        compare: impl Fn(&Checkpoint, &Now<'_>, Option<[u8; 32]>) -> Result<(), GoneBack>,
    ) -> Result<(Option<Checkpoint>, Option<GoneBack>), Error> {
        all.sort_by_key(|known| std::cmp::Reverse(known.age()));
        for (index, known) in all.iter().enumerate() {
            // Beside a newer one, one from before a recovery says nothing.
            if index > 0 && known.recoveries < now.recoveries {
                continue;
            }
            if let Err(gone_back) = compare(known, now, self.hash_at(known.head.seq)?) {
                return Ok((Some(known.clone()), Some(gone_back)));
            }
        }
        Ok((all.into_iter().next(), None))
    }

    /// Where store and policy set stand.
    pub(super) fn now<'a>(&'a self, policy: &'a Policy) -> Result<Now<'a>, Error> {
        Ok(Now {
            log: &self.log,
            head: self.store.head(),
            recoveries: self.recoveries()?,
            policy: policy.digest(),
            sequence: policy.parameters().sequence,
        })
    }

    /// The chain's hash at an event; nothing where the store has no such event.
    pub(super) fn hash_at(&self, seq: u64) -> Result<Option<[u8; 32]>, Error> {
        if seq == 0 {
            return Ok(Some(Head::EMPTY.hash));
        }
        let found = self.store.get(Space::Event, &seq.to_be_bytes())?;
        Ok(found.and_then(|event| logged_event(&event.value).map(|(hash, _)| *hash)))
    }

    /// How often officers have brought this log back.
    pub(super) fn recoveries(&self) -> Result<u64, Error> {
        let Some(found) = self.store.get(Space::Checkpoint, RECOVERIES)? else { return Ok(0) };
        let bytes = found.value.as_slice().try_into();
        bytes.map(u64::from_be_bytes).map_err(|_| Error::Bug("the count of recoveries is damaged".into()))
    }

    /// Signs where the chain is now, and keeps it as the newest checkpoint in the store and in the token. Answers it
    /// with its event number.
    pub async fn checkpoint(&self) -> Result<(String, u64), Error> {
        let kept = self.sign_and_keep().await;
        if kept.is_err() {
            self.marks.state().failing.get_or_insert_with(|| self.clock.uptime());
        }
        kept
    }

    /// The newest checkpoint that was signed, with which nothing is signed anew.
    pub(super) async fn newest_checkpoint(&self) -> Result<String, Error> {
        match self.store.get(Space::Checkpoint, LATEST)? {
            Some(found) => String::from_utf8(found.value)
                .map_err(|_| Error::Bug("the newest checkpoint in the store is damaged".into())),
            None => Ok(self.checkpoint().await?.0),
        }
    }

    /// Has the token vouch for nothing but this checkpoint: a start over this store is refused from now on. The
    /// log is known to have gone back before: nothing that is signed in between is committed or kept.
    pub(super) async fn leave_mark(&self, text: &str) -> Result<(), Error> {
        for _both in Place::ALL {
            let turn = self.hsm.mark_turn(&self.marks.turn).await?;
            self.hsm.write_mark(turn, text.as_bytes().to_vec()).await?;
        }
        Ok(())
    }

    /// A signed checkpoint of this place in the chain.
    pub(super) async fn sign_head(&self, head: Head) -> Result<String, Error> {
        let policy = self.policy();
        let text = checkpoint::text(&Claim {
            log: &self.log,
            head,
            policy: policy.digest(),
            sequence: policy.parameters().sequence,
            recoveries: self.recoveries()?,
            at_ms: self.clock.now_ms(),
        });
        let signature = self.hsm.sign(checkpoint::digest(&text)).await?;
        Ok(checkpoint::signed(&text, &signature))
    }

    async fn sign_and_keep(&self) -> Result<(String, u64), Error> {
        let turn = self.hsm.mark_turn(&self.marks.turn).await?;
        let head = self.store.head();
        let signed = self.sign_head(head).await?;
        let value = signed.clone().into_bytes();
        let put = Op::Put { space: Space::Checkpoint, key: LATEST.into(), value, expect: Expect::Any };
        let unit = Unit { ops: vec![put], events: Vec::new() };
        self.commit(unit).await?.map_err(|g| Error::Bug(format!("checkpoint: {g:?}")))?;
        self.hsm.write_mark(turn, signed.clone().into_bytes()).await?;
        self.witnesses.offer(head.seq, &signed, self.clock.uptime());
        // A later one may have been kept meanwhile.
        let mut state = self.marks.state();
        *state = State { seq: head.seq.max(state.seq), failing: None };
        Ok((signed, head.seq))
    }

    /// Refuses what must not be given back by an older store, while too much of it is without a mark in the
    /// token or with a witness.
    pub(super) fn refuse_if_unmarked(&self) -> Result<(), Error> {
        self.refuse_if_gone_back()?;
        self.spends().map_err(|why| {
            let who = match why {
                Unspent::GoneBack | Unspent::Unmarked => "the token".to_owned(),
                Unspent::Unwitnessed(witness) => format!("the witness ({witness})"),
            };
            Error::Unavailable(format!("{who} takes no checkpoint: nothing is spent meanwhile"))
        })
    }

    /// Whether operations that spend are taken. They are not while a checkpoint that is owed does not come.
    pub fn spends(&self) -> Result<(), Unspent> {
        if self.refuse_if_gone_back().is_err() {
            return Err(Unspent::GoneBack);
        }
        let state = self.marks.state();
        let failing = state.failing.map_or(Duration::ZERO, |since| self.clock.uptime().saturating_sub(since));
        if failing > MOST_FAILING || self.store.head().seq.saturating_sub(state.seq) > MOST_BEHIND {
            return Err(Unspent::Unmarked);
        }
        drop(state);
        self.unwitnessed().map_or(Ok(()), |late| Err(Unspent::Unwitnessed(late.witness)))
    }

    /// Events that no mark in the token vouches for yet.
    pub fn unmarked(&self) -> u64 {
        let marked = self.marks.state().seq;
        self.store.head().seq.saturating_sub(marked)
    }
}
