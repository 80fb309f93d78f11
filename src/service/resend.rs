//! A resend: the very same message, to the same contact, while that is kept. It keeps the id of the delivery, which is what
//! its `Message-ID` is made of, so that mailboxes take it for the same one; the courier counts it as a message of its own.

use serde::{Deserialize, Serialize};

use super::{
    Call, Error, Service,
    contacts::of_present_codes,
    effects::Guard,
    error::What,
    records::{self, Delivery, DeliveryState, Perishable, due_key},
};
use crate::{
    domain::{
        audit::{Event, Kind, Outcome},
        delivery::NotSentAgain,
        id::DeliveryId,
    },
    policy::{Proof, act},
    store::{Expect, Op, Space, Unit},
};

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resent {
    /// Which.
    pub delivery: DeliveryId,
    /// Milliseconds since 1970 UTC.
    pub at_ms: u64,
}

/// Whether it may be sent again: it has come to an end, and the contact is kept.
fn may_be_resent(record: &Delivery) -> Result<(), NotSentAgain> {
    match record.state {
        DeliveryState::Queued { .. } | DeliveryState::Leased { .. } | DeliveryState::Waiting { .. } => {
            Err(NotSentAgain::UnderWay)
        }
        DeliveryState::Cancelled => Err(NotSentAgain::Cancelled),
        DeliveryState::Delivered { .. } | DeliveryState::Failed { .. } | DeliveryState::Sent { .. } => {
            if record.contact.is_some() {
                Ok(())
            } else {
                Err(NotSentAgain::ContactGone)
            }
        }
    }
}

impl Service {
    /// Queues a delivery that is over once more. Its attempts begin anew, and so does the time in which it must be sent.
    pub async fn resend(&self, mut call: Call<act::ResendDelivery>, id: DeliveryId) -> Result<Resent, Error> {
        let kind = Kind::DeliveryResent;
        let ([], key) = self.commitments_and_key(&mut call, []).await?;
        if let Some(before) = self.answered(&key)? {
            return self.replayed(&call, before).await;
        }
        self.charge_look_up(&call).await?;
        let Some((mut record, version)) = self.find_delivery(&id)? else {
            let event = self.event(&call, kind, Outcome::Refused).with("delivery", id.to_string());
            self.record(event.with("reason", "delivery_not_found")).await?;
            return Err(Error::NotFound(What::Delivery));
        };
        let found = self.card(&record.card)?;
        self.on_card(&call, kind, &found, Proof::None).await?;
        let card = found.id();
        self.allowed(&call, kind, &card, found.card.check_in_use(self.today()?)).await?;
        let is_latest = self.latest_delivery(&card)? == Some(id);
        let latest = if is_latest { Ok(()) } else { Err(NotSentAgain::Superseded) };
        self.allowed(&call, kind, &card, latest).await?;
        self.allowed(&call, kind, &card, may_be_resent(&record)).await?;
        self.allowed(&call, kind, &card, of_present_codes(&record, &found)).await?;
        self.refuse_if_unmarked()?;

        let now_ms = self.clock.now_ms();
        let expires_ms = now_ms.saturating_add(call.permit.policy().parameters().delivery.expires_ms);
        record.taken_before = record.is_taken();
        record.state = DeliveryState::Queued { due_ms: now_ms };
        record.contact_until_ms = None;
        record.expires_ms = Some(expires_ms);
        record.queued_at_ms = now_ms;
        (record.attempts, record.reason) = (0, None);
        let key_of_card = card.bytes().to_vec();
        let (value, expect) = (found.card.encode(), found.unchanged());
        let due = due_key(now_ms, &id);
        let ops = vec![
            // Written though nothing in it changes: two requests about one card never both succeed.
            Op::Put { space: Space::Card, key: key_of_card, value, expect },
            records::put(Space::Delivery, id.bytes(), &record, Expect::Version(version))?,
            Op::Put { space: Space::Due, key: due, value: Vec::new(), expect: Expect::Any },
            Perishable::Delivery.expires(id.bytes(), expires_ms),
        ];
        let event = |outcome| {
            let event = Event { card: Some(*card.bytes()), ..self.event(&call, kind, outcome) };
            event.with("delivery", id.to_string())
        };
        let unit = Unit { ops, events: vec![event(Outcome::Done)] };
        let answer = Resent { delivery: id, at_ms: now_ms };
        match self.once(&call, &key, answer, unit).await? {
            Ok(answer) => Ok(answer),
            Err(Guard(_)) => {
                self.record(event(Outcome::Refused).with("reason", "changed_meanwhile")).await?;
                Err(Error::Conflict)
            }
        }
    }
}
