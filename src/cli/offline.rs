//! Store and token of `serve` while it does not run: for commands that work where it works.

use std::{path::Path, sync::Arc, time::Duration};

use super::{Failure, give_up, reexec, serve::config::Config};
use crate::{
    clock::{Clock, SystemClock},
    domain::checkpoint::Checkpoint,
    hsm::{self, Hsm},
    policy::Policy,
    sandbox::process,
    seal::ContactSealer,
    service::Parts,
    store::{self, Store, durable},
};

/// Everything that the files of an installation decide.
pub(super) struct Installation {
    pub(super) config: Config,
    pub(super) policy: Policy,
    hsm: hsm::config::Config,
}

/// What token and witnesses remember of a log, for a command that is about to begin a new one; nothing where no checkpoint
/// is with them.
///
/// # Errors
/// One that could not be asked.
pub(super) fn remembered(config: &Config, hsm: &hsm::config::Config) -> Result<Option<Remembered>, Failure> {
    process::give_up().map_err(Failure::failed)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::failed)?;
    runtime.block_on(async {
        let device = hsm::pkcs11::Device::open(hsm).map_err(Failure::failed)?;
        let tokens = device.tokens().map_err(Failure::failed)?;
        let asked = Hsm::start(tokens, hsm.limits).map_err(Failure::failed)?;
        let marks = asked.read_marks().await.map_err(Failure::failed);
        if !asked.close().await {
            return Err(Failure::hung());
        }
        let text = |mark: Vec<u8>| String::from_utf8_lossy(&mark).into_owned();
        let mut kept: Vec<_> = marks?.into_iter().flatten().map(|mark| ("token", text(mark))).collect();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        for witness in config.witness.open(&clock)? {
            let name = witness.name();
            let asked = tokio::time::timeout(WITNESS, witness.read()).await;
            let said = match asked {
                Ok(said) => {
                    said.map_err(|fault| Failure::failed(format!("the witness ({name}): {fault}")))?
                }
                Err(_) => return Err(Failure::failed(format!("the witness ({name}) gives no answer"))),
            };
            kept.extend(said.map(|text| (name, text)));
        }
        let key = device.audit_public_key();
        let opened = kept.iter().filter_map(|(by, text)| Some((*by, Checkpoint::open(text, key).ok()?)));
        Ok(opened
            .max_by_key(|(_, checkpoint)| checkpoint.age())
            .map(|(by, newest)| Remembered { by, newest }))
    })
}

/// A checkpoint of a log that was there before.
pub(super) struct Remembered {
    /// `token`, or the kind of the witness.
    pub(super) by: &'static str,
    pub(super) newest: Checkpoint,
}

/// For so long a witness is waited for.
const WITNESS: Duration = Duration::from_secs(10);

impl Installation {
    /// Reads `serve.toml` and what it names. May replace the process: call it before any thread is started.
    pub(super) fn load(file: &Path) -> Result<Self, Failure> {
        let config = Config::load(file).map_err(Failure::config)?;
        let policy = config.policy()?;
        let hsm = hsm::config::Config::load(&config.hsm).map_err(Failure::config)?;
        if hsm.role != hsm::Role::Authority {
            return Err(Failure::config("the token of `serve` must have the role \"authority\""));
        }
        // Whatever files decide, before anything is opened.
        drop(sealer(&config)?);
        reexec::with_environment(&hsm.missing_environment().map_err(Failure::config)?)
            .map_err(Failure::failed)?;
        Ok(Self { config, policy, hsm })
    }

    /// Opens store and token for as long as `act` runs.
    pub(super) fn run<T>(self, act: impl AsyncFnOnce(Parts) -> Result<T, Failure>) -> Result<T, Failure> {
        self.on_store(async |opened| {
            let device = hsm::pkcs11::Device::open(opened.token()).map_err(Failure::failed)?;
            opened.with_token(&device, act).await
        })
    }

    /// Opens the store for as long as `act` runs.
    pub(super) fn on_store<T>(
        self,
        act: impl AsyncFnOnce(&Opened) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        process::give_up().map_err(Failure::failed)?;
        durable::deny_sync_file_range().map_err(Failure::failed)?;
        let runtime =
            tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::failed)?;
        runtime.block_on(async {
            let Self { config, policy, hsm } = self;
            let store = give_up::start_store(store::sled::open(&config.store()).map_err(Failure::failed)?);
            let opened = Opened { config, hsm, policy: Arc::new(policy), store: store.clone() };
            let result = act(&opened).await;
            give_up::close(&store, result).await
        })
    }
}

/// The open store of an installation.
pub(super) struct Opened {
    config: Config,
    hsm: hsm::config::Config,
    policy: Arc<Policy>,
    store: Store,
}

impl Opened {
    /// Name of the log.
    pub(super) fn log(&self) -> &str {
        &self.config.log
    }

    pub(super) const fn store(&self) -> &Store {
        &self.store
    }

    /// Configuration of the token.
    pub(super) const fn token(&self) -> &hsm::config::Config {
        &self.hsm
    }

    /// Has the token in use for as long as `act` runs.
    pub(super) async fn with_token<T>(
        &self,
        device: &hsm::pkcs11::Device,
        act: impl AsyncFnOnce(Parts) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let witnesses = self.config.witness.open(&clock)?;
        let sealer = sealer(&self.config)?;
        let tokens = device.tokens().map_err(Failure::failed)?;
        let hsm = Hsm::start(tokens, self.hsm.limits).map_err(Failure::failed)?;
        let parts = Parts {
            audit_key: device.audit_public_key().to_vec(),
            clock,
            directory: self.config.directory(),
            hsm: hsm.clone(),
            signing: self.config.signing,
            log: self.config.log.clone(),
            policy: Arc::clone(&self.policy),
            sealer,
            store: self.store.clone(),
            witnesses,
        };
        let result = act(parts).await;
        if hsm.close().await { result } else { Err(Failure::hung()) }
    }
}

fn sealer(config: &Config) -> Result<ContactSealer, Failure> {
    ContactSealer::from_pem(&config.contact_key()?).map_err(|e| Failure::config(format!("contact_key: {e}")))
}
