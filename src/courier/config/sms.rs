//! `[sms]`: the gateway for text messages, and where its delivery receipts come in; or `[sms.smpp]` in its place.

use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use hyper::{Uri, header::HeaderValue};
use rustls::pki_types::ServerName;
use serde::Deserialize;
use tokio_rustls::TlsConnector;
use toml::Spanned;

use super::{
    BadConfig, Source, default_timeout, key, one_line,
    profile::connection,
    smpp::{RawSmpp, Smpp},
    trusting,
};
use crate::{
    courier::sms::{Account, Receipts, secret_header},
    domain::contact::{Channel, Contact},
    http::plain::Reach,
    sandbox::{self, Profile},
};

/// Where Kannel's smsbox takes messages.
const PATH: &str = "/cgi-bin/sendsms";

/// Longest name of a sender that phones show, in characters (GSM 03.40).
const MAX_SENDER: usize = 11;

/// The checked section.
#[derive(Debug)]
pub(super) struct Sms {
    host: String,
    port: u16,
    authority: String,
    path: Uri,
    transport: Transport,
    user: HeaderValue,
    password_file: PathBuf,
    sender: String,
    pub(super) timeout: Duration,
    receipts: Option<Listen>,
}

/// How the gateway is spoken to.
#[derive(Debug)]
enum Transport {
    /// In clear: on this machine alone.
    Loopback,
    /// Over TLS, with the authorities in this file.
    Tls(ServerName<'static>, PathBuf),
}

/// Where receipts come in.
#[derive(Debug)]
struct Listen {
    address: SocketAddr,
    reach: Reach,
    base: Option<String>,
    key_file: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSms {
    url: Option<Spanned<String>>,
    ca_file: Option<PathBuf>,
    user: Option<Spanned<String>>,
    password_file: Option<PathBuf>,
    sender: Spanned<String>,
    #[serde(default = "default_timeout")]
    timeout_ms: Spanned<u64>,
    receipts: Option<RawReceipts>,
    smpp: Option<RawSmpp>,
}

/// What carries text messages.
#[derive(Debug)]
pub(super) enum Carrier {
    /// An HTTP interface.
    Http(Sms),
    /// A message centre.
    Smpp(Smpp),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawReceipts {
    listen: Spanned<SocketAddr>,
    key_file: PathBuf,
    #[serde(default)]
    allow_remote: bool,
    url: Option<Spanned<String>>,
}

impl RawSms {
    /// Checks every value; paths are relative to `base`.
    pub(super) fn check(mut self, source: &Source<'_>, base: &Path) -> Result<Carrier, BadConfig> {
        let timeout = source.milliseconds(&self.timeout_ms, "timeout_ms")?;
        if !is_sender(self.sender.get_ref()) {
            let why = format!(
                "sender must be 1 to {MAX_SENDER} ASCII letters, digits, blanks, dots and hyphens, or a number with +"
            );
            return Err(source.bad(self.sender.span(), why));
        }
        let at = self.sender.span();
        let has_http = self.ca_file.is_some()
            || self.user.is_some()
            || self.password_file.is_some()
            || self.receipts.is_some();
        match (self.smpp.take(), self.url.take(), self.user.take(), self.password_file.take()) {
            (Some(smpp), None, None, None) if !has_http => {
                smpp.check(source, base, &self.sender, timeout).map(Carrier::Smpp)
            }
            (Some(_), ..) => {
                let why =
                    "[sms.smpp] stands in the place of url, ca_file, user, password_file and [sms.receipts]";
                Err(source.bad(at, why.to_owned()))
            }
            (None, Some(url), Some(user), Some(password_file)) => {
                self.http(source, base, timeout, (url, user, password_file)).map(Carrier::Http)
            }
            (None, ..) => {
                Err(source.bad(at, "[sms] needs url, user and password_file, or [sms.smpp]".to_owned()))
            }
        }
    }

    fn http(
        self,
        source: &Source<'_>,
        base: &Path,
        timeout: Duration,
        (url, user, password_file): (Spanned<String>, Spanned<String>, PathBuf),
    ) -> Result<Sms, BadConfig> {
        let bad = |why: &str| source.bad(url.span(), why.to_owned());
        let form = "url must be http:// or https://, a host, perhaps a port and a path, nothing else";
        let uri: Uri = url.get_ref().parse().map_err(|_| bad(form))?;
        let authority = uri.authority().ok_or_else(|| bad(form))?;
        if uri.query().is_some() || authority.as_str().contains('@') {
            return Err(bad(form));
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let (transport, default_port) = match (uri.scheme_str(), self.ca_file) {
            (Some("http"), None) => {
                if !host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback()) {
                    return Err(bad(
                        "http:// is in clear: the host must be 127.0.0.1 or another loopback address",
                    ));
                }
                (Transport::Loopback, 80)
            }
            (Some("https"), Some(file)) => {
                let name = ServerName::try_from(host.clone()).map_err(|_| bad(form))?;
                (Transport::Tls(name, base.join(file)), 443)
            }
            (Some("http"), Some(_)) => return Err(bad("ca_file is for https:// only")),
            (Some("https"), None) => {
                return Err(bad("https:// needs ca_file, the CA of the gateway's certificate"));
            }
            _ => return Err(bad(form)),
        };
        let path = match uri.path() {
            "" | "/" => Uri::from_static(PATH),
            path => path.parse().map_err(|_| bad(form))?,
        };
        let user = HeaderValue::from_str(user.get_ref())
            .ok()
            .filter(|user| !user.is_empty() && user.to_str().is_ok())
            .ok_or_else(|| source.bad(user.span(), "user must be printable ASCII".to_owned()))?;
        Ok(Sms {
            port: authority.port_u16().unwrap_or(default_port),
            authority: authority.to_string(),
            host,
            path,
            transport,
            user,
            password_file: base.join(password_file),
            sender: self.sender.into_inner(),
            timeout,
            receipts: self.receipts.map(|raw| raw.check(source, base)).transpose()?,
        })
    }
}

impl RawReceipts {
    fn check(self, source: &Source<'_>, base: &Path) -> Result<Listen, BadConfig> {
        let reach = if self.allow_remote { Reach::Anywhere } else { Reach::Loopback };
        let address = *self.listen.get_ref();
        if reach == Reach::Loopback && !address.ip().is_loopback() {
            let why = "listen is not a loopback address; allow_remote = true lets others reach it, in clear";
            return Err(source.bad(self.listen.span(), why.to_owned()));
        }
        if let Some(url) = &self.url {
            let uri: Option<Uri> = url.get_ref().parse().ok();
            let is_base = |uri: &Uri| {
                uri.scheme_str() == Some("http") && uri.query().is_none() && matches!(uri.path(), "" | "/")
            };
            if !uri.is_some_and(|uri| is_base(&uri)) {
                return Err(source.bad(url.span(), "url must be http://, host and port, no path".to_owned()));
            }
        }
        let url = self.url.map(|url| url.into_inner().trim_end_matches('/').to_owned());
        Ok(Listen { address, reach, base: url, key_file: base.join(self.key_file) })
    }
}

impl Sms {
    /// What it needs of the system.
    pub(super) fn profile(&self) -> Profile {
        let mut read = sandbox::directories(&self.password_file);
        if let Transport::Tls(_, ca) = &self.transport {
            read.extend(sandbox::directories(ca));
        }
        let receipts = self.receipts.as_ref();
        read.extend(receipts.into_iter().flat_map(|listen| sandbox::directories(&listen.key_file)));
        let bind = receipts.map(|listen| listen.address.port()).into_iter().collect();
        Profile { read, bind, ..connection(&self.host, self.port) }
    }

    /// The account, with its password and authorities read.
    pub(super) fn open(&self) -> Result<Account, BadConfig> {
        let wrong = |path: &Path| BadConfig::Other {
            path: path.display().to_string(),
            why: "not printable ASCII".to_owned(),
        };
        let password = one_line(&self.password_file)?;
        let tls = match &self.transport {
            Transport::Loopback => None,
            Transport::Tls(name, ca) => {
                Some((TlsConnector::from(Arc::new(trusting(Some(ca))?)), name.clone()))
            }
        };
        let header = |text: &str| HeaderValue::from_str(text).map_err(|_| wrong(&self.password_file));
        Ok(Account {
            host: self.host.clone(),
            port: self.port,
            authority: header(&self.authority)?,
            path: self.path.clone(),
            tls,
            user: self.user.clone(),
            password: secret_header(password.as_bytes()).map_err(|_| wrong(&self.password_file))?,
            sender: header(&self.sender)?,
            timeout: self.timeout,
        })
    }

    /// The listener for receipts, bound, if there is to be one.
    pub(super) async fn receipts(&self) -> Result<Option<Receipts>, BadConfig> {
        let Some(listen) = &self.receipts else { return Ok(None) };
        let other = |why: String| BadConfig::Other { path: listen.key_file.display().to_string(), why };
        let key = key(&listen.key_file)?;
        let receipts = Receipts::bind(listen.address, listen.reach, listen.base.clone(), &key).await?;
        receipts.map(Some).map_err(|e| other(e.to_string()))
    }
}

/// What a phone may show as the sender: a short name, or a number.
fn is_sender(text: &str) -> bool {
    let name = |c: char| c.is_ascii_alphanumeric() || matches!(c, ' ' | '.' | '-');
    (1..=MAX_SENDER).contains(&text.len()) && text.chars().all(name) && text.trim() == text
        || Contact::parse(Channel::Sms, text).is_ok()
}
