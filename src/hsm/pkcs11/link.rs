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
    slot::Slot,
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
                     of SOFTHSM2_CONF, and may this user write it?)";
        failed(doing, &error)
    })?;
    let slots = context.get_slots_with_token().map_err(|error| failed("slots", &error))?;
    let mut trouble = Missing::Absent;
    let mut matching = Vec::new();
    for slot in slots {
        if name.slot.is_some_and(|id| id != slot.id()) {
            continue;
        }
        match context.get_token_info(slot) {
            Ok(info) => {
                let fits =
                    |want: &Option<String>, have: &str| want.as_deref().is_none_or(|want| want == have);
                if info.token_initialized()
                    && fits(&name.label, info.label())
                    && fits(&name.serial, info.serial_number())
                {
                    let facts = TokenFacts {
                        label: info.label().to_owned(),
                        manufacturer: info.manufacturer_id().to_owned(),
                        model: info.model().to_owned(),
                        serial: info.serial_number().to_owned(),
                        slot: slot.id(),
                    };
                    matching.push((slot, facts));
                }
            }
            // Some modules (openCryptoki 3.8) give a clock that cannot be read. With a slot id and nothing to
            // compare, the token is found all the same.
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
            Err(error) => trouble = failed("token information", &error),
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
