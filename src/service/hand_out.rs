//! Handing out codes, for activation, reprint and a new C.I.P. alike: first parts for the paper, second parts queued.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    Call, CardData, Error, FirstParts, Service, commitments,
    effects::{Guard, Intended},
    error::Coded,
    idempotency::{First, Idempotency},
    look_up::FoundCard,
    paper::{Paper, Said, Stamp},
};
use crate::{
    domain::{
        audit::{Event, Kind, Outcome},
        card::{Activation, Card, Reason, Refusal},
        contact::Contact,
        date::CivilDate,
        id::{CardId, DeliveryId},
        message::MessageLanguage,
        template::{CodeName, Part, Template},
    },
    policy::{Act, CardPermit, Proof},
    secret::{Digits, Secret},
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
    /// What is printed beside them.
    pub paper: Paper,
}

/// What is remembered for a repeated request; the first parts are derived again (I9).
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Remembered {
    card: CardId,
    codes: Vec<CodeName>,
    /// The generation of the C.I.P. then.
    #[serde(default)]
    cip_generation: Option<u32>,
    delivery: Option<DeliveryId>,
    control: String,
    stamp: Stamp,
}

/// A decision to hand out codes.
pub(super) struct Handing<'a, A> {
    pub kind: Kind,
    /// The request and the card as it was read.
    pub new: New<A>,
    /// What the request says of itself.
    pub said: Said<'a>,
    /// How, and time and date of the activation, where it is one.
    pub activates: Option<(Activation, u64, CivilDate)>,
    /// The card with the next C.I.P., of which nothing is handed out yet, where it gets one.
    pub new_cip: Option<Card>,
    /// What else happens in the commit of the effect.
    pub ops: Vec<Op>,
    pub template: Arc<Template>,
    pub codes: Vec<CodeName>,
    pub contact: &'a Contact,
    /// The courier's text.
    pub message: &'static str,
    /// The language that it is to be in.
    pub language: MessageLanguage,
    /// A card that ends in the same commit.
    pub revokes: Option<CardId>,
    /// The day on which that card must be in use still, where its holder acts by it: if it is not, nothing is done.
    pub revokes_if_in_use_on: Option<CivilDate>,
    /// What the event says beside the card and the applicant.
    pub detail: Vec<(&'static str, String)>,
}

/// A request to hand out codes, before anything is decided.
pub(super) enum Asked<A> {
    /// It was answered before.
    Before(Box<HandedOut>),
    /// It is new.
    Now(Box<New<A>>),
}

/// A new request of an applicant who may ask, about a card on which the rules allow it.
pub(super) struct New<A> {
    pub key: Idempotency,
    pub found: FoundCard,
    /// Of the dossier.
    dossier: Secret<32>,
    #[expect(dead_code, reason = "says that the rules have decided, for as long as it is there")]
    permit: CardPermit<A>,
}

impl<A> New<A> {
    /// Of a request that was found new in another way than by [`Service::asked`]. `dossier` is the key of the dossier.
    pub(super) const fn of(
        key: Idempotency,
        found: FoundCard,
        dossier: Secret<32>,
        permit: CardPermit<A>,
    ) -> Self {
        Self { key, found, dossier, permit }
    }
}

/// Refuses a way for second parts that the policy does not allow.
pub(super) fn check_channel<A: Act>(call: &Call<A>, contact: &Contact) -> Result<(), Error> {
    if call.permit.policy().parameters().is_channel(contact.channel()) {
        return Ok(());
    }
    let detail = "not one of the policy's channels";
    Err(Error::Field { field: "contact.channel", code: "channel_not_allowed", detail })
}

/// As [`check_channel`], with the language of the message.
pub(super) fn check_contact<A: Act>(
    call: &Call<A>,
    contact: &Contact,
    language: MessageLanguage,
) -> Result<(), Error> {
    check_channel(call, contact)?;
    if call.permit.policy().parameters().is_language(language) {
        return Ok(());
    }
    let detail = "not one of the policy's languages";
    Err(Error::Field { field: "contact.language", code: "language_not_allowed", detail })
}

impl Service {
    /// Finds what an earlier request with the key was answered, else the card.
    pub(super) async fn asked<A: Act>(
        &self,
        call: &mut Call<A>,
        kind: Kind,
        data: &CardData,
        said: &Said<'_>,
    ) -> Result<Asked<A>, Error> {
        self.asked_with(call, kind, data, said, Proof::None).await
    }

    /// As [`Service::asked`], of a request that names a proof.
    pub(super) async fn asked_with<A: Act>(
        &self,
        call: &mut Call<A>,
        kind: Kind,
        data: &CardData,
        said: &Said<'_>,
        proof: Proof,
    ) -> Result<Asked<A>, Error> {
        let [team, cf] = data.messages()?;
        let messages = [team, cf, commitments::dossier(&call.request)?];
        let ([team, cf, dossier], key) = self.commitments_and_key(call, messages).await?;
        if let Some(before) = self.answered(&key)? {
            let answer = self.hand_out_again(call, kind, before, said).await?;
            return Ok(Asked::Before(Box::new(answer)));
        }
        self.may_ask(call, &said.visit)?;
        self.charge_look_up(call).await?;
        let found = self.seen(call, kind, self.find(&team, Some((&cf, data.expires_on)))).await?;
        let permit = self.on_card(call, kind, &found, proof).await?;
        Ok(Asked::Now(Box::new(New { key, found, dossier, permit })))
    }

    /// Carries out a decision to hand out codes, in the one order of effects.
    pub(super) async fn hand_out<A: Act>(
        &self,
        call: &Call<A>,
        handing: Handing<'_, A>,
    ) -> Result<HandedOut, Error> {
        let Handing {
            kind,
            new,
            said,
            activates,
            new_cip,
            ops,
            template,
            codes,
            contact,
            message,
            language,
            revokes,
            revokes_if_in_use_on,
            detail,
        } = handing;
        let New { key, found, dossier, .. } = &new;
        let id = found.id();
        let event = |kind, outcome| Event { card: Some(*id.bytes()), ..self.event(call, kind, outcome) };
        let intent = Unit { ops: Vec::new(), events: vec![event(kind, Outcome::Intent)] };
        let intended = match self.first(key, intent).await? {
            Ok(First::Now(intended)) => intended,
            Ok(First::Before(before)) => return self.hand_out_again(call, kind, before, &said).await,
            Err(guard) => return Err(Error::Bug(format!("intent refused: {guard:?}"))),
        };

        let before = new_cip.as_ref().unwrap_or(&found.card);
        let first_parts = self.first_parts(&intended, before, &template, &codes).await?;
        let card = match (activates, &new_cip) {
            (Some((how, now_ms, today)), _) => {
                let tag = self.first_tag(&intended, before, &first_parts).await?;
                let card = before.activate(how, now_ms, today, tag)?;
                self.with_second_tag(&intended, card, &template).await?
            }
            (None, Some(renewed)) => {
                let tag = self.first_tag(&intended, renewed, &first_parts).await?;
                let tag = tag.ok_or_else(|| Error::Bug("a new C.I.P. that is not handed out".into()))?;
                self.with_second_tag(&intended, renewed.hand_out_cip(tag)?, &template).await?
            }
            (None, None) => found.card.clone(),
        };
        let (control, operations) = (control_number()?, intended.operations().to_string());
        let dossier = self.seal_dossier(call, dossier, &id, said.visit.applicant)?;
        let stamp = Stamp::new(call, self.clock.now_ms());
        let mut done = event(kind, Outcome::Done);
        done.detail.extend(detail);
        done.detail.push(("channel", contact.channel().text().to_owned()));
        done.detail.extend(said.visit.applicant.in_events());
        done.detail.push(("dossier", dossier.commitment().to_owned()));
        done.detail.push(("operations", operations.clone()));
        let (message, mut delivery) = (language.text(message), None);
        let outcome = || {
            // Written even where nothing in it changes: two requests about one card never both succeed.
            let (key_of_card, value, expect) = (id.bytes().to_vec(), card.encode(), found.unchanged());
            let put = Op::Put { space: Space::Card, key: key_of_card, value, expect };
            let mut unit = Unit { ops: vec![put], events: vec![done.clone()] };
            Self::dossier_into(&mut unit, &dossier);
            unit.ops.extend(ops.iter().cloned());
            if let Some(former) = self.latest_delivery(&id)? {
                self.cancel_into(&mut unit, &former, || event(Kind::DeliveryCancelled, Outcome::Done))?;
            }
            if let Some(old) = revokes {
                let former = self.card(&old)?;
                if revokes_if_in_use_on.is_some_and(|today| former.card.check_in_use(today).is_err()) {
                    return Ok(None);
                }
                self.end_into(&mut unit, &former, Reason::Renewed, |kind| {
                    self.event(call, kind, Outcome::Done)
                })?;
            }
            delivery =
                self.queue_into(&mut unit, &card, &template, &codes, contact, &message, &control, || {
                    event(Kind::DeliveryQueued, Outcome::Done)
                })?;
            let (codes, control, stamp) = (codes.clone(), control.clone(), stamp.clone());
            let cip_generation = Some(card.generation(CodeName::Cip));
            let answer = Remembered { card: id, codes, cip_generation, delivery, control, stamp };
            unit.ops.extend(key.answer(answer)?);
            Ok(Some(unit))
        };
        match self.conclude_anew(intended, outcome).await? {
            Ok(()) => {
                let paper = said.paper(stamp, card.registration().expiry);
                Ok(HandedOut { first_parts, delivery, control, paper })
            }
            Err(Guard(_)) => {
                let refused = event(kind, Outcome::Refused).with("operations", operations);
                Err(self.gave_way(key, refused).await?)
            }
        }
    }

    /// Answers a repeated request: same first parts, same delivery, nothing new. Not so when the C.I.P. is another one by now:
    /// a paper with a dead one helps nobody.
    pub(super) async fn hand_out_again<A: Act>(
        &self,
        call: &Call<A>,
        kind: Kind,
        before: Remembered,
        said: &Said<'_>,
    ) -> Result<HandedOut, Error> {
        let Remembered { card, codes, cip_generation, delivery, control, stamp } = before;
        let found = self.card(&card)?;
        let template = self.frozen.get(&found.card.registration().template)?;
        self.allowed(call, kind, &card, found.card.check_in_use(self.today()?)).await?;
        let same = cip_generation.is_none_or(|then| then == found.card.generation(CodeName::Cip));
        let same =
            if same || !codes.contains(&CodeName::Cip) { Ok(()) } else { Err(Refusal::GenerationChanged) };
        self.allowed(call, kind, &card, same).await?;
        let intended = self.replay(call, &card).await?;
        let first_parts = self.first_parts(&intended, &found.card, &template, &codes).await?;
        let paper = said.paper(stamp, found.card.registration().expiry);
        Ok(HandedOut { first_parts, delivery, control, paper })
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

    /// Passes a decision by what is known of the card on; records a refusal.
    pub(super) async fn allowed<A: Act, T, E: Coded>(
        &self,
        call: &Call<A>,
        kind: Kind,
        card: &CardId,
        decided: Result<T, E>,
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
