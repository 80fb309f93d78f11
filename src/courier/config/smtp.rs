//! `[smtp]`: the region's mail relay.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use lettre::{
    Address,
    message::Mailbox,
    transport::smtp::{authentication::Credentials, extension::ClientId},
};
use rustls::pki_types::ServerName;
use serde::Deserialize;
use toml::Spanned;

use super::{
    BadConfig, Source, default_timeout, key, one_line,
    profile::{authorities, connection},
    trusting,
};
use crate::{
    clock::Clock,
    courier::{
        bounces::{Bounces, Envelope},
        mail::MailGateway,
        smtp::{Relay, Start},
    },
    sandbox::{self, Profile},
};

/// The checked section.
#[derive(Debug)]
pub(super) struct Smtp {
    host: String,
    port: u16,
    name: ServerName<'static>,
    pub(super) start: Start,
    user: String,
    password_file: PathBuf,
    ca_file: Option<PathBuf>,
    from: Mailbox,
    pub(super) timeout: Duration,
    bounces: Option<Returns>,
}

/// Where what cannot be delivered comes back.
#[derive(Debug)]
struct Returns {
    address: Address,
    maildir: PathBuf,
    key_file: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSmtp {
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
    bounces: Option<RawReturns>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawReturns {
    address: Spanned<String>,
    maildir: PathBuf,
    key_file: PathBuf,
}

const fn default_start() -> Start {
    Start::Starttls
}

impl RawSmtp {
    /// Checks every value; paths are relative to `base`.
    pub(super) fn check(self, source: &Source<'_>, base: &Path) -> Result<Smtp, BadConfig> {
        let name = ServerName::try_from(self.host.get_ref().clone())
            .map_err(|_| source.bad(self.host.span(), "host is neither a name nor an address".to_owned()))?;
        let from: Mailbox = self
            .from
            .get_ref()
            .parse()
            .map_err(|_| source.bad(self.from.span(), "from is no e-mail address".to_owned()))?;
        let default_port = match self.tls {
            Start::Starttls => 587,
            Start::Tls => 465,
        };
        Ok(Smtp {
            host: self.host.into_inner(),
            port: self.port.unwrap_or(default_port),
            name,
            start: self.tls,
            user: self.user,
            password_file: base.join(self.password_file),
            ca_file: self.ca_file.map(|path| base.join(path)),
            from,
            timeout: source.milliseconds(&self.timeout_ms, "timeout_ms")?,
            bounces: self.bounces.map(|bounces| bounces.check(source, base)).transpose()?,
        })
    }
}

impl RawReturns {
    fn check(self, source: &Source<'_>, base: &Path) -> Result<Returns, BadConfig> {
        let address = self
            .address
            .get_ref()
            .parse()
            .map_err(|_| source.bad(self.address.span(), "address is no e-mail address".to_owned()))?;
        Ok(Returns { address, maildir: base.join(self.maildir), key_file: base.join(self.key_file) })
    }
}

impl Smtp {
    /// What it needs of the system.
    pub(super) fn profile(&self) -> Profile {
        let mut read = sandbox::directories(&self.password_file);
        read.extend(authorities(self.ca_file.as_ref()));
        let returns = self.bounces.as_ref();
        read.extend(returns.into_iter().flat_map(|returns| sandbox::directories(&returns.key_file)));
        let write = returns.map(|returns| returns.maildir.join("new")).into_iter().collect();
        Profile { read, write, ..connection(&self.host, self.port) }
    }

    /// The relay, with its password and authorities read.
    pub(super) fn open(
        &self,
        bounces: Option<Arc<Envelope>>,
        clock: Arc<dyn Clock>,
    ) -> Result<MailGateway, BadConfig> {
        let password = one_line(&self.password_file)?;
        let relay = Relay {
            host: self.host.clone(),
            port: self.port,
            start: self.start,
            name: self.name.clone(),
            tls: Arc::new(trusting(self.ca_file.as_deref())?),
            hello: ClientId::Domain(self.from.email.domain().to_owned()),
            // Kept for the life of the process by the SMTP library, which does not wipe it.
            credentials: Credentials::new(self.user.clone(), password.to_string()),
        };
        Ok(MailGateway::new(relay, self.from.clone(), bounces, self.timeout, clock))
    }

    /// The directory of bounces, if they are read.
    pub(super) fn bounces(&self) -> Result<Option<Bounces>, BadConfig> {
        let Some(returns) = &self.bounces else { return Ok(None) };
        let key = key(&returns.key_file)?;
        let other = |path: &Path, why: String| BadConfig::Other { path: path.display().to_string(), why };
        let new = returns.maildir.join("new");
        if !new.is_dir() {
            return Err(other(&new, "not a directory: a Maildir has one of this name".to_owned()));
        }
        let envelope = Envelope::new(returns.address.clone(), &key)
            .map_err(|why| other(&returns.key_file, why.to_string()))?;
        Ok(Some(Bounces::new(&returns.maildir, Arc::new(envelope))))
    }
}
