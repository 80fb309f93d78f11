//! Handing out codes, for activation and reprint alike: first parts for the paper, second parts queued.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    Call, CardData, Error, FirstParts, Service,
    effects::{Guard, Intended},
    idempotency::{First, Idempotency},
    look_up::FoundCard,
};
use crate::{
    domain::{
        audit::{Event, Kind, Outcome},
        card::{Card, Reason, Refusal},
        contact::Contact,
        date::CivilDate,
        id::{CardId, DeliveryId},
        template::{CodeName, Part, Template},
    },
    policy::{Act, CardPermit, Proof},
    secret::Digits,
    store::{Op, Space, Unit},
};

/// The data of the paper.
#[derive(Debug)]
pub struct HandedOut {
    /// First parts, in the order of the paper.
    pub first_parts: FirstParts,
    /// The way of the second parts; nothing where the template has none.
    pub delivery: Option<DeliveryId>,
    /// Number on paper and in the message, six digits.
    pub control: String,
}

/// What is remembered for a repeated request; the first parts are derived again (I9).
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Remembered {
    card: CardId,
    codes: Vec<CodeName>,
    delivery: Option<DeliveryId>,
    control: String,
}

/// A decision to hand out codes.
pub(super) struct Handing<'a> {
    pub kind: Kind,
    /// The card as it was read.
    pub found: FoundCard,
    /// Time and date of the activation, where it is one.
    pub activates: Option<(u64, CivilDate)>,
    pub template: Arc<Template>,
    pub codes: Vec<CodeName>,
    pub contact: &'a Contact,
    /// The courier's text.
    pub message: &'static str,
    /// A card that ends in the same commit.
    pub revokes: Option<CardId>,
    /// What the event says beside the card.
    pub detail: Vec<(&'static str, String)>,
}

/// A request to hand out codes, before anything is decided.
pub(super) enum Asked<A> {
    /// It was answered before.
    Before(HandedOut),
    /// It is new, and this is the card, on which the rules allow it.
    Now(Box<(Idempotency, FoundCard, CardPermit<A>)>),
}

/// Refuses a way for second parts that the policy does not allow.
pub(super) fn check_channel<A: Act>(call: &Call<A>, contact: &Contact) -> Result<(), Error> {
    if call.permit.policy().parameters().is_channel(contact.channel()) {
        return Ok(());
    }
    let detail = "not one of the policy's channels";
    Err(Error::Field { field: "contact.channel", code: "channel_not_allowed", detail })
}

impl Service {
    /// Finds what an earlier request with the key was answered, else the card.
    pub(super) async fn asked<A: Act>(
        &self,
        call: &mut Call<A>,
        kind: Kind,
        data: &CardData,
    ) -> Result<Asked<A>, Error> {
        let ([team, cf], key) = self.commitments_and_key(call, data.messages()?).await?;
        if let Some(before) = self.answered(&key)? {
            return Ok(Asked::Before(self.hand_out_again(call, kind, before).await?));
        }
        self.charge_look_up(call).await?;
        let found = self.seen(call, kind, self.find(&team, Some((&cf, data.expires_on)))).await?;
        let permit = self.on_card(call, kind, &found, Proof::None).await?;
        Ok(Asked::Now(Box::new((key, found, permit))))
    }

    /// Carries out a decision to hand out codes, in the one order of effects.
    pub(super) async fn hand_out<A: Act>(
        &self,
        call: &Call<A>,
        _: &CardPermit<A>,
        key: &Idempotency,
        handing: Handing<'_>,
    ) -> Result<HandedOut, Error> {
        let Handing { kind, found, activates, template, codes, contact, message, revokes, detail } = handing;
        let id = found.id();
        let event = |kind, outcome| Event { card: Some(*id.bytes()), ..self.event(call, kind, outcome) };
        let intent = Unit { ops: Vec::new(), events: vec![event(kind, Outcome::Intent)] };
        let intended = match self.first(key, intent).await? {
            Ok(First::Now(intended)) => intended,
            Ok(First::Before(before)) => return self.hand_out_again(call, kind, before).await,
            Err(guard) => return Err(Error::Bug(format!("intent refused: {guard:?}"))),
        };

        let first_parts = self.first_parts(&intended, &found.card, &template, &codes).await?;
        let card = match activates {
            Some((now_ms, today)) => {
                let tag = self.first_tag(&intended, &found.card, &first_parts).await?;
                let card = found.card.activate(now_ms, today, tag)?;
                self.with_second_tag(&intended, card, &template).await?
            }
            None => found.card.clone(),
        };
        let (control, operations) = (control_number()?, intended.operations().to_string());
        let mut done = event(kind, Outcome::Done);
        done.detail.extend(detail);
        done.detail.push(("channel", contact.channel().text().to_owned()));
        done.detail.push(("operations", operations.clone()));
        let mut delivery = None;
        let outcome = || {
            // Written even where nothing in it changes: two requests about one card never both succeed.
            let (key_of_card, value, expect) = (id.bytes().to_vec(), card.encode(), found.unchanged());
            let put = Op::Put { space: Space::Card, key: key_of_card, value, expect };
            let mut unit = Unit { ops: vec![put], events: vec![done.clone()] };
            if let Some(former) = self.latest_delivery(&id)? {
                self.cancel_into(&mut unit, &former, || event(Kind::DeliveryCancelled, Outcome::Done))?;
            }
            if let Some(old) = revokes {
                self.revoke_into(&mut unit, &old, Reason::Renewed, |kind| {
                    self.event(call, kind, Outcome::Done)
                })?;
            }
            delivery =
                self.queue_into(&mut unit, &card, &template, &codes, contact, message, &control, || {
                    event(Kind::DeliveryQueued, Outcome::Done)
                })?;
            let (codes, control) = (codes.clone(), control.clone());
            unit.ops.extend(key.answer(Remembered { card: id, codes, delivery, control })?);
            Ok(Some(unit))
        };
        match self.conclude_anew(intended, outcome).await? {
            Ok(()) => Ok(HandedOut { first_parts, delivery, control }),
            Err(Guard(_)) => {
                let refused = event(kind, Outcome::Refused).with("operations", operations);
                Err(self.gave_way(key, refused).await?)
            }
        }
    }

    /// Answers a repeated request: same first parts, same delivery, nothing new.
    pub(super) async fn hand_out_again<A: Act>(
        &self,
        call: &Call<A>,
        kind: Kind,
        before: Remembered,
    ) -> Result<HandedOut, Error> {
        let Remembered { card, codes, delivery, control } = before;
        let found = self.card(&card)?;
        let template = self.frozen.get(&found.card.registration().template)?;
        self.allowed(call, kind, &card, found.card.check_in_use(self.today()?)).await?;
        let intended = self.replay(call, &card).await?;
        let first_parts = self.first_parts(&intended, &found.card, &template, &codes).await?;
        Ok(HandedOut { first_parts, delivery, control })
    }

    /// The tag of the C.I.P.'s first part, where it is among the parts.
    async fn first_tag(
        &self,
        intended: &Intended,
        card: &Card,
        parts: &FirstParts,
    ) -> Result<Option<[u8; 32]>, Error> {
        match parts.0.iter().find(|(code, _)| *code == CodeName::Cip) {
            Some((_, digits)) => Ok(Some(self.cip_tag(intended, card, Part::First, digits).await?)),
            None => Ok(None),
        }
    }

    /// The card with the tag of the C.I.P.'s second part where that has no digits: the courier will bring none.
    async fn with_second_tag(
        &self,
        intended: &Intended,
        card: Card,
        template: &Template,
    ) -> Result<Card, Error> {
        if template.shape(CodeName::Cip).is_none_or(|shape| shape.length(Part::Second) > 0) {
            return Ok(card);
        }
        let nothing = Digits::parse(String::new()).ok_or_else(|| Error::Bug("no digits".into()))?;
        let tag = self.cip_tag(intended, &card, Part::Second, &nothing).await?;
        Ok(card.set_second_tag(card.generation(CodeName::Cip), tag)?)
    }

    /// Passes a decision of the card's life cycle on; records a refusal.
    pub(super) async fn allowed<A: Act, T>(
        &self,
        call: &Call<A>,
        kind: Kind,
        card: &CardId,
        decided: Result<T, Refusal>,
    ) -> Result<T, Error> {
        match decided {
            Ok(value) => Ok(value),
            Err(refusal) => {
                self.refused_on_card(call, kind, card, refusal.code(), None).await?;
                Err(refusal.into())
            }
        }
    }

    /// Another request changed a record first: nothing of this one happened, its key is given back.
    pub(super) async fn gave_way(&self, key: &Idempotency, refused: Event) -> Result<Error, Error> {
        let events = vec![refused.with("reason", "changed_meanwhile")];
        let unit = Unit { ops: vec![key.release()], events };
        match self.commit(unit).await? {
            Ok(()) => Ok(Error::Conflict),
            Err(guard) => Err(Error::Bug(format!("release of a key refused: {guard:?}"))),
        }
    }
}

/// Six digits that tell the citizen that paper and message belong together. Not a secret, not a code.
fn control_number() -> Result<String, Error> {
    let [a, b, c, d, ..] = super::effects::fresh()?;
    let number = u32::from_be_bytes([a, b, c, d]).checked_rem(1_000_000).unwrap_or(0);
    Ok(format!("{number:06}"))
}
