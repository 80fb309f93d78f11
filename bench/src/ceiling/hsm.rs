//! The MACs alone: a loop over `C_SignInit` and `C_Sign` in one thread, with nothing around it.
//!
//! The key is a session object made for the loop: no key of the installation is used. It runs in a process of its own,
//! since the module's environment is read when it is loaded.

use std::{path::Path, process::Command, time::Duration};

use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Pkcs11},
    mechanism::Mechanism,
    object::Attribute,
    session::UserType,
    types::AuthPin,
};
use serde::{Deserialize, Serialize};
use sigillo::{
    clock::{Clock, SystemClock},
    hsm::config::Config,
};
use sigillo_bench::installation::run;

use crate::{
    meter::{cpu, micros_each},
    number::{float, per},
};

/// Bytes of a message: about as long as the messages of a verification are.
const MESSAGE: [u8; 96] = [0x5a; 96];

/// What the loop costs.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Macs {
    /// MACs a second, one thread.
    pub(crate) per_second: f64,
    /// CPU for each, microseconds.
    pub(crate) micros: f64,
}

/// Runs the loop in a process of its own, on the token of an `hsm.toml`.
pub(crate) fn measure(hsm: &Path, time: Duration) -> Result<Macs, String> {
    let config = Config::load(hsm).map_err(|e| e.to_string())?;
    let mut command = Command::new(std::env::current_exe().map_err(|e| e.to_string())?);
    command.envs(config.missing_environment().map_err(|e| e.to_string())?);
    command.arg("raw-hsm").arg("--hsm").arg(hsm).arg("--seconds").arg(time.as_secs().to_string());
    serde_json::from_str(&run(&mut command)?).map_err(|e| e.to_string())
}

/// The loop itself.
pub(crate) fn raw(hsm: &Path, time: Duration) -> Result<Macs, String> {
    let config = Config::load(hsm).map_err(|e| e.to_string())?;
    let failed = |what: &str, e: &dyn std::fmt::Display| format!("{}: {what}: {e}", hsm.display());
    let pin = config.pin().map_err(|e| e.to_string())?;
    let pin = std::str::from_utf8(pin.expose()).map_err(|e| failed("PIN", &e))?;
    let pin = AuthPin::new(pin.to_owned().into());
    let module = Pkcs11::new(&config.module).map_err(|e| failed("module", &e))?;
    let locking = CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK);
    module.initialize(locking).map_err(|e| failed("C_Initialize", &e))?;
    let slots = module.get_slots_with_token().map_err(|e| failed("slots", &e))?;
    let slot = slots.into_iter().find(|slot| {
        let info = module.get_token_info(*slot);
        let name = &config.token;
        info.is_ok_and(|info| {
            name.label.as_deref().is_none_or(|label| label == info.label())
                && name.serial.as_deref().is_none_or(|serial| serial == info.serial_number())
                && name.slot.is_none_or(|id| id == slot.id())
        })
    });
    let slot = slot.ok_or_else(|| format!("{}: no such token: {}", hsm.display(), config.token))?;
    let session = module.open_rw_session(slot).map_err(|e| failed("session", &e))?;
    session.login(UserType::User, Some(&pin)).map_err(|e| failed("login", &e))?;
    let template = [
        Attribute::Token(false),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Sign(true),
        Attribute::ValueLen(32.into()),
    ];
    let key = session.generate_key(&Mechanism::GenericSecretKeyGen, &template);
    let key = key.map_err(|e| failed("a key for the loop", &e))?;

    let clock = SystemClock::new();
    let (before, start) = (cpu("self"), clock.uptime());
    let mut done = 0_u64;
    while clock.uptime().saturating_sub(start) < time {
        for _ in 0..100 {
            let mac = session.sign(&Mechanism::Sha256Hmac, key, &MESSAGE).map_err(|e| failed("MAC", &e))?;
            if mac.len() != 32 {
                return Err(failed("MAC", &format!("{} bytes", mac.len())));
            }
            done = done.saturating_add(1);
        }
    }
    let took = clock.uptime().saturating_sub(start).as_secs_f64();
    let micros = micros_each(before, cpu("self"), done).ok_or("the CPU of this process is not known")?;
    Ok(Macs { per_second: per(float(done), took).unwrap_or(0.0), micros })
}
