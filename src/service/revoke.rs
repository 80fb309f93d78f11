//! Revocation: final, with the holder's C.I.P. as proof, or a colleague's approval.

use serde::{Deserialize, Serialize};

use super::{
    Call, Error, Purpose, Service, Verdict, commitments,
    effects::Guard,
    error::What,
    idempotency::First,
    look_up::FoundCard,
    records::{self, Verified, verification_key},
};
use crate::{
    domain::{
        approval::Asked,
        audit::{Event, Kind, Outcome},
        card::Reason,
        id::{ApprovalId, CardId, VerificationId},
        team::TeamNumber,
        template::CodeName,
    },
    policy::{Act, CardPermit, Proof, act},
    store::{Expect, Op, Space, Unit},
};

/// A card to be revoked.
#[derive(Debug)]
pub struct RevocationRequest {
    /// Number on the card's back.
    pub team: TeamNumber,
    /// What stands for the holder's will.
    pub proof: RevocationProof,
    /// Why.
    pub reason: Reason,
}

/// What a revocation names; it is used up by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevocationProof {
    /// A colleague's approval of this very revocation, asked for by the same operator at the same caller.
    Approval(ApprovalId),
    /// The accepted verification of its C.I.P., by the same caller and operator, for this purpose, minutes ago at most.
    Verification(VerificationId),
}

/// The answer.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revoked {
    /// Milliseconds since 1970 UTC.
    pub at_ms: u64,
}

/// Refuses a reason that the policy does not list.
pub(super) fn check_reason<A: Act>(call: &Call<A>, reason: Reason) -> Result<(), Error> {
    if call.permit.policy().parameters().is_revocation_reason(reason.text()) {
        return Ok(());
    }
    let detail = "not one of the policy's reasons";
    Err(Error::Field { field: "reason", code: "unknown_reason", detail })
}

impl Service {
    /// Revokes a card and uses the verification or the approval up, in one commit.
    pub async fn revoke(
        &self,
        mut call: Call<act::Revoke>,
        request: RevocationRequest,
    ) -> Result<Revoked, Error> {
        check_reason(&call, request.reason)?;
        let ([team], key) = self.commitments_and_key(&mut call, [commitments::team(&request.team)?]).await?;
        if let Some(before) = self.answered(&key)? {
            return self.replayed(&call, before).await;
        }
        self.charge_look_up(&call).await?;
        let found = self.find(&team, None);
        let found = self.seen(&call, Kind::CardRevoked, found).await?;
        let named = match request.proof {
            RevocationProof::Approval(_) => Proof::Approval,
            RevocationProof::Verification(_) => Proof::Verification,
        };
        let permit = self.on_card(&call, Kind::CardRevoked, &found, named).await?;
        let id = found.id();
        let event =
            |outcome| Event { card: Some(*id.bytes()), ..self.event(&call, Kind::CardRevoked, outcome) };
        let (proof, approved) = match request.proof {
            RevocationProof::Approval(approval) => {
                let asked = Asked::Revoke { card: id, reason: request.reason };
                let used = self.approved(&call, Kind::CardRevoked, (&found, &approval), &asked).await?;
                (used.ops, Some((approval, used.approver)))
            }
            RevocationProof::Verification(verification) => {
                match self.proof(&call, &permit, &verification, &found) {
                    Err(Error::NotFound(What::Verification)) => {
                        self.record(event(Outcome::Refused).with("reason", "no_accepted_verification"))
                            .await?;
                        return Err(Error::NotFound(What::Verification));
                    }
                    proof => {
                        let key = verification_key(&verification);
                        (vec![Op::Delete { space: Space::Verification, key, expect: proof? }], None)
                    }
                }
            }
        };
        let now_ms = self.clock.now_ms();
        let decided = found.card.revoke(request.reason, now_ms);
        self.allowed(&call, Kind::CardRevoked, &id, decided).await?;

        let intent = Unit { ops: Vec::new(), events: vec![event(Outcome::Intent)] };
        let intended = match self.first(&key, intent).await? {
            Ok(First::Now(intended)) => intended,
            Ok(First::Before(before)) => return self.replayed(&call, before).await,
            Err(guard) => return Err(Error::Bug(format!("intent refused: {guard:?}"))),
        };
        let answer = Revoked { at_ms: now_ms };
        let outcome = || {
            let now = self.card(&id)?;
            let cip = |found: &FoundCard| found.card.generation(CodeName::Cip);
            if now.facts() != found.facts() || cip(&now) != cip(&found) {
                // Revoked, or given a new C.I.P., by another request since, and the proof of this one stays unused; or not what the rules decided on.
                return Ok(None);
            }
            // First the proof: two requests that use the same one never both succeed.
            let mut unit = Unit { ops: proof.clone(), events: Vec::new() };
            self.end_into(&mut unit, &now, request.reason, |kind| {
                let event = self.event(&call, kind, Outcome::Done);
                match &approved {
                    Some((approval, approver)) if kind == Kind::CardRevoked => {
                        event.with("approval", approval.to_string()).with("approver", approver.clone())
                    }
                    Some(_) | None => event,
                }
            })?;
            unit.ops.extend(key.answer(answer)?);
            Ok(Some(unit))
        };
        match self.conclude_anew(intended, outcome).await? {
            Ok(()) => Ok(answer),
            Err(Guard(_)) => Err(self.gave_way(&key, event(Outcome::Refused)).await?),
        }
    }

    /// The guard on an accepted verification of this card, by this caller, for a revocation, that still holds.
    fn proof(
        &self,
        call: &Call<act::Revoke>,
        _: &CardPermit<act::Revoke>,
        id: &VerificationId,
        card: &FoundCard,
    ) -> Result<Expect, Error> {
        let none = Error::NotFound(What::Verification);
        let Some(found) = self.store.get(Space::Verification, &verification_key(id))? else {
            return Err(none);
        };
        let record: Verified = records::read(&found)?;
        let holds = record.outcome == Verdict::Accepted
            && record.purpose == Purpose::Revocation
            && record.card == card.id()
            && record.generation == records::generation(card.card.generation(CodeName::Cip))
            && record.caller == **call.permit.caller()
            && Some(record.operator) == call.operator_name()
            && record.until_ms >= self.clock.now_ms();
        if holds { Ok(Expect::Version(found.version)) } else { Err(none) }
    }

    /// Adds the end of a card and of its open delivery to `unit`; nothing if it is revoked already.
    pub(super) fn revoke_into(
        &self,
        unit: &mut Unit,
        id: &CardId,
        reason: Reason,
        event: impl Fn(Kind) -> Event,
    ) -> Result<(), Error> {
        self.end_into(unit, &self.card(id)?, reason, event)
    }

    /// As [`Service::revoke_into`], for a card as it was found: its change is guarded by that.
    fn end_into(
        &self,
        unit: &mut Unit,
        found: &FoundCard,
        reason: Reason,
        event: impl Fn(Kind) -> Event,
    ) -> Result<(), Error> {
        let id = found.id();
        let Ok(card) = found.card.revoke(reason, self.clock.now_ms()) else { return Ok(()) };
        let value = card.encode();
        unit.ops.push(Op::Put {
            space: Space::Card,
            key: id.bytes().to_vec(),
            value,
            expect: found.unchanged(),
        });
        unit.ops.push(self.salt_perishes(&id));
        let revoked = Event { card: Some(*id.bytes()), ..event(Kind::CardRevoked) };
        unit.events.push(revoked.with("reason", reason.text()));
        if let Some(delivery) = self.latest_delivery(&id)? {
            let cancelled = || Event { card: Some(*id.bytes()), ..event(Kind::DeliveryCancelled) };
            self.cancel_into(unit, &delivery, cancelled)?;
        }
        Ok(())
    }
}
