//! A changed contact: second parts that no gateway has taken, or that have failed, go to another one. Nothing is printed: the
//! paper that the citizen has stays good, so the control number stays too.
//!
//! Whether they go there at once is for the courier (I14): it waits, and tells the former contact, where one got something.

use serde::{Deserialize, Serialize};

use super::{
    Call, CardData, Error, Service, commitments,
    effects::TRIES,
    hand_out::{check_channel, check_contact},
    look_up::FoundCard,
    records::{Delivery, DeliveryState},
};
use crate::{
    domain::{
        approval::Asked,
        audit::{Event, Kind, Outcome},
        card::Refusal,
        contact::Contact,
        delivery::NotSentAgain,
        id::{ApprovalId, DeliveryId},
        message::MessageLanguage,
    },
    policy::{Act, Proof, act},
    store::{Op, Space, Unit},
};

/// A card whose second parts are to go elsewhere.
#[derive(Debug)]
pub struct ContactRequest {
    /// What is printed on it.
    pub card: CardData,
    /// One of the policy's reasons.
    pub reason: String,
    /// Where they go from now on.
    pub contact: Contact,
    /// Language of the message from now on, if another one.
    pub language: Option<MessageLanguage>,
    /// A colleague's approval of this very change.
    pub approval: Option<ApprovalId>,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContactChanged {
    /// The delivery in the place of the former one.
    pub delivery: DeliveryId,
    /// As on the paper.
    pub control: String,
}

/// Refuses a reason that the policy does not list.
pub(super) fn check_reason<A: Act>(call: &Call<A>, reason: &str) -> Result<(), Error> {
    if call.permit.policy().parameters().is_contact_reason(reason) {
        return Ok(());
    }
    let detail = "not one of the policy's reasons";
    Err(Error::Field { field: "reason", code: "unknown_reason", detail })
}

/// Refuses a contact, or another language of the message, that the policy does not allow. The language that a message has stays
/// allowed to it.
pub(super) fn check_asked<A: Act>(
    call: &Call<A>,
    contact: &Contact,
    language: Option<MessageLanguage>,
) -> Result<(), Error> {
    match language {
        Some(language) => check_contact(call, contact, language),
        None => check_channel(call, contact),
    }
}

/// The same text, in another language where one is asked for.
fn message_in(message: &str, language: Option<MessageLanguage>) -> Result<String, Error> {
    let (former, name) = MessageLanguage::of_text(message)
        .ok_or_else(|| Error::Bug(format!("a delivery of the message {message:?}")))?;
    Ok(language.unwrap_or(former).text(name))
}

/// Whether second parts may go elsewhere: not once a gateway has had them, whatever became of a copy that was asked for since.
const fn may_change(record: &Delivery) -> Result<(), NotSentAgain> {
    match record.state {
        DeliveryState::Cancelled => Err(NotSentAgain::Cancelled),
        DeliveryState::Delivered { .. } => Err(NotSentAgain::Delivered),
        DeliveryState::Queued { .. }
        | DeliveryState::Leased { .. }
        | DeliveryState::Waiting { .. }
        | DeliveryState::Failed { .. }
        | DeliveryState::Sent { .. } => {
            if record.is_taken() {
                Err(NotSentAgain::Sent)
            } else {
                Ok(())
            }
        }
    }
}

impl Service {
    /// Ends the card's latest delivery and queues it anew to the other contact, in one commit.
    pub async fn change_contact(
        &self,
        mut call: Call<act::ChangeContact>,
        request: ContactRequest,
    ) -> Result<ContactChanged, Error> {
        let kind = Kind::ContactChanged;
        let ContactRequest { card: data, reason, contact, language, approval } = request;
        check_reason(&call, &reason)?;
        check_asked(&call, &contact, language)?;
        let [team, cf] = data.messages()?;
        let messages = [team, cf, commitments::contact(&contact)?];
        let ([team, cf, to], key) = self.commitments_and_key(&mut call, messages).await?;
        if let Some(before) = self.answered(&key)? {
            return self.replayed(&call, before).await;
        }
        self.charge_look_up(&call).await?;
        let found = self.seen(&call, kind, self.find(&team, Some((&cf, data.expires_on)))).await?;
        self.on_card(&call, kind, &found, Proof::of(approval.as_ref())).await?;
        let id = found.id();
        let (former, _) = self.to_be_changed(&call, kind, &found).await?;
        let asked = Asked::ChangeContact {
            card: id,
            delivery: former,
            contact: hex::encode(commitments::half(&to)),
            reason: reason.clone(),
        };
        let used = self.approved_if_named(&call, kind, (&found, approval.as_ref()), &asked).await?;
        self.refuse_if_unmarked()?;

        let event = |kind, outcome| Event { card: Some(*id.bytes()), ..self.event(&call, kind, outcome) };
        // Made anew where the courier moves the delivery on meanwhile, but not where another request took its place.
        for _ in 0..TRIES {
            let now = self.card(&id)?;
            let (latest, record) = self.to_be_changed(&call, kind, &now).await?;
            if latest != former || now.facts() != found.facts() {
                break;
            }
            let (key_of_card, value, expect) = (id.bytes().to_vec(), now.card.encode(), now.unchanged());
            let put = Op::Put { space: Space::Card, key: key_of_card, value, expect };
            let mut unit = Unit { ops: vec![put], events: Vec::new() };
            unit.ops.extend(used.ops.iter().cloned());
            self.cancel_into(&mut unit, &former, || event(Kind::DeliveryCancelled, Outcome::Done))?;
            let template = self.frozen.get(&now.card.registration().template)?;
            let codes: Vec<_> = record.codes.iter().map(|sent| sent.code).collect();
            let queued = || event(Kind::DeliveryQueued, Outcome::Done);
            let (message, control) = (message_in(&record.message, language)?, &record.control);
            let delivery = self
                .queue_into(&mut unit, &now.card, &template, &codes, &contact, &message, control, queued)?;
            let delivery = delivery.ok_or_else(|| Error::Bug("a delivery without second parts".into()))?;
            let done = event(kind, Outcome::Done).with("reason", reason.clone());
            let mut done = done.with("delivery", delivery.to_string()).with("former", former.to_string());
            done.detail.extend(used.detail.iter().cloned());
            unit.events.push(done);
            let answer = ContactChanged { delivery, control: record.control.clone() };
            if let Ok(answer) = self.once(&call, &key, answer, unit).await? {
                return Ok(answer);
            }
        }
        self.record(event(kind, Outcome::Refused).with("reason", "changed_meanwhile")).await?;
        Err(Error::Conflict)
    }

    /// The card's latest delivery, if its contact may be changed; the refusal is recorded as one of `kind`.
    pub(super) async fn to_be_changed<A: Act>(
        &self,
        call: &Call<A>,
        kind: Kind,
        found: &FoundCard,
    ) -> Result<(DeliveryId, Delivery), Error> {
        let card = found.id();
        self.allowed(call, kind, &card, found.card.check_in_use(self.today()?)).await?;
        let latest = self.latest_delivery(&card)?.ok_or(NotSentAgain::None);
        let latest = self.allowed(call, kind, &card, latest).await?;
        let (record, _) = self.delivery_record(&latest)?;
        self.allowed(call, kind, &card, may_change(&record)).await?;
        self.allowed(call, kind, &card, of_present_codes(&record, found)).await?;
        Ok((latest, record))
    }
}

/// Refuses second parts that belong to no first part any more.
pub(super) fn of_present_codes(record: &Delivery, found: &FoundCard) -> Result<(), Refusal> {
    let is_present =
        |sent: &super::records::DeliveredCode| sent.generation == found.card.generation(sent.code);
    if record.codes.iter().all(is_present) { Ok(()) } else { Err(Refusal::GenerationChanged) }
}
