//! The courier's own judgement: whether second parts may go where the authority wants them, and how many (I14).
//!
//! [`Judge::admit`] decides before anything is derived. What it counts, remembers and decides is durable, with an event
//! of the courier's own chain, before it answers: a crash gives no message back. It never asks the authority, and
//! it never writes a contact, a part or an unkeyed digest of one.

mod commit;
#[cfg(feature = "testing")]
pub mod hostile;
mod in_hand;
mod journal;
mod kept;
mod memory;
mod notice;
mod policy;
mod quiet;
mod window;

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use crate::{
    api::courier::Lease,
    clock::Clock,
    domain::{
        audit::{Kind, Outcome as Ending, time_text},
        contact::Contact,
        id::CardId,
    },
    hsm::{Hsm, MacKey, Uses},
    secret::{Secret, SecretBytes},
    store::{self, Expect, Op, Outcome, Space, Store, Unit},
};

use super::setback::{Setback, of_hsm};
use commit::{Committed, commitments};
use in_hand::{InHand, Turn};
use memory::{Counters, Decision, Memory};
use quiet::{Quiet, Span, Unwritten, Vain};
use window::Window;

pub use kept::KEPT_OF_AUTHORITY;
pub use memory::{Ended, Limits};
pub use policy::{NotAllowed, Policy};
pub use window::Rate;

/// Keys of the courier's own counters in [`Space::CourierCount`], of messages and of their repetitions; a mailbox has `m` and
/// its commitment.
const ALL: &[u8] = b"a";
const AGAIN: &[u8] = b"r";
const TIDY_EVERY_MS: u64 = 3_600_000;
/// Records looked at in one step.
const STEP: usize = 100;

/// Decides for the courier, and remembers.
pub struct Judge {
    store: Store,
    hsm: Hsm,
    policy: Policy,
    clock: Arc<dyn Clock>,
    /// The uses of the keys of codes that admissions account for.
    accounted: Arc<Uses>,
    /// The authority's audit keys, public halves, the newest first.
    audit_keys: Vec<Vec<u8>>,
    /// What is still written of leases that come to nothing.
    quiet: Mutex<Quiet>,
    /// When counters are next looked through.
    tidy_ms: AtomicU64,
    /// Decisions are made and written one after another: two at a time would count from the same numbers.
    deciding: tokio::sync::Mutex<()>,
    /// Cards whose message is in hand.
    in_hand: InHand,
}

/// A lease that may be carried out. Its end is to be told to [`Judge::ended`].
/// Without one no key of codes can be asked ([`Judge::mac`]).
#[derive(Debug)]
pub struct Admission {
    card: CardId,
    used: Uses,
    /// Until the end is written down no other message of the card is admitted: what is remembered of a card is of one message.
    _turn: Turn,
}

/// Why a lease is not carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denied {
    /// Refused, or the courier cannot decide.
    Setback(Setback),
    /// Not before this time.
    Wait {
        /// Milliseconds since 1970 UTC.
        until_ms: u64,
        /// Why, for the operator.
        reason: String,
    },
}

/// A stored record with its version.
struct Found<T> {
    value: T,
    expect: Expect,
}

impl Judge {
    /// Puts the pieces together. `audit_keys` are the authority's, the newest first: `SubjectPublicKeyInfo`, DER.
    pub fn new(
        store: Store,
        hsm: Hsm,
        policy: Policy,
        audit_keys: Vec<Vec<u8>>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let (accounted, tidy_ms, quiet) = (Arc::default(), AtomicU64::new(0), Mutex::default());
        let (deciding, in_hand) = (tokio::sync::Mutex::default(), InHand::default());
        Self { store, hsm, policy, clock, accounted, audit_keys, quiet, tidy_ms, deciding, in_hand }
    }

    /// What the courier does for itself after each round: its log is signed, old counters are forgotten.
    pub async fn upkeep(&self) {
        let now_ms = self.clock.now_ms();
        if now_ms >= self.tidy_ms.load(Relaxed) {
            self.tidy_ms.store(now_ms.saturating_add(TIDY_EVERY_MS), Relaxed);
            if let Err(setback) = self.forget_counters(now_ms).await {
                tracing::error!(%setback, "counters that are over are still there");
            }
        }
        if let Err(setback) = self.reconcile().await {
            tracing::error!(%setback, "use of keys without an admission is not in the log yet");
        }
        let now = self.clock.uptime();
        self.tell_unwritten(|quiet| &mut quiet.leases, |span| span.due(now)).await;
        self.tell_unwritten(|quiet| &mut quiet.authority, |span| span.due(now)).await;
        self.checkpoint().await;
    }

    /// The end: nothing more is leased by this process.
    pub async fn finish(&self) {
        self.tell_unwritten(|quiet| &mut quiet.leases, Span::rest).await;
        self.tell_unwritten(|quiet| &mut quiet.authority, Span::rest).await;
        self.checkpoint().await;
    }

    /// Asks a key of codes, for a lease that was admitted.
    ///
    /// # Errors
    /// Those of the token, and more uses than one admission entitles to.
    pub async fn mac(
        &self,
        admission: &Admission,
        key: MacKey,
        message: SecretBytes,
    ) -> Result<Secret<32>, Setback> {
        if !admission.used.count(key) {
            return Err(Setback::Failed("more uses of a key than one lease allows".to_owned()));
        }
        let macs = self.hsm.accounted_macs(vec![(key, message)], &self.accounted).await.map_err(of_hsm)?;
        macs.into_iter().next().ok_or_else(|| Setback::Failed("a call without an answer".to_owned()))
    }

    /// Raises the alarm once for every use of a key of codes that no admission accounts for.
    async fn reconcile(&self) -> Result<(), Setback> {
        let Some(surplus) = self.accounted.news(&self.hsm) else { return Ok(()) };
        tracing::error!(%surplus, "ALARM: keys of codes were used without an admission");
        let mut event = self.own_event(Kind::OperationsUnaccounted, Ending::Done);
        event.detail.push(("surplus", surplus.to_string()));
        self.commit(Unit { ops: Vec::new(), events: vec![event] }).await?;
        self.accounted.reported(surplus);
        Ok(())
    }

    /// The store has stopped: nothing is decided any more.
    pub fn is_lost(&self) -> bool {
        !self.store.is_up()
    }

    /// Decides on a lease. Counted, remembered and in the log before it answers.
    ///
    /// # Errors
    /// [`Denied`]: nothing may be derived.
    pub async fn admit(&self, lease: &Lease, contact: &Contact) -> Result<Admission, Denied> {
        if let Err(why) = self.policy.allows(lease, contact) {
            let reason = why.to_string();
            self.refused(lease, &reason).await;
            return Err(Denied::Setback(match why {
                NotAllowed::Channel | NotAllowed::Domain | NotAllowed::Prefix => Setback::Failed(reason),
                // Perhaps the two sides are not of one version yet.
                NotAllowed::Message | NotAllowed::Shape | NotAllowed::Template => Setback::Retry(reason),
            }));
        }
        let Some(turn) = self.in_hand.take(lease.card) else {
            let reason = "another message of the card is in hand".to_owned();
            return Err(Denied::Setback(Setback::Rest(reason)));
        };
        let committed = commitments(&self.hsm, lease, contact).await.map_err(Denied::Setback)?;
        let decision = self.decide(lease, &committed).await.map_err(Denied::Setback)?;
        match decision {
            Decision::Admit { .. } => Ok(Admission { card: lease.card, used: Uses::default(), _turn: turn }),
            Decision::Over { limit, full } => {
                let span = full.span;
                let reason = format!("the courier's limit of messages is reached: {limit}, {span}");
                Err(Denied::Wait { until_ms: full.until_ms, reason })
            }
            Decision::Wait { until_ms, .. } => {
                let reason = format!("the contact has changed: waiting until {}", time_text(until_ms));
                Err(Denied::Wait { until_ms, reason })
            }
        }
    }

    async fn decide(&self, lease: &Lease, committed: &Committed) -> Result<Decision, Setback> {
        let _one_at_a_time = self.deciding.lock().await;
        let now_ms = self.clock.now_ms();
        let mailbox = [b"m".as_slice(), &committed.mailbox.0].concat();
        let mut memory: Found<Memory> = self.read(Space::CourierCard, lease.card.bytes())?;
        let contact: Found<Window> = self.read(Space::CourierCount, &mailbox)?;
        let all: Found<Window> = self.read(Space::CourierCount, ALL)?;
        let again: Found<Window> = self.read(Space::CourierCount, AGAIN)?;
        let mut counters =
            Counters { contact: contact.value.clone(), all: all.value.clone(), again: again.value.clone() };
        let before = memory.value.clone();
        let Policy { limits, wait_ms, .. } = &self.policy;
        let decision = memory.value.decide(&mut counters, limits, *wait_ms, &committed.asked, now_ms);
        let mut unit = Unit::default();
        // A card that nothing is admitted for leaves no record: card ids cost an authority nothing.
        if memory.value != before {
            unit.ops.push(put(Space::CourierCard, lease.card.bytes(), &memory.value, memory.expect)?);
        }
        let counts = [
            (&mailbox[..], &counters.contact, contact),
            (ALL, &counters.all, all),
            (AGAIN, &counters.again, again),
        ];
        for (key, now, found) in counts {
            if *now != found.value {
                unit.ops.push(put(Space::CourierCount, key, now, found.expect)?);
            }
        }
        let mut detail = vec![("contact", hex::encode(committed.asked.known.contact.0))];
        let mut written = true;
        let (kind, ending) = match &decision {
            Decision::Admit { returned } => {
                if *returned {
                    unit.ops.push(notice::forget(lease.card));
                    detail.push(("change", "taken_back".to_owned()));
                }
                (Kind::LeaseAdmitted, Ending::Intent)
            }
            Decision::Over { limit, full } => {
                written = self.writes(Vain::Waiting);
                let span = full.span;
                if self.quiet().alarms((limit, span), self.clock.uptime()) {
                    tracing::error!(delivery = %lease.delivery, limit, span, "ALARM: a limit of the courier is reached");
                }
                detail.push(("reason", format!("limit_{limit}_{}", full.span)));
                detail.push(("until", time_text(full.until_ms)));
                (Kind::LeaseWaiting, Ending::Refused)
            }
            Decision::Wait { until_ms, tell } => {
                detail.push(("reason", "contact_changed".to_owned()));
                detail.push(("until", time_text(*until_ms)));
                if let Some(former) = tell {
                    unit.ops.push(notice::queue(lease, former, *until_ms, now_ms)?);
                    detail.push(("notice", "queued".to_owned()));
                } else {
                    written = self.writes(Vain::Waiting);
                }
                (Kind::LeaseWaiting, Ending::Refused)
            }
        };
        unit.events.extend(written.then(|| self.event(kind, ending, lease, detail)));
        if !unit.ops.is_empty() || written {
            self.commit(unit).await?;
        }
        Ok(decision)
    }

    /// Notes how an admitted message ended. What cannot be noted stays as if it might have been sent.
    pub async fn ended(&self, admission: Admission, lease: &Lease, ended: Ended, reason: &str) {
        let state = match ended {
            Ended::NotSent => "not_sent",
            Ended::Sent => "sent",
            Ended::Unknown => "unknown",
        };
        let done = async {
            let mut memory: Found<Memory> = self.read(Space::CourierCard, admission.card.bytes())?;
            memory.value.end(ended);
            let operations = admission.used.read().to_string();
            let mut detail = vec![("state", state.to_owned()), ("operations", operations)];
            if !reason.is_empty() {
                detail.push(("reason", reason.chars().take(200).collect()));
            }
            let mut unit = Unit::default();
            unit.ops.push(put(Space::CourierCard, admission.card.bytes(), &memory.value, memory.expect)?);
            unit.events.push(self.event(Kind::LeaseEnded, Ending::Done, lease, detail));
            self.commit(unit).await
        };
        if let Err(setback) = done.await {
            tracing::error!(delivery = %lease.delivery, %setback, state, "the end of a message is not written down");
        }
    }

    /// Writes down that a lease was refused for what it holds.
    pub async fn refused(&self, lease: &Lease, reason: &str) {
        if !self.writes(Vain::Refused) {
            return;
        }
        tracing::warn!(delivery = %lease.delivery, reason, "lease refused");
        let detail = vec![("reason", reason.to_owned())];
        let unit = Unit {
            ops: Vec::new(),
            events: vec![self.event(Kind::LeaseRefused, Ending::Refused, lease, detail)],
        };
        if let Err(setback) = self.commit(unit).await {
            tracing::error!(delivery = %lease.delivery, %setback, "a refusal is not written down");
        }
    }

    /// Whether another event about a lease that came to nothing is written.
    fn writes(&self, vain: Vain) -> bool {
        self.quiet().writes(vain, self.clock.uptime())
    }

    fn quiet(&self) -> MutexGuard<'_, Quiet> {
        self.quiet.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One event for all that was not written.
    async fn tell_unwritten(
        &self,
        of: impl Fn(&mut Quiet) -> &mut Span,
        what: impl FnOnce(&Span) -> Option<Unwritten>,
    ) {
        let Some(unwritten) = what(of(&mut self.quiet())) else { return };
        let (refused, waiting) = (unwritten.refused, unwritten.waiting);
        tracing::error!(refused, waiting, "ALARM: more leases came to nothing than are written one by one");
        let mut event = self.own_event(Kind::LeasesUnwritten, Ending::Refused);
        event.detail = vec![("refused", refused.to_string()), ("waiting", waiting.to_string())];
        match self.commit(Unit { ops: Vec::new(), events: vec![event] }).await {
            Ok(()) => of(&mut self.quiet()).told(unwritten),
            Err(setback) => tracing::error!(%setback, "how many is not written down"),
        }
    }

    /// Removes counters of mailboxes that count no more: even commitments are not kept longer than they serve.
    async fn forget_counters(&self, now_ms: u64) -> Result<(), Setback> {
        let mut from = Vec::new();
        loop {
            let found = self.store.scan(Space::CourierCount, b"m", &from, STEP).map_err(|e| unwritten(&e))?;
            let mut unit = Unit::default();
            for entry in &found {
                let window = serde_json::from_slice::<Window>(&entry.record.value);
                if window.is_ok_and(|window| window.is_over(now_ms)) {
                    let expect = Expect::Version(entry.record.version);
                    unit.ops.push(Op::Delete { space: Space::CourierCount, key: entry.key.clone(), expect });
                }
            }
            if !unit.ops.is_empty() {
                self.commit(unit).await?;
            }
            match found.last() {
                Some(last) if found.len() == STEP => from = store::after(&last.key),
                Some(_) | None => return Ok(()),
            }
        }
    }

    /// A record, or what stands for none.
    fn read<T: serde::de::DeserializeOwned + Default>(
        &self,
        space: Space,
        key: &[u8],
    ) -> Result<Found<T>, Setback> {
        let Some(found) = self.store.get(space, key).map_err(|e| unwritten(&e))? else {
            return Ok(Found { value: T::default(), expect: Expect::Absent });
        };
        let value = serde_json::from_slice(&found.value).map_err(|error| {
            tracing::error!(%error, "a record of the courier's memory cannot be read");
            Setback::Trouble("the courier's memory is damaged".to_owned())
        })?;
        Ok(Found { value, expect: Expect::Version(found.version) })
    }

    async fn commit(&self, unit: Unit) -> Result<(), Setback> {
        match self.store.submit(unit).await {
            Ok(Outcome::Applied { .. }) => Ok(()),
            Ok(Outcome::Refused { op }) => {
                tracing::error!(op, "another has changed the courier's memory");
                Err(Setback::Trouble("the courier's memory has changed meanwhile".to_owned()))
            }
            Err(error) => Err(unwritten(&error)),
        }
    }
}

fn unwritten(error: &store::Error) -> Setback {
    tracing::error!(%error, "the courier's memory");
    Setback::Trouble("the courier's memory does not work".to_owned())
}

fn put<T: serde::Serialize>(space: Space, key: &[u8], record: &T, expect: Expect) -> Result<Op, Setback> {
    let value = serde_json::to_vec(record)
        .map_err(|_| Setback::Trouble("a record of the courier's memory cannot be written".to_owned()))?;
    Ok(Op::Put { space, key: key.to_vec(), value, expect })
}
