//! `trust.toml`: the authorities of operators' cards, and how their certificates are judged.

use std::sync::Arc;

use serde::Deserialize;

use super::parameters::within;
use crate::auth::cns::{Authority, CardPolicy, Rules, Trust};

/// The file as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTrust {
    certificates: RawRules,
    #[serde(default)]
    ca: Vec<RawCa>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRules {
    policies: Vec<String>,
    crl_max_age_h: u64,
    stale_crl_for_h: u64,
    remember: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCa {
    name: String,
    certificate: String,
    crls: Vec<String>,
}

/// Milliseconds of an hour.
const HOUR: u64 = 3_600_000;

impl RawTrust {
    /// Checks names, certificates and rules; the error is a sentence without the file's name.
    pub(super) fn validate(self) -> Result<Arc<Trust>, String> {
        let rules = self.certificates.validate()?;
        let mut authorities: Vec<Authority> = Vec::new();
        for raw in self.ca {
            let authority = raw.validate()?;
            if let Some(other) =
                authorities.iter().find(|o| o.name() == authority.name() || o.is_same(&authority))
            {
                let (one, two) = (other.name(), authority.name());
                return Err(format!("ca \"{one}\" and ca \"{two}\" have the same name or certificate"));
            }
            authorities.push(authority);
        }
        Ok(Arc::new(Trust::new(authorities, rules)))
    }
}

impl RawRules {
    fn validate(self) -> Result<Rules, String> {
        if self.policies.is_empty() {
            return Err("certificates.policies: at least one".into());
        }
        let policy = |text: &String| {
            text.parse::<CardPolicy>().map_err(|why| format!("certificates.policies: \"{text}\" is {why}"))
        };
        let hours =
            |name, value, least, most| within(name, value, least, most).map(|h| h.saturating_mul(HOUR));
        let remember = within("certificates.remember", self.remember, 0, 1_000_000)?;
        Ok(Rules {
            policies: self.policies.iter().map(policy).collect::<Result<_, _>>()?,
            crl_max_age_ms: hours("certificates.crl_max_age_h", self.crl_max_age_h, 1, 2160)?,
            stale_crl_for_ms: hours("certificates.stale_crl_for_h", self.stale_crl_for_h, 0, 168)?,
            remember: usize::try_from(remember).map_err(|e| e.to_string())?,
        })
    }
}

impl RawCa {
    fn validate(self) -> Result<Authority, String> {
        let Self { name, certificate, crls } = self;
        let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if name.is_empty() || name.len() > 40 || !name.bytes().all(good) {
            return Err(format!("ca \"{name}\": a name is 1 to 40 of a-z, 0-9 and -"));
        }
        let bad = |why: &str| format!("ca \"{name}\": {why}");
        if crls.is_empty() {
            return Err(bad("no crls: every certificate of it would be refused"));
        }
        let in_file = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        let file = |file: &String| file.len() <= 80 && !file.starts_with('.') && file.bytes().all(in_file);
        if let Some(odd) = crls.iter().find(|name| name.is_empty() || !file(name)) {
            return Err(bad(&format!("\"{odd}\" is no file name of letters, digits, -, _ and .")));
        }
        let block = pem::parse(&certificate).map_err(|_| bad("certificate is not PEM"))?;
        if block.tag() != "CERTIFICATE" {
            return Err(bad("certificate is not a PEM CERTIFICATE"));
        }
        Authority::new(&name, block.contents(), crls).map_err(|why| bad(&why))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::{Ca, Validity};

    const VALIDITY: Validity = Validity { from_ms: 1_700_000_000_000, to_ms: 1_900_000_000_000 };
    const RULES: &str = "[certificates]\npolicies = [\"1.3.76.16.2.1\"]\ncrl_max_age_h = 1\nstale_crl_for_h = 0\nremember = 0\n";

    fn ca(name: &str, certificate: &str, crls: &str) -> String {
        format!("[[ca]]\nname = \"{name}\"\ncertificate = \"\"\"\n{certificate}\"\"\"\ncrls = [{crls}]\n")
    }

    fn refused(text: &str) -> String {
        match toml::from_str::<RawTrust>(&format!("{RULES}{text}")) {
            Ok(raw) => raw.validate().err().unwrap_or_default(),
            Err(e) => e.to_string(),
        }
    }

    #[test]
    fn contradictions_are_refused_with_their_reason() {
        let (one, two) = (Ca::new("One", VALIDITY).unwrap(), Ca::new("Two", VALIDITY).unwrap());
        let client = one.client("client", VALIDITY).unwrap().certificate_pem();
        let (one, two) = (one.pem(), two.pem());
        let crl = "\"a.crl\"";
        assert_eq!(refused(""), "");
        assert_eq!(refused(&(ca("a", &one, crl) + &ca("b", &two, crl))), "");
        for (text, reason) in [
            (ca("A", &one, crl), "a name is"),
            (ca("a", &one, ""), "no crls"),
            (ca("a", &one, "\"../a.crl\""), "no file name"),
            (ca("a", &one, "\".crl\""), "no file name"),
            (ca("a", "no PEM", crl), "not PEM"),
            (ca("a", &client, crl), "not the certificate of an authority"),
            (ca("a", &one, crl) + &ca("a", &two, crl), "same name or certificate"),
            (ca("a", &one, crl) + &ca("b", &one, crl), "same name or certificate"),
            (ca("a", &one, crl) + "ocsp = 1\n", "unknown field"),
        ] {
            let said = refused(&text);
            assert!(said.contains(reason), "{said:?} should say {reason:?}");
        }
    }
}
