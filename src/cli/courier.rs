//! `sigillo courier`: derives second parts in the courier's token and sends them.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

use super::{Failure, give_up};
use crate::{
    cli::reexec,
    client::ClientError,
    clock::{Clock, SystemClock},
    courier::{
        Courier, Gateways, TextGateway,
        authority::HttpAuthority,
        bounces::Bounces,
        config::{self, BadConfig, Config},
        judge::Judge,
        run::{Until, run as deliver},
        sms::{Receipts, SmsGateway, smpp},
    },
    hsm::{
        self, Hsm, Role,
        pkcs11::{Device, StartError},
    },
    sandbox,
    store::{self, durable, sled},
};

/// Sends second parts by e-mail and SMS.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  sigillo courier --config policies/courier/courier.toml

SIGTERM and SIGINT end it after the deliveries in hand; what it has leased beside them is given back.
A token that is lost is opened again in this process, with every check of the start and the same keys only; what was
leased meanwhile is given back.

Exit codes:
  0   told to stop; with --once: all that was due has been tried
  1   the token or the courier's store did not start or is lost; with --once: authority, token or a gateway did not work
  64  the configuration, or a file that it names, is refused
  75  a call did not come back from the token's module, or from the store: to be started again")]
pub struct Args {
    /// Configuration file (policies/courier/courier.toml.example documents every key).
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,

    /// Carry out what is due now, and end.
    #[arg(long)]
    pub once: bool,
}

/// Why the courier ended, or did not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Configuration, texts, passwords or certificates.
    #[error(transparent)]
    Config(#[from] BadConfig),
    /// Configuration of the courier's token, or the token itself.
    #[error(transparent)]
    Hsm(#[from] StartError),
    /// Address, certificate or CA for the authority.
    #[error(transparent)]
    Authority(#[from] ClientError),
    /// The store would not be durable.
    #[error(transparent)]
    Durable(#[from] durable::Error),
    /// The operating system.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The variables for the token's module could not be set.
    #[error(transparent)]
    Environment(#[from] reexec::Error),
    /// The courier's own store was not opened.
    #[error("the courier's own memory: {0}")]
    Store(#[from] sled::OpenError),
    /// The courier's own store stopped by itself.
    #[error("the courier's own store: {0}")]
    StoreLost(store::Error),
    /// Core dumps, swap, files, ports or system calls could not be given up.
    #[error(transparent)]
    Sandbox(#[from] sandbox::Error),
    /// A call did not come back from the token's module or from the store.
    #[error(transparent)]
    Hung(#[from] Failure),
    /// With `--once`: not everything that was due could be carried out.
    #[error("authority, token or a gateway did not work: the log says which")]
    Trouble,
    /// The configured token serves the authority.
    #[error("{0}: the courier needs a token of the role courier")]
    WrongRole(PathBuf),
}

impl Error {
    /// 64 for what an administrator has to correct in a file, 1 for the rest.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Authority(_) | Self::Config(_) | Self::Hsm(StartError::Config(_)) | Self::WrongRole(_) => {
                64
            }
            Self::Hung(failure) => failure.exit_code(),
            Self::Durable(_)
            | Self::Environment(_)
            | Self::Hsm(StartError::Hsm(_))
            | Self::Io(_)
            | Self::Sandbox(_)
            | Self::Store(_)
            | Self::StoreLost(_)
            | Self::Trouble => 1,
        }
    }
}

/// Gives this process the variables that the token's module reads: replaces it by itself if some are missing.
/// To be called before any thread is started, so before the runtime of [`run`].
///
/// # Errors
/// A configuration that is refused, or a system that does not start the program again.
fn enter_environment(args: &Args) -> Result<(), Error> {
    let config = Config::load(&args.config)?;
    let token = hsm::config::Config::load(&config.hsm).map_err(StartError::from)?;
    reexec::with_environment(&token.missing_environment().map_err(StartError::from)?)?;
    Ok(())
}

/// What the courier with this configuration gives up at start, and what it keeps.
///
/// # Errors
/// A configuration that is refused.
pub fn confinement(file: &Path) -> Result<(sandbox::Settings, sandbox::Profile), Error> {
    let config = Config::load(file)?;
    let token = hsm::config::Config::load(&config.hsm).map_err(StartError::from)?;
    let mut profile = config.profile().and(token.profile());
    profile.read.push(config.judge(&config.messages()?)?.templates_directory().to_owned());
    // The runtime reads it again.
    profile.read.extend(sandbox::directories(file));
    Ok((config.process, profile))
}

/// Runs the courier. May replace the process: call it before any thread is started.
///
/// # Errors
/// [`Error`], with its exit code.
pub fn enter(args: Args) -> Result<(), Error> {
    sandbox::process::give_up()?;
    enter_environment(&args)?;
    // Before any other thread: the filter holds for those that exist and for their children.
    durable::deny_sync_file_range()?;
    let (settings, profile) = confinement(&args.config)?;
    sandbox::enter(settings, &profile)?;
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(run(args))
}

/// The courier's store as the courier opens it: one that is missing is refused, never made.
pub(super) fn store_of(config: &Path) -> Result<sled::Config, Failure> {
    let config = Config::load(config).map_err(Failure::config)?;
    Ok(sled_config(&config.state))
}

fn sled_config(state: &config::State) -> sled::Config {
    sled::Config {
        cache_mib: state.cache_mib,
        reserve_mib: state.reserve_mib,
        ..sled::Config::new(&state.directory)
    }
}

/// Runs until told to stop or, with `--once`, until nothing is due. [`enter_environment`] comes first.
///
/// # Errors
/// [`Error`], with its exit code.
async fn run(args: Args) -> Result<(), Error> {
    let config = Config::load(&args.config)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let messages = config.messages()?;
    let policy = config.judge(&messages)?;
    for (text, size) in messages.sizes() {
        let crate::courier::sms::text::Size { alphabet, characters, parts } = size;
        tracing::info!(text, ?alphabet, characters, parts, "text message, at most");
    }
    let audit_keys = config.audit_keys()?;
    let receipts = config.receipts().await?;
    let slips = receipts.as_ref().map(Receipts::slips);
    let http = config.sms()?.map(|account| TextGateway::Http(Box::new(SmsGateway::new(account, slips))));
    let smpp = config.smpp()?;
    let bounces = config.bounces()?;
    let mail = config.mail(bounces.as_ref().map(Bounces::envelope), Arc::clone(&clock))?;
    let authority = Arc::new(HttpAuthority::new(
        &config.authority,
        &config.authority_tls,
        config.authority_timeout,
        Arc::clone(&clock),
    )?);
    // Before the token is opened, so that no signal finds its default action.
    let stop = on_signal()?;

    let token = hsm::config::Config::load(&config.hsm).map_err(StartError::from)?;
    if token.role != Role::Courier {
        return Err(Error::WrongRole(config.hsm));
    }
    let store = give_up::start_store(sled::open(&sled_config(&config.state))?);
    let hsm = match open(token).await {
        Ok(hsm) => hsm,
        Err(error) => return give_up::close(&store, Err(error)).await,
    };

    let (centre, link) = smpp.map(|account| smpp::open(account, store.clone(), Arc::clone(&clock))).unzip();
    let gateways = Gateways::new(mail, http.or_else(|| centre.map(TextGateway::Smpp)), Arc::clone(&clock));

    let until = if args.once { Until::Idle } else { Until::Stopped };
    let (ended, over) = watch::channel(false);
    let receiving = receipts.map(|receipts| {
        tracing::info!(at = %receipts.local_addr(), "listening for delivery receipts");
        tokio::spawn(receipts.serve(Arc::clone(&authority), config.limits(), over.clone()))
    });
    let returning = bounces.map(|bounces| {
        tracing::info!("reading what the relay returns");
        tokio::spawn(bounces.serve(Arc::clone(&authority), config.limits(), over.clone()))
    });
    let linked = link.map(|link| tokio::spawn(link.serve(Arc::clone(&authority), config.limits(), over)));
    tracing::info!(authority = config.authority, policy = %policy.digest, "courier started");
    let judge = Judge::new(store.clone(), hsm.clone(), policy, audit_keys, Arc::clone(&clock));
    if let Err(error) = judge.note_start().await {
        let lost = give_up::close(&store, Err(Error::StoreLost(error))).await;
        return if hsm.close().await { lost } else { Err(Failure::hung().into()) };
    }
    let courier = Courier::new(authority, gateways, hsm.clone(), messages, judge, clock, config.limits());
    let tally = deliver(&courier, config.pace(until), stop).await;
    courier.gateway().close().await;
    ended.send_replace(true);
    for receiving in receiving.into_iter().chain(returning).chain(linked) {
        receiving.await.map_err(std::io::Error::other)?;
    }
    let outcome = match (store.failure(), args.once && tally.trouble > 0) {
        (Some(failure), _) => Err(Error::StoreLost(failure)),
        (None, true) => Err(Error::Trouble),
        (None, false) => Ok(()),
    };
    let outcome = give_up::close(&store, outcome).await;
    // A call that came back after the module had been given up does not undo that: this end is not the administrator's.
    let is_given_up = hsm.is_given_up();
    let has_hung = !hsm.close().await || is_given_up;
    tracing::info!(sent = tally.sent, "courier ended");
    if has_hung { Err(Failure::hung().into()) } else { outcome }
}

/// Opens the token on a thread of its own: a PKCS#11 module blocks.
async fn open(config: hsm::config::Config) -> Result<Hsm, Error> {
    let opened = tokio::task::spawn_blocking(move || -> Result<Hsm, StartError> {
        let device = Device::open(&config)?;
        let tokens = device.tokens()?;
        Ok(Hsm::supervised(tokens, Box::new(device.into_source(&config)), config.limits)?)
    });
    Ok(opened.await.map_err(std::io::Error::other)??)
}

/// Becomes true at SIGTERM or SIGINT.
fn on_signal() -> Result<watch::Receiver<bool>, std::io::Error> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (told, stop) = watch::channel(false);
    tokio::spawn(async move {
        tokio::select! {
            _ = term.recv() => tracing::info!("SIGTERM: ending after the deliveries in hand"),
            _ = int.recv() => tracing::info!("SIGINT: ending after the deliveries in hand"),
        }
        // Kept, since a receiver whose sender is gone takes that for a signal too.
        told.send_replace(true);
        told.closed().await;
    });
    Ok(stop)
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, FromArgMatches as _};

    use super::*;

    fn args(line: &[&str]) -> Result<Args, clap::Error> {
        let command = Args::augment_args(clap::Command::new("courier"));
        command.try_get_matches_from(line).and_then(|m| Args::from_arg_matches(&m))
    }

    #[tokio::test]
    async fn a_refused_configuration_is_exit_code_64() {
        assert!(args(&["courier"]).is_err());
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("courier.toml");
        std::fs::write(&file, "batch = 0\n").unwrap();
        let line = ["courier", "--once", "--config", file.to_str().unwrap()];
        let given = args(&line).unwrap();
        assert!(given.once);
        for error in [enter_environment(&given).unwrap_err(), run(given).await.unwrap_err()] {
            assert!(error.to_string().starts_with(file.to_str().unwrap()), "{error}");
            assert_eq!(error.exit_code(), 64);
        }
    }
}
