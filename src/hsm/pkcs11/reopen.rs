//! The same token again, after it was lost: every check of the start, and the same keys as then.
//!
//! It never tries a refused PIN again and never takes a token with other keys, whatever its label. What may pass by
//! itself it leaves to a later opening: a module that does not start, a token or a key that is not there.

use std::sync::Arc;

use super::{
    Device, Error, KeyName,
    link::{self, Link, Missing},
    survey::{self, Entry},
};
use crate::hsm::{OpenError, Source, Token, config::Config};

/// Opens again what a [`Device`] was the first opening of.
#[derive(Debug)]
pub struct Reopen {
    config: Config,
    values: Vec<(KeyName, Option<String>)>,
    audit_public: Vec<u8>,
    contact_public: Option<Vec<u8>>,
}

impl Device {
    /// What opens this token again, for [`crate::hsm::Hsm::supervised`]. Lets go of this opening: the workers keep it
    /// up as long as they live.
    pub fn into_source(self, config: &Config) -> Reopen {
        let values = self.reports.into_iter().map(|report| (report.name, report.kcv)).collect();
        Reopen {
            config: config.clone(),
            values,
            audit_public: self.audit_public,
            contact_public: self.contact_public,
        }
    }
}

impl Source for Reopen {
    fn open(&mut self) -> Result<Vec<Box<dyn Token>>, OpenError> {
        // Read each time, so that the PIN is not kept in memory.
        let pin =
            self.config.pin().map_err(|error| OpenError::Again(Error::Unavailable(error.to_string())))?;
        // No login has been tried yet, so nothing speaks against another look later.
        let found = link::find(&self.config).map_err(|missing| {
            OpenError::Again(match missing {
                Missing::Absent => {
                    Error::Unavailable(format!("the module has no token with {}", self.config.token))
                }
                Missing::Failed(error) => error,
            })
        })?;
        let link = Link::log_in(found, &pin).map_err(by_class)?;
        drop(pin);
        self.check(link)
    }
}

impl Reopen {
    fn check(&self, link: Link) -> Result<Vec<Box<dyn Token>>, OpenError> {
        let entries = link.with(|session| survey::survey(session, &self.config)).map_err(by_class)?;
        if let Some(gone) = gone(&entries) {
            return Err(OpenError::Again(Error::WrongKey(gone)));
        }
        for Entry { report, .. } in &entries {
            let known = self.values.iter().find(|(name, _)| *name == report.name);
            if report.problems.is_empty() && known.is_some_and(|(_, kcv)| *kcv != report.kcv) {
                return Err(other_key(report.name));
            }
        }
        let device = Device::accept(&self.config, Arc::new(link), entries).map_err(by_class)?;
        if device.audit_public != self.audit_public {
            return Err(other_key(KeyName::Audit));
        }
        if device.contact_public != self.contact_public {
            return Err(other_key(KeyName::Contact));
        }
        device.passed().map_err(by_class)?;
        device.tokens().map_err(by_class)
    }
}

/// The keys that are not there; nothing if all are.
fn gone(entries: &[Entry]) -> Option<String> {
    let problems: Vec<&str> = entries
        .iter()
        .filter(|entry| !entry.report.present)
        .flat_map(|entry| &entry.report.problems)
        .map(String::as_str)
        .collect();
    (!problems.is_empty()).then(|| problems.join("; "))
}

fn other_key(name: KeyName) -> OpenError {
    OpenError::Fatal(Error::WrongKey(format!(
        "key {:?} is not the key of the start: this is another token, or the key was replaced",
        name.label()
    )))
}

/// A token that does not answer may answer later; one that answers wrong needs a human.
fn by_class(error: Error) -> OpenError {
    match error {
        Error::Busy | Error::Unavailable(_) => OpenError::Again(error),
        Error::Bug(_) | Error::WrongKey(_) => OpenError::Fatal(error),
    }
}
