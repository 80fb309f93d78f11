//! Whether somebody may ask at the counter: by the policy's rules on the request alone, before any card is looked for.

use super::{Call, Error, Service};
use crate::{
    domain::{
        applicant::{Applicant, Errand, Objection},
        tax_code::TaxCode,
        team::Region,
    },
    policy::Act,
};

/// What is asked for, by whom and for whom.
pub(super) struct Visit<'a> {
    pub errand: Errand,
    pub applicant: &'a Applicant,
    /// The holder's C.F., where the request has it.
    pub holder: Option<&'a TaxCode>,
    /// Of the card's number.
    pub region: Region,
    /// What else speaks against it.
    pub more: Option<Objection>,
}

impl From<Objection> for Error {
    fn from(objection: Objection) -> Self {
        Self::Field { field: objection.field(), code: objection.code(), detail: objection.text() }
    }
}

impl Service {
    /// Refuses an applicant who may not ask, by the gravest reason. To be asked after a repeated request was answered, since
    /// what a document says may be over by then.
    pub(super) fn may_ask<A: Act>(&self, call: &Call<A>, visit: &Visit<'_>) -> Result<(), Error> {
        match self.objections(call, visit)?.first() {
            Some(objection) => Err((*objection).into()),
            None => Ok(()),
        }
    }

    /// What still lacks; refuses what nothing can mend.
    pub(super) fn lacks<A: Act>(&self, call: &Call<A>, visit: &Visit<'_>) -> Result<Vec<Objection>, Error> {
        let all = self.objections(call, visit)?;
        match all.iter().find(|objection| !objection.is_lack()) {
            Some(objection) => Err((*objection).into()),
            None => Ok(all),
        }
    }

    fn objections<A: Act>(&self, call: &Call<A>, visit: &Visit<'_>) -> Result<Vec<Objection>, Error> {
        let Visit { errand, applicant, holder, region, more } = *visit;
        if let Some(proxy) = &applicant.proxy {
            // Nobody acts at the counter on both its sides (I14); that the holder does not, the card says.
            let operator = call.operator.as_ref().ok_or(Error::OperatorMissing)?;
            if *operator.tax_code() == proxy.tax_code {
                return Err(Error::OperatorIsProxy);
            }
        }
        let rules = &call.permit.policy().parameters().applicants;
        let mut all = rules.objections(errand, applicant, holder, region, self.today()?);
        all.extend(more);
        Ok(all)
    }
}
