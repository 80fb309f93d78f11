//! Self-test of a token, at start-up and by `sigillo hsm selftest`. A check that fails stops the start.

use aws_lc_rs::{
    digest, hmac,
    signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey},
};
use cryptoki::{
    mechanism::Mechanism,
    object::{Attribute, ObjectClass},
    session::Session,
};

use super::{
    Error,
    keys::KeyName,
    link::Link,
    rv, templates,
    worker::{self, Keys},
};
use crate::hsm::{Token, config::Config, tag_matches};

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The token must not be used.
    Failed,
    /// Worth knowing; nothing depends on it.
    Note,
    /// As it must be.
    Passed,
}

/// One check of the self-test.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Check {
    /// What was checked.
    pub name: &'static str,
    /// How it ended.
    pub outcome: Outcome,
    /// What was seen.
    pub detail: String,
    /// Whether it failed because the token gave no answer, which may pass by itself.
    #[serde(skip)]
    unanswered: bool,
}

/// Texts that no production message can equal: those start with `sigillo/v1` and a zero byte.
const MESSAGES: [&[u8]; 2] = [b"sigillo selftest v1 one", b"sigillo selftest v1 two"];
/// What keys in use are examined with after a call that failed.
pub(super) const EXAMINED: &[u8] = MESSAGES[0];

/// Its SHA-256.
pub(super) fn examined_digest() -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, EXAMINED).as_ref());
    out
}

/// Value of the session key of the known answer. Not a secret: it is destroyed after the check.
const KNOWN_KEY: [u8; 32] = *b"sigillo selftest known key 0001.";

/// Runs every check and answers how each ended; an error is a failed check, too.
pub(super) fn run(
    link: &Link,
    config: &Config,
    keys: &Keys,
    audit_der: &[u8],
    worker: &mut dyn Token,
) -> Vec<Check> {
    let mut checks = vec![
        check("mac-repeats", macs(keys, worker)),
        fresh(link, "mac-known-answer", |session| known_answer(session, config)),
        check("tag-compare", compare(keys, worker)),
        fresh(link, "c-verify", |session| module_verify(session, config)),
        check("random", random(worker)),
        check("audit-signature", signature(worker, audit_der)),
    ];
    if keys.contact.is_some() {
        checks.push(fresh(link, "contact-roundtrip", |session| contact(session, keys, worker)));
    }
    checks
}

/// The first failure as an error: of those that were answered, if there is one.
pub(super) fn verdict(checks: &[Check]) -> Result<(), Error> {
    let failed = checks.iter().filter(|check| check.outcome == Outcome::Failed);
    match failed.min_by_key(|check| check.unanswered) {
        None => Ok(()),
        Some(Check { name, detail, unanswered: true, .. }) => {
            Err(Error::Unavailable(format!("self-test {name}: {detail}")))
        }
        Some(Check { name, detail, unanswered: false, .. }) => {
            Err(Error::Bug(format!("self-test {name}: {detail}")))
        }
    }
}

type Seen = Result<(Outcome, String), Error>;

fn check(name: &'static str, seen: Seen) -> Check {
    match seen {
        Ok((outcome, detail)) => Check { name, outcome, detail, unanswered: false },
        Err(error) => {
            let unanswered = matches!(error, Error::Unavailable(_) | Error::Busy);
            Check { name, outcome: Outcome::Failed, detail: error.to_string(), unanswered }
        }
    }
}

/// A check with a session of its own, so that one that goes wrong cannot disturb another.
fn fresh(link: &Link, name: &'static str, act: impl FnOnce(&Session) -> Seen) -> Check {
    let session = link.context.open_rw_session(link.slot).map_err(|error| rv::error("new session", &error));
    check(name, session.and_then(|session| act(&session)))
}

fn passed(detail: impl Into<String>) -> Seen {
    Ok((Outcome::Passed, detail.into()))
}

fn failed(detail: impl Into<String>) -> Seen {
    Ok((Outcome::Failed, detail.into()))
}

fn macs(keys: &Keys, worker: &mut dyn Token) -> Seen {
    let mut seen: Vec<[u8; 32]> = Vec::new();
    let [one, two] = MESSAGES;
    for (key, _) in &keys.macs {
        let first = worker.mac(*key, one)?;
        let again = worker.mac(*key, one)?;
        let other = worker.mac(*key, two)?;
        if !bool::from(first.ct_eq(again.expose())) {
            return failed(format!("key {:?} gives two MACs for one message", key.label()));
        }
        for mac in [first.expose(), other.expose()] {
            if seen.contains(mac) {
                return failed(format!("key {:?} gives a MAC that was seen before", key.label()));
            }
            seen.push(*mac);
        }
    }
    passed(format!("{} keys, same message same MAC, all MACs different", keys.macs.len()))
}

fn known_key(
    session: &Session,
    config: &Config,
) -> Result<cryptoki::object::ObjectHandle, cryptoki::error::Error> {
    session.create_object(&[
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(templates::mac_key_type(config)),
        Attribute::Token(false),
        Attribute::Private(true),
        Attribute::Sign(true),
        Attribute::Verify(true),
        Attribute::Value(KNOWN_KEY.to_vec()),
    ])
}

fn known_answer(session: &Session, config: &Config) -> Seen {
    let key = match known_key(session, config) {
        Ok(key) => key,
        // Tokens in a certified mode take no key in the clear.
        Err(error) => return Ok((Outcome::Note, format!("not possible here: {}", rv::describe(&error)))),
    };
    let expected = hmac::Key::new(hmac::HMAC_SHA256, &KNOWN_KEY);
    for message in MESSAGES {
        let mac = worker::hmac(session, key, "self-test", message)?;
        if mac.expose().as_slice() != hmac::sign(&expected, message).as_ref() {
            return failed("the token's HMAC-SHA-256 is not the one of RFC 2104");
        }
    }
    passed("HMAC-SHA-256 of a session key of known value agrees with a second implementation")
}

/// Wrong tags for `good`: bits changed, cut short, made longer.
fn wrong_tags(good: &[u8; 32]) -> Vec<(&'static str, Vec<u8>)> {
    let changed = |at: usize| {
        let flip = |(index, byte): (usize, &u8)| if index == at { byte ^ 1 } else { *byte };
        good.iter().enumerate().map(flip).collect::<Vec<u8>>()
    };
    let cut = |length: usize| good.iter().copied().take(length).collect::<Vec<u8>>();
    let mut long = good.to_vec();
    long.push(0);
    vec![
        ("first bit changed", changed(0)),
        ("last bit changed", changed(31)),
        ("1 byte", cut(1)),
        ("16 bytes", cut(16)),
        ("31 bytes", cut(31)),
        ("33 bytes", long),
    ]
}

fn compare(keys: &Keys, worker: &mut dyn Token) -> Seen {
    let [message, _] = MESSAGES;
    for (key, _) in &keys.macs {
        let mac = worker.mac(*key, message)?;
        if !tag_matches(&mac, mac.expose()) {
            return failed("the compare refuses a right tag");
        }
        let empty = ("empty", Vec::new());
        for (what, tag) in wrong_tags(mac.expose()).into_iter().chain([empty]) {
            if tag_matches(&mac, &tag) {
                return failed(format!("the compare accepts a tag with {what}"));
            }
        }
    }
    passed("changed, cut, long and empty tags are refused")
}

/// What `C_Verify` would have said. Two real tokens accept cut tags there, so nothing is ever decided with it. No
/// empty tag: it crashes some modules.
fn module_verify(session: &Session, config: &Config) -> Seen {
    let [message, _] = MESSAGES;
    let key = match known_key(session, config) {
        Ok(key) => key,
        Err(error) => return Ok((Outcome::Note, format!("not possible here: {}", rv::describe(&error)))),
    };
    let good = worker::hmac(session, key, "self-test", message)?;
    let accepted: Vec<&str> = wrong_tags(good.expose())
        .into_iter()
        .filter(|(_, tag)| session.verify(&Mechanism::Sha256Hmac, key, message, tag).is_ok())
        .map(|(what, _)| what)
        .collect();
    let detail = if accepted.is_empty() {
        "C_Verify refuses changed, cut and long tags (it is not used)".into()
    } else {
        format!("C_Verify accepts wrong tags: {} (it is not used)", accepted.join(", "))
    };
    Ok((Outcome::Note, detail))
}

fn random(worker: &mut dyn Token) -> Seen {
    let mut draws = [[0_u8; 32]; 3];
    for draw in &mut draws {
        worker.random(draw)?;
    }
    let constant = draws.iter().any(|draw| draw.iter().all(|byte| Some(byte) == draw.first()));
    let [a, b, c] = &draws;
    if constant || a == b || b == c || a == c {
        return failed("the token's generator repeats itself");
    }
    passed("three draws of 32 bytes, all different")
}

fn signature(worker: &mut dyn Token, audit_der: &[u8]) -> Seen {
    let [one, two] = MESSAGES;
    let hashed = digest::digest(&digest::SHA256, one);
    let exact: [u8; 32] =
        hashed.as_ref().try_into().map_err(|_| Error::Bug("SHA-256 of another length".into()))?;
    let signature = worker.sign(&exact)?;
    let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, audit_der);
    if public.verify(one, &signature).is_err() {
        return failed("the audit key's signature does not verify with its public key");
    }
    if public.verify(two, &signature).is_ok() {
        return failed("the audit key's signature verifies for another message");
    }
    passed("signed by the token, verified with the public key")
}

fn contact(session: &Session, keys: &Keys, worker: &mut dyn Token) -> Seen {
    let der = super::public::rsa(session, KeyName::Contact, keys.version)?;
    let sealer = crate::hsm::seal::OaepKey::from_pem(super::spki::to_pem(der).as_bytes())?;
    let [message, _] = MESSAGES;
    let sealed = sealer.seal(message)?;
    if worker.open_contact(&sealed)?.expose() != message {
        return failed("a contact sealed to the public key opens as something else");
    }
    let changed: Vec<u8> = sealed.iter().rev().copied().collect();
    match worker.open_contact(&changed) {
        Err(Error::WrongKey(_)) => {
            passed("sealed to the public key, opened by the token; a changed one refused")
        }
        Err(other) => Err(other),
        Ok(_) => failed("a changed contact opens"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    #[test]
    fn messages_are_apart_from_production() {
        assert!(MESSAGES.iter().all(|message| !message.starts_with(b"sigillo/v1\0")));
    }

    #[test]
    fn wrong_tags_are_wrong() {
        let mac = Secret::new([7; 32]);
        assert!(tag_matches(&mac, &[7; 32]));
        let wrong = wrong_tags(mac.expose());
        assert_eq!(wrong.len(), 6);
        assert!(wrong.iter().all(|(_, tag)| !tag_matches(&mac, tag)));
        assert!(!tag_matches(&mac, &[]));
    }

    #[test]
    fn a_failed_check_is_an_error() {
        let made = |outcome| check("x", Ok((outcome, "y".into())));
        let silent = || check("z", Err(Error::Unavailable("gone".into())));
        assert!(verdict(&[made(Outcome::Passed), made(Outcome::Note)]).is_ok());
        let wrong = Error::Bug("self-test x: y".into());
        assert_eq!(verdict(&[made(Outcome::Passed), made(Outcome::Failed)]), Err(wrong.clone()));
        assert_eq!(verdict(&[silent(), made(Outcome::Failed)]), Err(wrong));
        assert_eq!(
            verdict(&[made(Outcome::Passed), silent()]),
            Err(Error::Unavailable("self-test z: HSM unavailable: gone".into()))
        );
    }
}
