//! Adapter: a PKCS#11 token through `cryptoki`.
//!
//! [`Device::open`] finds the token, logs in once, refuses a key set that is not as it must be, runs the self-test
//! and hands out workers. [`ceremony`] makes key sets; it never runs in a serving process.

mod keys;
mod link;
mod marks;
mod public;
mod reopen;
mod replace;
mod rv;
mod selftest;
mod spki;
mod survey;
mod templates;
mod worker;

pub mod ceremony;

use std::sync::Arc;

use cryptoki::{
    error::{Error as P11, RvError},
    object::{Attribute, ObjectHandle},
    session::Session,
};

pub use keys::{KeyClass, KeyName};
pub use link::TokenFacts;
pub(super) use public::rsa_from_pem;
pub use reopen::Reopen;
pub use replace::{AuditKey, Replacement};
pub use selftest::{Check, Outcome};
pub use survey::KeyReport;

use self::{
    keys::Kind,
    link::Link,
    survey::Entry,
    worker::{Keys, Worker},
};
use super::{
    Error, Role, Token,
    config::{self, Config, SessionCopies},
};

/// Why a token did not come into use.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration or a PIN file is refused.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// The token failed or is not as it must be.
    #[error(transparent)]
    Hsm(#[from] Error),
}

/// A token in use: logged in, key set checked, self-test passed. One per process, since a module keeps one state
/// per process; it may be dropped before its workers, which keep the login alive.
#[derive(Debug)]
pub struct Device {
    link: Arc<Link>,
    keys: Arc<Keys>,
    workers: usize,
    audit_public: Vec<u8>,
    /// The courier's.
    contact_public: Option<Vec<u8>>,
    reports: Vec<KeyReport>,
    checks: Vec<Check>,
    copies: usize,
}

/// What is on a token, whether or not it may be used: for `sigillo hsm status`.
#[derive(Debug, serde::Serialize)]
pub struct Status {
    /// What the token says of itself.
    pub token: TokenFacts,
    /// The keys of the role, and any that must not be there.
    pub keys: Vec<KeyReport>,
}

impl Device {
    /// Opens the configured token. Waits a second for a token that is not there yet; makes exactly one login
    /// attempt.
    ///
    /// # Errors
    /// [`Error::Unavailable`] without module, token or answer, [`Error::WrongKey`] for a refused PIN or key,
    /// [`Error::Bug`] if the self-test fails.
    pub fn open(config: &Config) -> Result<Self, StartError> {
        let device = Self::open_untested(config)?;
        device.passed()?;
        Ok(device)
    }

    /// Nothing if the self-test passed, which the log says.
    fn passed(&self) -> Result<(), Error> {
        selftest::verdict(&self.checks)?;
        for check in &self.checks {
            tracing::info!(check = check.name, outcome = ?check.outcome, detail = check.detail, "HSM self-test");
        }
        tracing::info!(
            token = self.link.facts.label,
            serial = self.link.facts.serial,
            session_copies = self.copies,
            "HSM token in use"
        );
        Ok(())
    }

    /// As [`Device::open`], but answers the checks of the self-test even if one failed.
    pub fn open_untested(config: &Config) -> Result<Self, StartError> {
        let pin = config.pin()?;
        let link = Arc::new(Link::open(config, &pin)?);
        drop(pin);
        Ok(Self::check(config, link)?)
    }

    fn check(config: &Config, link: Arc<Link>) -> Result<Self, Error> {
        let entries = link.with(|session| survey::survey(session, config))?;
        Self::accept(config, link, entries)
    }

    /// Refuses keys that are not as they must be, and runs the self-test.
    fn accept(config: &Config, link: Arc<Link>, entries: Vec<Entry>) -> Result<Self, Error> {
        survey::verdict(&entries)?;
        let session =
            link.context.open_rw_session(link.slot).map_err(|error| rv::error("new session", &error))?;
        let audit = entries.iter().find(|entry| entry.report.name == KeyName::Audit);
        let audit_version = audit.map_or(config.key_version, |entry| entry.report.version);
        let audit_public = public::p256(&session, audit_version)?;
        let contact_public = match config.role {
            Role::Authority => None,
            Role::Courier => Some(public::rsa(&session, KeyName::Contact, config.key_version)?),
        };
        let (keys, copies) = handles(&link, &session, config, &entries)?;
        drop(session);
        let keys = Arc::new(keys);
        let mut worker = Worker::open(Arc::clone(&link), Arc::clone(&keys))?;
        let checks = selftest::run(&link, config, &keys, &audit_public, &mut worker);
        drop(worker);
        let reports = entries.into_iter().map(|entry| entry.report).collect();
        Ok(Self {
            link,
            keys,
            workers: config.workers,
            audit_public,
            contact_public,
            reports,
            checks,
            copies,
        })
    }

    /// As many workers as configured, for [`super::Hsm::supervised`].
    pub fn tokens(&self) -> Result<Vec<Box<dyn Token>>, Error> {
        let mut tokens: Vec<Box<dyn Token>> = Vec::new();
        for _ in 0..self.workers {
            tokens.push(Box::new(Worker::open(Arc::clone(&self.link), Arc::clone(&self.keys))?));
        }
        Ok(tokens)
    }

    /// What the token says of itself.
    pub fn facts(&self) -> &TokenFacts {
        &self.link.facts
    }

    /// How many MAC keys are used through a session copy.
    pub const fn session_copies(&self) -> usize {
        self.copies
    }

    /// The keys in use.
    pub fn keys(&self) -> &[KeyReport] {
        &self.reports
    }

    /// How the self-test ended.
    pub fn checks(&self) -> &[Check] {
        &self.checks
    }

    /// `SubjectPublicKeyInfo` of the audit key, DER.
    pub fn audit_public_key(&self) -> &[u8] {
        &self.audit_public
    }
}

/// Logs in and looks at the keys, without refusing any.
pub fn status(config: &Config) -> Result<Status, StartError> {
    let pin = config.pin()?;
    let link = Link::open(config, &pin)?;
    let entries = link.with(|session| survey::survey(session, config))?;
    let keys = entries.into_iter().map(|entry| entry.report).collect();
    Ok(Status { token: link.facts.clone(), keys })
}

/// The handles that the workers use, and how many of them are session copies: three times as fast as the token
/// object on SoftHSM, and owned by the link's session.
fn handles(
    link: &Link,
    session: &Session,
    config: &Config,
    entries: &[Entry],
) -> Result<(Keys, usize), Error> {
    let missing = |name: KeyName| Error::WrongKey(format!("key {:?} is not on the token", name.label()));
    let mut macs = Vec::new();
    let mut copies: usize = 0;
    let mut audit = None;
    let mut contact = None;
    for Entry { report, handle } in entries {
        let handle = handle.ok_or_else(|| missing(report.name))?;
        match report.name.kind() {
            Kind::Mac(key) => match copy(link, config, report.name, handle)? {
                Some(copy) => {
                    copies = copies.saturating_add(1);
                    macs.push((key, copy));
                }
                None => macs.push((key, handle)),
            },
            Kind::RsaDecrypt => {
                let public = spki::parse_rsa(&public::rsa(session, report.name, config.key_version)?)
                    .map_err(|reason| Error::WrongKey(format!("key \"contact\": {reason}")))?;
                contact = Some((handle, public.modulus.len()));
            }
            Kind::RsaUnwrap => {}
            Kind::Sign => audit = Some((handle, report.version)),
        }
    }
    let (audit, audit_version) = audit.ok_or_else(|| missing(KeyName::Audit))?;
    let (role, version) = (config.role, config.key_version);
    Ok((Keys { role, version, macs, audit, audit_version, contact }, copies))
}

/// A session copy, or nothing where the token makes none or none is wanted.
fn copy(
    link: &Link,
    config: &Config,
    name: KeyName,
    key: ObjectHandle,
) -> Result<Option<ObjectHandle>, Error> {
    match config.session_copies {
        SessionCopies::Off => return Ok(None),
        SessionCopies::Auto => {}
    }
    link.with(|session| match session.copy_object(key, &[Attribute::Token(false)]) {
        Ok(copy) => Ok(Some(copy)),
        Err(error) if makes_no_copy(&error) => Ok(None),
        Err(error) => Err(rv::error(&format!("session copy of key {:?}", name.label()), &error)),
    })
}

/// Whether a refused `C_CopyObject` says that this token makes no copy of this key: tokens without the function
/// (tpm2-pkcs11), and SoftHSM of a key with `CKA_MODIFIABLE=false`. The token object does the same, if slower.
fn makes_no_copy(error: &P11) -> bool {
    rv::class(error) == rv::Class::Unsupported
        || matches!(error, P11::Pkcs11(RvError::AttributeReadOnly | RvError::ActionProhibited, _))
}

#[cfg(test)]
mod tests {
    use cryptoki::context::Function;

    use super::*;

    #[test]
    fn a_token_without_copies_is_told_from_one_that_failed() {
        let refused = |value| makes_no_copy(&P11::Pkcs11(value, Function::CopyObject));
        assert!(makes_no_copy(&P11::NullFunctionPointer), "the module's function list has none");
        for no_copy in [
            RvError::FunctionNotSupported,
            RvError::ActionProhibited,
            RvError::AttributeReadOnly,
            RvError::TemplateInconsistent,
        ] {
            assert!(refused(no_copy));
        }
        for failed in [RvError::DeviceError, RvError::GeneralError, RvError::ObjectHandleInvalid] {
            assert!(!refused(failed));
        }
    }
}
