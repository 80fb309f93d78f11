//! The adapter of the port: one session of one thread.
//!
//! A session that returned an error may be stuck in the middle of an operation (`CKR_OPERATION_ACTIVE`), so it is
//! closed and the next call opens another. The login belongs to the [`Link`], which outlives every worker.

use std::sync::Arc;

use cryptoki::{error::Error as P11, mechanism::Mechanism, object::ObjectHandle, session::Session};
use zeroize::{Zeroize, Zeroizing};

use super::{Error, keys::KeyName, link::Link, marks, rv, selftest, survey, templates};
use crate::{
    hsm::{MacKey, Marks, Place, Role, Token},
    secret::{Secret, SecretBytes},
};

/// The keys in use: session copies of MAC keys where the token makes them, token objects otherwise.
#[derive(Debug)]
pub(super) struct Keys {
    pub(super) role: Role,
    pub(super) version: u8,
    pub(super) macs: Vec<(MacKey, ObjectHandle)>,
    pub(super) audit: ObjectHandle,
    /// The audit key's own.
    pub(super) audit_version: u8,
    /// The courier's contact key and the length of its modulus in bytes.
    pub(super) contact: Option<(ObjectHandle, usize)>,
}

/// One worker's token. The fields are dropped in order: the session before the link that finalises the module.
#[derive(Debug)]
pub(super) struct Worker {
    session: Option<Session>,
    keys: Arc<Keys>,
    link: Arc<Link>,
}

/// HMAC-SHA-256 with the exact length check: decided with `C_Sign`, never with `C_Verify`, which accepts truncated
/// tags on some tokens.
pub(super) fn hmac(
    session: &Session,
    key: ObjectHandle,
    label: &str,
    message: &[u8],
) -> Result<Secret<32>, Error> {
    let mac = session
        .sign(&Mechanism::Sha256Hmac, key, message)
        .map(Zeroizing::new)
        .map_err(|error| rv::error(&format!("MAC with key {label:?}"), &error))?;
    let mut exact: [u8; 32] = mac
        .as_slice()
        .try_into()
        .map_err(|_| Error::Bug(format!("key {label:?} gave a MAC of {} bytes, not 32", mac.len())))?;
    let secret = Secret::new(exact);
    exact.zeroize();
    Ok(secret)
}

/// ECDSA of a digest: `r || s`, 64 bytes (PKCS#11 mechanisms v2.40, 2.3.1).
pub(super) fn ecdsa(session: &Session, key: ObjectHandle, digest: &[u8; 32]) -> Result<[u8; 64], Error> {
    let signature = session
        .sign(&Mechanism::Ecdsa, key, digest)
        .map_err(|error| rv::error("signature with key \"audit\"", &error))?;
    let length = signature.len();
    signature
        .try_into()
        .map_err(|_| Error::Bug(format!("key \"audit\" gave a signature of {length} bytes, not 64")))
}

impl Worker {
    pub(super) fn open(link: Arc<Link>, keys: Arc<Keys>) -> Result<Self, Error> {
        let session = open(&link)?;
        Ok(Self { session: Some(session), keys, link })
    }

    /// Runs `act` on this worker's session, which is kept only if all went well.
    fn run<T>(&mut self, act: impl FnOnce(&Session, &Keys) -> Result<T, Error>) -> Result<T, Error> {
        let session = match self.session.take() {
            Some(session) => session,
            None => open(&self.link)?,
        };
        let done = act(&session, &self.keys).map_err(in_use)?;
        self.session = Some(session);
        Ok(done)
    }
}

/// A module that passed the self-test and breaks its contract later is a token that does not do its work: whoever asks
/// may ask again, and the pool looks at it.
fn in_use(error: Error) -> Error {
    match error {
        Error::Bug(text) => Error::Unavailable(format!("{text} (the module breaks its contract)")),
        Error::Busy | Error::Unavailable(_) | Error::WrongKey(_) => error,
    }
}

fn open(link: &Link) -> Result<Session, Error> {
    link.context.open_ro_session(link.slot).map_err(|error| rv::error("new session", &error))
}

impl Token for Worker {
    fn mac(&mut self, key: MacKey, message: &[u8]) -> Result<Secret<32>, Error> {
        let (_, handle) = self.keys.macs.iter().find(|(mac, _)| *mac == key).copied().ok_or_else(|| {
            Error::WrongKey(format!("key {:?} is not for the {} role", key.label(), self.keys.role))
        })?;
        if message.is_empty() {
            return Err(Error::Bug("MAC of an empty message".into()));
        }
        self.run(|session, _| hmac(session, handle, key.label(), message))
    }

    fn random(&mut self, out: &mut [u8]) -> Result<(), Error> {
        if out.is_empty() {
            return Ok(());
        }
        self.run(|session, _| {
            session.generate_random_slice(out).map_err(|error| rv::error("random bytes", &error))
        })
    }

    fn sign(&mut self, digest: &[u8; 32]) -> Result<[u8; 64], Error> {
        self.run(|session, keys| ecdsa(session, keys.audit, digest))
    }

    fn open_contact(&mut self, sealed: &[u8]) -> Result<SecretBytes, Error> {
        let (handle, length) = self.keys.contact.ok_or_else(|| {
            Error::WrongKey(format!("key \"contact\" is not for the {} role", self.keys.role))
        })?;
        if sealed.len() != length {
            return Err(Error::WrongKey(format!(
                "contact of {} bytes was not sealed to key \"contact\", which takes {length}",
                sealed.len()
            )));
        }
        let opened = self.run(|session, _| {
            Ok(session.decrypt(&templates::oaep(), handle, sealed).map(SecretBytes::new))
        })?;
        opened.map_err(|error| self.contact_error(&error))
    }

    fn probe(&mut self) -> Result<(), Error> {
        self.run(|session, keys| {
            for name in KeyName::required(keys.role) {
                let version = if *name == KeyName::Audit { keys.audit_version } else { keys.version };
                let found = survey::find(session, *name, &name.search(name.class(), version))?;
                if found.len() != 1 {
                    return Err(Error::Unavailable(format!(
                        "the token shows {} keys {:?} where there was one",
                        found.len(),
                        name.label()
                    )));
                }
            }
            Ok(())
        })
    }

    fn examine(&mut self) -> Result<(), Error> {
        self.probe()?;
        self.run(|session, keys| {
            for (key, handle) in &keys.macs {
                drop(hmac(session, *handle, key.label(), selftest::EXAMINED)?);
            }
            ecdsa(session, keys.audit, &selftest::examined_digest()).map(|_signature| ())
        })
    }

    fn read_marks(&mut self) -> Result<Marks, Error> {
        self.run(|session, _| marks::read(session))
    }

    /// On a session of its own, since it must be a read-write one.
    fn write_mark(&mut self, place: Place, mark: &[u8]) -> Result<(), Error> {
        let session = self.link.context.open_rw_session(self.link.slot);
        let session = session.map_err(|error| rv::error("new session", &error));
        session
            .and_then(|session| marks::write(&session, self.keys.audit_version, place, mark))
            .map_err(in_use)
    }
}

impl Worker {
    /// SoftHSM answers `CKR_GENERAL_ERROR` to a bad ciphertext, as to a lost token: the probe tells them apart, so
    /// that one bad contact does not count as a token that failed.
    fn contact_error(&mut self, error: &P11) -> Error {
        self.session = None;
        match rv::class(error) {
            rv::Class::Lost => match self.probe() {
                Ok(()) => Error::WrongKey(format!(
                    "contact does not open with key \"contact\" ({})",
                    rv::describe(error)
                )),
                Err(lost) => lost,
            },
            rv::Class::Bug | rv::Class::Key | rv::Class::Unsupported => {
                in_use(rv::error("contact with key \"contact\"", error))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use cryptoki::{context::Function, error::RvError};

    use super::*;

    #[test]
    fn a_module_that_breaks_its_contract_in_use_is_unavailable() {
        for value in
            [RvError::ArgumentsBad, RvError::CryptokiAlreadyInitialized, RvError::UserAlreadyLoggedIn]
        {
            let error = rv::error("MAC with key \"index\"", &P11::Pkcs11(value, Function::SignInit));
            assert!(matches!(error, Error::Bug(_)), "at the start: {error:?}");
            let Error::Unavailable(text) = in_use(error) else { panic!("{value:?}") };
            assert!(text.contains("SignInit") && text.contains("breaks its contract"), "{text}");
        }
        let key = || Error::WrongKey("one".into());
        assert_eq!(in_use(key()), key(), "what a key is, stays");
    }
}
