//! Four eyes: one operator asks, another one signs, and the operation itself uses the approval up (`approvals/serve.rs`).
//!
//! An approval needs no key of codes, so asking and signing have one commit each. Open ones are bounded: each takes one of
//! the few places that an operator has, and place and approval are forgotten when its time is over.

mod request;
mod serve;
mod sign;

use serde::{Deserialize, Serialize};

use super::{
    Call, Error, Service, commitments,
    effects::{Guard, TRIES, fresh},
    error::What,
    idempotency::Idempotency,
    look_up::FoundCard,
    records::{self, Perishable},
};
use crate::{
    domain::{
        approval::{self, Approval, Asked, Facts, NotApproved, Party, State},
        audit::{Event, Kind, Outcome},
        id::ApprovalId,
    },
    policy::{Act, Action, Proof, act},
    store::{Expect, Op, Space, Unit},
};

pub use request::ApprovalRequest;
pub use sign::SignedApproval;

/// An approval as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApprovalView {
    /// Its id.
    pub id: ApprovalId,
    /// What the approving operator's card signs.
    pub text: String,
    /// `open` or `signed`.
    pub state: &'static str,
    /// From then on it serves nothing; milliseconds since 1970 UTC.
    pub until_ms: u64,
}

/// The answer as remembered for a repeated request: the text stays where it is forgotten sooner.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Opened {
    approval: ApprovalId,
}

/// Key in `Space::Approval`.
fn approval_key(id: &ApprovalId) -> Vec<u8> {
    [b"a".as_slice(), id.bytes()].concat()
}

/// Key in `Space::Approval` of one of the places that an operator has for open approvals.
fn place_key(operator: &str, place: u8) -> Vec<u8> {
    [b"o".as_slice(), operator.as_bytes(), &[place]].concat()
}

impl Service {
    /// Asks for an approval: the text for a colleague. Nobody is asked for what would be refused afterwards.
    pub async fn ask_approval(
        &self,
        mut call: Call<act::AskApproval>,
        request: ApprovalRequest,
    ) -> Result<ApprovalView, Error> {
        request.check(&call)?;
        let messages = [commitments::team(request.team())?, call.operator_mut()?.key_message()?];
        let ([number, key_mac], key) = self.commitments_and_key(&mut call, messages).await?;
        if let Some(before) = self.answered(&key)? {
            return self.opened_before(&call, before).await;
        }
        self.charge_look_up(&call).await?;
        let found = self.seen(&call, Kind::ApprovalAsked, self.find(&number, None)).await?;
        self.on_card(&call, Kind::ApprovalAsked, &found, Proof::None).await?;
        if let Err(refused) = call.permit.once_approved(request.action(), found.facts()) {
            return Err(self.not_allowed(&call, Kind::ApprovalAsked, &found, &refused).await?);
        }
        let asked = self.to_be_asked(&call, &found, &request).await?;
        self.refuse_if_unmarked()?;

        let by = call.party(hex::encode(commitments::half(&key_mac)))?;
        self.open(&call, &key, &found, (&asked, &request, by)).await
    }

    /// Opens it in the first place that is free; made anew if another request of the operator takes that meanwhile.
    async fn open(
        &self,
        call: &Call<act::AskApproval>,
        key: &Idempotency,
        found: &FoundCard,
        (asked, request, by): (&Asked, &ApprovalRequest, Party),
    ) -> Result<ApprovalView, Error> {
        let policy = call.permit.policy();
        let rules = policy.parameters().approvals;
        let (id, now_ms) = (ApprovalId::new(fresh()?), self.clock.now_ms());
        let until_ms = now_ms.saturating_add(rules.valid_for_ms);
        let text = Facts {
            id,
            asked,
            team: request.team(),
            contact: request.contact(),
            operator: call.operator.as_ref().ok_or(Error::OperatorMissing)?.tax_code(),
            office: call.permit.office().unwrap_or_default(),
            front_end: &by.caller,
            policy: (policy.digest(), policy.parameters().sequence),
            time_ms: (now_ms, until_ms),
            nonce: fresh()?,
        }
        .text();
        let event = |outcome| {
            let event = self.event(call, Kind::ApprovalAsked, outcome);
            Event { card: Some(*found.id().bytes()), ..event }.with("approval", id.to_string())
        };
        for _ in 0..TRIES {
            let mut place = None;
            for n in 0..rules.open_per_operator {
                if self.store.get(Space::Approval, &place_key(&by.operator, n))?.is_none() {
                    place = Some(n);
                    break;
                }
            }
            let Some(place) = place else {
                let refused = NotApproved::TooMany;
                let reason = refused.code();
                let event = self.event(call, Kind::ApprovalAsked, Outcome::Refused);
                let event = Event { card: Some(*found.id().bytes()), ..event };
                self.record(event.with("reason", reason)).await?;
                return Err(refused.into());
            };
            let approval = Approval {
                format: approval::FORMAT,
                asked: asked.clone(),
                by: by.clone(),
                policy: policy.digest().to_string(),
                until_ms,
                place,
                text: text.clone(),
                state: State::Open,
            };
            let (id_key, place_key) = (approval_key(&id), place_key(&by.operator, place));
            let mut ops = Vec::from(key.answer_at_once(Opened { approval: id })?);
            ops.extend([
                records::put(Space::Approval, &id_key, &approval, Expect::Absent)?,
                Perishable::Approval.expires(&id_key, until_ms),
                Op::Put {
                    space: Space::Approval,
                    key: place_key.clone(),
                    value: Vec::new(),
                    expect: Expect::Absent,
                },
                Perishable::Approval.expires(&place_key, until_ms),
            ]);
            let asked = event(Outcome::Done).with("for", call_for(&approval.asked));
            match self.commit(Unit { ops, events: vec![asked] }).await? {
                Ok(()) => return Ok(view(id, &approval)),
                Err(Guard(0)) => {
                    let before = self.answered(key)?.ok_or(Error::OutcomeUnknown)?;
                    return self.opened_before(call, before).await;
                }
                Err(_) => {}
            }
        }
        self.record(event(Outcome::Refused).with("reason", "changed_meanwhile")).await?;
        Err(Error::Conflict)
    }

    async fn opened_before(
        &self,
        call: &Call<act::AskApproval>,
        before: Opened,
    ) -> Result<ApprovalView, Error> {
        let Opened { approval: id } = self.replayed(call, before).await?;
        let (approval, _) = self.approval_record(&id)?.ok_or(Error::NotFound(What::Approval))?;
        Ok(view(id, &approval))
    }

    /// Shows an approval to whoever may sign it.
    pub async fn approval(
        &self,
        mut call: Call<act::Approve>,
        id: ApprovalId,
    ) -> Result<ApprovalView, Error> {
        self.know_operator(&mut call).await?;
        let (approval, _, found) = self.to_be_approved(&call, Kind::ApprovalShown, &id).await?;
        let event = self.event(&call, Kind::ApprovalShown, Outcome::Done);
        let event = Event { card: Some(*found.id().bytes()), ..event };
        self.record(event.with("approval", id.to_string())).await?;
        Ok(view(id, &approval))
    }

    /// The approval that is there, with the guard on it and its card, on which the rules let the operator approve.
    async fn to_be_approved(
        &self,
        call: &Call<act::Approve>,
        kind: Kind,
        id: &ApprovalId,
    ) -> Result<(Approval, Expect, FoundCard), Error> {
        let Some((approval, expect)) = self.approval_record(id)? else {
            let event = self.event(call, kind, Outcome::Refused).with("approval", id.to_string());
            self.record(event.with("reason", "approval_not_found")).await?;
            return Err(Error::NotFound(What::Approval));
        };
        let found = self.card(approval.asked.card())?;
        self.on_card(call, kind, &found, Proof::None).await?;
        Ok((approval, expect, found))
    }

    /// The record of an approval, with the guard on it; nothing of one whose time is over.
    fn approval_record(&self, id: &ApprovalId) -> Result<Option<(Approval, Expect)>, Error> {
        let Some(found) = self.store.get(Space::Approval, &approval_key(id))? else { return Ok(None) };
        let record: Approval = records::read(&found)?;
        if record.format != approval::FORMAT {
            return Err(Error::Bug(format!("approval of format {}", record.format)));
        }
        let in_time = self.clock.now_ms() < record.until_ms;
        Ok(in_time.then_some((record, Expect::Version(found.version))))
    }

    /// Records why an approval is not given or does not serve.
    async fn not_approved<A: Act>(
        &self,
        call: &Call<A>,
        kind: Kind,
        (found, id): (&FoundCard, &ApprovalId),
        refused: NotApproved,
    ) -> Result<Error, Error> {
        let detail = Some(("approval", id.to_string()));
        self.refused_on_card(call, kind, &found.id(), refused.code(), detail).await?;
        Ok(refused.into())
    }
}

const fn call_for(asked: &Asked) -> &'static str {
    match asked {
        Asked::ChangeContact { .. } => Action::ChangeContact.text(),
        Asked::RenewCip { .. } => Action::RenewCip.text(),
        Asked::Revoke { .. } => Action::Revoke.text(),
        Asked::Unlock { .. } => Action::Unlock.text(),
    }
}

fn view(id: ApprovalId, approval: &Approval) -> ApprovalView {
    ApprovalView {
        id,
        text: approval.text.clone(),
        state: approval.state.text(),
        until_ms: approval.until_ms,
    }
}
