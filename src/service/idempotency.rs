//! Idempotency keys: a repeated request has no second effect (I9).
//!
//! The record is written, still without an answer, in the commit of the intent, and completed in the commit of the
//! outcome. A request that dies in between leaves it without an answer for ever: its outcome is unknown, and the
//! caller looks the card up instead of trying again blindly.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    Call, Error, Service, commitments,
    effects::{Guard, Intended},
    records::Perishable,
    running::Runs,
};
use crate::{
    domain::{
        audit::{Event, Kind, Outcome},
        id::CardId,
    },
    hsm::MacKey,
    policy::Act,
    secret::{Secret, SecretBytes},
    store::{Expect, Op, Space, Unit},
};

/// The stored record. Answers never hold a code or a part: first parts are derived again.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record<T> {
    format: u8,
    body: String,
    answer: Option<T>,
}

const FORMAT: u8 = 1;

/// The idempotency key of one request, as the store knows it.
pub(super) struct Idempotency {
    key: Vec<u8>,
    body: String,
    until_ms: u64,
    /// Held to the end of the request.
    runs: Runs,
}

/// Whether a request is the first with its key.
pub(super) enum First<T> {
    /// It is; this is its durable intent.
    Now(Intended),
    /// It is a repetition; the first was answered from this.
    Before(T),
}

impl Idempotency {
    fn record<T: Serialize>(&self, answer: Option<T>) -> Result<Vec<u8>, Error> {
        serde_json::to_vec(&Record { format: FORMAT, body: self.body.clone(), answer })
            .map_err(|e| Error::Bug(format!("idempotency record: {e}")))
    }

    /// Puts the key into an intent; must be its first operation.
    fn claim(&self) -> Result<Op, Error> {
        let value = self.record(None::<()>)?;
        Ok(Op::Put { space: Space::Idem, key: self.key.clone(), value, expect: Expect::Absent })
    }

    /// Puts the answer into an outcome.
    pub(super) fn answer<T: Serialize>(&self, answer: T) -> Result<[Op; 2], Error> {
        let value = self.record(Some(answer))?;
        Ok([
            Op::Put { space: Space::Idem, key: self.key.clone(), value, expect: Expect::Any },
            Perishable::Idempotency.expires(&self.key, self.until_ms),
        ])
    }

    /// Puts the answer into an outcome that writes a verification too: both are forgotten together, by one note, once neither is
    /// needed any more.
    pub(super) fn answer_beside<T: Serialize>(
        &self,
        answer: T,
        verification: &[u8],
        until_ms: u64,
    ) -> Result<[Op; 2], Error> {
        let [remember, _] = self.answer(answer)?;
        let both = [self.key.as_slice(), verification].concat();
        Ok([remember, Perishable::Verified.expires(&both, self.until_ms.max(until_ms))])
    }

    /// Claims the key with its answer, for an operation of one commit; must be its first operations.
    pub(super) fn answer_at_once<T: Serialize>(&self, answer: T) -> Result<[Op; 2], Error> {
        let value = self.record(Some(answer))?;
        Ok([
            Op::Put { space: Space::Idem, key: self.key.clone(), value, expect: Expect::Absent },
            Perishable::Idempotency.expires(&self.key, self.until_ms),
        ])
    }

    /// Gives the key back in an outcome that is certain to have done nothing.
    pub(super) fn release(&self) -> Op {
        Op::Delete { space: Space::Idem, key: self.key.clone(), expect: Expect::Any }
    }
}

impl Service {
    /// Asks the index key for an operation's own messages, for its idempotency key and for its operator, if they were not met
    /// before, in one go; refuses an operator whose card is not the registered one.
    pub(super) async fn commitments_and_key<A: Act, const N: usize>(
        &self,
        call: &mut Call<A>,
        messages: [(MacKey, SecretBytes); N],
    ) -> Result<([Secret<32>; N], Idempotency), Error> {
        let key = call.key.as_deref().ok_or(Error::KeyMissing)?;
        let operator = call.operator.as_ref().ok_or(Error::OperatorMissing)?;
        let mut all = Vec::from(messages);
        all.push(commitments::idempotency(call, operator.tax_code().as_str(), key)?);
        let met = self.met.get(operator);
        if met.is_none() {
            all.push(operator.message()?);
        }
        let mut macs = self.hsm.macs(all).await?;
        let mut last = || macs.pop().ok_or_else(|| Error::Bug("HSM answered another number of MACs".into()));
        let operator = call.operator_mut()?;
        match met {
            Some(known) => operator.is_known(known),
            None => self.met.remember(operator.known_by(&last()?)),
        }
        let key = last()?;
        self.needs_registration(call)?;
        let keep_ms = call.permit.policy().parameters().idempotency_keep_ms;
        let body = hex::encode(commitments::body(call, &key)?);
        let key = commitments::half(&key);
        let key = Idempotency {
            key: key.into(),
            body,
            until_ms: self.clock.now_ms().saturating_add(keep_ms),
            runs: self.running.enter(&key),
        };
        let own = macs.try_into().map_err(|_| Error::Bug("HSM answered another number of MACs".into()))?;
        Ok((own, key))
    }

    /// Commits the intent `unit` if the request is the first with its key; if another came first meanwhile, finds
    /// what that one was answered. The unit's own operations follow the claim of the key: a [`Guard`] counts from
    /// the first of them.
    pub(super) async fn first<T: DeserializeOwned>(
        &self,
        key: &Idempotency,
        mut unit: Unit,
    ) -> Result<Result<First<T>, Guard>, Error> {
        unit.ops.insert(0, key.claim()?);
        match self.intend(unit).await? {
            Ok(intended) => Ok(Ok(First::Now(intended))),
            Err(Guard(op)) => match op.checked_sub(1) {
                Some(own) => Ok(Err(Guard(own))),
                None => {
                    self.answered(key)?.map(|answer| Ok(First::Before(answer))).ok_or(Error::OutcomeUnknown)
                }
            },
        }
    }

    /// Commits what asks no key of codes, with its answer, if the request is the first with its key; else answers as the first
    /// was. A [`Guard`] counts from the unit's own operations.
    pub(super) async fn once<A: Act, T: Serialize + DeserializeOwned>(
        &self,
        call: &Call<A>,
        key: &Idempotency,
        answer: T,
        mut unit: Unit,
    ) -> Result<Result<T, Guard>, Error> {
        let claim = key.answer_at_once(&answer)?;
        let before = claim.len();
        drop(unit.ops.splice(0..0, claim));
        match self.commit(unit).await? {
            Ok(()) => Ok(Ok(answer)),
            Err(Guard(op)) => match op.checked_sub(before) {
                Some(own) => Ok(Err(Guard(own))),
                None => {
                    let first = self.answered(key)?.ok_or(Error::OutcomeUnknown)?;
                    self.replayed(call, first).await.map(Ok)
                }
            },
        }
    }

    /// What an earlier request with the key was answered; nothing if there was none, and none runs. To be asked before
    /// anything is decided: the first request has changed, or is about to change, what the decision looks at. Who answers
    /// from it says so by [`Service::replayed`] or [`Service::replay`].
    pub(super) fn answered<T: DeserializeOwned>(&self, key: &Idempotency) -> Result<Option<T>, Error> {
        match self.record_of(key)? {
            Some(Some(answer)) => Ok(Some(answer)),
            None | Some(None) if !key.runs.came_alone() => Err(Error::InProgress),
            None => Ok(None),
            // Nobody else runs: its process has ended before it did.
            Some(None) => Err(Error::OutcomeUnknown),
        }
    }

    /// The record of the key, if there is one, and in it the answer, if there is one.
    fn record_of<T: DeserializeOwned>(&self, key: &Idempotency) -> Result<Option<Option<T>>, Error> {
        let Some(found) = self.store.get(Space::Idem, &key.key)? else { return Ok(None) };
        let unreadable = |e| Error::Bug(format!("stored idempotency record: {e}"));
        // Two operations may share an action, and so a key: whose answer it is says the commitment alone.
        let record: Record<serde_json::Value> = serde_json::from_slice(&found.value).map_err(unreadable)?;
        if record.format != FORMAT {
            return Err(Error::Bug(format!("idempotency record of format {}", record.format)));
        }
        if record.body != key.body {
            return Err(Error::KeyReused);
        }
        record.answer.map(|answer| serde_json::from_value(answer).map_err(unreadable)).transpose().map(Some)
    }

    /// Answers a request as before, which is an event.
    pub(super) async fn replayed<A: Act, T>(&self, call: &Call<A>, answer: T) -> Result<T, Error> {
        self.record(self.replay_event(call, None)).await.map(|()| answer)
    }

    /// As [`Service::replayed`], where first parts are to be derived once more: the event is their intent.
    pub(super) async fn replay<A: Act>(&self, call: &Call<A>, card: &CardId) -> Result<Intended, Error> {
        let unit = Unit { ops: Vec::new(), events: vec![self.replay_event(call, Some(card))] };
        self.intend(unit).await?.map_err(|_| Error::Bug("an event alone was refused".into()))
    }

    fn replay_event<A: Act>(&self, call: &Call<A>, card: Option<&CardId>) -> Event {
        let event = self.event(call, Kind::RequestReplayed, Outcome::Done);
        Event { card: card.map(|id| *id.bytes()), ..event }.with("action", A::ACTION.text())
    }
}
