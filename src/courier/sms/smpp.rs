//! SMPP 3.4: a connection of our own to the provider's message centre, over which messages go and receipts come.
//!
//! One task keeps the connection ([`SmppLink`]): bound as a transceiver, asked every so often whether it is alive, made anew
//! with growing pauses. Messages wait for their own answers only, so that several are under way at one time. The
//! centre names each message by an id of its own, which is kept ([`ids`]) until its receipt has come.
//!
//! PDUs are encoded and decoded by `rusmpp`, without its `tracing`: that would log them whole.

#[cfg(feature = "testing")]
pub mod hostile;
mod ids;
mod link;
mod receipt;
mod session;
mod text;

use std::{sync::Arc, time::Duration};

use rusmpp::{
    CommandStatus, Pdu,
    pdus::SubmitSm,
    types::{COctetString, OctetString},
    values::{DataCoding, EsmClass, InterfaceVersion, Npi, RegisteredDelivery, Ton},
};
use rustls::pki_types::ServerName;
use tokio::sync::watch;
use tokio_rustls::TlsConnector;

use crate::{
    clock::Clock,
    courier::{Gateway, Mail, Setback},
    domain::contact::Channel,
    store::Store,
};
use ids::Ids;
use session::Session;
use text::Part;

pub use link::SmppLink;

/// What is written into every bind. Version 3.4 is what providers speak.
const VERSION: InterfaceVersion = InterfaceVersion::Smpp3_4;

/// Where the message centre is, and how to be let in.
pub struct SmppAccount {
    pub(in crate::courier) host: String,
    pub(in crate::courier) port: u16,
    /// Nothing for plain TCP, which the configuration allows to this machine only.
    pub(in crate::courier) tls: Option<(TlsConnector, ServerName<'static>)>,
    pub(in crate::courier) system_id: COctetString<1, 16>,
    pub(in crate::courier) password: COctetString<1, 9>,
    pub(in crate::courier) system_type: COctetString<1, 13>,
    pub(in crate::courier) sender: Sender,
    pub(in crate::courier) timeout: Duration,
    /// Between two questions whether the connection is alive.
    pub(in crate::courier) enquire: Duration,
}

impl std::fmt::Debug for SmppAccount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SmppAccount")
            .field("host", &self.host)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

/// What a phone shows as the sender.
#[derive(Clone, Debug)]
pub(in crate::courier) struct Sender {
    ton: Ton,
    npi: Npi,
    address: COctetString<1, 21>,
}

impl Sender {
    /// A short name, or a number with `+`; nothing for what does not fit a PDU.
    pub(in crate::courier) fn new(text: &str) -> Option<Self> {
        let (ton, npi, text) = match text.strip_prefix('+') {
            Some(digits) => (Ton::International, Npi::Isdn, digits),
            None => (Ton::Alphanumeric, Npi::Unknown, text),
        };
        Some(Self { ton, npi, address: text.parse().ok()? })
    }
}

/// Sends text messages over the connection that [`SmppLink`] keeps.
pub struct SmppGateway {
    account: Arc<SmppAccount>,
    bound: watch::Receiver<Option<Session>>,
    ids: Arc<Ids>,
}

/// The two ends: one sends, the other keeps the connection. `store` is the courier's own.
pub fn open(account: SmppAccount, store: Store, clock: Arc<dyn Clock>) -> (SmppGateway, SmppLink) {
    let (account, ids) = (Arc::new(account), Arc::new(Ids::new(store, clock)));
    let (bind, bound) = watch::channel(None);
    let link = SmppLink::new(Arc::clone(&account), bind, Arc::clone(&ids));
    (SmppGateway { account, bound, ids }, link)
}

impl SmppGateway {
    fn session(&self) -> Result<Session, Setback> {
        let bound = self.bound.borrow().clone();
        bound.ok_or_else(|| Setback::Trouble("SMS centre: not bound".to_owned()))
    }

    fn pdu(&self, number: &str, part: &Part, is_last: bool) -> Option<SubmitSm> {
        let Sender { ton, npi, address } = self.account.sender.clone();
        let octets = OctetString::from_slice(&part.octets).ok()?;
        // Of the last part every end is asked for, of the others their failure: the whole is there when its last part is.
        let receipts = RegisteredDelivery::from(if is_last { 1 } else { 2 });
        let coding = if part.is_ucs2 { DataCoding::Ucs2 } else { DataCoding::McSpecific };
        Some(
            SubmitSm::builder()
                .source_addr_ton(ton)
                .source_addr_npi(npi)
                .source_addr(address)
                .dest_addr_ton(Ton::International)
                .dest_addr_npi(Npi::Isdn)
                .destination_addr(number.strip_prefix('+')?.parse().ok()?)
                // The library's own default is no plain message.
                .esm_class(EsmClass::from(if part.has_header { 0x40 } else { 0 }))
                .registered_delivery(receipts)
                .data_coding(coding)
                .short_message(octets)
                .build(),
        )
    }

    async fn submit(&self, session: &Session, mail: &Mail<'_>) -> Result<(), Setback> {
        // The same over all attempts, so that a part that comes twice is the same part.
        let [reference, ..] = *mail.delivery.bytes();
        let parts = text::parts(mail.text.expose(), reference);
        for (number, part) in (1..).zip(&parts) {
            let unfit = || Setback::Failed("SMS centre: the message cannot be put into a PDU".to_owned());
            let pdu = self.pdu(mail.to.expose(), part, number == parts.len()).ok_or_else(unfit)?;
            let answer = session.ask(Pdu::SubmitSm(pdu)).await.ok_or_else(|| {
                Setback::Unknown("SMS centre: connection lost before the answer".to_owned())
            })?;
            judge(answer.status())?;
            if let Some(Pdu::SubmitSmResp(taken)) = answer.pdu() {
                self.ids.keep(taken.message_id().as_str(), (mail.delivery, mail.lease)).await?;
            }
        }
        Ok(())
    }
}

impl Gateway for SmppGateway {
    fn ready(&self, channel: Channel) -> Result<(), Setback> {
        match channel {
            Channel::Email => Err(Setback::Failed("the SMS centre takes numbers only".to_owned())),
            Channel::Sms => self.session().map(drop),
        }
    }

    async fn send(&self, mail: &Mail<'_>) -> Result<(), Setback> {
        self.ready(mail.to.channel())?;
        let session = self.session()?;
        let _under_way = self.ids.under_way();
        let timeout = self.account.timeout;
        tokio::time::timeout(timeout, self.submit(&session, mail)).await.unwrap_or_else(|_| {
            Err(Setback::Unknown(format!("SMS centre: not done within {} ms", timeout.as_millis())))
        })
    }
}

/// What a status means (SMPP 3.4, 5.1.3).
fn judge(status: CommandStatus) -> Result<(), Setback> {
    let why = format!("SMS centre: SMPP status {:#04x}", u32::from(status));
    match u32::from(status) {
        0 => Ok(()),
        // The destination: its number, and its type and plan.
        0x0b | 0x50 | 0x51 => Err(Setback::Failed(why)),
        // The centre, its queue, our binding, its pace: nothing of this very message.
        0x04 | 0x05 | 0x08 | 0x0d..=0x0f | 0x14 | 0x58 | 0x64 => Err(Setback::Trouble(why)),
        _ => Err(Setback::Retry(why)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_judged_by_whom_they_concern() {
        let of = |status: u32| judge(CommandStatus::from(status));
        let why = |status: &str| format!("SMS centre: SMPP status {status}");
        assert_eq!(of(0), Ok(()));
        assert_eq!(of(0x0b), Err(Setback::Failed(why("0x0b"))));
        assert_eq!(of(0x58), Err(Setback::Trouble(why("0x58"))));
        assert_eq!(of(0x14), Err(Setback::Trouble(why("0x14"))));
        assert_eq!(of(0x45), Err(Setback::Retry(why("0x45"))));
        assert_eq!(of(0x400), Err(Setback::Retry(why("0x400"))));
    }

    #[test]
    fn a_sender_is_a_name_or_a_number() {
        let of = |text: &str| Sender::new(text).map(|s| (s.ton, s.npi, s.address.as_str().to_owned()));
        assert_eq!(of("TS-CNS"), Some((Ton::Alphanumeric, Npi::Unknown, "TS-CNS".to_owned())));
        assert_eq!(of("+393331234567"), Some((Ton::International, Npi::Isdn, "393331234567".to_owned())));
        assert_eq!(of(&"x".repeat(21)), None);
    }
}
