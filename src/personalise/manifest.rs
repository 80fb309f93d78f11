//! What was made, for the bureau and the auditors: lines of text, signed by both tokens' audit keys. It has counts, digests and
//! the uses of keys; no number of a card, and nothing that a code could be told by.

use std::{collections::BTreeMap, fmt, str::FromStr};

use crate::domain::operations::Operations;

/// First line of every manifest; it never changes.
const FIRST: &str = "sigillo personalisation manifest v1";

/// Whether a text begins as a manifest does.
pub(super) fn is_one(text: &str) -> bool {
    text.lines().next() == Some(FIRST)
}

/// An encrypted file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its name, in the manifest's own directory.
    pub name: String,
    /// SHA-256 of its bytes.
    pub digest: [u8; 32],
    /// Lines with a card in it.
    pub cards: u64,
}

/// What a manifest says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The authority's log.
    pub log: String,
    /// Digest of the policy set under which the cards were exported, hexadecimal.
    pub policy: String,
    /// When, RFC 3339.
    pub time: String,
    /// The run, as its events name it.
    pub request: String,
    /// SHA-256 of the exports that it was made from.
    pub input: [u8; 32],
    /// SHA-256 of the bureau's certificate.
    pub recipient: [u8; 32],
    /// How many cards.
    pub cards: u64,
    /// How many of them of each template.
    pub templates: BTreeMap<String, u64>,
    /// Operations with the keys of codes that it took.
    pub operations: Operations,
    /// The files, in order.
    pub files: Vec<File>,
}

impl fmt::Display for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { log, policy, time, request, input, recipient, cards, templates, operations, files } = self;
        let (input, recipient) = (hex::encode(input), hex::encode(recipient));
        writeln!(f, "{FIRST}\nlog {log}\npolicy {policy}\ntime {time}\nrequest {request}")?;
        writeln!(f, "input {input}\nrecipient {recipient}\ncards {cards}\noperations {operations}")?;
        for (template, cards) in templates {
            writeln!(f, "template {template} {cards}")?;
        }
        for File { name, digest, cards } in files {
            writeln!(f, "file {} {cards} {name}", hex::encode(digest))?;
        }
        Ok(())
    }
}

/// The text is not a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a manifest: {0}")]
pub struct NotAManifest(&'static str);

impl FromStr for Manifest {
    type Err = NotAManifest;

    fn from_str(text: &str) -> Result<Self, NotAManifest> {
        let mut lines = text.lines().peekable();
        if lines.next() != Some(FIRST) {
            return Err(NotAManifest("first line"));
        }
        let mut field = |name: &'static str| {
            let value = lines.next().and_then(|line| line.strip_prefix(name)?.strip_prefix(' '));
            value.ok_or(NotAManifest(name))
        };
        let mut manifest = Self {
            log: field("log")?.into(),
            policy: field("policy")?.into(),
            time: field("time")?.into(),
            request: field("request")?.into(),
            input: digest(field("input")?)?,
            recipient: digest(field("recipient")?)?,
            cards: number(field("cards")?)?,
            operations: Operations::parse(field("operations")?).ok_or(NotAManifest("operations"))?,
            templates: BTreeMap::new(),
            files: Vec::new(),
        };
        for line in lines {
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["template", template, cards] => {
                    manifest.templates.insert(template.into(), number(cards)?);
                }
                ["file", sha256, cards, name] if is_name(name) => {
                    manifest.files.push(File {
                        name: name.into(),
                        digest: digest(sha256)?,
                        cards: number(cards)?,
                    });
                }
                _ => return Err(NotAManifest("a line that it does not have")),
            }
        }
        // What is written again is what was read: no second way to say the same.
        if manifest.to_string() == text { Ok(manifest) } else { Err(NotAManifest("another form")) }
    }
}

/// A name in the same directory.
fn is_name(name: &str) -> bool {
    !name.starts_with('.') && !name.is_empty() && !name.contains('/')
}

fn digest(text: &str) -> Result<[u8; 32], NotAManifest> {
    let mut out = [0; 32];
    hex::decode_to_slice(text, &mut out).map_err(|_| NotAManifest("a digest"))?;
    Ok(out)
}

fn number(text: &str) -> Result<u64, NotAManifest> {
    text.parse().map_err(|_| NotAManifest("a number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_it_was_written_and_in_no_other_form() {
        let manifest = Manifest {
            log: "demo".into(),
            policy: "ab".into(),
            time: "2026-03-01T10:00:00.000Z".into(),
            request: "11".repeat(16),
            input: [1; 32],
            recipient: [2; 32],
            cards: 3,
            templates: [("IT-010/1".into(), 1), ("IT-050/1".into(), 2)].into(),
            operations: Operations { print: 6, deliver: 6, verify: 2 },
            files: vec![File { name: "cards-0001.p7m".into(), digest: [3; 32], cards: 3 }],
        };
        let text = manifest.to_string();
        assert_eq!(text.parse(), Ok(manifest));
        for (from, to) in [
            ("v1", "v2"),
            ("cards 3\n", "cards 03\n"),
            ("cards-0001", "../0001"),
            ("log demo\n", ""),
            ("template IT-010/1 1\n", "template IT-010/1 1\ntemplate IT-010/1 1\n"),
            ("print=6", "print=x"),
            ("\nfile", "\n\nfile"),
        ] {
            let other = text.replacen(from, to, 1);
            assert!(other != text && other.parse::<Manifest>().is_err(), "{to}");
        }
    }
}
