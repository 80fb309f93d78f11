//! `[sms.smpp]`: the provider's message centre.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rustls::pki_types::ServerName;
use serde::Deserialize;
use tokio_rustls::TlsConnector;
use toml::Spanned;

use super::{
    BadConfig, Source, one_line,
    profile::{authorities, connection},
    trusting,
};
use crate::{
    courier::sms::{Sender, SmppAccount},
    sandbox::{self, Profile},
};

/// The checked section.
#[derive(Debug)]
pub(super) struct Smpp {
    host: String,
    port: u16,
    transport: Transport,
    system_id: String,
    system_type: String,
    password_file: PathBuf,
    sender: Sender,
    pub(super) timeout: Duration,
    enquire: Duration,
}

/// How the centre is spoken to.
#[derive(Debug)]
enum Transport {
    /// In clear: on this machine alone.
    Loopback,
    /// Over TLS, with the authorities in this file or the system's.
    Tls(ServerName<'static>, Option<PathBuf>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSmpp {
    host: Spanned<String>,
    port: Option<u16>,
    #[serde(default = "default_tls")]
    tls: Spanned<bool>,
    ca_file: Option<PathBuf>,
    system_id: Spanned<String>,
    #[serde(default = "default_type")]
    system_type: Spanned<String>,
    password_file: PathBuf,
    #[serde(default = "default_enquire")]
    enquire_s: Spanned<u64>,
}

fn default_tls() -> Spanned<bool> {
    Spanned::new(0..0, true)
}

fn default_type() -> Spanned<String> {
    Spanned::new(0..0, String::new())
}

fn default_enquire() -> Spanned<u64> {
    Spanned::new(0..0, 30)
}

impl RawSmpp {
    /// Checks every value; paths are relative to `base`. Sender and timeout are those of `[sms]`.
    pub(super) fn check(
        self,
        source: &Source<'_>,
        base: &Path,
        sender: &Spanned<String>,
        timeout: Duration,
    ) -> Result<Smpp, BadConfig> {
        let host = self.host.get_ref().clone();
        let name = ServerName::try_from(host.clone())
            .map_err(|_| source.bad(self.host.span(), "host is neither a name nor an address".to_owned()))?;
        let (transport, default_port) = match (*self.tls.get_ref(), self.ca_file) {
            (true, file) => (Transport::Tls(name, file.map(|file| base.join(file))), 3550),
            (false, Some(_)) => {
                return Err(source.bad(self.tls.span(), "ca_file is for tls = true only".to_owned()));
            }
            (false, None) => {
                if !host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback()) {
                    let why = "tls = false is in clear, password and second parts too: the host must be \
                               127.0.0.1 or another loopback address";
                    return Err(source.bad(self.tls.span(), why.to_owned()));
                }
                (Transport::Loopback, 2775)
            }
        };
        for (text, most, key) in [(&self.system_id, 15, "system_id"), (&self.system_type, 12, "system_type")]
        {
            let is_short =
                text.get_ref().len() <= most && (key == "system_type" || !text.get_ref().is_empty());
            if !is_short || !text.get_ref().bytes().all(|b| b.is_ascii_graphic()) {
                let why = format!("{key} must be at most {most} printable ASCII characters");
                return Err(source.bad(text.span(), why));
            }
        }
        let sender = Sender::new(sender.get_ref())
            .ok_or_else(|| source.bad(sender.span(), "sender does not fit an SMPP message".to_owned()))?;
        Ok(Smpp {
            host,
            port: self.port.unwrap_or(default_port),
            transport,
            system_id: self.system_id.into_inner(),
            system_type: self.system_type.into_inner(),
            password_file: base.join(self.password_file),
            sender,
            timeout,
            enquire: Duration::from_secs(source.number(&self.enquire_s, 1..=600, "enquire_s")?),
        })
    }
}

impl Smpp {
    /// What it needs of the system.
    pub(super) fn profile(&self) -> Profile {
        let mut read = sandbox::directories(&self.password_file);
        if let Transport::Tls(_, ca) = &self.transport {
            read.extend(authorities(ca.as_ref()));
        }
        Profile { read, ..connection(&self.host, self.port) }
    }

    /// The account, with its password and authorities read.
    pub(super) fn open(&self) -> Result<SmppAccount, BadConfig> {
        let other = |why: &str| BadConfig::Other {
            path: self.password_file.display().to_string(),
            why: why.to_owned(),
        };
        let password = one_line(&self.password_file)?;
        let tls = match &self.transport {
            Transport::Loopback => None,
            Transport::Tls(name, ca) => {
                Some((TlsConnector::from(Arc::new(trusting(ca.as_deref())?)), name.clone()))
            }
        };
        Ok(SmppAccount {
            host: self.host.clone(),
            port: self.port,
            tls,
            system_id: self.system_id.parse().map_err(|_| other("system_id does not fit"))?,
            password: password
                .parse()
                .map_err(|_| other("an SMPP password has at most 8 ASCII characters (SMPP 3.4, 4.1.1)"))?,
            system_type: self.system_type.parse().map_err(|_| other("system_type does not fit"))?,
            sender: self.sender.clone(),
            timeout: self.timeout,
            enquire: self.enquire,
        })
    }
}
