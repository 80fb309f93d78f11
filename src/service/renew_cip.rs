//! A new C.I.P.: the next generation, by two people unless the rules say otherwise. The former one dies in the same commit.
//!
//! The new one is right once both its parts were handed out, as after an activation. Guesses are counted from its own
//! beginning, since it is another secret. Accepted verifications of the former one are of its generation and serve no more.

use super::{
    Call, CardData, Error, Service,
    applicants::Visit,
    commitments::card_counter,
    hand_out::{Asked, HandedOut, Handing, check_contact},
    look_up::FoundCard,
    paper::Said,
};
use crate::{
    domain::{
        applicant::{Applicant, Errand},
        approval,
        audit::Kind,
        card::{Card, Refusal},
        contact::Contact,
        id::ApprovalId,
        message::MessageLanguage,
        template::CodeName,
    },
    policy::{Act, Proof, act},
    store::Op,
};

/// A card that is to get a new C.I.P.
#[derive(Debug)]
pub struct CipRenewalRequest {
    /// What is printed on it.
    pub card: CardData,
    /// One of the policy's reasons.
    pub reason: String,
    /// Who asks.
    pub applicant: Applicant,
    /// Where the second part goes.
    pub contact: Contact,
    /// Language of the message.
    pub language: MessageLanguage,
    /// A colleague's approval of this very renewal.
    pub approval: Option<ApprovalId>,
}

/// Refuses a reason that the policy does not list.
pub(super) fn check_reason<A: Act>(call: &Call<A>, reason: &str) -> Result<(), Error> {
    if call.permit.policy().parameters().is_cip_renewal_reason(reason) {
        return Ok(());
    }
    let detail = "not one of the policy's reasons";
    Err(Error::Field { field: "reason", code: "unknown_reason", detail })
}

impl Service {
    /// Hands out a new C.I.P. and cancels an older delivery. PIN and PUK go with it where that delivery had their second parts
    /// and no gateway has taken them: the same ones, never new.
    pub async fn renew_cip(
        &self,
        mut call: Call<act::RenewCip>,
        request: CipRenewalRequest,
    ) -> Result<HandedOut, Error> {
        let kind = Kind::CipRenewed;
        let CipRenewalRequest { card: data, reason, applicant, contact, language, approval } = request;
        check_reason(&call, &reason)?;
        check_contact(&call, &contact, language)?;
        let visit = Visit {
            errand: Errand::CipRenewal,
            applicant: &applicant,
            holder: Some(&data.tax_code),
            region: data.team.region(),
            more: None,
        };
        let said = Said { visit, team: &data.team, contact: Some(&contact) };
        let proof = Proof::of(approval.as_ref());
        let new = match self.asked_with(&mut call, kind, &data, &said, proof).await? {
            Asked::Before(answer) => return Ok(*answer),
            Asked::Now(new) => *new,
        };
        let found = &new.found;
        let asked = approval::Asked::RenewCip { card: found.id(), reason: reason.clone() };
        let used = self.approved_if_named(&call, kind, (found, approval.as_ref()), &asked).await?;
        if let Some(by) = &used.approver {
            self.refuse_approver_as_proxy(&call, (kind, found), by, &applicant).await?;
        }
        let renewed = self.to_be_renewed(&call, kind, found).await?;
        let template = self.frozen.get(&found.card.registration().template)?;
        let too = self.on_their_way(&found.id())?;
        let wanted =
            |code: &CodeName| *code == CodeName::Cip || too.contains(code) && template.shape(*code).is_some();
        let mut ops = used.ops;
        ops.push(Op::RenewTries { key: card_counter(&found.id()).to_vec() });
        let mut detail =
            vec![("reason", reason), ("generation", renewed.generation(CodeName::Cip).to_string())];
        detail.extend(used.detail);
        let handing = Handing {
            kind,
            codes: CodeName::ALL.into_iter().filter(wanted).collect(),
            template,
            contact: &contact,
            message: "renewal",
            language,
            detail,
            revokes: None,
            revokes_if_in_use_on: None,
            activates: None,
            new_cip: Some(renewed),
            ops,
            said,
            new,
        };
        self.hand_out(&call, handing).await
    }

    /// The card with its next C.I.P.; the refusal is recorded as one of `kind`.
    pub(super) async fn to_be_renewed<A: Act>(
        &self,
        call: &Call<A>,
        kind: Kind,
        found: &FoundCard,
    ) -> Result<Card, Error> {
        let template = self.frozen.get(&found.card.registration().template)?;
        let decided = match template.shape(CodeName::Cip) {
            Some(_) => found.card.renew_cip(self.today()?),
            None => found.card.check_in_use(self.today()?).and(Err(Refusal::NoCip)),
        };
        self.allowed(call, kind, &found.id(), decided).await
    }
}
