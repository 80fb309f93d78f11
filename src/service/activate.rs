//! Activation: the card becomes usable, first parts go on paper, second parts are queued.

use super::{
    Call, CardData, CardView, Error, Service,
    hand_out::{Asked, HandedOut, Handing, check_channel},
};
use crate::{
    domain::{
        audit::{Event, Kind, Outcome},
        card::Predecessor,
        contact::Contact,
        template::{CodeName, Part},
    },
    policy::{Proof, act},
};

/// A card to be activated and where its second parts go.
#[derive(Debug)]
pub struct ActivationRequest {
    /// What is printed on it.
    pub card: CardData,
    /// Where the second parts go.
    pub contact: Contact,
}

/// What would be done: the page before "conferma".
#[derive(Clone, Debug)]
pub struct Summary {
    /// The card as it is now.
    pub card: CardView,
    /// The codes that would be handed out, with the digits of their first and second part.
    pub codes: Vec<(CodeName, u8, u8)>,
}

impl Service {
    /// Shows what an activation would do, with no effect but the event of the look-up.
    pub async fn preview_activation(
        &self,
        mut call: Call<act::Activate>,
        request: ActivationRequest,
    ) -> Result<Summary, Error> {
        check_channel(&call, &request.contact)?;
        self.know_operator(&mut call).await?;
        self.charge_look_up(&call).await?;
        let found = self.identify(&call, &request.card).await?;
        let permit = self.on_card(&call, Kind::CardLookedUp, &found, Proof::None).await?;
        let decided = found.card.activate(self.clock.now_ms(), self.today()?, None);
        self.allowed(&call, Kind::CardLookedUp, &found.id(), decided).await?;
        let template = self.frozen.get(&found.card.registration().template)?;
        let event = self.event(&call, Kind::CardLookedUp, Outcome::Done);
        self.record(Event { card: Some(*found.id().bytes()), ..event }).await?;
        let size = |code: CodeName| {
            let shape = template.shape(code)?;
            Some((code, shape.length(Part::First), shape.length(Part::Second)))
        };
        Ok(Summary {
            card: self.view(&permit, &found.card)?,
            codes: CodeName::ALL.into_iter().filter_map(size).collect(),
        })
    }

    /// Activates a card. A repeated request is answered with the same first parts and delivery.
    pub async fn activate(
        &self,
        mut call: Call<act::Activate>,
        request: ActivationRequest,
    ) -> Result<HandedOut, Error> {
        check_channel(&call, &request.contact)?;
        let (key, found, permit) = match self.asked(&mut call, Kind::CardActivated, &request.card).await? {
            Asked::Before(answer) => return Ok(answer),
            Asked::Now(new) => *new,
        };
        let (now_ms, today) = (self.clock.now_ms(), self.today()?);
        let decided = found.card.activate(now_ms, today, None);
        self.allowed(&call, Kind::CardActivated, &found.id(), decided).await?;
        let template = self.frozen.get(&found.card.registration().template)?;
        let handing = Handing {
            kind: Kind::CardActivated,
            codes: CodeName::ALL.into_iter().filter(|code| template.shape(*code).is_some()).collect(),
            template,
            contact: &request.contact,
            message: "activation",
            detail: Vec::new(),
            // I11: the expiring card stays valid until the new one is active; that is now.
            revokes: match found.card.registration().predecessor {
                Some(Predecessor::Renews(old)) => Some(old),
                Some(Predecessor::Replaces(_)) | None => None,
            },
            activates: Some((now_ms, today)),
            new_cip: None,
            ops: Vec::new(),
            found,
        };
        self.hand_out(&call, &permit, &key, handing).await
    }
}
