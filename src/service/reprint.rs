//! Reprint: the same PIN and PUK once more, never a new one, and not too often.

use super::{
    Call, CardData, Error, Service, Summary,
    applicants::Visit,
    hand_out::{Asked, HandedOut, Handing, check_contact},
    look_up::FoundCard,
    paper::Said,
};
use crate::{
    domain::{
        applicant::{Applicant, Errand},
        audit::Kind,
        contact::Contact,
        id::CardId,
        message::MessageLanguage,
        reprints::{AgainAt, Reprints},
        template::{CodeName, Template},
    },
    policy::{Proof, act},
    store::{Expect, Op, Space},
};

/// A card whose PIN and PUK are to be handed out again.
#[derive(Debug)]
pub struct ReprintRequest {
    /// What is printed on it.
    pub card: CardData,
    /// One of the policy's.
    pub reason: String,
    /// Who asks.
    pub applicant: Applicant,
    /// Where the second parts go.
    pub contact: Contact,
    /// Language of the message.
    pub language: MessageLanguage,
}

impl ReprintRequest {
    fn said(&self) -> Said<'_> {
        let visit = Visit {
            errand: Errand::Reprint,
            applicant: &self.applicant,
            holder: Some(&self.card.tax_code),
            region: self.card.team.region(),
            more: None,
        };
        Said { visit, team: &self.card.team, contact: Some(&self.contact) }
    }

    fn check(&self, call: &Call<act::Reprint>) -> Result<(), Error> {
        if !call.permit.policy().parameters().is_reprint_reason(&self.reason) {
            let detail = "not one of the policy's reasons";
            return Err(Error::Field { field: "reason", code: "unknown_reason", detail });
        }
        check_contact(call, &self.contact, self.language)
    }
}

impl Service {
    /// Shows what a reprint would do, with no effect but the event of the look-up.
    pub async fn preview_reprint(
        &self,
        mut call: Call<act::Reprint>,
        request: ReprintRequest,
    ) -> Result<Summary, Error> {
        request.check(&call)?;
        let said = request.said();
        self.know_operator(&mut call).await?;
        let lacks = self.lacks(&call, &said.visit)?;
        self.charge_look_up(&call).await?;
        let found = self.identify(&call, &request.card).await?;
        let permit = self.on_card(&call, Kind::CardLookedUp, &found, Proof::None).await?;
        self.allowed(&call, Kind::CardLookedUp, &found.id(), found.card.check_in_use(self.today()?)).await?;
        self.once_more(&call, Kind::CardLookedUp, &found.id()).await?;
        let (template, codes) = self.codes_again(&found)?;
        self.looked_up(&call, &found).await?;
        let view = self.view(&permit, &found.card)?;
        Ok(Self::summary(
            view,
            &template,
            &codes,
            &request.applicant,
            &request.contact,
            request.language,
            lacks,
        ))
    }

    /// Hands out PIN and PUK again and cancels an older delivery. The C.I.P. goes with them only while no
    /// gateway has taken its second part, or if that was reported as failed: otherwise it would be lost for good.
    pub async fn reprint(
        &self,
        mut call: Call<act::Reprint>,
        request: ReprintRequest,
    ) -> Result<HandedOut, Error> {
        request.check(&call)?;
        let said = request.said();
        let new = match self.asked(&mut call, Kind::CodesReprinted, &request.card, &said).await? {
            Asked::Before(answer) => return Ok(*answer),
            Asked::Now(new) => *new,
        };
        let id = new.found.id();
        let decided = new.found.card.check_in_use(self.today()?);
        self.allowed(&call, Kind::CodesReprinted, &id, decided).await?;
        let counted = self.once_more(&call, Kind::CodesReprinted, &id).await?;
        let (template, codes) = self.codes_again(&new.found)?;
        let handing = Handing {
            kind: Kind::CodesReprinted,
            codes,
            contact: &request.contact,
            message: "reprint",
            language: request.language,
            detail: vec![("reason", request.reason.clone())],
            revokes: None,
            revokes_if_in_use_on: None,
            activates: None,
            new_cip: None,
            ops: vec![counted],
            template,
            said,
            new,
        };
        self.hand_out(&call, handing).await
    }

    /// The codes that a reprint hands out.
    fn codes_again(&self, found: &FoundCard) -> Result<(std::sync::Arc<Template>, Vec<CodeName>), Error> {
        let template = self.frozen.get(&found.card.registration().template)?;
        let cip_again = self.on_their_way(&found.id())?.contains(&CodeName::Cip);
        let wanted = |code: &CodeName| match code {
            CodeName::Pin | CodeName::Puk => true,
            CodeName::Cip => cip_again && template.shape(*code).is_some(),
        };
        let codes = CodeName::ALL.into_iter().filter(wanted).collect();
        Ok((template, codes))
    }

    /// Counts one more reprint of a card, or refuses it, which is an event. It goes into a commit that changes the card, whose
    /// version guards the count as well.
    async fn once_more(&self, call: &Call<act::Reprint>, kind: Kind, card: &CardId) -> Result<Op, Error> {
        let key = [b"r".as_slice(), card.bytes()].concat();
        let found = self.store.get(Space::Dossier, &key)?;
        let before = match &found {
            Some(found) => Reprints::decode(&found.value)
                .ok_or_else(|| Error::Bug(format!("reprints of card {card} are damaged")))?,
            None => Reprints::default(),
        };
        let (now_ms, rules) = (self.clock.now_ms(), call.permit.policy().parameters().reprints);
        match before.once_more(now_ms, rules.most, rules.per_ms) {
            Ok(after) => Ok(Op::Put {
                space: Space::Dossier,
                key,
                value: after.encode(),
                expect: found.map_or(Expect::Absent, |found| Expect::Version(found.version)),
            }),
            Err(AgainAt(at_ms)) => {
                self.refused_on_card(call, kind, card, "too_many_reprints", None).await?;
                Err(Error::TooManyReprints { again_at_ms: at_ms })
            }
        }
    }
}
