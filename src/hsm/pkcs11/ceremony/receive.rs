//! `sigillo hsm receive`: brings the verify key into the courier's token.

use std::path::Path;

use cryptoki::{
    object::{Attribute, ObjectClass},
    session::Session,
};

use super::{
    CeremonyError, KeyName, file_error, refuse_existing,
    wrapped::{self, Wrapped},
};
use crate::hsm::{
    Role,
    config::Config,
    pkcs11::{KeyReport, TokenFacts, link::Link, public, rv, survey, templates},
};

/// What `receive` brought in.
#[derive(Debug)]
pub struct Received {
    /// The token.
    pub token: TokenFacts,
    /// The verify key, as the token shows it.
    pub key: KeyReport,
}

/// Unwraps the verify key in `file` as a key of the token that cannot be extracted, and compares its check value.
///
/// # Errors
/// After any error the token has no verify key, unless the error says that it could not be destroyed.
pub fn receive(config: &Config, file: &Path) -> Result<Received, CeremonyError> {
    if config.role != Role::Courier {
        return Err(CeremonyError::Refused("the verify key is received by the courier's token".into()));
    }
    let text = std::fs::read_to_string(file).map_err(|error| file_error(file, error))?;
    let parsed = Wrapped::parse(&text).map_err(|reason| file_error(file, reason))?;
    let pin = config.pin()?;
    let link = Link::open(config, &pin)?;
    drop(pin);
    let key = link.with(|session| Ok(bring_in(session, config, &parsed)))??;
    Ok(Received { token: link.facts.clone(), key })
}

fn bring_in(session: &Session, config: &Config, parsed: &Wrapped) -> Result<KeyReport, CeremonyError> {
    let name = KeyName::Verify;
    refuse_existing(session, config, &[name])?;
    let ours = wrapped::fingerprint(&public::rsa(session, KeyName::Transport, config.key_version)?);
    if ours != parsed.transport {
        return Err(CeremonyError::Refused(format!(
            "the file was wrapped to transport key {} and this token has {}",
            hex::encode(parsed.transport),
            hex::encode(ours)
        )));
    }
    let search = KeyName::Transport.search(KeyName::Transport.class(), config.key_version);
    let found = survey::find(session, KeyName::Transport, &search)?;
    let [transport] = *found.as_slice() else {
        return Err(CeremonyError::Refused(format!(
            "{} keys \"transport\" on the token, not one",
            found.len()
        )));
    };
    let mut template = templates::mac_uses(name, config);
    template.extend([
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(templates::mac_key_type(config)),
        Attribute::Token(true),
        Attribute::Extractable(false),
    ]);
    let key = session
        .unwrap_key(&templates::oaep(), transport, &parsed.blob, &template)
        .map_err(|error| rv::error("unwrapping key \"verify\" with key \"transport\"", &error))?;
    check(session, config, parsed).map_err(|refused| match session.destroy_object(key) {
        Ok(()) => refused,
        Err(error) => CeremonyError::HalfWay {
            made: "verify, which must not be used".into(),
            missing: format!("its removal ({})", rv::describe(&error)),
            cause: Box::new(refused),
        },
    })
}

fn check(session: &Session, config: &Config, parsed: &Wrapped) -> Result<KeyReport, CeremonyError> {
    let mut entries = survey::survey(session, config)?;
    entries.retain(|entry| entry.report.name == KeyName::Verify);
    survey::verdict(&entries)?;
    let report = entries
        .pop()
        .map(|entry| entry.report)
        .ok_or_else(|| CeremonyError::Refused("the token does not show key \"verify\"".into()))?;
    if report.kcv.as_deref() == Some(parsed.kcv.as_str()) {
        return Ok(report);
    }
    Err(CeremonyError::Refused(format!(
        "key \"verify\" has check value {} and the file says {}; it was destroyed",
        report.kcv.as_deref().unwrap_or("none"),
        parsed.kcv
    )))
}
