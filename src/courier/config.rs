//! The courier's configuration, a TOML file: `policies/courier/courier.toml.example` documents every key.
//!
//! Paths are relative to the file. It holds no secret, only where the secrets are. An unknown key, a value out of
//! range or a password that others can read is refused with file, line and reason.

mod profile;
mod smpp;
mod sms;
mod smtp;

use std::{
    ops::{Range, RangeInclusive},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, SubjectPublicKeyInfoDer, pem::PemObject};
use serde::Deserialize;
use toml::Spanned;
use zeroize::Zeroizing;

use super::{
    Limits,
    bounces::{Bounces, Envelope},
    judge,
    mail::MailGateway,
    message::{BadMessages, Messages},
    run::{Pace, Until},
    sms::{Account, Receipts, SmppAccount},
};
use crate::{
    clock::Clock,
    domain::{checkpoint, contact::Channel},
    files::{FileError, read_private, read_public},
    http::ListenError,
    sandbox,
    tls::TlsClientFiles,
};
use sms::{Carrier, RawSms, Sms};
use smtp::{RawSmtp, Smtp};

/// How far the clocks of courier and authority may differ, and how long a report may take beside a message.
const SKEW: Duration = Duration::from_secs(2);

/// Longest password, in bytes.
const MAX_PASSWORD: u64 = 1024;

/// Longest bundle of authorities, in bytes.
const MAX_BUNDLE: u64 = 1 << 20;

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum BadConfig {
    /// A file that the configuration names.
    #[error(transparent)]
    File(#[from] FileError),
    /// The listener for delivery receipts.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// A message text.
    #[error(transparent)]
    Messages(#[from] BadMessages),
    /// A file that the configuration names holds something else.
    #[error("{path}: {why}")]
    Other {
        /// The file.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// The configuration itself.
    #[error("{file}:{line}: {why}")]
    Text {
        /// The configuration.
        file: String,
        /// The line at fault, from 1.
        line: usize,
        /// What is wrong.
        why: String,
    },
}

/// A checked configuration.
#[derive(Debug)]
pub struct Config {
    /// Configuration of the courier's token.
    pub hsm: PathBuf,
    /// `https://` URL of the authority, without a path.
    pub authority: String,
    /// The courier's certificate and the authority's CA.
    pub authority_tls: TlsClientFiles,
    /// Public half of the authority's audit key, PEM; after it those of the keys before it.
    pub audit_key: PathBuf,
    /// Longest time for one request to the authority.
    pub authority_timeout: Duration,
    /// Directory of the message texts.
    pub messages: PathBuf,
    /// The courier's own policy.
    pub policy: PathBuf,
    /// Where the courier's own memory lies.
    pub state: State,
    /// What the process gives up at start.
    pub process: sandbox::Settings,
    at_once: usize,
    batch: usize,
    poll: Duration,
    smtp: Option<Smtp>,
    sms: Option<Carrier>,
}

/// The courier's own store.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Its directory, of its own, on a local file system.
    pub directory: PathBuf,
    /// Page cache, in MiB.
    #[serde(default = "default_cache")]
    pub cache_mib: u64,
    /// Free space of the disk below which nothing is written, in MiB.
    #[serde(default = "default_reserve")]
    pub reserve_mib: u64,
}

/// The file while it is read: a fault is named with its line.
pub(super) struct Source<'a> {
    pub(super) file: &'a Path,
    pub(super) text: &'a str,
}

impl Source<'_> {
    pub(super) fn bad(&self, at: Range<usize>, why: String) -> BadConfig {
        BadConfig::Text {
            file: self.file.display().to_string(),
            line: self.text.bytes().take(at.start).filter(|b| *b == b'\n').count().saturating_add(1),
            why,
        }
    }

    pub(super) fn number(
        &self,
        value: &Spanned<u64>,
        range: RangeInclusive<u64>,
        key: &str,
    ) -> Result<u64, BadConfig> {
        if range.contains(value.get_ref()) {
            return Ok(*value.get_ref());
        }
        Err(self.bad(value.span(), format!("{key} must be {} to {}", range.start(), range.end())))
    }

    fn milliseconds(&self, value: &Spanned<u64>, key: &str) -> Result<Duration, BadConfig> {
        Ok(Duration::from_millis(self.number(value, 100..=60_000, key)?))
    }
}

impl Config {
    /// Reads and checks `file`. The files that it names are looked at when they are used.
    ///
    /// # Errors
    /// [`BadConfig`] with file, line and reason.
    pub fn load(file: &Path) -> Result<Self, BadConfig> {
        let bytes = read_public(file, MAX_BUNDLE)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| BadConfig::Other {
            path: file.display().to_string(),
            why: "not UTF-8 text".to_owned(),
        })?;
        Self::parse(file, text)
    }

    fn parse(file: &Path, text: &str) -> Result<Self, BadConfig> {
        let source = Source { file, text };
        let raw: Raw = toml::from_str(text)
            .map_err(|e| source.bad(e.span().unwrap_or_default(), e.message().to_owned()))?;
        let base = file.parent().unwrap_or_else(|| Path::new(""));

        let url = raw.authority.url.get_ref().trim_end_matches('/');
        if !url.strip_prefix("https://").is_some_and(|host| !host.is_empty() && !host.contains('/')) {
            return Err(source
                .bad(raw.authority.url.span(), "url must be https://, host and port, no path".to_owned()));
        }
        if raw.smtp.is_none() && raw.sms.is_none() {
            return Err(source.bad(0..0, "neither [smtp] nor [sms]: nothing could be sent".to_owned()));
        }
        let batch = source.number(&raw.batch, 1..=100, "batch")?;
        let at_once = source.number(&raw.at_once, 1..=32, "at_once")?;
        Ok(Self {
            hsm: base.join(raw.hsm),
            authority: url.to_owned(),
            authority_tls: TlsClientFiles {
                server_ca: base.join(raw.authority.server_ca),
                certificate: base.join(raw.authority.certificate),
                key: base.join(raw.authority.key),
            },
            audit_key: base.join(raw.authority.audit_key),
            authority_timeout: source.milliseconds(&raw.authority.timeout_ms, "timeout_ms")?,
            messages: base.join(raw.messages),
            policy: base.join(raw.policy),
            state: State { directory: base.join(&raw.state.directory), ..raw.state },
            process: raw.process,
            at_once: usize::try_from(at_once).unwrap_or(1),
            batch: usize::try_from(batch).unwrap_or(1),
            poll: source.milliseconds(&raw.poll_ms, "poll_ms")?,
            smtp: raw.smtp.map(|smtp| smtp.check(&source, base)).transpose()?,
            sms: raw.sms.map(|sms| sms.check(&source, base)).transpose()?,
        })
    }

    /// The courier's own policy, with a text for whatever it allows and for the notice.
    ///
    /// # Errors
    /// File, line and reason.
    pub fn judge(&self, messages: &Messages) -> Result<judge::Policy, BadConfig> {
        let policy = judge::Policy::load(&self.policy)?;
        let bad = |why: String| BadConfig::Other { path: self.policy.display().to_string(), why };
        for channel in policy.channels() {
            let carried = match channel {
                Channel::Email => self.smtp.is_some(),
                Channel::Sms => self.sms.is_some(),
            };
            if !carried {
                continue;
            }
            let name = channel.text();
            if let Some(missing) = policy.notices().find(|text| messages.notice(text, *channel).is_none()) {
                return Err(bad(format!("notice.message: no text {missing:?} without fields for {name}")));
            }
            let there = |text: &str| {
                messages.names(*channel).any(|known| known == text)
                    && messages.notice(text, *channel).is_none()
            };
            if let Some(missing) = policy.messages().find(|text| !there(text)) {
                return Err(bad(format!("messages: no text {missing:?} with fields for {name}")));
            }
        }
        Ok(policy)
    }

    /// The authority's audit keys, the newest first: `SubjectPublicKeyInfo`, DER.
    ///
    /// # Errors
    /// A file that cannot be read, or holds no P-256 key or anything else.
    pub fn audit_keys(&self) -> Result<Vec<Vec<u8>>, BadConfig> {
        let bad =
            |why: &str| BadConfig::Other { path: self.audit_key.display().to_string(), why: why.to_owned() };
        let pem = read_public(&self.audit_key, MAX_BUNDLE)?;
        let keys = SubjectPublicKeyInfoDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
        let keys = keys.map_err(|_| bad("no public key in PEM form"))?;
        if keys.is_empty() {
            return Err(bad("no public key in PEM form"));
        }
        if !keys.iter().all(|key| checkpoint::is_key(key)) {
            return Err(bad("not a P-256 key: it is audit.pub.pem of the authority's token"));
        }
        Ok(keys.iter().map(|key| key.to_vec()).collect())
    }

    /// Reads and checks the message texts. Each channel with a gateway has some, and two have the same names.
    ///
    /// # Errors
    /// The first file or line at fault.
    pub fn messages(&self) -> Result<Messages, BadConfig> {
        let messages = Messages::load(&self.messages)?;
        let carried = [(Channel::Email, self.smtp.is_some()), (Channel::Sms, self.sms.is_some())];
        for (channel, _) in carried.into_iter().filter(|(_, is_carried)| *is_carried) {
            let missing = Channel::ALL.into_iter().flat_map(|other| messages.names(other));
            let missing = missing.filter(|name| !messages.names(channel).any(|there| there == *name)).min();
            if let Some(name) = missing {
                let why = format!("the text {name} is not there for {}", channel.text());
                return Err(BadConfig::Other { path: self.messages.display().to_string(), why });
            }
        }
        Ok(messages)
    }

    /// The mail relay, with its password and authorities read, if there is one. Nothing is connected yet.
    ///
    /// # Errors
    /// A password that others can read, no authority to trust.
    pub fn mail(
        &self,
        bounces: Option<Arc<Envelope>>,
        clock: Arc<dyn Clock>,
    ) -> Result<Option<MailGateway>, BadConfig> {
        self.smtp.as_ref().map(|smtp| smtp.open(bounces, clock)).transpose()
    }

    /// The directory that bounces come into, if they are read.
    ///
    /// # Errors
    /// A key that others can read, no Maildir.
    pub fn bounces(&self) -> Result<Option<Bounces>, BadConfig> {
        match &self.smtp {
            Some(smtp) => smtp.bounces(),
            None => Ok(None),
        }
    }

    /// The account at the SMS gateway, with its password and authorities read, if there is one.
    ///
    /// # Errors
    /// As for [`Config::mail`].
    pub fn sms(&self) -> Result<Option<Account>, BadConfig> {
        self.http().map(Sms::open).transpose()
    }

    /// The account at the SMS centre by SMPP, with its password and authorities read, if there is one.
    ///
    /// # Errors
    /// As for [`Config::mail`].
    pub fn smpp(&self) -> Result<Option<SmppAccount>, BadConfig> {
        match &self.sms {
            Some(Carrier::Smpp(smpp)) => smpp.open().map(Some),
            Some(Carrier::Http(_)) | None => Ok(None),
        }
    }

    const fn http(&self) -> Option<&Sms> {
        match &self.sms {
            Some(Carrier::Http(sms)) => Some(sms),
            Some(Carrier::Smpp(_)) | None => None,
        }
    }

    /// The listener for the SMS gateway's receipts, bound, if there is to be one.
    ///
    /// # Errors
    /// A key that others can read, an address that is in use.
    pub async fn receipts(&self) -> Result<Option<Receipts>, BadConfig> {
        match self.http() {
            Some(sms) => sms.receipts().await,
            None => Ok(None),
        }
    }

    /// Times and counts of one delivery.
    pub fn limits(&self) -> Limits {
        let smtp = self.smtp.as_ref().map(|smtp| smtp.timeout);
        let sms = self.sms.as_ref().map(|carrier| match carrier {
            Carrier::Http(sms) => sms.timeout,
            Carrier::Smpp(smpp) => smpp.timeout,
        });
        let longest = smtp.max(sms).unwrap_or_default();
        Limits {
            margin: longest.saturating_add(SKEW),
            report_tries: 3,
            report_pause: Duration::from_millis(500),
        }
    }

    /// How the loop runs.
    pub const fn pace(&self, until: Until) -> Pace {
        Pace { at_once: self.at_once, batch: self.batch, poll: self.poll, until }
    }
}

/// A secret on one line of a private file.
fn one_line(path: &Path) -> Result<Zeroizing<String>, BadConfig> {
    let wrong = |why: &str| BadConfig::Other { path: path.display().to_string(), why: why.to_owned() };
    let bytes = read_private(path, MAX_PASSWORD)?;
    let text = std::str::from_utf8(bytes.expose()).map_err(|_| wrong("not UTF-8 text"))?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    if text.is_empty() || text.contains(char::is_control) {
        return Err(wrong("not a password on one line"));
    }
    Ok(Zeroizing::new(text.to_owned()))
}

/// A key of 64 hexadecimal digits in a private file.
fn key(path: &Path) -> Result<Zeroizing<[u8; 32]>, BadConfig> {
    let text = read_private(path, 65)?;
    let text = text.expose().strip_suffix(b"\n").unwrap_or_else(|| text.expose());
    let mut key = Zeroizing::new([0; 32]);
    hex::decode_to_slice(text, &mut *key).map_err(|_| BadConfig::Other {
        path: path.display().to_string(),
        why: "not a key of 64 hexadecimal digits".to_owned(),
    })?;
    Ok(key)
}

/// TLS 1.3 or 1.2 with the server's name checked against the authorities of `ca_file`, or the system's.
fn trusting(ca_file: Option<&Path>) -> Result<ClientConfig, BadConfig> {
    let mut roots = RootCertStore::empty();
    let source = match ca_file {
        Some(path) => {
            let bad = |why: String| BadConfig::Other { path: path.display().to_string(), why };
            let pem = read_public(path, MAX_BUNDLE)?;
            for certificate in CertificateDer::pem_slice_iter(&pem) {
                let certificate = certificate.map_err(|e| bad(format!("no certificate in PEM form: {e}")))?;
                roots.add(certificate).map_err(|e| bad(format!("no certificate authority: {e}")))?;
            }
            path.display().to_string()
        }
        None => {
            let found = rustls_native_certs::load_native_certs();
            for error in found.errors {
                tracing::warn!(%error, "an authority of the system cannot be read");
            }
            let (_, ignored) = roots.add_parsable_certificates(found.certs);
            if ignored > 0 {
                tracing::warn!(ignored, "authorities of the system that cannot be used");
            }
            "the system's certificate authorities".to_owned()
        }
    };
    if roots.is_empty() {
        return Err(BadConfig::Other { path: source, why: "no certificate authority found".to_owned() });
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| BadConfig::Other { path: source, why: e.to_string() })?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    hsm: PathBuf,
    messages: PathBuf,
    #[serde(default = "default_at_once")]
    at_once: Spanned<u64>,
    #[serde(default = "default_batch")]
    batch: Spanned<u64>,
    #[serde(default = "default_poll")]
    poll_ms: Spanned<u64>,
    policy: PathBuf,
    state: State,
    #[serde(default)]
    process: sandbox::Settings,
    authority: RawAuthority,
    smtp: Option<RawSmtp>,
    sms: Option<RawSms>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAuthority {
    url: Spanned<String>,
    server_ca: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
    audit_key: PathBuf,
    #[serde(default = "default_timeout")]
    timeout_ms: Spanned<u64>,
}

/// The courier remembers less than `serve`: a small cache will do.
const fn default_cache() -> u64 {
    32
}

const fn default_reserve() -> u64 {
    64
}

fn default_at_once() -> Spanned<u64> {
    Spanned::new(0..0, 8)
}

fn default_batch() -> Spanned<u64> {
    Spanned::new(0..0, 40)
}

fn default_poll() -> Spanned<u64> {
    Spanned::new(0..0, 1000)
}

fn default_timeout() -> Spanned<u64> {
    Spanned::new(0..0, 10_000)
}

#[cfg(test)]
mod tests;
