//! `sigillo hsm init`: makes the key set of a role.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use cryptoki::{
    object::{Attribute, KeyType, ObjectClass, ObjectHandle},
    session::Session,
};

use super::{
    CeremonyError, KeyName, WRAPPED_FILE, file_error, list, refuse_existing, token,
    wrapped::{self, Wrapped},
};
use crate::hsm::{
    Role,
    config::Config,
    pkcs11::{
        KeyReport, TokenFacts,
        keys::Kind,
        link::Link,
        marks, public, rv,
        spki::{self, RsaPublic},
        survey, templates,
    },
};

/// What `init` made.
#[derive(Debug)]
pub struct Initialised {
    /// The token.
    pub token: TokenFacts,
    /// Whether the token itself was initialised, too.
    pub token_made: bool,
    /// The keys, as the token shows them.
    pub keys: Vec<KeyReport>,
    /// The files that were written.
    pub files: Vec<PathBuf>,
}

/// The courier's transport key, as the authority needs it.
struct Transport {
    der: Vec<u8>,
    public: RsaPublic,
}

/// Makes the keys of the configured role and writes public halves to `out`; for the authority also the verify key,
/// wrapped to the courier's `transport` public key (a PEM file). `progress` is told each step.
///
/// # Errors
/// [`CeremonyError::HalfWay`] says exactly which keys exist; after any other error no key was made.
pub fn init(
    config: &Config,
    out: &Path,
    transport: Option<&Path>,
    progress: &dyn Fn(&str),
) -> Result<Initialised, CeremonyError> {
    let transport = match (config.role, transport) {
        (Role::Authority, Some(file)) => Some(read_transport(file)?),
        (Role::Courier, None) => None,
        (Role::Authority, None) => {
            return Err(CeremonyError::Refused(
                "the authority needs --transport-key, the courier's transport.pub.pem: initialise the courier first"
                    .into(),
            ));
        }
        (Role::Courier, Some(_)) => {
            return Err(CeremonyError::Refused("--transport-key is for the authority's token".into()));
        }
    };
    let plan: Vec<KeyName> = KeyName::required(config.role)
        .iter()
        .copied()
        .filter(|name| config.role == Role::Authority || *name != KeyName::Verify)
        .collect();
    std::fs::create_dir_all(out).map_err(|error| file_error(out, error))?;
    for name in &plan {
        if let Some(file) = file_of(*name, out).filter(|file| file.exists()) {
            return Err(file_error(
                &file,
                "is already there; nothing is overwritten and nothing was changed",
            ));
        }
    }

    let pin = config.pin()?;
    progress("looking for the token");
    let (found, token_made) = token::find_or_make(config, &pin)?;
    let link = Link::log_in(found, &pin)?;
    drop(pin);
    let (keys, files) =
        link.with(|session| Ok(make_all(session, config, &plan, out, transport.as_ref(), progress)))??;
    Ok(Initialised { token: link.facts.clone(), token_made, keys, files })
}

/// The file that goes with a key.
fn file_of(name: KeyName, out: &Path) -> Option<PathBuf> {
    match name.kind() {
        Kind::Mac(_) => (name == KeyName::Verify).then(|| out.join(WRAPPED_FILE)),
        Kind::RsaDecrypt | Kind::RsaUnwrap | Kind::Sign => {
            Some(out.join(format!("{}.pub.pem", name.label())))
        }
    }
}

fn read_transport(file: &Path) -> Result<Transport, CeremonyError> {
    let pem = std::fs::read(file).map_err(|error| file_error(file, error))?;
    let der = spki::from_pem(&pem).map_err(|reason| file_error(file, reason))?;
    let public = spki::parse_rsa(&der).map_err(|reason| file_error(file, reason))?;
    Ok(Transport { der, public })
}

fn make_all(
    session: &Session,
    config: &Config,
    plan: &[KeyName],
    out: &Path,
    transport: Option<&Transport>,
    progress: &dyn Fn(&str),
) -> Result<(Vec<KeyReport>, Vec<PathBuf>), CeremonyError> {
    refuse_existing(session, config, &KeyName::ALL)?;
    let mut files = Vec::new();
    for (index, name) in plan.iter().enumerate() {
        progress(&format!("making key {}", name.label()));
        let step =
            make(session, config, *name, transport).and_then(|text| match (file_of(*name, out), text) {
                (Some(file), Some(text)) => write_new(&file, &text).map(|()| files.push(file)),
                (_, _) => Ok(()),
            });
        if let Err(cause) = step {
            return Err(half_way(session, config, plan, index, cause));
        }
    }
    if config.role == Role::Authority {
        progress("making the places for checkpoints");
        marks::make(session).map_err(|error| half_way(session, config, plan, plan.len(), error.into()))?;
    }
    progress("looking at the keys");
    let mut reports = survey::survey(session, config)
        .map_err(|error| half_way(session, config, plan, plan.len(), error.into()))?;
    reports.retain(|entry| plan.contains(&entry.report.name));
    survey::verdict(&reports).map_err(|error| CeremonyError::HalfWay {
        made: list(plan),
        missing: list(&[]),
        cause: Box::new(error.into()),
    })?;
    Ok((reports.into_iter().map(|entry| entry.report).collect(), files))
}

/// Looks at what is really there, so that the message is true whatever failed.
fn half_way(
    session: &Session,
    config: &Config,
    plan: &[KeyName],
    index: usize,
    cause: CeremonyError,
) -> CeremonyError {
    let (mut made, mut missing) = (Vec::new(), Vec::new());
    for (at, name) in plan.iter().enumerate() {
        let there = match survey::namesakes(session, config, *name) {
            Ok(found) => !found.is_empty(),
            Err(_) => at <= index, // the token cannot be asked: say what may be there
        };
        if there { made.push(*name) } else { missing.push(*name) }
    }
    if made.is_empty() {
        return cause;
    }
    CeremonyError::HalfWay { made: list(&made), missing: list(&missing), cause: Box::new(cause) }
}

/// Makes one key; the text of its file, if it has one.
fn make(
    session: &Session,
    config: &Config,
    name: KeyName,
    transport: Option<&Transport>,
) -> Result<Option<String>, CeremonyError> {
    let doing = format!("making key {:?}", name.label());
    let failed = |error: cryptoki::error::Error| rv::error(&doing, &error);
    if let Some((open, private)) = templates::pair_templates(name, config) {
        session.generate_key_pair(&templates::pair_gen(name.kind()), &open, &private).map_err(failed)?;
        let der = match name.kind() {
            Kind::Mac(_) | Kind::Sign => public::p256(session, config.key_version)?,
            Kind::RsaDecrypt | Kind::RsaUnwrap => public::rsa(session, name, config.key_version)?,
        };
        return Ok(Some(spki::to_pem(der)));
    }
    if name == KeyName::Verify {
        let transport =
            transport.ok_or_else(|| CeremonyError::Refused("no transport key for the verify key".into()))?;
        return make_verify(session, config, transport).map(Some);
    }
    session
        .generate_key(&templates::mac_key_gen(config), &templates::mac_template(name, config))
        .map_err(failed)?;
    Ok(None)
}

/// The verify key: extractable for as long as it takes to wrap it, and only as a session object. The object on the
/// token is a copy that was never extractable there.
fn make_verify(session: &Session, config: &Config, transport: &Transport) -> Result<String, CeremonyError> {
    let name = KeyName::Verify;
    let failed = |doing: &'static str| move |error: cryptoki::error::Error| rv::error(doing, &error);
    let mut template = templates::mac_uses(name, config);
    template.extend([Attribute::Token(false), Attribute::Extractable(true), Attribute::ValueLen(32.into())]);
    let temporary = session
        .generate_key(&templates::mac_key_gen(config), &template)
        .map_err(failed("making key \"verify\" as a session object"))?;
    let wrapped = copy_and_wrap(session, transport, temporary);
    session
        .destroy_object(temporary)
        .map_err(failed("destroying the session object of key \"verify\" (it ends with this process)"))?;
    wrapped
}

fn copy_and_wrap(
    session: &Session,
    transport: &Transport,
    temporary: ObjectHandle,
) -> Result<String, CeremonyError> {
    let name = KeyName::Verify;
    let failed = |doing: &'static str| move |error: cryptoki::error::Error| rv::error(doing, &error);
    let kcv = survey::kcv(session, name, temporary)?;
    let public = session
        .create_object(&[
            Attribute::Class(ObjectClass::PUBLIC_KEY),
            Attribute::KeyType(KeyType::RSA),
            Attribute::Token(false),
            Attribute::Private(false),
            Attribute::Wrap(true),
            Attribute::Encrypt(false),
            Attribute::Verify(false),
            Attribute::Modulus(transport.public.modulus.clone()),
            Attribute::PublicExponent(transport.public.exponent.clone()),
        ])
        .map_err(failed("importing the transport key"))?;
    let blob = session
        .wrap_key(&templates::oaep(), public, temporary)
        .map_err(failed("wrapping key \"verify\" to the transport key"))?;
    session.destroy_object(public).map_err(failed("dropping the transport key"))?;
    // Before the copy and not in it: kryoptic takes no CKA_EXTRACTABLE in the template of a copy. Either way no
    // object on the token was ever extractable.
    session
        .update_attributes(temporary, &[Attribute::Extractable(false)])
        .map_err(failed("making key \"verify\" non-extractable"))?;
    let copy = session
        .copy_object(temporary, &[Attribute::Token(true)])
        .map_err(failed("keeping key \"verify\" on the token"))?;
    if survey::kcv(session, name, copy)? != kcv {
        return Err(crate::hsm::Error::Bug("the token's copy of key \"verify\" is another key".into()).into());
    }
    Ok(Wrapped { kcv, transport: wrapped::fingerprint(&transport.der), blob }.to_text())
}

/// Writes a file that was not there, and brings it to the disk.
fn write_new(file: &Path, text: &str) -> Result<(), CeremonyError> {
    let write = || -> std::io::Result<()> {
        let mut open = std::fs::File::create_new(file)?;
        open.write_all(text.as_bytes())?;
        open.sync_all()
    };
    write().map_err(|error| file_error(file, error))
}
