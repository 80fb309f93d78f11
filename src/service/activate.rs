//! Activation: the card becomes usable, first parts go on paper, second parts are queued.

use super::{
    Call, CardData, Error, Service, Summary,
    applicants::Visit,
    hand_out::{Asked, HandedOut, Handing, check_contact},
    paper::Said,
};
use crate::{
    domain::{
        applicant::{Applicant, Errand, Objection},
        audit::Kind,
        card::Predecessor,
        contact::Contact,
        message::MessageLanguage,
        template::{CodeName, Template},
    },
    policy::{Proof, act},
};

/// A card to be activated and where its second parts go.
#[derive(Debug)]
pub struct ActivationRequest {
    /// What is printed on it.
    pub card: CardData,
    /// Who asks.
    pub applicant: Applicant,
    /// Where the second parts go.
    pub contact: Contact,
    /// Language of the message.
    pub language: MessageLanguage,
    /// Whether the data processing is agreed to.
    pub data_processing: bool,
}

impl ActivationRequest {
    fn said(&self) -> Said<'_> {
        let visit = Visit {
            errand: Errand::Activation,
            applicant: &self.applicant,
            holder: Some(&self.card.tax_code),
            region: self.card.team.region(),
            more: (!self.data_processing).then_some(Objection::DataProcessingMissing),
        };
        Said { visit, team: &self.card.team, contact: Some(&self.contact) }
    }
}

/// Every code of a template.
pub(super) fn codes_of(template: &Template) -> Vec<CodeName> {
    CodeName::ALL.into_iter().filter(|code| template.shape(*code).is_some()).collect()
}

impl Service {
    /// Shows what an activation would do, with no effect but the event of the look-up.
    pub async fn preview_activation(
        &self,
        mut call: Call<act::Activate>,
        request: ActivationRequest,
    ) -> Result<Summary, Error> {
        check_contact(&call, &request.contact, request.language)?;
        let said = request.said();
        self.know_operator(&mut call).await?;
        let lacks = self.lacks(&call, &said.visit)?;
        self.charge_look_up(&call).await?;
        let found = self.identify(&call, &request.card).await?;
        let permit = self.on_card(&call, Kind::CardLookedUp, &found, Proof::None).await?;
        let how = request.applicant.role().into();
        let decided = found.card.activate(how, self.clock.now_ms(), self.today()?, None);
        self.allowed(&call, Kind::CardLookedUp, &found.id(), decided).await?;
        let template = self.frozen.get(&found.card.registration().template)?;
        self.looked_up(&call, &found).await?;
        let (view, codes) = (self.view(&permit, &found.card)?, codes_of(&template));
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

    /// Activates a card. A repeated request is answered with the same first parts, delivery and paper.
    pub async fn activate(
        &self,
        mut call: Call<act::Activate>,
        request: ActivationRequest,
    ) -> Result<HandedOut, Error> {
        check_contact(&call, &request.contact, request.language)?;
        let said = request.said();
        let new = match self.asked(&mut call, Kind::CardActivated, &request.card, &said).await? {
            Asked::Before(answer) => return Ok(*answer),
            Asked::Now(new) => *new,
        };
        let (now_ms, today) = (self.clock.now_ms(), self.today()?);
        let how = request.applicant.role().into();
        let decided = new.found.card.activate(how, now_ms, today, None);
        self.allowed(&call, Kind::CardActivated, &new.found.id(), decided).await?;
        let template = self.frozen.get(&new.found.card.registration().template)?;
        let handing = Handing {
            kind: Kind::CardActivated,
            codes: codes_of(&template),
            template,
            contact: &request.contact,
            message: "activation",
            language: request.language,
            detail: Vec::new(),
            // I11: the expiring card stays valid until the new one is active; that is now.
            revokes: match new.found.card.registration().predecessor {
                Some(Predecessor::Renews(old)) => Some(old),
                Some(Predecessor::Replaces(_)) | None => None,
            },
            revokes_if_in_use_on: None,
            activates: Some((how, now_ms, today)),
            new_cip: None,
            ops: Vec::new(),
            said,
            new,
        };
        self.hand_out(&call, handing).await
    }
}
