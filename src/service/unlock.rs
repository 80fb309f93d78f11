//! Unlock: the wrong guesses that lock a C.I.P. are forgiven, by two people unless the rules say otherwise.
//!
//! What counts against the life of the C.I.P. stays. A lock that a recovery made is unlocked alike; a card that it holds is
//! not, and neither is a C.I.P. whose life is used up: that takes a new one.

use serde::{Deserialize, Serialize};

use super::{Call, CardData, Error, Service, commitments::card_counter, effects::Guard, look_up::FoundCard};
use crate::{
    domain::{
        approval::Asked,
        audit::{Event, Kind, Outcome},
        card::Card,
        id::ApprovalId,
        tries::Tries,
        unlocks::Unlocks,
    },
    policy::{Act, Proof, act},
    store::{Expect, Op, Space, Unit},
};

/// A card whose C.I.P. is to be unlocked.
#[derive(Debug)]
pub struct UnlockRequest {
    /// What is printed on it.
    pub card: CardData,
    /// One of the policy's reasons.
    pub reason: String,
    /// A colleague's approval of this very unlock.
    pub approval: Option<ApprovalId>,
}

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unlocked {
    /// Milliseconds since 1970 UTC.
    pub at_ms: u64,
    /// Guesses that can be granted again.
    pub tries_left: u32,
}

/// What an unlock changes, as it was found.
pub(super) struct ToBeUnlocked {
    after: Tries,
    unlocks: Unlocks,
    expect: Expect,
}

/// Refuses a reason that the policy does not list.
pub(super) fn check_reason<A: Act>(call: &Call<A>, reason: &str) -> Result<(), Error> {
    if call.permit.policy().parameters().is_unlock_reason(reason) {
        return Ok(());
    }
    let detail = "not one of the policy's reasons";
    Err(Error::Field { field: "reason", code: "unknown_reason", detail })
}

/// Key in `Space::Budget` of a card's unlocks.
fn unlocks_key(card: &Card) -> Vec<u8> {
    [b"c".as_slice(), card.registration().id.bytes()].concat()
}

impl Service {
    /// Unlocks a C.I.P. and uses the approval up, in one commit.
    pub async fn unlock(
        &self,
        mut call: Call<act::Unlock>,
        request: UnlockRequest,
    ) -> Result<Unlocked, Error> {
        check_reason(&call, &request.reason)?;
        let UnlockRequest { card: data, reason, approval } = request;
        let ([team, cf], key) = self.commitments_and_key(&mut call, data.messages()?).await?;
        if let Some(before) = self.answered(&key)? {
            return self.replayed(&call, before).await;
        }
        self.charge_look_up(&call).await?;
        let kind = Kind::CipUnlocked;
        let found = self.seen(&call, kind, self.find(&team, Some((&cf, data.expires_on)))).await?;
        self.on_card(&call, kind, &found, Proof::of(approval.as_ref())).await?;
        let asked = Asked::Unlock { card: found.id(), reason };
        let used = self.approved_if_named(&call, kind, (&found, approval.as_ref()), &asked).await?;
        let ToBeUnlocked { after, unlocks, expect } = self.to_be_unlocked(&call, kind, &found).await?;
        self.refuse_if_unmarked()?;

        let answer = Unlocked { at_ms: self.clock.now_ms(), tries_left: after.left() };
        let event = |outcome| Event { card: Some(*found.id().bytes()), ..self.event(&call, kind, outcome) };
        let Asked::Unlock { reason, .. } = asked else { return Err(Error::Bug("another request".into())) };
        let mut done = event(Outcome::Done).with("reason", reason);
        done.detail.extend(used.detail);
        let (unlocks_key, value) = (unlocks_key(&found.card), unlocks.encode());
        let mut ops = vec![
            Op::Put { space: Space::Budget, key: unlocks_key, value, expect },
            Op::Unlock { key: card_counter(&found.id()).to_vec() },
        ];
        ops.extend(used.ops);
        match self.once(&call, &key, answer, Unit { ops, events: vec![done] }).await? {
            Ok(answer) => Ok(answer),
            Err(Guard(_)) => {
                self.record(event(Outcome::Refused).with("reason", "changed_meanwhile")).await?;
                Err(Error::Conflict)
            }
        }
    }

    /// What the unlock of this card changes; its refusal is recorded as one of `kind`.
    pub(super) async fn to_be_unlocked<A: Act>(
        &self,
        call: &Call<A>,
        kind: Kind,
        found: &FoundCard,
    ) -> Result<ToBeUnlocked, Error> {
        let id = found.id();
        self.allowed(call, kind, &id, found.card.check_has_cip()).await?;
        let after = self.allowed(call, kind, &id, self.tries_of(&id)?.unlock()).await?;
        let (unlocks, expect) = match self.store.get(Space::Budget, &unlocks_key(&found.card))? {
            None => (Unlocks::default(), Expect::Absent),
            Some(before) => {
                let unlocks = Unlocks::decode(&before.value);
                let unlocks =
                    unlocks.ok_or_else(|| Error::Bug(format!("unlocks of card {id} are damaged")))?;
                (unlocks, Expect::Version(before.version))
            }
        };
        let often = call.permit.policy().parameters().unlocks;
        let decided = unlocks.once_more(often, self.clock.now_ms());
        Ok(ToBeUnlocked { after, unlocks: self.allowed(call, kind, &id, decided).await?, expect })
    }
}
