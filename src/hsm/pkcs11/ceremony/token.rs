//! Initialises an empty slot: `C_InitToken`, then the user PIN by the security officer (PKCS#11 v2.40, 5.5).

use cryptoki::{context::Pkcs11, session::UserType, slot::Slot};

use super::CeremonyError;
use crate::{
    hsm::{
        config::Config,
        pkcs11::{
            link::{self, Found, Missing},
            rv,
        },
    },
    secret::SecretBytes,
};

/// Finds the configured token, or makes it in an empty slot; whether it was made.
pub(super) fn find_or_make(config: &Config, pin: &SecretBytes) -> Result<(Found, bool), CeremonyError> {
    match link::find(config) {
        Ok(found) => return Ok((found, false)),
        Err(Missing::Failed(error)) => return Err(error.into()),
        Err(Missing::Absent) => {}
    }
    let Some(so_pin) = config.so_pin()? else {
        return Err(CeremonyError::Refused(format!(
            "no token with {}. Initialise it with its maker's tools, or give [so_pin] in {} to have an empty slot \
             initialised",
            config.token,
            config.file().display()
        )));
    };
    let Some(label) = config.token.label.as_deref().filter(|_| config.token.serial.is_none()) else {
        return Err(CeremonyError::Refused(format!(
            "no token with {}. A new token is made by its label only: give token.label and no token.serial",
            config.token
        )));
    };
    let context = link::load(config)?;
    link::initialize(&context).map_err(|error| rv::error("module", &error))?;
    let made = make(&context, config, label, &so_pin, pin);
    // The slot has another number after the next start of the module.
    let closed = context.finalize().map_err(|error| rv::error("closing the module", &error));
    made?;
    closed?;
    match link::find(config) {
        Ok(found) => Ok((found, true)),
        Err(Missing::Failed(error)) => Err(error.into()),
        Err(Missing::Absent) => Err(CeremonyError::Refused(format!(
            "the token with {} was initialised and is not listed; start again",
            config.token
        ))),
    }
}

fn make(
    context: &Pkcs11,
    config: &Config,
    label: &str,
    so_pin: &SecretBytes,
    pin: &SecretBytes,
) -> Result<(), CeremonyError> {
    let slot = empty_slot(context, config)?;
    let so_pin = link::auth_pin(so_pin)?;
    context
        .init_token(slot, &so_pin, label)
        .map_err(|error| rv::error(&format!("initialising a token in slot {}", slot.id()), &error))?;
    let set_pin = || -> Result<(), crate::hsm::Error> {
        let session = context.open_rw_session(slot).map_err(|error| rv::error("new session", &error))?;
        session
            .login(UserType::So, Some(&so_pin))
            .map_err(|error| rv::error("login of the security officer", &error))?;
        session.init_pin(&link::auth_pin(pin)?).map_err(|error| rv::error("setting the user PIN", &error))?;
        session.logout().map_err(|error| rv::error("logout of the security officer", &error))
    };
    set_pin().map_err(|error| CeremonyError::HalfWay {
        made: format!("an empty token {label:?} without user PIN"),
        missing: "every key".into(),
        cause: Box::new(error.into()),
    })
}

/// The first slot whose token is not initialised, or the configured one if it is such.
fn empty_slot(context: &Pkcs11, config: &Config) -> Result<Slot, CeremonyError> {
    let slots = context.get_slots_with_token().map_err(|error| rv::error("slots", &error))?;
    for slot in slots {
        if config.token.slot.is_some_and(|id| id != slot.id()) {
            continue;
        }
        // A slot that cannot be read is none that is known to be empty.
        if context.get_token_info(slot).is_ok_and(|info| !info.token_initialized()) {
            return Ok(slot);
        }
    }
    Err(CeremonyError::Refused(format!(
        "no token with {}, and no empty slot to initialise one in",
        config.token
    )))
}
