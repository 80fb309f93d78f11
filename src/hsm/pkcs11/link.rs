//! The way to a token: module, slot, login, and the session that holds the login for life.
//!
//! Login is per process and token, and the last session to close logs out (PKCS#11 v2.40, 5.6), so one
//! session stays open as long as anything uses the token. A process must open one [`Link`] at a time: a module
//! keeps one state per process.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Pkcs11},
    error::{Error as P11, RvError},
    session::{Session, UserType},
    slot::{Slot, TokenInfo},
    types::AuthPin,
};

use super::{Error, rv};
use crate::{
    hsm::config::{Config, TokenName},
    secret::SecretBytes,
};

/// Waits between attempts to initialise the module and find the token, in milliseconds. SoftHSM hides a token
/// for moments while another process logs in, and a network token may come up after us.
const WAITS_MS: [u64; 6] = [20, 40, 80, 160, 320, 320];

/// What a token says of itself.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct TokenFacts {
    /// `CK_TOKEN_INFO.label`.
    pub label: String,
    /// `CK_TOKEN_INFO.manufacturerID`.
    pub manufacturer: String,
    /// `CK_TOKEN_INFO.model`.
    pub model: String,
    /// `CK_TOKEN_INFO.serialNumber`.
    pub serial: String,
    /// Slot id of this start.
    pub slot: u64,
}

/// A module, and the slot of the token if it was found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) context: Pkcs11,
    pub(super) slot: Slot,
    pub(super) facts: TokenFacts,
}

/// Why an attempt to find the token ended.
#[derive(Debug)]
pub(super) enum Missing {
    /// The module works and does not list the token.
    Absent,
    /// The module failed.
    Failed(Error),
}

/// A token that is logged in.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) context: Pkcs11,
    pub(super) slot: Slot,
    pub(super) facts: TokenFacts,
    holder: Mutex<Option<Session>>,
}

impl Link {
    /// Finds the configured token and logs in: patient until the login, which is tried exactly once, since real
    /// tokens lock after a few wrong PINs.
    pub(super) fn open(config: &Config, pin: &SecretBytes) -> Result<Self, Error> {
        let found = find(config).map_err(|missing| match missing {
            Missing::Absent => Error::Unavailable(format!(
                "module {} has no token with {}",
                config.module.display(),
                config.token
            )),
            Missing::Failed(error) => error,
        })?;
        Self::log_in(found, pin)
    }

    /// Logs in to a token that was found; takes it, so that nobody can try twice.
    pub(super) fn log_in(found: Found, pin: &SecretBytes) -> Result<Self, Error> {
        let Found { context, slot, facts } = found;
        let holder =
            context.open_rw_session(slot).map_err(|error| rv::error("a session for the login", &error))?;
        match holder.login(UserType::User, Some(&auth_pin(pin)?)) {
            Ok(()) | Err(P11::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {}
            Err(error) => {
                return Err(match rv::class(&error) {
                    rv::Class::Key if matches!(error, P11::Pkcs11(RvError::PinLocked, _)) => {
                        Error::WrongKey(format!(
                            "token {:?} has locked its user PIN after wrong ones; its security officer must set a \
                             new one (C_InitPIN, by the maker's tools)",
                            facts.label
                        ))
                    }
                    rv::Class::Key => Error::WrongKey(format!(
                        "token {:?} refused the login ({}); one attempt was made and no other will be, since \
                         tokens lock: correct the PIN file before the next start",
                        facts.label,
                        rv::describe(&error)
                    )),
                    rv::Class::Bug | rv::Class::Lost | rv::Class::Unsupported => {
                        rv::error("the login, which is not tried again", &error)
                    }
                });
            }
        }
        Ok(Self { context, slot, facts, holder: Mutex::new(Some(holder)) })
    }

    /// Uses the holder's session, which is read-write. For start-up and ceremonies, not for requests.
    pub(super) fn with<T>(&self, act: impl FnOnce(&Session) -> Result<T, Error>) -> Result<T, Error> {
        let holder = self.holder.lock().unwrap_or_else(PoisonError::into_inner);
        match holder.as_ref() {
            Some(session) => act(session),
            None => Err(Error::Unavailable("the token's session is closed".into())),
        }
    }
}

impl Drop for Link {
    /// Closes the session, then the module, in this order: a session handle that outlives `C_Finalize` may name
    /// somebody else's session later.
    fn drop(&mut self) {
        drop(self.holder.get_mut().unwrap_or_else(PoisonError::into_inner).take());
        if let Err(error) = self.context.clone().finalize() {
            tracing::warn!(error = rv::describe(&error), "the PKCS#11 module did not close");
        }
    }
}

/// A PIN in the form that `C_Login` wants.
pub(super) fn auth_pin(pin: &SecretBytes) -> Result<AuthPin, Error> {
    let text =
        std::str::from_utf8(pin.expose()).map_err(|_| Error::WrongKey("PIN is not UTF-8 text".into()))?;
    let mut exact = String::with_capacity(text.len()); // into_boxed_str must not move it
    exact.push_str(text);
    Ok(AuthPin::from(exact))
}

/// Loads the module once, then initialises it and looks for the token until it is there or patience ends.
pub(super) fn find(config: &Config) -> Result<Found, Missing> {
    let context = load(config).map_err(Missing::Failed)?;
    let mut last = Missing::Absent;
    for wait_ms in [0].into_iter().chain(WAITS_MS) {
        std::thread::sleep(Duration::from_millis(wait_ms));
        match attempt(&context, &config.token) {
            Ok((slot, facts)) => return Ok(Found { context, slot, facts }),
            Err(missing) => last = missing,
        }
        if let Err(error) = context.clone().finalize() {
            tracing::debug!(error = rv::describe(&error), "the PKCS#11 module was not open");
        }
    }
    Err(last)
}

/// Loads the module without initialising it.
pub(super) fn load(config: &Config) -> Result<Pkcs11, Error> {
    Pkcs11::new(&config.module)
        .map_err(|error| rv::error(&format!("module {}", config.module.display()), &error))
}

/// Initialises a module, for threads that take the system's locks.
pub(super) fn initialize(context: &Pkcs11) -> Result<(), P11> {
    context.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))
}

fn attempt(context: &Pkcs11, name: &TokenName) -> Result<(Slot, TokenFacts), Missing> {
    let failed = |doing: &str, error: &P11| Missing::Failed(rv::error(doing, error));
    initialize(context).map_err(|error| {
        let doing = "the module does not start (SoftHSM: is there the directory that `directories.tokendir` names in the file \
                     of SOFTHSM2_CONF, and may this user write it? p11-kit: does the server listen that \
                     P11_KIT_SERVER_ADDRESS names?)";
        failed(doing, &error)
    })?;
    let slots = context.get_slots_with_token().map_err(|error| failed("slots", &error))?;
    let seen = slots.into_iter().map(|slot| {
        let facts = context
            .get_token_info(slot)
            .map(|info| info.token_initialized().then(|| TokenFacts::of(slot, &info)))
            .map_err(|error| rv::error("token information", &error));
        (slot, facts)
    });
    choose(seen, name)
}

impl TokenFacts {
    fn of(slot: Slot, info: &TokenInfo) -> Self {
        Self {
            label: info.label().to_owned(),
            manufacturer: info.manufacturer_id().to_owned(),
            model: info.model().to_owned(),
            serial: info.serial_number().to_owned(),
            slot: slot.id(),
        }
    }

    fn fits(&self, name: &TokenName) -> bool {
        let fits = |want: &Option<String>, have: &str| want.as_deref().is_none_or(|want| want == have);
        fits(&name.label, &self.label) && fits(&name.serial, &self.serial)
    }
}

/// The one token that goes by `name`, among slots with what their tokens say: nothing for one that is not
/// initialised, an error where the module could not read it.
///
/// Some modules (openCryptoki 3.8) give a clock that cannot be read, and every look at their tokens fails. With a
/// slot id and nothing to compare, the token is found all the same.
fn choose(
    slots: impl Iterator<Item = (Slot, Result<Option<TokenFacts>, Error>)>,
    name: &TokenName,
) -> Result<(Slot, TokenFacts), Missing> {
    let mut trouble = Missing::Absent;
    let mut matching = Vec::new();
    for (slot, seen) in slots {
        if name.slot.is_some_and(|id| id != slot.id()) {
            continue;
        }
        match seen {
            Ok(Some(facts)) if facts.fits(name) => matching.push((slot, facts)),
            Ok(_) => {}
            Err(_) if name.slot.is_some() && name.label.is_none() && name.serial.is_none() => {
                let unknown = || "unknown".to_owned();
                let facts = TokenFacts {
                    label: unknown(),
                    manufacturer: unknown(),
                    model: unknown(),
                    serial: unknown(),
                    slot: slot.id(),
                };
                matching.push((slot, facts));
            }
            Err(error) => trouble = Missing::Failed(error),
        }
    }
    let one = matching.pop().ok_or(trouble)?;
    if matching.is_empty() {
        Ok(one)
    } else {
        Err(Missing::Failed(Error::WrongKey(format!(
            "{} tokens have {name}; name one by its serial",
            matching.len().saturating_add(1)
        ))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(id: u64) -> Slot {
        Slot::try_from(id).unwrap()
    }

    fn name(label: Option<&str>, slot: Option<u64>) -> TokenName {
        TokenName { label: label.map(str::to_owned), serial: None, slot }
    }

    fn says(id: u64, label: &str) -> (Slot, Result<Option<TokenFacts>, Error>) {
        let text = str::to_owned;
        let facts = TokenFacts {
            label: text(label),
            manufacturer: text("m"),
            model: text("o"),
            serial: text("s"),
            slot: id,
        };
        (slot(id), Ok(Some(facts)))
    }

    fn unreadable(id: u64) -> (Slot, Result<Option<TokenFacts>, Error>) {
        (slot(id), Err(Error::Bug("token information: number too large".into())))
    }

    #[test]
    fn a_token_that_cannot_be_read_is_found_by_its_slot_alone() {
        let slots = || [unreadable(3), unreadable(4), says(5, "a")].into_iter();
        let (found, facts) = choose(slots(), &name(None, Some(3))).unwrap();
        assert_eq!((found.id(), facts.label.as_str(), facts.slot), (3, "unknown", 3));
        // A label cannot be compared with what is not told: no token is better than a wrong one.
        let missing = choose(slots(), &name(Some("b"), Some(3))).unwrap_err();
        assert!(matches!(missing, Missing::Failed(Error::Bug(_))), "{missing:?}");
        let missing = choose(slots(), &name(Some("b"), None)).unwrap_err();
        assert!(matches!(missing, Missing::Failed(_)), "{missing:?}");
        assert_eq!(choose(slots(), &name(Some("a"), None)).unwrap().0.id(), 5);
        assert!(matches!(choose(slots(), &name(None, Some(9))), Err(Missing::Absent)));
    }

    #[test]
    fn slots_without_a_token_that_fits_are_passed_over() {
        let empty = || (slot(1), Ok(None));
        let slots = || [empty(), says(2, "a"), says(3, "b"), says(4, "b")].into_iter();
        assert_eq!(choose(slots(), &name(Some("a"), None)).unwrap().0.id(), 2);
        assert!(matches!(choose(slots(), &name(Some("a"), Some(1))), Err(Missing::Absent)));
        let two = choose(slots(), &name(Some("b"), None)).unwrap_err();
        assert!(matches!(two, Missing::Failed(Error::WrongKey(_))), "{two:?}");
        assert_eq!(choose(slots(), &name(Some("b"), Some(4))).unwrap().0.id(), 4);
    }
}
