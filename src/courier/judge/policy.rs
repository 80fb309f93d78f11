//! The courier's own policy, a TOML file: `policies/courier/policy.toml` documents every key.
//!
//! It is read strictly, all or nothing, with the code templates that it names: an unknown key, a missing key, a value
//! out of range or a contradiction is refused with file, line and reason. The authority has no say in any of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use aws_lc_rs::digest;
use serde::Deserialize;
use toml::Spanned;

use super::{memory::Limits, window::Rate};
use crate::{
    api::courier::Lease,
    courier::config::{BadConfig, Source},
    domain::{
        contact::{Channel, Contact},
        message::MessageLanguage,
        template::{CodeName, Part, RawTemplate, Template, TemplateId},
    },
    files::read_public,
};

const HOUR_MS: u64 = 3_600_000;
/// Longest file, in bytes.
const MAX_FILE: u64 = 1 << 20;
/// Most messages in a day: the greatest number that a limit may have.
const MOST: u64 = 1_000_000;

/// A policy in force.
#[derive(Debug)]
pub struct Policy {
    /// SHA-256 of the policy and its templates, 64 hexadecimal digits.
    pub digest: Arc<str>,
    /// Name of the text that tells a former contact of a change.
    pub notice: String,
    /// How long second parts wait before they go to a changed contact, milliseconds.
    pub wait_ms: u64,
    /// How many messages.
    pub limits: Limits,
    messages: BTreeSet<String>,
    languages: Vec<MessageLanguage>,
    channels: Vec<Channel>,
    domains: BTreeSet<String>,
    denied_domains: BTreeSet<String>,
    prefixes: Vec<String>,
    templates: BTreeMap<TemplateId, Template>,
    templates_directory: PathBuf,
}

/// What a policy says no to. Fixed words: the contact is never repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAllowed {
    /// The channel.
    #[error("the courier's policy does not allow this channel")]
    Channel,
    /// The mail domain.
    #[error("the courier's policy does not allow this mail domain")]
    Domain,
    /// The text.
    #[error("the courier's policy does not allow this text")]
    Message,
    /// The country or network of a number.
    #[error("the courier's policy does not allow this telephone prefix")]
    Prefix,
    /// A code that is not as the template says.
    #[error("a code is not as the courier's own template has it")]
    Shape,
    /// The code template.
    #[error("the courier's policy does not have this code template")]
    Template,
}

impl Policy {
    /// Reads and checks the file and the templates that it names.
    ///
    /// # Errors
    /// [`BadConfig`] with file, line and reason.
    pub fn load(file: &Path) -> Result<Self, BadConfig> {
        let text = utf8(file)?;
        let source = Source { file, text: &text };
        let raw: Raw = toml::from_str(&text)
            .map_err(|e| source.bad(e.span().unwrap_or_default(), e.message().to_owned()))?;
        let base = file.parent().unwrap_or_else(|| Path::new(""));
        let mut hashed = digest::Context::new(&digest::SHA256);
        hashed.update(b"sigillo courier policy v1\n");
        hash(&mut hashed, "policy.toml", &text);
        let templates_directory = base.join(&raw.templates);
        let templates = templates(&templates_directory, &mut hashed)?;
        let digest = Arc::from(hex::encode(hashed.finish()));

        let messages: BTreeSet<String> = raw.messages.get_ref().iter().cloned().collect();
        let bad = |at: &Spanned<Vec<String>>, why: &str| Err(source.bad(at.span(), why.to_owned()));
        if messages.is_empty() {
            return bad(&raw.messages, "messages: at least one text");
        }
        if messages.contains(raw.notice.message.get_ref()) {
            let why = "notice.message is among messages: the authority could ask for it";
            return Err(source.bad(raw.notice.message.span(), why.to_owned()));
        }
        let RawContact { channels, email_domains, email_domains_denied, phone_prefixes, wait_h, languages } =
            raw.contact;
        let Ok(spoken) =
            languages.get_ref().iter().map(|l| l.parse()).collect::<Result<Vec<MessageLanguage>, _>>()
        else {
            return bad(&languages, "contact.languages: \"it\", \"de\", \"fr\" and \"sl\" are known");
        };
        if spoken.is_empty() {
            return bad(&languages, "contact.languages: at least one");
        }
        if channels.get_ref().is_empty() {
            return bad(&channels, "contact.channels: at least one");
        }
        let Ok(known) = channels.get_ref().iter().map(|c| c.parse()).collect::<Result<Vec<Channel>, _>>()
        else {
            return bad(&channels, "contact.channels: \"email\" and \"sms\" are known");
        };
        for domains in [&email_domains, &email_domains_denied] {
            if domains
                .get_ref()
                .iter()
                .any(|d| d.is_empty() || *d != d.to_ascii_lowercase() || d.contains('@'))
            {
                return bad(domains, "a mail domain is written in lower case, without @");
            }
        }
        if email_domains_denied.get_ref().iter().any(|d| email_domains.get_ref().contains(d)) {
            return bad(&email_domains_denied, "a mail domain is both allowed and denied");
        }
        let digits = |p: &String| {
            p.strip_prefix('+').is_some_and(|d| !d.is_empty() && d.bytes().all(|b| b.is_ascii_digit()))
        };
        if !phone_prefixes.get_ref().iter().all(digits) {
            return bad(&phone_prefixes, "a telephone prefix is + and digits");
        }
        if known.contains(&Channel::Sms) && phone_prefixes.get_ref().is_empty() {
            return bad(&phone_prefixes, "the channel \"sms\" is allowed, and no telephone prefix is");
        }
        let limits = raw.limits.check(&source)?;
        Ok(Self {
            digest,
            notice: raw.notice.message.into_inner(),
            wait_ms: source.number(&wait_h, 1..=720, "contact.wait_h")?.saturating_mul(HOUR_MS),
            limits,
            messages,
            languages: spoken,
            channels: known,
            domains: email_domains.into_inner().into_iter().collect(),
            denied_domains: email_domains_denied.into_inner().into_iter().collect(),
            prefixes: phone_prefixes.into_inner(),
            templates,
            templates_directory,
        })
    }

    /// Where the code templates were read.
    pub fn templates_directory(&self) -> &Path {
        &self.templates_directory
    }

    /// The texts that the authority may ask for, in each language.
    pub fn messages(&self) -> impl Iterator<Item = String> {
        let in_each =
            |name: &String| self.languages.iter().map(|language| language.text(name)).collect::<Vec<_>>();
        self.messages.iter().flat_map(in_each)
    }

    /// The notices to former contacts, in each language.
    pub fn notices(&self) -> impl Iterator<Item = String> {
        self.languages.iter().map(|language| language.text(&self.notice))
    }

    /// The channels of contacts.
    pub fn channels(&self) -> &[Channel] {
        &self.channels
    }

    /// Whether the policy allows what a lease asks for, and this contact. Limits and waiting time are another matter.
    ///
    /// # Errors
    /// [`NotAllowed`].
    pub fn allows(&self, lease: &Lease, contact: &Contact) -> Result<(), NotAllowed> {
        let is_there = MessageLanguage::of_text(&lease.message).is_some_and(|(language, name)| {
            self.languages.contains(&language) && self.messages.contains(name)
        });
        if !is_there {
            return Err(NotAllowed::Message);
        }
        self.allows_contact(contact)?;
        let id: TemplateId = lease.template.parse().map_err(|_| NotAllowed::Template)?;
        let template = self.templates.get(&id).ok_or(NotAllowed::Template)?;
        // Lengths and forbidden parts come from here: whoever chose them could search a part by how it is refused.
        let as_here = lease.codes.iter().all(|leased| {
            let code: Option<CodeName> = leased.code.parse().ok();
            code.and_then(|code| template.shape(code)).is_some_and(|shape| {
                shape.length(Part::Second) == leased.digits
                    && shape.forbidden(Part::Second) == leased.forbidden
            })
        });
        if as_here { Ok(()) } else { Err(NotAllowed::Shape) }
    }

    fn allows_contact(&self, contact: &Contact) -> Result<(), NotAllowed> {
        if !self.channels.contains(&contact.channel()) {
            return Err(NotAllowed::Channel);
        }
        match contact.channel() {
            Channel::Email => {
                let domain = contact.expose().rsplit('@').next().unwrap_or_default().to_ascii_lowercase();
                let listed = |list: &BTreeSet<String>| {
                    list.iter().any(|known| {
                        domain
                            .strip_suffix(known.as_str())
                            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
                    })
                };
                let allowed = self.domains.is_empty() || listed(&self.domains);
                if allowed && !listed(&self.denied_domains) { Ok(()) } else { Err(NotAllowed::Domain) }
            }
            Channel::Sms => {
                let allowed =
                    self.prefixes.iter().any(|prefix| contact.expose().starts_with(prefix.as_str()));
                if allowed { Ok(()) } else { Err(NotAllowed::Prefix) }
            }
        }
    }
}

fn utf8(file: &Path) -> Result<String, BadConfig> {
    String::from_utf8(read_public(file, MAX_FILE)?)
        .map_err(|_| BadConfig::Other { path: file.display().to_string(), why: "not UTF-8 text".to_owned() })
}

fn hash(context: &mut digest::Context, name: &str, text: &str) {
    context.update(format!("{} {name}\n", text.len()).as_bytes());
    context.update(text.as_bytes());
}

/// The code templates of a directory, in the form that the authority has them in too.
fn templates(
    directory: &Path,
    hashed: &mut digest::Context,
) -> Result<BTreeMap<TemplateId, Template>, BadConfig> {
    let other = |path: &Path, why: String| BadConfig::Other { path: path.display().to_string(), why };
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(directory).map_err(|e| other(directory, e.to_string()))? {
        let path = entry.map_err(|e| other(directory, e.to_string()))?.path();
        if path.extension().is_some_and(|e| e == "toml") {
            files.push(path);
        }
    }
    files.sort();
    let mut templates = BTreeMap::new();
    for file in files {
        let text = utf8(&file)?;
        let source = Source { file: &file, text: &text };
        let raw: RawTemplate = toml::from_str(&text)
            .map_err(|e| source.bad(e.span().unwrap_or_default(), e.message().to_owned()))?;
        let template = Template::try_from(raw).map_err(|e| source.bad(0..0, e.to_string()))?;
        let name = file.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        hash(hashed, name, &text);
        let id = template.id().clone();
        if templates.insert(id.clone(), template).is_some() {
            return Err(source.bad(0..0, format!("another file has template {id} too")));
        }
    }
    if templates.is_empty() {
        return Err(other(directory, "there is no code template (*.toml)".to_owned()));
    }
    Ok(templates)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    messages: Spanned<Vec<String>>,
    templates: PathBuf,
    contact: RawContact,
    notice: RawNotice,
    limits: RawLimits,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawContact {
    channels: Spanned<Vec<String>>,
    email_domains: Spanned<Vec<String>>,
    email_domains_denied: Spanned<Vec<String>>,
    phone_prefixes: Spanned<Vec<String>>,
    wait_h: Spanned<u64>,
    languages: Spanned<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawNotice {
    message: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLimits {
    card: RawRate,
    contact: RawRate,
    all: RawRate,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRate {
    hour: Spanned<u64>,
    day: Spanned<u64>,
}

impl RawLimits {
    fn check(&self, source: &Source<'_>) -> Result<Limits, BadConfig> {
        let limits = Limits {
            card: self.card.check(source, "card")?,
            contact: self.contact.check(source, "contact")?,
            all: self.all.check(source, "all")?,
        };
        for (raw, inner, outer, what) in [
            (&self.contact, limits.card, limits.contact, "limits.contact is below limits.card"),
            (&self.all, limits.contact, limits.all, "limits.all is below limits.contact"),
        ] {
            if outer.hour < inner.hour {
                return Err(source.bad(raw.hour.span(), what.to_owned()));
            }
            if outer.day < inner.day {
                return Err(source.bad(raw.day.span(), what.to_owned()));
            }
        }
        Ok(limits)
    }
}

impl RawRate {
    fn check(&self, source: &Source<'_>, what: &str) -> Result<Rate, BadConfig> {
        let number = |value: &Spanned<u64>, span: &str| -> Result<u32, BadConfig> {
            let value = source.number(value, 1..=MOST, &format!("limits.{what}.{span}"))?;
            Ok(u32::try_from(value).unwrap_or(u32::MAX))
        };
        let rate = Rate { hour: number(&self.hour, "hour")?, day: number(&self.day, "day")? };
        if rate.day < rate.hour {
            return Err(source.bad(self.day.span(), format!("limits.{what}.day is below limits.{what}.hour")));
        }
        Ok(rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(from: &str, to: &str) -> Result<Policy, String> {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("policy.toml");
        let text = fs::read_to_string(shipped.join("courier/policy.toml")).unwrap();
        assert!(text.contains(from), "{from}");
        let templates = shipped.join("templates");
        let text = text.replacen(from, to, 1).replace("../templates", templates.to_str().unwrap());
        fs::write(&file, &text).unwrap();
        Policy::load(&file).map_err(|e| e.to_string().replace(dir.path().to_str().unwrap(), ""))
    }

    #[test]
    fn faults_and_contradictions_are_named_with_their_line() {
        for (from, to, why) in [
            ("wait_h = 72", "wait_h = 0", "/policy.toml:22: contact.wait_h must be 1 to 720"),
            ("wait_h = 72", "waits_h = 72", "/policy.toml:22: unknown field `waits_h`"),
            ("message = \"notice\"", "", "/policy.toml:26: missing field `message`"),
            (
                "message = \"notice\"",
                "message = \"reprint\"",
                "/policy.toml:28: notice.message is among messages: the authority could ask for it",
            ),
            (
                "[\"activation\", \"renewal\", \"reprint\"]",
                "[]",
                "/policy.toml:6: messages: at least one text",
            ),
            (
                "[\"email\", \"sms\"]",
                "[\"fax\"]",
                "/policy.toml:14: contact.channels: \"email\" and \"sms\" are known",
            ),
            (
                "email_domains = []\n",
                "email_domains = [\"A.it\"]\n",
                "/policy.toml:16: a mail domain is written in lower case, without @",
            ),
            (
                "email_domains = []\n# Mail domains to which nothing is sent.\nemail_domains_denied = []",
                "email_domains = [\"a.it\"]\nemail_domains_denied = [\"a.it\"]",
                "/policy.toml:17: a mail domain is both allowed and denied",
            ),
            ("[\"+39\"]", "[\"39\"]", "/policy.toml:20: a telephone prefix is + and digits"),
            (
                "[\"+39\"]",
                "[]",
                "/policy.toml:20: the channel \"sms\" is allowed, and no telephone prefix is",
            ),
            (
                "[\"it\", \"de\", \"fr\", \"sl\"]",
                "[\"it\", \"en\"]",
                "/policy.toml:24: contact.languages: \"it\", \"de\", \"fr\" and \"sl\" are known",
            ),
            ("[\"it\", \"de\", \"fr\", \"sl\"]", "[]", "/policy.toml:24: contact.languages: at least one"),
            ("day = 6", "day = 2", "limits.card.day is below limits.card.hour"),
            ("hour = 6", "hour = 2", "limits.contact is below limits.card"),
            ("day = 8000", "day = 1000001", "limits.all.day must be 1 to 1000000"),
        ] {
            let said = load(from, to).unwrap_err();
            assert!(said.contains(why), "{why}\n{said}");
        }
    }

    #[test]
    fn every_change_changes_the_digest() {
        let shipped = load("wait_h = 72", "wait_h = 72").unwrap();
        assert_eq!((shipped.wait_ms, shipped.digest.len()), (72 * HOUR_MS, 64));
        assert_ne!(load("wait_h = 72", "wait_h = 71").unwrap().digest, shipped.digest);
    }

    #[test]
    fn a_text_is_there_in_each_language() {
        let policy = load("[\"it\", \"de\", \"fr\", \"sl\"]", "[\"it\", \"de\"]").unwrap();
        let texts: Vec<String> = policy.messages().collect();
        assert_eq!(texts, ["activation", "de/activation", "renewal", "de/renewal", "reprint", "de/reprint"]);
        assert_eq!(policy.notices().collect::<Vec<_>>(), ["notice", "de/notice"]);
    }
}
