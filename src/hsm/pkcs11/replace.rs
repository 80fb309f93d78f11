//! The audit key's next version on a token: made beside the one in force, which is destroyed at the end.
//!
//! Never in a serving process. While both are there no other command uses the token ([`super::survey`]), so that nobody has to
//! guess which one signs. A private half must not be destroyed before the log says, durably, that the other key is in force.

use std::sync::Arc;

use cryptoki::object::ObjectClass;

use super::{
    Device, Error, StartError,
    keys::KeyName,
    link::Link,
    public, rv, spki,
    survey::{self, versions},
    templates, worker,
};
use crate::hsm::config::Config;

/// Highest version that an id has.
const MOST: u8 = 99;

/// A version of the audit key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditKey {
    /// Part of its `CKA_ID`.
    pub version: u8,
    /// `SubjectPublicKeyInfo`, DER.
    pub public: Vec<u8>,
}

impl AuditKey {
    /// The public half as a file.
    pub fn pem(der: &[u8]) -> String {
        spki::to_pem(der.to_vec())
    }
}

/// A token whose audit key is replaced.
#[derive(Debug)]
pub struct Replacement {
    config: Config,
    link: Arc<Link>,
}

impl Replacement {
    /// Opens the configured token, with one login attempt.
    ///
    /// # Errors
    /// As [`Device::open`], but no look at the keys.
    pub fn open(config: &Config) -> Result<Self, StartError> {
        let pin = config.pin()?;
        let link = Arc::new(Link::open(config, &pin)?);
        Ok(Self { config: config.clone(), link })
    }

    /// The audit keys whose private half is on the token, the oldest first.
    pub fn keys(&self) -> Result<Vec<AuditKey>, Error> {
        self.link.with(|session| {
            let there = versions(session, &self.config, ObjectClass::PRIVATE_KEY)?;
            let key = |version| Ok(AuditKey { version, public: public::p256(session, version)? });
            there.into_iter().map(key).collect()
        })
    }

    /// The token in use with this one of its audit keys, after every other check of a start.
    pub fn device(&self, key: &AuditKey) -> Result<Device, Error> {
        let entries = self.link.with(|session| survey::survey_with(session, &self.config, key.version))?;
        let device = Device::accept(&self.config, Arc::clone(&self.link), entries)?;
        if device.audit_public != key.public {
            return Err(Error::WrongKey("key \"audit\" is not the one that was looked at".into()));
        }
        device.passed()?;
        Ok(device)
    }

    /// Makes the next version, as the ceremony makes an audit key.
    pub fn make(&self) -> Result<AuditKey, Error> {
        let name = KeyName::Audit;
        self.link.with(|session| {
            // The public half of a key that is gone stays, and so does its version.
            let mut all = versions(session, &self.config, ObjectClass::PRIVATE_KEY)?;
            all.extend(versions(session, &self.config, ObjectClass::PUBLIC_KEY)?);
            let last = all.into_iter().max().unwrap_or(self.config.key_version);
            let version = last.checked_add(1).filter(|next| *next <= MOST).ok_or_else(|| {
                Error::WrongKey(format!("key \"audit\" has version {last}, and {MOST} is the last one"))
            })?;
            let mut config = self.config.clone();
            config.key_version = version;
            let (open, private) = templates::pair_templates(name, &config)
                .ok_or_else(|| Error::Bug("key \"audit\" is no pair".into()))?;
            session
                .generate_key_pair(&templates::pair_gen(name.kind()), &open, &private)
                .map_err(|error| rv::error("making key \"audit\"", &error))?;
            Ok(AuditKey { version, public: public::p256(session, version)? })
        })
    }

    /// Signs a SHA-256 with this one of the audit keys, if it is as it must be.
    pub fn sign(&self, key: &AuditKey, digest: &[u8; 32]) -> Result<[u8; 64], Error> {
        self.link.with(|session| {
            let entries = survey::survey_with(session, &self.config, key.version)?;
            survey::verdict(&entries)?;
            let audit = entries.iter().find(|entry| entry.report.name == KeyName::Audit);
            let handle = audit
                .and_then(|entry| entry.handle)
                .ok_or_else(|| Error::WrongKey("key \"audit\" is not on the token".into()))?;
            worker::ecdsa(session, handle, digest)
        })
    }

    /// Destroys the private half. The public half stays, since it says that there was this version.
    pub fn destroy(&self, key: &AuditKey) -> Result<(), Error> {
        let name = KeyName::Audit;
        self.link.with(|session| {
            let private = name.search(ObjectClass::PRIVATE_KEY, key.version);
            for object in survey::find(session, name, &private)? {
                if let Err(error) = session.destroy_object(object) {
                    // SoftHSM answers so where the object is gone and a file beside it was not there.
                    tracing::warn!(error = rv::describe(&error), "destroying the former key \"audit\"");
                }
            }
            match survey::find(session, name, &private)?.len() {
                0 => Ok(()),
                _ => Err(Error::Unavailable("the former key \"audit\" was not destroyed".into())),
            }
        })
    }
}
