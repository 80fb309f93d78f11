//! What the courier needs of the system: every section says its part, and nothing else is let through.

use std::{net::IpAddr, path::PathBuf};

use super::{Config, sms::Carrier, smtp::Smtp};
use crate::sandbox::{self, Profile};

/// Where systems keep the authorities that they trust.
const AUTHORITIES: [&str; 4] =
    ["/etc/pki/ca-trust", "/etc/pki/tls", "/etc/ssl/certs", "/usr/share/ca-certificates"];

impl Config {
    /// What the courier needs of the system beside its token. Its store is there already: the parent is only synced.
    pub fn profile(&self) -> Profile {
        let tls = &self.authority_tls;
        let files = [&self.policy, &self.audit_key, &tls.server_ca, &tls.certificate, &tls.key];
        let mut read = sandbox::paths::beside(files.map(PathBuf::as_path));
        read.extend([&self.hsm, &self.messages].map(Clone::clone));
        let (host, port) = host_and_port(&self.authority);
        let own = Profile {
            read,
            list: sandbox::directories(&self.state.directory),
            write: vec![self.state.directory.clone()],
            ..connection(host, port)
        };
        let smtp = self.smtp.as_ref().map(Smtp::profile);
        let sms = self.sms.as_ref().map(|carrier| match carrier {
            Carrier::Http(sms) => sms.profile(),
            Carrier::Smpp(smpp) => smpp.profile(),
        });
        own.and(smtp.unwrap_or_default()).and(sms.unwrap_or_default())
    }
}

/// A connection to a host by name or address.
pub(super) fn connection(host: &str, port: u16) -> Profile {
    Profile { connect: vec![port], resolve: host.parse::<IpAddr>().is_err(), ..Profile::default() }
}

/// The authorities that are trusted: those of a file, or the system's.
pub(super) fn authorities(file: Option<&PathBuf>) -> Vec<PathBuf> {
    match file {
        Some(file) => sandbox::directories(file),
        None => AUTHORITIES.map(PathBuf::from).to_vec(),
    }
}

/// Of an `https://` URL without a path; an IPv6 address without its brackets.
fn host_and_port(url: &str) -> (&str, u16) {
    let authority = url.strip_prefix("https://").unwrap_or(url);
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().unwrap_or(443)),
        Some(_) | None => (authority, 443),
    };
    (host.trim_start_matches('[').trim_end_matches(']'), port)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const EXAMPLE: &str = include_str!("../../../policies/courier/courier.toml.example");

    #[test]
    fn ports_and_names_are_those_of_the_configuration() {
        for (url, host, port) in [
            ("https://authority.example.it:8443", "authority.example.it", 8443),
            ("https://authority.example.it", "authority.example.it", 443),
            ("https://[::1]:8443", "::1", 8443),
            ("https://[::1]", "::1", 443),
        ] {
            assert_eq!(host_and_port(url), (host, port), "{url}");
        }
        let profile = |text: &str| Config::parse(Path::new("/etc/c.toml"), text).unwrap().profile();
        let named = profile(EXAMPLE);
        assert!(named.resolve);
        assert!([8443, 587].iter().all(|port| named.connect.contains(port)), "{named:?}");
        let written = ["/var/lib/sigillo-courier/state", "/var/mail/sigillo-rimbalzi/new"];
        assert_eq!(named.write, written.map(Path::new));
        let addresses =
            EXAMPLE.replace("relay.example.it", "::1").replace("authority.example.it", "127.0.0.1");
        assert!(!profile(&addresses).resolve);
    }
}
