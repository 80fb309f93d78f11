//! Self-renewal: the holder, logged in with an expiring card at a front end for citizens, activates the one that renews it.
//!
//! Nobody else is there: what rules say of operators does not apply, and who may do it is the domain's alone
//! ([`crate::domain::renewal`]). The rest is an activation like any other: first parts in the answer, second parts by the
//! courier, the former card revoked in the same commit, as long as it is still in use then.

use super::{
    Call, CardData, Error, Service, Summary,
    activate::codes_of,
    applicants::Visit,
    commitments,
    hand_out::{HandedOut, Handing, New, check_contact},
    look_up::FoundCard,
    paper::Said,
};
use crate::{
    domain::{
        applicant::{Applicant, Errand, Objection},
        audit::{Kind, Outcome},
        card::{Activation, Predecessor},
        contact::Contact,
        date::CivilDate,
        message::MessageLanguage,
        renewal::{Login, MayRenew, NotRenewed, may_renew},
        team::TeamNumber,
    },
    policy::act,
    secret::Secret,
};

/// A new card that its holder activates, and where its second parts go.
#[derive(Debug)]
pub struct SelfRenewalRequest {
    /// What is printed on the new card.
    pub card: CardData,
    /// Number on the card that the holder is logged in with.
    pub former: TeamNumber,
    /// Where the second parts go.
    pub contact: Contact,
    /// Language of the message.
    pub language: MessageLanguage,
    /// Whether the data processing is agreed to.
    pub data_processing: bool,
}

/// The holder at no counter: there is nobody to show a document to.
const HOLDER: &Applicant = &Applicant::holder();

impl SelfRenewalRequest {
    fn said(&self) -> Said<'_> {
        let visit = Visit {
            errand: Errand::Activation,
            applicant: HOLDER,
            holder: Some(&self.card.tax_code),
            region: self.card.team.region(),
            more: None,
        };
        Said { visit, team: &self.card.team, contact: Some(&self.contact) }
    }
}

impl Service {
    /// Shows what a self-renewal would do, with no effect but the event of the look-up.
    pub async fn preview_self_renewal(
        &self,
        mut call: Call<act::RenewSelf>,
        request: SelfRenewalRequest,
    ) -> Result<Summary, Error> {
        let kind = Kind::CardLookedUp;
        check_contact(&call, &request.contact, request.language)?;
        self.know_operator(&mut call).await?;
        self.is_the_holder(&call, kind, &request).await?;
        self.charge_look_up(&call).await?;
        let [team, cf] = request.card.messages()?;
        let [team, cf, former] = self.commitments([team, cf, commitments::team(&request.former)?]).await?;
        let found = self.find(&team, Some((&cf, request.card.expires_on)));
        let found = self.seen(&call, kind, found).await?;
        let may = self.may_renew(&call, kind, &found, (&cf, &former), &request).await?;
        let permit = call.permit.of_holder(&may);
        let decided = found.card.activate(Activation::SelfService, self.clock.now_ms(), self.today()?, None);
        self.allowed(&call, kind, &found.id(), decided).await?;
        let template = self.frozen.get(&found.card.registration().template)?;
        self.looked_up(&call, &found).await?;
        let lacks = (!request.data_processing).then_some(Objection::DataProcessingMissing);
        let (view, codes) = (self.view(&permit, &found.card)?, codes_of(&template));
        Ok(Self::summary(
            view,
            &template,
            &codes,
            HOLDER,
            &request.contact,
            request.language,
            lacks.into_iter().collect(),
        ))
    }

    /// Activates a card for its holder, who is logged in with the one that it renews. A repeated request is answered with the
    /// same first parts, delivery and paper.
    pub async fn renew_self(
        &self,
        mut call: Call<act::RenewSelf>,
        request: SelfRenewalRequest,
    ) -> Result<HandedOut, Error> {
        let kind = Kind::CardActivated;
        check_contact(&call, &request.contact, request.language)?;
        let said = request.said();
        let [team, cf] = request.card.messages()?;
        let messages = [team, cf, commitments::team(&request.former)?, commitments::dossier(&call.request)?];
        let ([team, cf, former, dossier], key) = self.commitments_and_key(&mut call, messages).await?;
        self.is_the_holder(&call, kind, &request).await?;
        if let Some(before) = self.answered(&key)? {
            return self.hand_out_again(&call, kind, before, &said).await;
        }
        if !request.data_processing {
            return Err(Objection::DataProcessingMissing.into());
        }
        self.charge_look_up(&call).await?;
        let found = self.find(&team, Some((&cf, request.card.expires_on)));
        let found = self.seen(&call, kind, found).await?;
        let may = self.may_renew(&call, kind, &found, (&cf, &former), &request).await?;
        let (how, now_ms, today) = (Activation::SelfService, self.clock.now_ms(), self.today()?);
        let decided = found.card.activate(how, now_ms, today, None);
        self.allowed(&call, kind, &found.id(), decided).await?;
        let template = self.frozen.get(&found.card.registration().template)?;
        let revokes = match found.card.registration().predecessor {
            Some(Predecessor::Renews(former)) => Some(former),
            Some(Predecessor::Replaces(_)) | None => None,
        };
        let permit = call.permit.of_holder(&may);
        let handing = Handing {
            kind,
            codes: codes_of(&template),
            template,
            contact: &request.contact,
            message: "activation",
            language: request.language,
            detail: vec![("activation", how.text().to_owned())],
            new_cip: None,
            ops: Vec::new(),
            revokes,
            revokes_if_in_use_on: Some(today),
            activates: Some((how, now_ms, today)),
            said,
            new: New::of(key, found, dossier, permit),
        };
        self.hand_out(&call, handing).await
    }

    /// Refuses a request about a card that is not the certificate's holder's, by the request alone: whether there is such a
    /// card is not said.
    async fn is_the_holder(
        &self,
        call: &Call<act::RenewSelf>,
        kind: Kind,
        request: &SelfRenewalRequest,
    ) -> Result<(), Error> {
        if *call.certificate()?.tax_code() == request.card.tax_code {
            return Ok(());
        }
        let why = NotRenewed::OtherHolder;
        self.record(self.event(call, kind, Outcome::Refused).with("reason", why.code())).await?;
        Err(why.into())
    }

    /// Asks the domain about both cards; a refusal is an event.
    async fn may_renew(
        &self,
        call: &Call<act::RenewSelf>,
        kind: Kind,
        found: &FoundCard,
        (holder, former): (&Secret<32>, &Secret<32>),
        request: &SelfRenewalRequest,
    ) -> Result<MayRenew, Error> {
        let today: CivilDate = self.today()?;
        let old = match found.card.registration().predecessor {
            Some(Predecessor::Renews(id)) => Some(self.card(&id)?),
            Some(Predecessor::Replaces(_)) | None => None,
        };
        let (holder, team_mac) = (commitments::half(holder), commitments::half(former));
        let login = Login {
            holder: &holder,
            id_carta: call.certificate()?.card(),
            team: &request.former,
            team_mac: &team_mac,
        };
        match may_renew(&found.card, old.as_ref().map(|old| &old.card), login, today) {
            Ok(may) => Ok(may),
            Err(why) => {
                self.refused_on_card(call, kind, &found.id(), why.code(), None).await?;
                Err(why.into())
            }
        }
    }
}
