//! `sigillo serve`: the authority.

pub(super) mod config;
mod watch;
mod witness;

use std::{
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch::Receiver,
};

use self::config::Config;
use super::{Failure, give_up, reexec};
use crate::{
    auth::cns::Validator,
    clock::{Clock, SystemClock, alarm::Alarm},
    hsm::{self, Hsm},
    http::{Listener, internal::InternalListener},
    metrics::Metrics,
    policy::Policy,
    routes::App,
    sandbox,
    seal::ContactSealer,
    service::{Parts, Service},
    store::{self, Store, durable},
    tls::{CardTls, Entrance, ServerTls},
    witness::Witness,
};

/// Runs the authority: the API over mutual TLS, and /livez, /readyz, /metrics on an internal listener.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  sigillo serve --config serve.toml

SIGTERM and SIGINT drain it: no new connection, requests in hand are finished, a last checkpoint is signed.
SIGHUP loads its certificates and revocation lists again, for connections to come, and the policy set, for requests to
come. What does not hold is refused, and what is in force stays: see the log.

A token that is lost is opened again in this process, with every check of the start and the same keys only. A call
that does not come back from the PKCS#11 module cannot be cancelled: after pool.give_up_ms the process ends with 75, to
be started again. So it does when a call to the store does not come back: noticed after 60 to 75 seconds, and not waited
for longer than half a minute more.

With each lease the courier presents the newest checkpoint that it has seen. If this log does not hold it, the store has
gone back: nothing is served any more, and the process ends with 65, which only a recovery by officers mends.

Exit codes: 0 told to stop; 1 HSM, store or a listener failed, or --check found that a start would fail; 64 configuration or
policy is refused; 65 the store went back; 75 a call did not come back from the HSM's module or
from the store.")]
pub struct Args {
    /// Configuration file (hsm-config/serve.toml.example documents every key).
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,

    /// Only read the configuration, the policy and every file that they name, and say whether they hold; and whether store
    /// and witness are there and can be written by whoever asks. Nothing is opened for writing.
    #[arg(long)]
    pub check: bool,
}

/// Runs until told to stop.
pub fn run(args: &Args, out: &mut impl Write) -> Result<(), Failure> {
    sandbox::process::give_up().map_err(Failure::failed)?;
    let config = Config::load(&args.config).map_err(Failure::config)?;
    let policy = config.policy()?;
    let hsm_config = hsm::config::Config::load(&config.hsm).map_err(Failure::config)?;
    if hsm_config.role != hsm::Role::Authority {
        return Err(Failure::config("the token of `serve` must have the role \"authority\""));
    }
    // Everything that files alone decide, before the token is asked to log anybody in.
    drop(hsm_config.pin().map_err(Failure::config)?);
    let files = Files::load(&config)?;
    if args.check {
        let (file, digest) = (args.config.display(), policy.digest());
        writeln!(out, "{file} holds: policy {digest}").map_err(Failure::failed)?;
        // It would start, and refuse the cards of these authorities.
        files.operators.refresh_and_tell(policy.trust());
        return places(&config);
    }
    reexec::with_environment(&hsm_config.missing_environment().map_err(Failure::config)?)
        .map_err(Failure::failed)?;
    // Before any other thread: what is given up here is given up for those that are started afterwards.
    durable::deny_sync_file_range().map_err(Failure::failed)?;
    let (settings, profile) = confinement(&args.config)?;
    sandbox::enter(settings, &profile).map_err(Failure::failed)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::failed)?;
    runtime.block_on(serve(config, policy, files, &hsm_config))
}

/// What a start would fail at that is no file of the configuration: directories that it writes to.
fn places(config: &Config) -> Result<(), Failure> {
    let mut found = store::sled::look(&config.store());
    found.extend(config.witness.look());
    if found.is_empty() {
        return Ok(());
    }
    Err(Failure::failed(format!("`serve` would not start here, as this user: {}", found.join("; "))))
}

/// What `serve` with this configuration gives up at start, and what it keeps.
///
/// # Errors
/// A configuration that is refused.
pub fn confinement(config: &Path) -> Result<(sandbox::Settings, sandbox::Profile), Failure> {
    let config = Config::load(config).map_err(Failure::config)?;
    let hsm_config = hsm::config::Config::load(&config.hsm).map_err(Failure::config)?;
    Ok((config.process, config.profile().and(hsm_config.profile())))
}

/// What `serve` reads of the files that its configuration names.
struct Files {
    clock: Arc<dyn Clock>,
    operators: Arc<Validator>,
    sealer: ContactSealer,
    tls: Arc<ServerTls>,
    witnesses: Vec<Arc<dyn Witness>>,
}

impl Files {
    fn load(config: &Config) -> Result<Self, Failure> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let sealer = ContactSealer::from_pem(&config.contact_key()?)
            .map_err(|e| Failure::config(format!("contact_key: {e}")))?;
        let tls = ServerTls::load(config.tls.clone(), Arc::clone(&clock)).map_err(Failure::config)?;
        let operators = Arc::new(Validator::new(config.crls.clone()));
        let witnesses = config.witness.open(&clock)?;
        Ok(Self { clock, operators, sealer, tls: Arc::new(tls), witnesses })
    }
}

async fn serve(
    config: Config,
    policy: Policy,
    files: Files,
    hsm_config: &hsm::config::Config,
) -> Result<(), Failure> {
    // Before anything is opened, so that no signal finds its default action.
    let signals = Signals::listen().map_err(Failure::failed)?;
    let store = give_up::start_store(store::sled::open(&config.store()).map_err(Failure::failed)?);
    let device = hsm::pkcs11::Device::open(hsm_config).map_err(Failure::failed)?;
    let audit_key = device.audit_public_key().to_vec();
    let tokens = device.tokens().map_err(Failure::failed)?;
    let source = Box::new(device.into_source(hsm_config));
    let hsm = Hsm::supervised(tokens, source, hsm_config.limits).map_err(Failure::failed)?;
    let result = serve_with(config, policy, files, audit_key, &hsm, &store, signals).await;
    // Whatever the result: a module that is still at work while the process exits may crash it.
    let result = give_up::close(&store, result).await;
    if hsm.close().await { result } else { Err(Failure::hung()) }
}

async fn serve_with(
    config: Config,
    policy: Policy,
    files: Files,
    audit_key: Vec<u8>,
    hsm: &Hsm,
    store: &Store,
    mut signals: Signals,
) -> Result<(), Failure> {
    let Files { clock, operators, sealer, tls, witnesses } = files;
    operators.refresh_aside(policy.trust()).await;
    let parts = Parts {
        audit_key,
        clock: Arc::clone(&clock),
        directory: config.directory(),
        hsm: hsm.clone(),
        log: config.log.clone(),
        policy: Arc::new(policy),
        sealer,
        signing: config.signing,
        store: store.clone(),
        witnesses,
    };
    let service = Arc::new(Service::start(parts).await.map_err(Failure::failed)?);

    let (stop, stopped) = tokio::sync::watch::channel(false);
    let metrics = Arc::new(Metrics::new().map_err(Failure::failed)?);
    let limits = config.limits.clone();
    let bind = |address, entrance: Arc<dyn Entrance>| {
        Listener::bind(address, entrance, limits.clone(), Arc::clone(&clock), Arc::clone(&metrics))
    };
    let listener = bind(config.listen, Arc::<ServerTls>::clone(&tls)).await.map_err(Failure::failed)?;
    let direct = match config.direct {
        Some(address) => {
            let trusting = Arc::clone(&service);
            let cards = CardTls::new(Arc::clone(&tls), move || Arc::clone(trusting.policy().trust()));
            Some(bind(address, Arc::new(cards)).await.map_err(Failure::failed)?)
        }
        None => None,
    };
    let readiness = watch::readiness(Arc::clone(&service), stopped.clone());
    let internal = InternalListener::bind(&config.internal, Arc::clone(&metrics), readiness)
        .await
        .map_err(Failure::failed)?;
    let (api, inside) = (listener.local_addr(), internal.local_addr());
    if let Some(direct) = &direct {
        let known_as = service.policy().direct_caller().map(|caller| caller.name().to_string());
        tracing::info!(direct = %direct.local_addr(), known_as, "operators may connect with their own cards");
    }
    tracing::info!(%api, internal = %inside, policy = %service.policy().digest(), "serving");

    let app = Arc::new(App::new(
        Arc::clone(&service),
        Arc::clone(&operators),
        Arc::clone(&metrics),
        limits,
        (Arc::clone(&clock), Alarm::start().map_err(Failure::failed)?),
    ));
    let upkeep = {
        let (service, stopped) = (Arc::clone(&service), stopped.clone());
        tokio::spawn(async move { service.upkeep(until(stopped)).await })
    };
    let again = Arc::new(watch::Again::default());
    let lists = {
        let (service, again) = (Arc::clone(&service), Arc::clone(&again));
        tokio::spawn(watch::lists(operators, service, again, until(stopped.clone())))
    };
    let policies = tokio::spawn(watch::policy(Arc::clone(&service), Arc::clone(&again)));
    let inform = {
        let (service, stopped) = (Arc::clone(&service), stopped.clone());
        tokio::spawn(async move { service.inform_witnesses(until(stopped)).await })
    };
    let gauges = tokio::spawn(watch::gauges(Arc::clone(&service), metrics, until(stopped.clone())));
    // The internal listener stays to the end, so that the drain can be watched.
    let (leave, left) = tokio::sync::watch::channel(false);
    let inside = tokio::spawn(internal.serve(until(left)));
    let direct = direct.map(|direct| tokio::spawn(direct.serve(Arc::clone(&app), until(stopped.clone()))));
    let api = tokio::spawn(listener.serve(app, until(stopped)));

    let failure = tokio::select! {
        () = signals.told_to_stop(&tls, &again) => None,
        () = store.stopped() => store.failure().map(Failure::failed),
        () = hsm.given_up() => Some(Failure::hung()),
        gone_back = service.gone_back() => Some(Failure::gone_back(&gone_back)),
    };
    tracing::info!("draining");
    stop.send_replace(true);
    policies.abort();
    for task in [upkeep, inform, gauges, lists] {
        task.await.map_err(Failure::failed)?;
    }
    for listener in std::iter::once(api).chain(direct) {
        let drained = listener.await.map_err(Failure::failed)?;
        if drained.abandoned > 0 {
            tracing::warn!(drained.abandoned, "connections did not end in time");
        }
    }
    if failure.is_none() {
        service.checkpoint().await.map_err(Failure::failed)?;
        service.end_witnesses().await;
    }
    leave.send_replace(true);
    inside.await.map_err(Failure::failed)?;
    failure.map_or(Ok(()), Err)
}

/// What the system may tell the service.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for SIGTERM or SIGINT. SIGHUP loads certificates, revocation lists and the policy set again; bad ones are
    /// refused and those in force stay.
    async fn told_to_stop(&mut self, tls: &ServerTls, again: &watch::Again) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => {
                    match tls.reload() {
                        Ok(()) => tracing::info!("certificates and revocation lists loaded again"),
                        Err(e) => tracing::error!("certificates and revocation lists stay as they were: {e}"),
                    }
                    again.lists.notify_one();
                    again.policy.notify_one();
                }
            }
        }
    }
}

/// Ready when `told` becomes true or its sender is gone.
async fn until(mut told: Receiver<bool>) {
    // An error says that nobody can tell any more: stop as well.
    let _told_or_gone: Result<_, _> = told.wait_for(|stop| *stop).await.map(|_| ());
}
