//! What is on a token: each key of the set, its attributes, its class, its check value, and what is wrong with it.

use cryptoki::{
    object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle},
    session::Session,
};

use super::{
    Error,
    keys::{KeyClass, KeyName, Kind},
    rv, templates, worker,
};
use crate::hsm::config::Config;

/// One key of the set as found on the token.
#[derive(Clone, Debug, serde::Serialize)]
pub struct KeyReport {
    /// Which, and its `CKA_LABEL`.
    pub name: KeyName,
    /// Its version, a part of its `CKA_ID`: that of the set, but for an audit key that took the place of another.
    pub version: u8,
    /// Whether exactly one such key is there.
    pub present: bool,
    /// Strict if `CKA_LOCAL`, `CKA_ALWAYS_SENSITIVE` and `CKA_NEVER_EXTRACTABLE` are all true.
    pub class: Option<KeyClass>,
    /// What it is used with.
    pub mechanism: &'static str,
    /// `CKA_SENSITIVE`.
    pub sensitive: Option<bool>,
    /// `CKA_EXTRACTABLE`.
    pub extractable: Option<bool>,
    /// `CKA_ALWAYS_SENSITIVE`.
    pub always_sensitive: Option<bool>,
    /// `CKA_NEVER_EXTRACTABLE`.
    pub never_extractable: Option<bool>,
    /// `CKA_LOCAL`.
    pub local: Option<bool>,
    /// The uses that the token allows, such as `sign`.
    pub uses: Vec<&'static str>,
    /// Key check value of a MAC key: six hexadecimal digits, the start of its MAC of a fixed text.
    pub kcv: Option<String>,
    /// Why start-up refuses it; empty for a good key.
    pub problems: Vec<String>,
}

/// A key and its token object.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) report: KeyReport,
    pub(super) handle: Option<ObjectHandle>,
}

/// The message of a key's check value. Production messages start with `sigillo/v1` and a zero byte, so that no
/// check value can ever be a part of a code or of a tag.
fn kcv_message(name: KeyName) -> String {
    format!("sigillo kcv v1 {}", name.label())
}

/// Key check value: the first three bytes of the MAC of a fixed text, in lower-case hexadecimal. Equal values on
/// two tokens mean, but for one case in 2^24, equal keys.
pub(super) fn kcv(session: &Session, name: KeyName, key: ObjectHandle) -> Result<String, Error> {
    let mac = worker::hmac(session, key, name.label(), kcv_message(name).as_bytes())?;
    let [a, b, c, ..] = *mac.expose();
    Ok(hex::encode([a, b, c]))
}

/// Looks at every key that the role needs or that its token must not have. The audit key is the one whose private half is
/// there: of two, none is in use until the replacement of one by the other has come to its end.
pub(super) fn survey(session: &Session, config: &Config) -> Result<Vec<Entry>, Error> {
    let versions = versions(session, config, ObjectClass::PRIVATE_KEY)?;
    let mut entries = survey_with(session, config, versions.first().copied().unwrap_or(config.key_version))?;
    if let [_, .., _] = *versions {
        let audit = entries.iter_mut().find(|entry| entry.report.name == KeyName::Audit);
        let listed = versions.iter().map(u8::to_string).collect::<Vec<_>>().join(" and ");
        let problem = format!(
            "key \"audit\" is there in versions {listed}: a replacement has not come to its end, run \
             `sigillo audit replace-key` again"
        );
        audit.into_iter().for_each(|entry| entry.report.problems.push(problem.clone()));
    }
    Ok(entries)
}

/// As [`survey`], with this version of the audit key, whatever other there is.
pub(super) fn survey_with(session: &Session, config: &Config, audit: u8) -> Result<Vec<Entry>, Error> {
    let mut entries = Vec::new();
    for name in KeyName::ALL {
        if name.forbidden(config.role) {
            entries.extend(intruder(session, config, name)?);
        } else {
            let version = if name == KeyName::Audit { audit } else { config.key_version };
            entries.push(required(session, config, name, version)?);
        }
    }
    Ok(entries)
}

/// The versions of the audit key of which there is an object of this class, in their order; none before that of the set.
pub(super) fn versions(session: &Session, config: &Config, class: ObjectClass) -> Result<Vec<u8>, Error> {
    let name = KeyName::Audit;
    let label = Attribute::Label(name.label().into());
    let mut all = Vec::new();
    for key in find(session, name, &[Attribute::Class(class), Attribute::Token(true), label])? {
        let read = session
            .get_attributes(key, &[AttributeType::Id])
            .map_err(|error| rv::error(&format!("the id of key {:?}", name.label()), &error))?;
        let ids =
            read.iter().filter_map(|of| if let Attribute::Id(id) = of { name.version(id) } else { None });
        all.extend(ids.filter(|version| *version >= config.key_version));
    }
    all.sort_unstable();
    all.dedup();
    Ok(all)
}

/// All that is wrong, as one error; nothing if all is well.
pub(super) fn verdict(entries: &[Entry]) -> Result<(), Error> {
    let problems: Vec<&str> =
        entries.iter().flat_map(|entry| &entry.report.problems).map(String::as_str).collect();
    if problems.is_empty() { Ok(()) } else { Err(Error::WrongKey(problems.join("; "))) }
}

/// Searches, with an error that names the key.
pub(super) fn find(
    session: &Session,
    name: KeyName,
    template: &[Attribute],
) -> Result<Vec<ObjectHandle>, Error> {
    session
        .find_objects(template)
        .map_err(|error| rv::error(&format!("search for key {:?}", name.label()), &error))
}

/// Objects that go by this key's label or id, whatever their class.
pub(super) fn namesakes(
    session: &Session,
    config: &Config,
    name: KeyName,
) -> Result<Vec<ObjectHandle>, Error> {
    let mut all = Vec::new();
    for class in [ObjectClass::SECRET_KEY, ObjectClass::PRIVATE_KEY, ObjectClass::PUBLIC_KEY] {
        for by in [Attribute::Label(name.label().into()), Attribute::Id(name.id(config.key_version))] {
            all.extend(find(session, name, &[Attribute::Class(class), Attribute::Token(true), by])?);
        }
    }
    all.sort_by_key(ObjectHandle::handle);
    all.dedup();
    Ok(all)
}

fn empty(name: KeyName, version: u8) -> KeyReport {
    KeyReport {
        name,
        version,
        present: false,
        class: None,
        mechanism: match name.kind() {
            Kind::Mac(_) => "CKM_SHA256_HMAC",
            Kind::RsaDecrypt | Kind::RsaUnwrap => "CKM_RSA_PKCS_OAEP",
            Kind::Sign => "CKM_ECDSA",
        },
        sensitive: None,
        extractable: None,
        always_sensitive: None,
        never_extractable: None,
        local: None,
        uses: Vec::new(),
        kcv: None,
        problems: Vec::new(),
    }
}

fn intruder(session: &Session, config: &Config, name: KeyName) -> Result<Option<Entry>, Error> {
    let found = namesakes(session, config, name)?;
    Ok((!found.is_empty()).then(|| {
        let mut report = empty(name, config.key_version);
        report.present = true;
        report.problems.push(format!(
            "key {:?} must not be on the {} token (split knowledge)",
            name.label(),
            config.role
        ));
        Entry { report, handle: None }
    }))
}

fn required(session: &Session, config: &Config, name: KeyName, version: u8) -> Result<Entry, Error> {
    let mut report = empty(name, version);
    let found = find(session, name, &name.search(name.class(), version))?;
    let handle = match *found.as_slice() {
        [one] => one,
        [] => {
            report.problems.push(format!("key {:?} is not on the token", name.label()));
            return Ok(Entry { report, handle: None });
        }
        [_, _, ..] => {
            report.problems.push(format!("{} keys are called {:?}", found.len(), name.label()));
            return Ok(Entry { report, handle: None });
        }
    };
    report.present = true;
    inspect(session, config, handle, &mut report)?;
    if matches!(name.kind(), Kind::Mac(_)) && report.problems.is_empty() {
        report.kcv = Some(kcv(session, name, handle)?);
    }
    Ok(Entry { report, handle: Some(handle) })
}

/// Reads the attributes and writes down every one that is not as it must be. An attribute that the token does not
/// tell counts as wrong, except for a use, which then is not allowed.
fn inspect(
    session: &Session,
    config: &Config,
    key: ObjectHandle,
    report: &mut KeyReport,
) -> Result<(), Error> {
    let label = report.name.label();
    let read = session
        .get_attributes(
            key,
            &[
                AttributeType::KeyType,
                AttributeType::Private,
                AttributeType::Sensitive,
                AttributeType::Extractable,
                AttributeType::AlwaysSensitive,
                AttributeType::NeverExtractable,
                AttributeType::Local,
                AttributeType::Sign,
                AttributeType::SignRecover,
                AttributeType::Verify,
                AttributeType::Encrypt,
                AttributeType::Decrypt,
                AttributeType::Wrap,
                AttributeType::Unwrap,
                AttributeType::Derive,
            ],
        )
        .map_err(|error| rv::error(&format!("attributes of key {label:?}"), &error))?;
    let flag = |wanted: AttributeType| {
        read.iter().find(|attribute| attribute.attribute_type() == wanted).and_then(truth)
    };
    report.sensitive = flag(AttributeType::Sensitive);
    report.extractable = flag(AttributeType::Extractable);
    report.always_sensitive = flag(AttributeType::AlwaysSensitive);
    report.never_extractable = flag(AttributeType::NeverExtractable);
    report.local = flag(AttributeType::Local);
    for (attribute, use_name) in [
        (AttributeType::Sign, "sign"),
        (AttributeType::SignRecover, "sign-recover"),
        (AttributeType::Verify, "verify"),
        (AttributeType::Encrypt, "encrypt"),
        (AttributeType::Decrypt, "decrypt"),
        (AttributeType::Wrap, "wrap"),
        (AttributeType::Unwrap, "unwrap"),
        (AttributeType::Derive, "derive"),
    ] {
        if flag(attribute) == Some(true) {
            report.uses.push(use_name);
        }
    }
    let strict = [report.local, report.always_sensitive, report.never_extractable] == [Some(true); 3];
    let class = if strict { KeyClass::Strict } else { KeyClass::Replicated };
    report.class = Some(class);

    let mut problem = |text: String| report.problems.push(format!("key {label:?} {text}"));
    if flag(AttributeType::Private) != Some(true) {
        problem("can be seen without login (CKA_PRIVATE is not true)".into());
    }
    if report.sensitive != Some(true) {
        problem("is not sensitive (CKA_SENSITIVE is not true)".into());
    }
    if report.extractable != Some(false) {
        problem("is extractable (CKA_EXTRACTABLE is not false)".into());
    }
    if class == KeyClass::Replicated && !report.name.may_be_replicated() {
        problem(
            "is not strict (CKA_LOCAL, CKA_ALWAYS_SENSITIVE and CKA_NEVER_EXTRACTABLE are not all true)"
                .into(),
        );
    }
    let (use_name, key_type) = match report.name.kind() {
        Kind::Mac(_) => ("sign", templates::mac_key_type(config)),
        Kind::RsaDecrypt => ("decrypt", KeyType::RSA),
        Kind::RsaUnwrap => ("unwrap", KeyType::RSA),
        Kind::Sign => ("sign", KeyType::EC),
    };
    if report.uses != [use_name] {
        problem(format!("may be used to [{}] and must be used to {use_name} only", report.uses.join(", ")));
    }
    if !read.contains(&Attribute::KeyType(key_type)) {
        problem(format!("is not of type {key_type}"));
    }
    Ok(())
}

/// The value of a truth attribute among those that are asked for here.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the enum is open; other attributes have no truth value here"
)]
fn truth(attribute: &Attribute) -> Option<bool> {
    match attribute {
        Attribute::AlwaysSensitive(value)
        | Attribute::Decrypt(value)
        | Attribute::Derive(value)
        | Attribute::Encrypt(value)
        | Attribute::Extractable(value)
        | Attribute::Local(value)
        | Attribute::NeverExtractable(value)
        | Attribute::Private(value)
        | Attribute::Sensitive(value)
        | Attribute::Sign(value)
        | Attribute::SignRecover(value)
        | Attribute::Unwrap(value)
        | Attribute::Verify(value)
        | Attribute::Wrap(value) => Some(*value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_values_are_apart_from_production_messages() {
        for name in KeyName::ALL {
            assert!(!kcv_message(name).as_bytes().starts_with(b"sigillo/v1\0"));
        }
    }
}
