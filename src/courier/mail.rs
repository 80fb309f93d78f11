//! The e-mail gateway: a message at a time over each connection to the region's relay.
//!
//! The message is put together here, in one buffer that is wiped. What is not wiped: the SMTP library's copy of the
//! message while it doubles leading dots, its copies of the address, and the buffers of TLS and of the kernel. The
//! library's `tracing` feature must stay off: it logs whole conversations.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use lettre::{
    Address,
    message::{
        Mailbox, Mailboxes,
        header::{
            ContentTransferEncoding, ContentType, Date, From, HeaderName, HeaderValue, Headers,
            MIME_VERSION_1_0, MessageId, Subject, To,
        },
    },
    transport::smtp::{
        Error,
        commands::{Data, Mail as MailFrom, Rcpt, Rset},
        extension::{MailParameter, RcptParameter},
        response::Response,
    },
};
use zeroize::Zeroizing;

use super::{
    Gateway, Mail,
    bounces::Envelope,
    setback::Setback,
    smtp::{Connection, Relay},
};
use crate::{clock::Clock, domain::contact::Channel};

/// The relay, the sender, and the connections that are kept between two messages: as many as there were messages at one time.
pub struct MailGateway {
    relay: Relay,
    from: Mailbox,
    /// Where what cannot be delivered is sent back to, if it is read.
    bounces: Option<Arc<Envelope>>,
    timeout: Duration,
    clock: Arc<dyn Clock>,
    idle: Mutex<Vec<Connection>>,
}

impl MailGateway {
    /// `timeout` bounds one message from connection to acceptance.
    pub(super) fn new(
        relay: Relay,
        from: Mailbox,
        bounces: Option<Arc<Envelope>>,
        timeout: Duration,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { relay, from, bounces, timeout, clock, idle: Mutex::default() }
    }

    /// Says goodbye to the relay, as far as connections are open.
    pub async fn close(&self) {
        while let Some(mut idle) = self.take_idle() {
            if tokio::time::timeout(self.timeout, idle.smtp.quit()).await.is_err() {
                tracing::debug!("the relay did not answer QUIT");
            }
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_idle(&self) -> Option<Connection> {
        self.idle().pop()
    }

    async fn transact(&self, to: Address, name: Option<String>, message: &[u8]) -> Result<(), Setback> {
        let mut open = loop {
            let Some(mut idle) = self.take_idle() else { break self.relay.connect().await? };
            if idle.smtp.test_connected().await {
                break idle;
            }
        };
        let from = self.bounces.as_ref().map_or(&self.from.email, |bounces| &bounces.address);
        let sent = converse(&mut open, from.clone(), to, name, message).await;
        // After a refusal the conversation starts over; after anything else but success it is not trusted.
        let is_clean = match &sent {
            Ok(()) => true,
            Err(Stop::Refused(..)) => open.smtp.command(Rset).await.is_ok(),
            Err(Stop::Broken(_)) => false,
        };
        if is_clean {
            self.idle().push(open);
        }
        sent.map_err(Stop::into_setback)
    }

    /// The whole message, CRLF line ends, ASCII.
    fn message(&self, mail: &Mail<'_>, to: &Address, name: Option<&str>) -> Zeroizing<Vec<u8>> {
        let mut headers = Headers::new();
        headers.set(From::from(Mailboxes::from(self.from.clone())));
        headers.set(To::from(Mailboxes::from(Mailbox::new(None, to.clone()))));
        headers.set(Subject::from(mail.text.subject().to_owned()));
        let now = std::time::UNIX_EPOCH.checked_add(Duration::from_millis(self.clock.now_ms()));
        headers.set(Date::new(now.unwrap_or(std::time::UNIX_EPOCH)));
        headers.set(MessageId::from(format!("<{}@{}>", mail.delivery, self.from.email.domain())));
        // RFC 3834: holiday notices and the like are not answered to.
        let automatic = HeaderName::new_from_ascii_str("Auto-Submitted");
        headers.insert_raw(HeaderValue::new(automatic, "auto-generated".to_owned()));
        if let Some(name) = name {
            // Bounces return the headers, also those of servers that know nothing of envelopes' names.
            let header = HeaderName::new_from_ascii_str("X-Delivery-Slip");
            headers.insert_raw(HeaderValue::new(header, name.to_owned()));
        }
        headers.set(MIME_VERSION_1_0);
        headers.set(ContentType::TEXT_PLAIN);
        headers.set(ContentTransferEncoding::QuotedPrintable);

        let head = headers.to_string();
        let body = mail.text.expose();
        let mut whole = Zeroizing::new(Vec::with_capacity(head.len().saturating_add(encoded_bound(body))));
        whole.extend_from_slice(head.as_bytes());
        whole.extend_from_slice(b"\r\n");
        quoted_printable(body, &mut whole);
        // The library ends the last line itself.
        let end = whole.len().saturating_sub(2);
        whole.truncate(end);
        whole
    }
}

impl Gateway for MailGateway {
    async fn send(&self, mail: &Mail<'_>) -> Result<(), Setback> {
        match mail.to.channel() {
            Channel::Email => {}
            Channel::Sms => return Err(Setback::Failed("the relay takes e-mail only".to_owned())),
        }
        let to: Address = mail
            .to
            .expose()
            .parse()
            .map_err(|_| Setback::Failed("the mail library refuses the address".to_owned()))?;
        let name = match &self.bounces {
            Some(bounces) => Some(
                bounces.name(mail.delivery, mail.lease).map_err(|why| Setback::Trouble(why.to_string()))?,
            ),
            None => None,
        };
        let message = self.message(mail, &to, name.as_deref());
        let transaction = self.transact(to, name, &message);
        tokio::time::timeout(self.timeout, transaction).await.unwrap_or_else(|_| {
            let ms = self.timeout.as_millis();
            Err(Setback::Trouble(format!("relay: not done within {ms} ms")))
        })
    }
}

/// Where a conversation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Sender: the relay's view of us.
    Mail,
    /// Recipient.
    Rcpt,
    /// Content.
    Data,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mail => "MAIL",
            Self::Rcpt => "RCPT",
            Self::Data => "DATA",
        })
    }
}

/// How a conversation ended early.
enum Stop {
    /// No answer, or none that can be understood: the relay may have taken the message.
    Broken(String),
    /// The relay's answer, and its enhanced status code (RFC 3463).
    Refused(Phase, u16, Option<[u16; 3]>),
}

impl Stop {
    fn of(phase: Phase, error: &Error) -> Self {
        match error.status() {
            Some(code) => Self::Refused(phase, u16::from(code), enhanced(error)),
            None => Self::Broken(format!("relay: {phase}: {}", without_text(error))),
        }
    }

    fn into_setback(self) -> Setback {
        match self {
            Self::Broken(why) => Setback::Trouble(why),
            Self::Refused(phase, code, enhanced) => judge(phase, code, enhanced),
        }
    }
}

/// Hands a message over. What comes back of it, if anything, is asked to be its headers alone, without the second parts
/// (`RET=HDRS`, RFC 3461), and to have its name.
async fn converse(
    open: &mut Connection,
    from: Address,
    to: Address,
    name: Option<String>,
    message: &[u8],
) -> Result<(), Stop> {
    let smtp = &mut open.smtp;
    let (mut mail, mut rcpt) = (Vec::new(), Vec::new());
    if open.offers_dsn {
        let of_mail = |keyword: &str, value| MailParameter::Other { keyword: keyword.to_owned(), value };
        mail.push(of_mail("RET", Some("HDRS".to_owned())));
        mail.extend(name.map(|name| of_mail("ENVID", Some(name))));
        rcpt.push(RcptParameter::Other { keyword: "NOTIFY".to_owned(), value: Some("FAILURE".to_owned()) });
    }
    let code = |phase, want, answer: Result<Response, Error>| match answer {
        Ok(answer) if answer.has_code(want) => Ok(()),
        Ok(answer) => Err(Stop::Broken(format!("relay: {phase}: SMTP {}", answer.code()))),
        Err(error) => Err(Stop::of(phase, &error)),
    };
    code(Phase::Mail, 250, smtp.command(MailFrom::new(Some(from), mail)).await)?;
    match smtp.command(Rcpt::new(to, rcpt)).await {
        Ok(answer) if answer.has_code(251) => {}
        answer => code(Phase::Rcpt, 250, answer)?,
    }
    code(Phase::Data, 354, smtp.command(Data).await)?;
    code(Phase::Data, 250, smtp.message(message).await)
}

/// What a refusal means. `Failed` only where the relay says that this recipient or this content will never do;
/// what depends on its policy or its state is tried again, and the authority decides how often.
fn judge(phase: Phase, code: u16, enhanced: Option<[u16; 3]>) -> Setback {
    let why = format!("relay: {phase}: {}", status(code, enhanced));
    if phase == Phase::Mail || code == 421 {
        return Setback::Trouble(why);
    }
    let is_policy = enhanced.is_some_and(|[_, subject, _]| subject == 7);
    // 552 is "mailbox full" at many relays (RFC 5321, 4.5.3.1.10); 50x and 53x are about us.
    let is_final = (550..=559).contains(&code) && code != 552;
    if is_final && !is_policy { Setback::Failed(why) } else { Setback::Retry(why) }
}

/// The enhanced status code at the beginning of a refusal's text: three numbers, and nothing of the text itself.
fn enhanced(error: &Error) -> Option<[u16; 3]> {
    let text = std::error::Error::source(error)?.to_string();
    let mut numbers =
        text.split(' ').next()?.splitn(3, '.').map(|n| n.parse::<u16>().ok().filter(|n| *n < 1000));
    Some([numbers.next()??, numbers.next()??, numbers.next()??])
}

/// Such as `SMTP 550 5.1.1`.
fn status(code: u16, enhanced: Option<[u16; 3]>) -> String {
    match enhanced {
        Some([class, subject, detail]) => format!("SMTP {code} {class}.{subject}.{detail}"),
        None => format!("SMTP {code}"),
    }
}

/// What can be told of an SMTP error without the relay's text, which may repeat addresses.
pub(super) fn without_text(error: &Error) -> String {
    match error.status() {
        Some(code) => status(u16::from(code), enhanced(error)),
        None if error.is_response() => "an answer that is no SMTP".to_owned(),
        None if error.is_client() => "not offered by the relay".to_owned(),
        None => "connection lost".to_owned(),
    }
}

/// More than [`quoted_printable`] can write, so that its buffer never moves: three bytes for one, a soft line break
/// for each 73 of them, CRLF for LF.
fn encoded_bound(text: &str) -> usize {
    text.len().saturating_mul(4).saturating_add(16)
}

/// RFC 2045, section 6.7: lines of at most 76 characters.
fn quoted_printable(text: &str, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let hex = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or_default();
    for line in text.lines() {
        let mut column = 0_usize;
        let mut bytes = line.bytes().peekable();
        while let Some(byte) = bytes.next() {
            let is_last = bytes.peek().is_none();
            let is_literal = byte == b' ' && !is_last || (33..=126).contains(&byte) && byte != b'=';
            let width = if is_literal { 1 } else { 3 };
            if column.saturating_add(width) > 75 {
                out.extend_from_slice(b"=\r\n");
                column = 0;
            }
            column = column.saturating_add(width);
            if is_literal {
                out.push(byte);
            } else {
                out.extend_from_slice(&[b'=', hex(byte >> 4), hex(byte & 15)]);
            }
        }
        out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(text: &str) -> String {
        let mut out = Vec::with_capacity(encoded_bound(text));
        let before = out.capacity();
        quoted_printable(text, &mut out);
        assert_eq!(out.capacity(), before);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn quoted_printable_is_as_in_the_rfc() {
        assert_eq!(encoded("perché = 1\n.\nfine "), "perch=C3=A9 =3D 1\r\n.\r\nfine=20\r\n");
        assert_eq!(encoded(&"a".repeat(80)), format!("{}=\r\naaaaa\r\n", "a".repeat(75)));
        let worst = encoded(&"è\n".repeat(3).repeat(40).replace('\n', "è"));
        assert!(worst.lines().all(|l| l.len() <= 76));
        assert_eq!(encoded(&"\n".repeat(50)), "\r\n".repeat(50));
        assert_eq!(encoded(""), "");
    }

    #[test]
    fn refusals_are_judged_by_phase_and_code() {
        let failed = |why: &str| Setback::Failed(format!("relay: {why}"));
        let retry = |why: &str| Setback::Retry(format!("relay: {why}"));
        let trouble = |why: &str| Setback::Trouble(format!("relay: {why}"));
        for (phase, code, enhanced, verdict) in [
            (Phase::Rcpt, 550, Some([5, 1, 1]), failed("RCPT: SMTP 550 5.1.1")),
            (Phase::Rcpt, 553, None, failed("RCPT: SMTP 553")),
            (Phase::Data, 554, Some([5, 6, 0]), failed("DATA: SMTP 554 5.6.0")),
            (Phase::Rcpt, 452, Some([4, 2, 2]), retry("RCPT: SMTP 452 4.2.2")),
            (Phase::Rcpt, 552, Some([5, 2, 2]), retry("RCPT: SMTP 552 5.2.2")),
            (Phase::Rcpt, 550, Some([5, 7, 1]), retry("RCPT: SMTP 550 5.7.1")),
            (Phase::Rcpt, 530, None, retry("RCPT: SMTP 530")),
            (Phase::Data, 451, None, retry("DATA: SMTP 451")),
            (Phase::Rcpt, 421, None, trouble("RCPT: SMTP 421")),
            (Phase::Mail, 550, Some([5, 1, 8]), trouble("MAIL: SMTP 550 5.1.8")),
            (Phase::Mail, 452, None, trouble("MAIL: SMTP 452")),
        ] {
            assert_eq!(judge(phase, code, enhanced), verdict);
        }
    }
}
