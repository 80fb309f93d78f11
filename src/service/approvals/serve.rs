//! An approval serves one request: found good before its intent, gone in the commit of its effect.

use super::{
    super::{
        Call, Error, Service, commitments, error::What, look_up::FoundCard, operator::Operator,
        records::Perishable,
    },
    approval_key, place_key,
};
use crate::{
    domain::{applicant::Applicant, approval::Asked, audit::Kind, id::ApprovalId},
    policy::Act,
    store::{Expect, Op, Space},
};

/// What an operation adds to the commit of its effect.
pub(in crate::service) struct Used {
    /// Removes the approval, guarded by what was read, and the place that it takes.
    pub(in crate::service) ops: Vec<Op>,
    /// Commitment to the operator who has approved it.
    pub(in crate::service) approver: String,
}

/// The same, for an operation that is done without an approval where the rules allow that.
#[derive(Clone, Default)]
pub(in crate::service) struct MaybeUsed {
    /// As in [`Used`].
    pub(in crate::service) ops: Vec<Op>,
    /// For the event of the effect.
    pub(in crate::service) detail: Vec<(&'static str, String)>,
    /// Commitment to the operator who has approved it.
    pub(in crate::service) approver: Option<String>,
}

impl Service {
    /// As [`Service::approved`], where the request names one.
    pub(in crate::service) async fn approved_if_named<A: Act>(
        &self,
        call: &Call<A>,
        kind: Kind,
        (found, id): (&FoundCard, Option<&ApprovalId>),
        asked: &Asked,
    ) -> Result<MaybeUsed, Error> {
        let Some(id) = id else { return Ok(MaybeUsed::default()) };
        let Used { ops, approver } = self.approved(call, kind, (found, id), asked).await?;
        let detail = vec![("approval", id.to_string()), ("approver", approver.clone())];
        Ok(MaybeUsed { ops, detail, approver: Some(approver) })
    }

    /// Refuses, as an event of `kind`, what a colleague has approved and asks for as the holder's proxy.
    pub(in crate::service) async fn refuse_approver_as_proxy<A: Act>(
        &self,
        call: &Call<A>,
        (kind, found): (Kind, &FoundCard),
        approver: &str,
        applicant: &Applicant,
    ) -> Result<(), Error> {
        let Some(proxy) = &applicant.proxy else { return Ok(()) };
        let [mac] = self.commitments([commitments::tax_code(&proxy.tax_code)?]).await?;
        if Operator::name_of(&proxy.tax_code, &mac)? != approver {
            return Ok(());
        }
        self.refused_on_card(call, kind, &found.id(), "operator_is_proxy", None).await?;
        Err(Error::OperatorIsProxy)
    }

    /// Whether the approval serves what is asked for now: the very same, by the same operator through the same front end.
    pub(in crate::service) async fn approved<A: Act>(
        &self,
        call: &Call<A>,
        kind: Kind,
        (found, id): (&FoundCard, &ApprovalId),
        asked: &Asked,
    ) -> Result<Used, Error> {
        let Some((approval, expect)) = self.approval_record(id)? else {
            self.refused_on_card(call, kind, &found.id(), "approval_not_found", None).await?;
            return Err(Error::NotFound(What::Approval));
        };
        let operator = call.operator_name().ok_or(Error::OperatorMissing)?;
        let policy = call.permit.policy().digest();
        let who = (operator.as_str(), &**call.permit.caller());
        match approval.serves(asked, who, policy, self.clock.now_ms()) {
            Err(refused) => Err(self.not_approved(call, kind, (found, id), refused).await?),
            Ok(by) => {
                let (key, place) = (approval_key(id), place_key(&approval.by.operator, approval.place));
                let ops = vec![
                    Op::Delete { space: Space::Approval, key: key.clone(), expect },
                    Perishable::Approval.expires_no_more(&key, approval.until_ms),
                    Op::Delete { space: Space::Approval, key: place.clone(), expect: Expect::Any },
                    Perishable::Approval.expires_no_more(&place, approval.until_ms),
                ];
                Ok(Used { ops, approver: by.operator.clone() })
            }
        }
    }
}
