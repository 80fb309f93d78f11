//! The courier's configuration, a TOML file: `policies/courier/courier.toml.example` documents every key.
//!
//! Paths are relative to the file. It holds no secret, only where the secrets are. An unknown key, a value out of
//! range or a password that others can read is refused with file, line and reason.

use std::{
    ops::{Range, RangeInclusive},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use lettre::{
    message::Mailbox,
    transport::smtp::{authentication::Credentials, extension::ClientId},
};
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs, pki_types::ServerName};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use serde::Deserialize;
use toml::Spanned;

use super::{
    Limits,
    mail::MailGateway,
    message::{BadMessages, Messages},
    run::{Pace, Until},
    smtp::{Relay, Start},
};
use crate::{
    clock::Clock,
    files::{FileError, read_private, read_public},
    tls::TlsClientFiles,
};

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
    /// Longest time for one request to the authority.
    pub authority_timeout: Duration,
    /// Directory of the message texts.
    pub messages: PathBuf,
    batch: usize,
    poll: Duration,
    smtp: Smtp,
}

#[derive(Debug)]
struct Smtp {
    host: String,
    port: u16,
    name: ServerName<'static>,
    start: Start,
    user: String,
    password_file: PathBuf,
    ca_file: Option<PathBuf>,
    from: Mailbox,
    timeout: Duration,
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
        let bad = |at: Range<usize>, why: String| BadConfig::Text {
            file: file.display().to_string(),
            line: text.bytes().take(at.start).filter(|b| *b == b'\n').count().saturating_add(1),
            why,
        };
        let raw: Raw =
            toml::from_str(text).map_err(|e| bad(e.span().unwrap_or_default(), e.message().to_owned()))?;
        let number = |value: &Spanned<u64>, range: RangeInclusive<u64>, key: &str| {
            if range.contains(value.get_ref()) {
                Ok(*value.get_ref())
            } else {
                Err(bad(value.span(), format!("{key} must be {} to {}", range.start(), range.end())))
            }
        };
        let base = file.parent().unwrap_or_else(|| Path::new(""));

        let url = raw.authority.url.get_ref().trim_end_matches('/');
        if !url.strip_prefix("https://").is_some_and(|host| !host.is_empty() && !host.contains('/')) {
            return Err(bad(
                raw.authority.url.span(),
                "url must be https://, host and port, no path".to_owned(),
            ));
        }
        let smtp = raw.smtp;
        let name = ServerName::try_from(smtp.host.get_ref().clone())
            .map_err(|_| bad(smtp.host.span(), "host is neither a name nor an address".to_owned()))?;
        let from: Mailbox = smtp
            .from
            .get_ref()
            .parse()
            .map_err(|_| bad(smtp.from.span(), "from is no e-mail address".to_owned()))?;
        let default_port = match smtp.tls {
            Start::Starttls => 587,
            Start::Tls => 465,
        };
        let batch = number(&raw.batch, 1..=100, "batch")?;
        Ok(Self {
            hsm: base.join(raw.hsm),
            authority: url.to_owned(),
            authority_tls: TlsClientFiles {
                server_ca: base.join(raw.authority.server_ca),
                certificate: base.join(raw.authority.certificate),
                key: base.join(raw.authority.key),
            },
            authority_timeout: Duration::from_millis(number(
                &raw.authority.timeout_ms,
                100..=60_000,
                "timeout_ms",
            )?),
            messages: base.join(raw.messages),
            batch: usize::try_from(batch).unwrap_or(1),
            poll: Duration::from_millis(number(&raw.poll_ms, 100..=60_000, "poll_ms")?),
            smtp: Smtp {
                host: smtp.host.into_inner(),
                port: smtp.port.unwrap_or(default_port),
                name,
                start: smtp.tls,
                user: smtp.user,
                password_file: base.join(smtp.password_file),
                ca_file: smtp.ca_file.map(|path| base.join(path)),
                from,
                timeout: Duration::from_millis(number(&smtp.timeout_ms, 100..=60_000, "timeout_ms")?),
            },
        })
    }

    /// Reads and checks the message texts.
    ///
    /// # Errors
    /// The first file or line at fault.
    pub fn messages(&self) -> Result<Messages, BadConfig> {
        Ok(Messages::load(&self.messages)?)
    }

    /// The relay, with its password and authorities read. Nothing is connected yet.
    ///
    /// # Errors
    /// A password that others can read, no authority to trust.
    pub fn gateway(&self, clock: Arc<dyn Clock>) -> Result<MailGateway, BadConfig> {
        let smtp = &self.smtp;
        let password = read_private(&smtp.password_file, MAX_PASSWORD)?;
        let wrong = |why: &str| BadConfig::Other {
            path: smtp.password_file.display().to_string(),
            why: why.to_owned(),
        };
        let password = std::str::from_utf8(password.expose()).map_err(|_| wrong("not UTF-8 text"))?;
        let password = password.strip_suffix('\n').unwrap_or(password);
        if password.is_empty() || password.contains(char::is_control) {
            return Err(wrong("not a password on one line"));
        }
        let relay = Relay {
            host: smtp.host.clone(),
            port: smtp.port,
            start: smtp.start,
            name: smtp.name.clone(),
            tls: Arc::new(smtp.tls()?),
            hello: ClientId::Domain(smtp.from.email.domain().to_owned()),
            // Kept for the life of the process by the SMTP library, which does not wipe it.
            credentials: Credentials::new(smtp.user.clone(), password.to_owned()),
        };
        Ok(MailGateway::new(relay, smtp.from.clone(), smtp.timeout, clock))
    }

    /// Times and counts of one delivery.
    pub const fn limits(&self) -> Limits {
        Limits {
            margin: self.smtp.timeout.saturating_add(SKEW),
            report_tries: 3,
            report_pause: Duration::from_millis(500),
        }
    }

    /// How the loop runs.
    pub const fn pace(&self, until: Until) -> Pace {
        Pace { batch: self.batch, poll: self.poll, until }
    }
}

impl Smtp {
    /// TLS 1.3 or 1.2 with the server's name checked against the authorities of `ca_file`, or the system's.
    fn tls(&self) -> Result<ClientConfig, BadConfig> {
        let mut roots = RootCertStore::empty();
        let source = match &self.ca_file {
            Some(path) => {
                let bad = |why: String| BadConfig::Other { path: path.display().to_string(), why };
                let pem = read_public(path, MAX_BUNDLE)?;
                for certificate in CertificateDer::pem_slice_iter(&pem) {
                    let certificate =
                        certificate.map_err(|e| bad(format!("no certificate in PEM form: {e}")))?;
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
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    hsm: PathBuf,
    messages: PathBuf,
    #[serde(default = "default_batch")]
    batch: Spanned<u64>,
    #[serde(default = "default_poll")]
    poll_ms: Spanned<u64>,
    authority: RawAuthority,
    smtp: RawSmtp,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAuthority {
    url: Spanned<String>,
    server_ca: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
    #[serde(default = "default_timeout")]
    timeout_ms: Spanned<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSmtp {
    host: Spanned<String>,
    port: Option<u16>,
    #[serde(default = "default_start")]
    tls: Start,
    user: String,
    password_file: PathBuf,
    ca_file: Option<PathBuf>,
    from: Spanned<String>,
    #[serde(default = "default_timeout")]
    timeout_ms: Spanned<u64>,
}

const fn default_start() -> Start {
    Start::Starttls
}

fn default_batch() -> Spanned<u64> {
    Spanned::new(0..0, 10)
}

fn default_poll() -> Spanned<u64> {
    Spanned::new(0..0, 1000)
}

fn default_timeout() -> Spanned<u64> {
    Spanned::new(0..0, 10_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../../policies/courier/courier.toml.example");

    fn refused(from: &str, to: &str) -> String {
        let text = EXAMPLE.replacen(from, to, 1);
        assert_ne!(text, EXAMPLE, "{from}");
        let error = Config::parse(Path::new("/etc/c.toml"), &text).unwrap_err().to_string();
        let (_, line) = text.lines().zip(1..).find(|(l, _)| l.contains(to)).unwrap();
        error.strip_prefix(&format!("/etc/c.toml:{line}: ")).unwrap_or(&error).to_owned()
    }

    #[test]
    fn the_example_is_accepted_and_states_the_defaults() {
        let config = Config::parse(Path::new("/etc/sigillo/courier.toml"), EXAMPLE).unwrap();
        assert_eq!(config.messages, Path::new("/etc/sigillo/messages"));
        assert_eq!(config.smtp.start, Start::Starttls);
        assert_eq!(config.limits().margin, config.smtp.timeout + SKEW);

        let keep = |line: &&str| {
            !["batch", "poll_ms", "timeout_ms", "port", "tls"]
                .iter()
                .any(|k| line.strip_prefix(k).is_some_and(|rest| rest.starts_with(" =")))
        };
        let short = EXAMPLE.lines().filter(keep).collect::<Vec<_>>().join("\n");
        let defaults = Config::parse(Path::new("/etc/sigillo/courier.toml"), &short).unwrap();
        assert_eq!(format!("{defaults:?}"), format!("{config:?}"));
    }

    #[test]
    fn faults_are_named_with_their_line() {
        assert!(refused("batch = 10", "batch = 0").starts_with("batch must be 1 to 100"));
        assert!(refused("batch = 10", "batsch = 10").starts_with("unknown field `batsch`"));
        assert!(refused("poll_ms = 1000", "poll_ms = 99").starts_with("poll_ms must be"));
        assert!(refused("url = \"https://", "url = \"http://").starts_with("url must be https://"));
        assert!(refused("tls = \"starttls\"", "tls = \"none\"").starts_with("unknown variant `none`"));
        assert!(refused("host = \"", "host = \"two words ").starts_with("host is neither"));
        assert!(refused("from = \"", "from = \"nobody\" #").starts_with("from is no e-mail address"));
    }

    #[test]
    fn a_password_for_all_to_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("courier.toml");
        std::fs::write(&file, EXAMPLE.replace("smtp.password", "password")).unwrap();
        let password = dir.path().join("password");
        let config = Config::load(&file).unwrap();
        for (mode, text, why) in [
            (0o644, "segreta", "0644"),
            (0o400, "", "not a password on one line"),
            (0o400, "due\nrighe", "not a password on one line"),
        ] {
            std::fs::write(&password, text).unwrap();
            std::fs::set_permissions(&password, std::fs::Permissions::from_mode(mode)).unwrap();
            let clock = Arc::new(crate::clock::ManualClock::new(0));
            let error = config.gateway(clock).err().unwrap().to_string();
            assert!(error.contains("password") && error.contains(why), "{error}");
            std::fs::remove_file(&password).unwrap();
        }
    }
}
