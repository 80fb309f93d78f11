//! Notices to former contacts: a queue in the courier's own store, so that neither a crash nor the authority can make
//! one not be sent. It never holds a code.

use serde::{Deserialize, Serialize};

use super::{Judge, STEP, memory::Known, put};
use crate::{
    api::courier::Lease,
    courier::{
        Gateway, Mail,
        message::Messages,
        setback::{self, Setback},
    },
    domain::{
        audit::{Kind, Outcome},
        contact::{Contact, open_plaintext},
        encoding,
        id::{CardId, DeliveryId, LeaseId, RequestId},
        message::MessageLanguage,
    },
    hsm::MacKey,
    store::{self, Expect, Op, Space, Unit},
};

/// Pause after a notice that no gateway took, milliseconds.
const AGAIN_MS: u64 = 300_000;

/// A notice that waits to be sent.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Notice {
    /// The former contact, sealed.
    sealed: String,
    /// The delivery that asked for another one.
    delivery: DeliveryId,
    /// Language of the message that was asked for, which the notice has too.
    #[serde(default = "italian")]
    language: String,
    /// Not before.
    next_ms: u64,
    /// The end of the waiting time: later it is of no use.
    until_ms: u64,
    /// That it could not be sent is in the log: it is not said again each time.
    #[serde(default)]
    failed: bool,
}

/// Of notices that were queued before there were others.
fn italian() -> String {
    MessageLanguage::Italian.tag().to_owned()
}

/// Queues the notice of a change; it takes the place of an older one of the card.
pub(super) fn queue(lease: &Lease, former: &Known, until_ms: u64, now_ms: u64) -> Result<Op, Setback> {
    let (sealed, delivery) = (former.sealed.clone(), lease.delivery);
    let language = MessageLanguage::of_text(&lease.message).map_or(MessageLanguage::Italian, |(of, _)| of);
    let language = language.tag().to_owned();
    let notice = Notice { sealed, delivery, language, next_ms: now_ms, until_ms, failed: false };
    put(Space::CourierNotice, lease.card.bytes(), &notice, Expect::Any)
}

/// Takes a notice back that was not sent yet.
pub(super) fn forget(card: CardId) -> Op {
    Op::Delete { space: Space::CourierNotice, key: card.bytes().to_vec(), expect: Expect::Any }
}

impl Judge {
    /// Sends the notices that are due. What fails is tried again until the waiting time ends; the wait counts all the same.
    pub async fn notify<G: Gateway>(&self, gateway: &G, messages: &Messages) {
        let mut from = Vec::new();
        loop {
            let found = match self.store.scan(Space::CourierNotice, &[], &from, STEP) {
                Ok(found) => found,
                Err(error) => {
                    tracing::error!(%error, "notices to former contacts");
                    return;
                }
            };
            for entry in &found {
                let (Ok(card), Ok(notice)) = (
                    <[u8; 16]>::try_from(entry.key.as_slice()).map(CardId::new),
                    serde_json::from_slice::<Notice>(&entry.record.value),
                ) else {
                    tracing::error!("a notice of another form is passed over");
                    continue;
                };
                if notice.next_ms <= self.clock.now_ms() {
                    let expect = Expect::Version(entry.record.version);
                    if let Err(setback) = self.notify_one(gateway, messages, card, notice, expect).await {
                        tracing::error!(%setback, "a notice to a former contact is not written down");
                        return;
                    }
                }
            }
            match found.last() {
                Some(last) if found.len() == STEP => from = store::after(&last.key),
                Some(_) | None => return,
            }
        }
    }

    async fn notify_one<G: Gateway>(
        &self,
        gateway: &G,
        messages: &Messages,
        card: CardId,
        mut notice: Notice,
        expect: Expect,
    ) -> Result<(), Setback> {
        let sent = self.send_notice(gateway, messages, card, &notice).await;
        let now_ms = self.clock.now_ms();
        let mut detail = vec![("delivery", notice.delivery.to_string())];
        let key = card.bytes().to_vec();
        let delete = Op::Delete { space: Space::CourierNotice, key, expect };
        let (op, outcome, written) = match sent {
            Ok(()) => (delete, Outcome::Done, true),
            Err(setback) => {
                tracing::error!(%card, %setback, "ALARM: a former contact is not told of a change");
                detail.push(("reason", setback.to_string()));
                notice.next_ms = now_ms.saturating_add(AGAIN_MS);
                let is_final = matches!(setback, Setback::Failed(_)) || notice.next_ms >= notice.until_ms;
                let written = is_final || !notice.failed;
                notice.failed = true;
                let again = put(Space::CourierNotice, card.bytes(), &notice, expect)?;
                (if is_final { delete } else { again }, Outcome::Refused, written)
            }
        };
        let mut event = self.own_event(Kind::ContactNotified, outcome);
        event.card = Some(*card.bytes());
        event.request = RequestId::new(*notice.delivery.bytes());
        event.detail = detail;
        self.commit(Unit { ops: vec![op], events: written.then_some(event).into_iter().collect() }).await
    }

    async fn send_notice<G: Gateway>(
        &self,
        gateway: &G,
        messages: &Messages,
        card: CardId,
        notice: &Notice,
    ) -> Result<(), Setback> {
        let contact = self.open(card, &notice.sealed).await?;
        gateway.ready(contact.channel())?;
        // The policy may have another list of languages since: better in Italian than not at all.
        let language = notice.language.parse().unwrap_or(MessageLanguage::Italian);
        let text = messages
            .notice(&language.text(&self.policy.notice), contact.channel())
            .or_else(|| messages.notice(&self.policy.notice, contact.channel()))
            .ok_or_else(|| Setback::Failed("there is no text of a notice for this channel".to_owned()))?;
        // One name for all attempts, and none that a message with second parts can have.
        let name = encoding::domain("notice", &[card.bytes(), notice.delivery.bytes()])
            .map_err(|_| Setback::Failed("a name that is too long".to_owned()))?;
        let mac = self.hsm.mac(MacKey::Judge, name).await.map_err(setback::of_hsm)?;
        let (name, _) = mac
            .expose()
            .split_first_chunk::<16>()
            .ok_or_else(|| Setback::Trouble("the courier's token or module is faulty".to_owned()))?;
        let (delivery, lease) = (DeliveryId::new(*name), LeaseId::new(*name));
        gateway.send(&Mail { delivery, lease, to: &contact, text: &text }).await
    }

    async fn open(&self, card: CardId, sealed: &str) -> Result<Contact, Setback> {
        let wrong = || Setback::Failed("the former contact cannot be read".to_owned());
        let sealed = hex::decode(sealed).map_err(|_| wrong())?;
        let opened = self.hsm.open_contact(sealed).await.map_err(setback::of_contact)?;
        let (of, _, contact) = open_plaintext(opened.expose()).map_err(|_| wrong())?;
        if of == card { Ok(contact) } else { Err(wrong()) }
    }
}
