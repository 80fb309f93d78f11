//! The gateway: one `sendsms` request for each message, in the form that Kannel takes with POST: account, number and
//! options in `X-Kannel-` headers, the text as the body.
//!
//! Kannel takes the same by GET too, with everything in the URL. That is not used: URLs are what proxies and servers
//! log. Connections are not kept, as Kannel closes them. What is put together here is wiped; not wiped are hyper's
//! write buffer and those of TLS and the kernel.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request, StatusCode, Uri,
    body::Bytes,
    client::conn::http1,
    header::{CONNECTION, CONTENT_TYPE, HOST, HeaderName, HeaderValue},
};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

use super::slips::Slips;
use crate::{
    courier::{Gateway, Mail, Setback},
    domain::contact::Channel,
};

/// Longest answer that is looked at, in bytes.
const MAX_ANSWER: usize = 1024;

/// What every kind of receipt is asked for with: delivered, failed, buffered, accepted, rejected.
const EVERY_RECEIPT: &str = "31";

/// Where the gateway is, and how to be let in.
pub struct Account {
    pub(in crate::courier) host: String,
    pub(in crate::courier) port: u16,
    /// `host:port` as in the URL.
    pub(in crate::courier) authority: HeaderValue,
    pub(in crate::courier) path: Uri,
    /// Nothing for plain HTTP, which the configuration allows to this machine only.
    pub(in crate::courier) tls: Option<(TlsConnector, ServerName<'static>)>,
    pub(in crate::courier) user: HeaderValue,
    pub(in crate::courier) password: HeaderValue,
    pub(in crate::courier) sender: HeaderValue,
    pub(in crate::courier) timeout: Duration,
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account").field("host", &self.host).field("port", &self.port).finish_non_exhaustive()
    }
}

/// Sends text messages through an account.
#[derive(Debug)]
pub struct SmsGateway {
    account: Account,
    slips: Option<Arc<Slips>>,
}

impl SmsGateway {
    /// With `slips`, the gateway is asked for receipts. Nothing is connected yet.
    pub const fn new(account: Account, slips: Option<Arc<Slips>>) -> Self {
        Self { account, slips }
    }

    fn request(&self, mail: &Mail<'_>, receipts_to: Option<String>) -> Result<Request<Full<Bytes>>, Setback> {
        let unfit = |_| Setback::Failed("SMS gateway: the number cannot be put into a request".to_owned());
        let account = &self.account;
        let mut request = Request::new(Full::new(wiped(mail.text.expose().as_bytes())));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = account.path.clone();
        let headers = request.headers_mut();
        headers.insert(HOST, account.authority.clone());
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=UTF-8"));
        headers.insert(X_USERNAME, account.user.clone());
        headers.insert(X_PASSWORD, account.password.clone());
        headers.insert(X_FROM, account.sender.clone());
        headers.insert(X_TO, secret_header(mail.to.expose().as_bytes()).map_err(unfit)?);
        headers.insert(
            X_CODING,
            HeaderValue::from_static(match mail.text.alphabet() {
                super::text::Alphabet::Gsm => "0",
                super::text::Alphabet::Unicode => "2",
            }),
        );
        if let Some(url) = receipts_to {
            headers.insert(X_DLR_MASK, HeaderValue::from_static(EVERY_RECEIPT));
            headers.insert(X_DLR_URL, HeaderValue::from_maybe_shared(url).map_err(unfit)?);
        }
        Ok(request)
    }

    /// Connects and asks; `left` becomes true when the message may have left.
    async fn ask(
        &self,
        request: Request<Full<Bytes>>,
        left: &AtomicBool,
    ) -> Result<(StatusCode, Bytes), Setback> {
        let broken = |e: std::io::Error| Setback::Trouble(format!("SMS gateway: connection: {}", e.kind()));
        let Account { host, port, tls, .. } = &self.account;
        let tcp = TcpStream::connect((host.as_str(), *port)).await.map_err(broken)?;
        tcp.set_nodelay(true).map_err(broken)?;
        match tls {
            Some((connector, name)) => {
                let tls = connector.connect(name.clone(), tcp).await.map_err(broken)?;
                left.store(true, Ordering::Relaxed);
                exchange(tls, request).await
            }
            None => {
                left.store(true, Ordering::Relaxed);
                exchange(tcp, request).await
            }
        }
    }
}

const X_CODING: HeaderName = HeaderName::from_static("x-kannel-coding");
const X_DLR_MASK: HeaderName = HeaderName::from_static("x-kannel-dlr-mask");
const X_DLR_URL: HeaderName = HeaderName::from_static("x-kannel-dlr-url");
const X_FROM: HeaderName = HeaderName::from_static("x-kannel-from");
const X_PASSWORD: HeaderName = HeaderName::from_static("x-kannel-password");
const X_TO: HeaderName = HeaderName::from_static("x-kannel-to");
const X_USERNAME: HeaderName = HeaderName::from_static("x-kannel-username");

impl Gateway for SmsGateway {
    async fn send(&self, mail: &Mail<'_>) -> Result<(), Setback> {
        match mail.to.channel() {
            Channel::Email => {
                return Err(Setback::Failed("the SMS gateway takes numbers only".to_owned()));
            }
            Channel::Sms => {}
        }
        let slip = match &self.slips {
            Some(slips) => Some(
                slips.issue(mail.delivery, mail.lease).map_err(|why| Setback::Trouble(why.to_string()))?,
            ),
            None => None,
        };
        let request = self.request(mail, slip.as_ref().map(super::slips::Slip::url))?;
        let (timeout, left) = (self.account.timeout, AtomicBool::new(false));
        let sent = match tokio::time::timeout(timeout, self.ask(request, &left)).await {
            Ok(Ok((status, answer))) => judge(status.as_u16(), &answer),
            Ok(Err(setback)) => Err(setback),
            Err(_) => {
                let why = format!("SMS gateway: not done within {} ms", timeout.as_millis());
                let left = left.load(Ordering::Relaxed);
                Err(if left { Setback::Unknown(why) } else { Setback::Trouble(why) })
            }
        };
        // A receipt proves that the message was taken, even where the answer was lost: it is not sent again.
        if sent.is_err() && slip.is_some_and(|slip| slip.was_seen()) { Ok(()) } else { sent }
    }
}

/// One request and its answer on a connection of its own.
async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes), Setback>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let lost = || Setback::Unknown("SMS gateway: no whole answer".to_owned());
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|_| lost())?;
    let talk = async move {
        let response = sender.send_request(request).await.map_err(|_| lost())?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, MAX_ANSWER).collect().await.map_err(|_| lost())?;
        Ok((head.status, body.to_bytes()))
    };
    let (ended, answer) = tokio::join!(connection, talk);
    if let Err(error) = ended {
        tracing::debug!(%error, "connection to the SMS gateway ended");
    }
    answer
}

/// What an answer means. The gateway's words are not repeated: they can hold the number.
fn judge(status: u16, answer: &[u8]) -> Result<(), Setback> {
    match status {
        // "0: Accepted for delivery", "3: Queued for later delivery".
        200 | 202 if answer.starts_with(b"0:") || answer.starts_with(b"3:") => Ok(()),
        200..=299 => Err(Setback::Unknown(format!("SMS gateway: HTTP {status} without a known answer"))),
        // Something in this very message; the authority decides how often it is tried.
        400 | 413 => Err(Setback::Retry(format!("SMS gateway: HTTP {status}"))),
        _ => Err(Setback::Trouble(format!("SMS gateway: HTTP {status}"))),
    }
}

/// A copy that is wiped when the last user of it is gone.
fn wiped(bytes: &[u8]) -> Bytes {
    Bytes::from_owner(Zeroizing::new(bytes.to_vec()))
}

/// A header's value that is wiped and never shown.
pub(in crate::courier) fn secret_header(
    bytes: &[u8],
) -> Result<HeaderValue, hyper::header::InvalidHeaderValue> {
    let mut value = HeaderValue::from_maybe_shared(wiped(bytes))?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_judged_by_status_and_number() {
        let trouble = |why: &str| Err(Setback::Trouble(format!("SMS gateway: {why}")));
        let unknown = |why: &str| Err(Setback::Unknown(format!("SMS gateway: {why}")));
        let retry = |why: &str| Err(Setback::Retry(format!("SMS gateway: {why}")));
        for (status, answer, verdict) in [
            (202, "0: Accepted for delivery", Ok(())),
            (202, "3: Queued for later delivery", Ok(())),
            (200, "0: Accepted for delivery", Ok(())),
            (202, "4: Out of order", unknown("HTTP 202 without a known answer")),
            (202, "", unknown("HTTP 202 without a known answer")),
            (204, "", unknown("HTTP 204 without a known answer")),
            (302, "0: Accepted", trouble("HTTP 302")),
            (400, "Number(s) has/have been denied: +393331234567", retry("HTTP 400")),
            (413, "", retry("HTTP 413")),
            (401, "", trouble("HTTP 401")),
            (403, "Authorization failed for sendsms", trouble("HTTP 403")),
            (404, "", trouble("HTTP 404")),
            (500, "0: Accepted", trouble("HTTP 500")),
            (503, "Temporal failure, try again later.", trouble("HTTP 503")),
        ] {
            assert_eq!(judge(status, answer.as_bytes()), verdict, "{status} {answer}");
        }
    }

    #[test]
    fn secrets_in_headers_are_not_shown() {
        let value = secret_header(b"+393331234567").unwrap();
        assert_eq!(format!("{value:?}"), "Sensitive");
        assert!(secret_header(b"two\nlines").is_err());
    }
}
