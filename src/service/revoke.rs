//! Revocation: final, with the holder's C.I.P. as proof, or a colleague's approval.

use serde::{Deserialize, Serialize};

use super::{
    Call, Error, Purpose, Service, Verdict,
    applicants::Visit,
    commitments,
    effects::Guard,
    error::What,
    idempotency::First,
    look_up::FoundCard,
    paper::{Paper, Said, Stamp},
    records::{self, Verified, verification_key},
};
use crate::{
    domain::{
        applicant::{Applicant, Errand, Objection},
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
    /// Who asks.
    pub applicant: Applicant,
}

impl RevocationRequest {
    /// The holder's C.F. is not in it: the card says whose it is, and the operator looks at who asks.
    fn said(&self) -> Said<'_> {
        let visit = Visit {
            errand: Errand::Revocation,
            applicant: &self.applicant,
            holder: None,
            region: self.team.region(),
            more: None,
        };
        Said { visit, team: &self.team, contact: None }
    }
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
#[derive(Clone, Debug)]
pub struct Revoked {
    /// Milliseconds since 1970 UTC.
    pub at_ms: u64,
    /// What is printed.
    pub paper: Paper,
}

/// What is remembered for a repeated request.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Remembered {
    at_ms: u64,
    card: CardId,
    stamp: Stamp,
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
        let said = request.said();
        let team = commitments::team(&request.team)?;
        let dossier = commitments::dossier(&call.request)?;
        // Without a proxy the holder's place is taken by the number, whose MAC is nobody's.
        let proxy = match &request.applicant.proxy {
            Some(proxy) => commitments::tax_code(&proxy.tax_code)?,
            None => commitments::team(&request.team)?,
        };
        let ([team, proxy, dossier], key) =
            self.commitments_and_key(&mut call, [team, proxy, dossier]).await?;
        if let Some(before) = self.answered(&key)? {
            return self.revoked_before(&call, &said, before).await;
        }
        self.may_ask(&call, &said.visit)?;
        self.charge_look_up(&call).await?;
        let found = self.find(&team, None);
        let found = self.seen(&call, Kind::CardRevoked, found).await?;
        let named = match request.proof {
            RevocationProof::Approval(_) => Proof::Approval,
            RevocationProof::Verification(_) => Proof::Verification,
        };
        let permit = self.on_card(&call, Kind::CardRevoked, &found, named).await?;
        let id = found.id();
        // Only who may see the card learns whether a proxy's C.F. is its holder's.
        if request.applicant.proxy.is_some()
            && found.card.registration().tax_code_mac == commitments::half(&proxy)
        {
            let objection = Objection::ProxyIsHolder;
            self.refused_on_card(&call, Kind::CardRevoked, &id, objection.code(), None).await?;
            return Err(objection.into());
        }
        let event =
            |outcome| Event { card: Some(*id.bytes()), ..self.event(&call, Kind::CardRevoked, outcome) };
        let (proof, approved) = match request.proof {
            RevocationProof::Approval(approval) => {
                let asked = Asked::Revoke { card: id, reason: request.reason };
                let used = self.approved(&call, Kind::CardRevoked, (&found, &approval), &asked).await?;
                let (by, who) = (&used.approver, &request.applicant);
                self.refuse_approver_as_proxy(&call, (Kind::CardRevoked, &found), by, who).await?;
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
            Ok(First::Before(before)) => return self.revoked_before(&call, &said, before).await,
            Err(guard) => return Err(Error::Bug(format!("intent refused: {guard:?}"))),
        };
        let answer = Remembered { at_ms: now_ms, card: id, stamp: Stamp::new(&call, now_ms) };
        let dossier = self.seal_dossier(&call, &dossier, &id, &request.applicant)?;
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
                let mut event = self.event(&call, kind, Outcome::Done);
                if kind == Kind::CardRevoked {
                    event.detail.extend(request.applicant.in_events());
                    event.detail.push(("dossier", dossier.commitment().to_owned()));
                }
                match &approved {
                    Some((approval, approver)) if kind == Kind::CardRevoked => {
                        event.with("approval", approval.to_string()).with("approver", approver.clone())
                    }
                    Some(_) | None => event,
                }
            })?;
            Self::dossier_into(&mut unit, &dossier);
            unit.ops.extend(key.answer(&answer)?);
            Ok(Some(unit))
        };
        match self.conclude_anew(intended, outcome).await? {
            Ok(()) => {
                let paper = said.paper(answer.stamp, found.card.registration().expiry);
                Ok(Revoked { at_ms: answer.at_ms, paper })
            }
            Err(Guard(_)) => Err(self.gave_way(&key, event(Outcome::Refused)).await?),
        }
    }

    /// Answers a repeated request as before.
    async fn revoked_before(
        &self,
        call: &Call<act::Revoke>,
        said: &Said<'_>,
        before: Remembered,
    ) -> Result<Revoked, Error> {
        let Remembered { at_ms, card, stamp } = self.replayed(call, before).await?;
        let paper = said.paper(stamp, self.card(&card)?.card.registration().expiry);
        Ok(Revoked { at_ms, paper })
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
    pub(super) fn end_into(
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
