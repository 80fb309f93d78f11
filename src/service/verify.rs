//! Verification of a C.I.P. in constant time (I4, I6).
//!
//! Whatever is presented for whatever number: the same look-ups, one spend, two MACs under the verify key, one
//! refund or touch, one record of the answer. What differs is only in the values. Nothing here returns early because
//! of a card. `tests/service/shape.rs` counts it.

mod subject;

use serde::{Deserialize, Serialize};

pub(super) use self::subject::StandIn;
use self::subject::Subject;
use super::{
    Call, Error, Service, commitments,
    commitments::Decoy,
    effects::fresh,
    idempotency::First,
    look_up::index_entry,
    records::{self, Verified},
};
use crate::{
    domain::{
        audit::{Event, Kind, Outcome},
        card::Cip,
        derive::Guess,
        id::{CardId, VerificationId},
        team::TeamNumber,
    },
    policy::act,
    secret::Digits,
    store::{Expect, Op, Space, Unit, Versioned},
};

/// What an accepted C.I.P. is to be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// To revoke the card.
    Revocation,
}

/// What the front end is told, in as many letters either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The code is right, the card active, and a try was left.
    Accepted,
    /// Anything else.
    Rejected,
}

/// A presented C.I.P.
#[derive(Debug)]
pub struct VerificationRequest {
    /// Number on the card's back.
    pub team: TeamNumber,
    /// What the citizen said: any string of digits is a guess.
    pub code: Digits,
    /// What for.
    pub purpose: Purpose,
}

/// The answer as remembered for a repeated request.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Verification {
    /// Accepted or rejected.
    pub outcome: Verdict,
    /// Names the answer; an accepted one is used up by the revocation.
    pub verification: VerificationId,
}

impl Service {
    /// Decides whether `request.code` is the card's C.I.P. Every first request spends a try.
    pub async fn verify(
        &self,
        mut call: Call<act::Verify>,
        request: VerificationRequest,
    ) -> Result<Verification, Error> {
        let ([team], key) = self.commitments_and_key(&mut call, [commitments::team(&request.team)?]).await?;
        if let Some(answer) = self.answered(&key)? {
            return self.replayed(&call, answer).await;
        }
        let rules = call.permit.policy().parameters().verification;
        let subject = self.subject(&commitments::half(&team), &Decoy::of(&team), rules.decoys)?;

        let spent = self.event(&call, Kind::VerificationSpent, Outcome::Intent);
        let spent = Event { card: Some(*subject.id().bytes()), with_ticket: true, ..spent };
        let unit = Unit { ops: vec![Op::Spend { key: subject.counter().to_vec() }], events: vec![spent] };
        // Nothing is spent on a card where a limit refuses.
        let charges = self.charges_of_guess(&call)?;
        let intended = match self.first(&key, charges.before(&call, unit)).await? {
            Ok(First::Now(intended)) => intended,
            Ok(First::Before(answer)) => return self.replayed(&call, answer).await,
            Err(guard) => return Err(self.over_limit(&call, &charges, &guard).await?),
        };

        let messages = subject.tags_of(&Guess::from(&request.code));
        let presented = self.ask(&intended, messages).await?;
        // Once more, whoever it is: a C.I.P. that was renewed meanwhile is dead, and gives nothing back to the new one.
        let present = self.present(subject.id())?;
        let decision = subject.weigh(&presented, &present, intended.ticket())?.declare();

        let answer = Verification { outcome: decision.verdict, verification: VerificationId::new(fresh()?) };
        let refund = match intended.ticket() {
            Some(ticket) if decision.verdict == Verdict::Accepted => {
                Op::Forgive { key: subject.counter().to_vec(), ticket }
            }
            Some(_) | None => Op::Touch { key: subject.counter().to_vec() },
        };
        let record = Verified {
            format: records::FORMAT,
            card: *subject.id(),
            generation: records::generation(subject.generation()),
            caller: call.permit.caller().to_string(),
            operator: call.operator_name().unwrap_or_default(),
            purpose: request.purpose,
            outcome: decision.verdict,
            until_ms: self.clock.now_ms().saturating_add(rules.accepted_for_ms),
        };
        let id = records::verification_key(&answer.verification);
        let [remember, forget] = key.answer_beside(answer, &id, record.until_ms)?;
        let ops = vec![
            refund,
            charges.settle(decision.verdict == Verdict::Accepted),
            records::put(Space::Verification, &id, &record, Expect::Absent)?,
            remember,
            forget,
        ];
        let outcome = match decision.verdict {
            Verdict::Accepted => Outcome::Accepted,
            Verdict::Rejected => Outcome::Rejected,
        };
        let decided = self.event(&call, Kind::VerificationDecided, outcome);
        let decided = Event { card: Some(*subject.id().bytes()), ..decided };
        let verification = answer.verification.to_string();
        let decided = decided.with("checks", decision.checks).with("verification", verification);
        match self.conclude(intended, Unit { ops, events: vec![decided] }).await? {
            Ok(()) => Ok(answer),
            Err(guard) => Err(Error::Bug(format!("outcome of a verification refused: {guard:?}"))),
        }
    }

    /// The real look-up and the decoy's, always both; then the values of one of them.
    fn subject(&self, team: &[u8; 16], decoy: &Decoy, decoys: u32) -> Result<Subject, Error> {
        let stand_in = decoy.counter(decoys);
        let found = self.store.get(Space::TeamCard, team)?;
        let known = found.is_some();
        let id = match found {
            Some(index) => index_entry(&index.value)?,
            None => decoy.id(),
        };
        let record = self.store.get(Space::Card, id.bytes())?;
        if record.is_some() != known {
            return Err(Error::Bug(format!("card {id} is named but missing, or there without a name")));
        }
        let cip = self.read(&id, record.as_ref())?;
        let first_digits = cip.template().and_then(|template| self.frozen.first_digits_of_cip(template));
        if self.store.get(Space::Tries, &stand_in)?.is_none() {
            return Err(Error::Bug("a decoy counter is missing".into()));
        }
        Ok(Subject::new(&cip, known, decoy, &stand_in, first_digits.unwrap_or(0)))
    }

    /// What the card's record says now, or its stand-in's.
    fn present(&self, id: &CardId) -> Result<Cip, Error> {
        let record = self.store.get(Space::Card, id.bytes())?;
        self.read(id, record.as_ref())
    }

    fn read(&self, id: &CardId, record: Option<&Versioned>) -> Result<Cip, Error> {
        let read = self.stand_in.read(record).filter(|cip| bool::from(cip.is_sound));
        read.ok_or_else(|| Error::Bug(format!("record of card {id} is damaged")))
    }
}
