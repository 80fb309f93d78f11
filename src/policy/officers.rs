//! `officers.toml`: the security officers by certificate, and how many of them must sign.

use serde::Deserialize;
use x509_parser::{
    prelude::{FromDer, X509Certificate},
    public_key::PublicKey,
};

use crate::domain::officers::{Officer, OfficerKey, Officers};

/// The file as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawOfficers {
    needed: usize,
    #[serde(default)]
    officer: Vec<RawOfficer>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawOfficer {
    name: String,
    certificate: String,
}

impl RawOfficers {
    /// Checks names, certificates and their number; the error is a sentence without the file's name.
    pub(super) fn validate(self) -> Result<Officers, String> {
        let officers = self.officer.into_iter().map(RawOfficer::validate).collect::<Result<Vec<_>, _>>()?;
        Officers::new(officers, self.needed).map_err(|e| e.to_string())
    }
}

impl RawOfficer {
    fn validate(self) -> Result<Officer, String> {
        let Self { name, certificate } = self;
        let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if name.is_empty() || name.len() > 40 || !name.bytes().all(good) {
            return Err(format!("officer \"{name}\": a name is 1 to 40 of a-z, 0-9 and -"));
        }
        let bad = |why: &str| format!("officer \"{name}\": {why}");
        let block = pem::parse(&certificate).map_err(|_| bad("certificate is not PEM"))?;
        if block.tag() != "CERTIFICATE" {
            return Err(bad("certificate is not a PEM CERTIFICATE"));
        }
        let key = officer_key(block.contents()).map_err(bad)?;
        Ok(Officer::new(name.clone(), block.contents(), key))
    }
}

/// The key in a certificate (DER), if it is one that officers may have.
pub(crate) fn officer_key(der: &[u8]) -> Result<OfficerKey, &'static str> {
    let Ok(([], certificate)) = X509Certificate::from_der(der) else {
        return Err("not one certificate");
    };
    let spki = certificate.public_key();
    let whole = spki.raw.to_vec();
    match spki.parsed().map_err(|_| "a key that cannot be read")? {
        PublicKey::RSA(rsa) if (2048..=8192).contains(&rsa.key_size()) => Ok(OfficerKey::Rsa(whole)),
        PublicKey::EC(point) if point.key_size() == 256 => Ok(OfficerKey::P256(whole)),
        PublicKey::RSA(_)
        | PublicKey::EC(_)
        | PublicKey::DSA(_)
        | PublicKey::GostR3410(_)
        | PublicKey::GostR3410_2012(_)
        | PublicKey::Unknown(_) => Err("the key is neither RSA of 2048 to 8192 bits nor P-256"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::{Ca, Validity};

    fn certificate(name: &str) -> String {
        let validity = Validity { from_ms: 1_700_000_000_000, to_ms: 1_900_000_000_000 };
        let dir = tempfile::tempdir().unwrap();
        Ca::new("CA", validity).unwrap().client(name, validity).unwrap().write(dir.path(), "c").unwrap();
        std::fs::read_to_string(dir.path().join("c.pem")).unwrap()
    }

    fn officer(name: &str, certificate: &str) -> String {
        format!("[[officer]]\nname = \"{name}\"\ncertificate = \"\"\"\n{certificate}\"\"\"\n")
    }

    fn refused(text: &str) -> String {
        match toml::from_str::<RawOfficers>(text) {
            Ok(raw) => raw.validate().err().unwrap_or_default(),
            Err(e) => e.to_string(),
        }
    }

    #[test]
    fn contradictions_are_refused_with_their_reason() {
        let (a, b) = (certificate("A"), certificate("B"));
        let two = officer("officer-1", &a) + &officer("officer-2", &b);
        assert_eq!(refused(&format!("needed = 2\n{two}")), "");
        assert_eq!(refused("needed = 2\n"), "", "nobody can recover or back up");
        let weak = include_str!("../../tests/transport/certificates/rsa1024.pem");
        for (text, reason) in [
            (format!("needed = 3\n{two}"), "must be 1 to 2"),
            (format!("needed = 0\n{two}"), "must be 1 to 2"),
            (two.clone(), "missing field"),
            (format!("needed = 1\n{}{}", officer("a", &a), officer("a", &b)), "same name"),
            (
                format!("needed = 1\n{}{}", officer("a", &a), officer("b", &a)),
                "same name, certificate or key",
            ),
            (format!("needed = 1\n{}", officer("Rossi M.", &a)), "a name is"),
            (format!("needed = 1\n{}", officer("a", "no PEM")), "not PEM"),
            (format!("needed = 1\n{}", officer("a", weak)), "neither RSA"),
            (format!("needed = 1\n{two}admin = 1\n"), "unknown field"),
        ] {
            let said = refused(&text);
            assert!(said.contains(reason), "{said:?} should say {reason:?}");
        }
    }
}
