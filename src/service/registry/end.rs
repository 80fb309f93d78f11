//! The end of a card that is lost: by those whom the policy lets deregister, without the operator.

use crate::{
    domain::{
        audit::{Kind, Outcome},
        tax_code::TaxCode,
    },
    policy::act,
    service::{Call, Error, Operator, Service, records},
    store::{Expect, Op, Space, Unit},
};

/// Whose card is to end.
#[derive(Clone, Debug)]
pub struct DeregistrationRequest {
    /// The operator.
    pub operator: TaxCode,
}

impl Service {
    /// Ends the registration of an operator's card; answers whether there was one. Its key is never registered again; another
    /// card of the operator may be. The answer comes once the token's checkpoint vouches for it: no recovery with evidence
    /// misses an end that was answered.
    pub async fn deregister(
        &self,
        call: &Call<act::DeregisterOperator>,
        request: DeregistrationRequest,
    ) -> Result<bool, Error> {
        self.refuse_if_unmarked()?;
        let operator = self.known(Operator::new(request.operator)).await?;
        let mut found = self.operator_card(&operator.name)?;
        let event = |outcome| {
            let event = self.event(call, Kind::OperatorDeregistered, outcome);
            event.with("operator", hex::encode(operator.name))
        };
        let Some(key) = found.record.end() else {
            self.record(event(Outcome::Refused).with("reason", "operator_not_registered")).await?;
            // It may be the repetition of one whose checkpoint failed.
            self.checkpoint().await?;
            return Ok(false);
        };
        let ops = vec![
            records::put(Space::OperatorCard, &operator.name, &found.record, found.expect)?,
            Op::Delete { space: Space::OpenRegistration, key: operator.name.to_vec(), expect: Expect::Any },
        ];
        let done = event(Outcome::Done).with("key", key);
        match self.commit(Unit { ops, events: vec![done] }).await? {
            Ok(()) => {
                self.checkpoint().await?;
                Ok(true)
            }
            Err(_) => {
                self.record(event(Outcome::Refused).with("reason", "changed_meanwhile")).await?;
                Err(Error::Conflict)
            }
        }
    }
}
