//! Store and token of `serve` while it does not run: for commands that work where it works.

use std::{path::Path, sync::Arc};

use super::{Failure, reexec, serve::config::Config};
use crate::{
    clock::{Clock, SystemClock},
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
    sealer: ContactSealer,
}

impl Installation {
    /// Reads `serve.toml` and what it names. May replace the process: call it before any thread is started.
    pub(super) fn load(file: &Path) -> Result<Self, Failure> {
        let config = Config::load(file).map_err(Failure::config)?;
        let policy = config.policy()?;
        let hsm = hsm::config::Config::load(&config.hsm).map_err(Failure::config)?;
        if hsm.role != hsm::Role::Authority {
            return Err(Failure::config("the token of `serve` must have the role \"authority\""));
        }
        let sealer = ContactSealer::from_pem(&config.contact_key()?)
            .map_err(|e| Failure::config(format!("contact_key: {e}")))?;
        reexec::with_environment(&hsm.missing_environment().map_err(Failure::config)?)
            .map_err(Failure::failed)?;
        Ok(Self { config, policy, hsm, sealer })
    }

    /// Opens store and token for as long as `act` runs.
    pub(super) fn run<T>(self, act: impl AsyncFnOnce(Parts) -> Result<T, Failure>) -> Result<T, Failure> {
        process::give_up().map_err(Failure::failed)?;
        durable::deny_sync_file_range().map_err(Failure::failed)?;
        let runtime =
            tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::failed)?;
        runtime.block_on(async {
            let (engine, reader) = store::sled::open(&self.config.store()).map_err(Failure::failed)?;
            let store = Store::start(engine, reader, store::Limits::default());
            let device = hsm::pkcs11::Device::open(&self.hsm).map_err(Failure::failed)?;
            let tokens = device.tokens().map_err(Failure::failed)?;
            let hsm = Hsm::start(tokens, self.hsm.limits).map_err(Failure::failed)?;
            let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
            let witnesses = self.config.witness.open(&clock)?;
            let parts = Parts {
                audit_key: device.audit_public_key().to_vec(),
                clock,
                directory: self.config.directory(),
                hsm: hsm.clone(),
                signing: self.config.signing,
                log: self.config.log,
                policy: Arc::new(self.policy),
                sealer: self.sealer,
                store: store.clone(),
                witnesses,
            };
            let result = act(parts).await;
            store.close().await;
            if hsm.close().await { result } else { Err(Failure::hung()) }
        })
    }
}
