//! Where load goes to: an installation that runs, or one of our own.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use sigillo::{api::cards::NewCard, client::ClientLimits, tls::Protocols};
use sigillo_bench::{cards::cards, desk::Desk};

use crate::{
    load::{Pace, Plan, Windows},
    meter::Server,
};

/// An authority that runs, and who talks to it.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Authority {
    /// Directory with ca.pem, and .pem and .key of callers (desk, bureau, auditor) and operators (operator, supervisor).
    #[arg(long, default_value = "demo/clients", value_name = "DIR")]
    pub(crate) clients: PathBuf,
    /// Address of the authority.
    #[arg(long, default_value = "https://127.0.0.1:8443")]
    pub(crate) url: String,
    /// Address of its internal listener; without it, no HSM calls and commits are told.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) internal: Option<String>,
    /// Its process on this machine; without it, no CPU, system calls and memory are told.
    #[arg(long)]
    pub(crate) pid: Option<u32>,
}

/// Requests in flight that saturate two cores. An answer to a verification leaves on a tick of 20 ms, so that 256 which take two ticks
/// are no more than 6,400 a second, and processors idle.
pub(crate) const IN_FLIGHT: usize = 512;

/// An installation that runs, and how load is put on it.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Place {
    #[command(flatten)]
    pub(crate) authority: Authority,
    /// Cards as NDJSON, as `cards` writes them. Wrong guesses lock them.
    #[arg(long, value_name = "FILE")]
    pub(crate) cards: Option<PathBuf>,
    /// HTTP/2 instead of HTTP/1.1.
    #[arg(long)]
    pub(crate) http2: bool,
    /// Closed loop: requests in flight.
    #[arg(long, default_value_t = IN_FLIGHT, value_name = "N", conflicts_with = "rate")]
    pub(crate) in_flight: usize,
    /// Open loop instead: requests a second, whatever becomes of them.
    #[arg(long, value_name = "PER_SECOND")]
    pub(crate) rate: Option<f64>,
    /// Seconds before anything counts.
    #[arg(long, default_value_t = 2, value_name = "SECONDS")]
    pub(crate) warm_up: u64,
    /// Seconds that count.
    #[arg(long, default_value_t = 10)]
    pub(crate) seconds: u64,
    /// Adds what is measured to this file of results, for `compare` and `plot`.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

/// Desks that share the load: a client of HTTP/2 has one connection.
#[derive(Clone, Debug)]
pub(crate) struct Desks(Arc<Vec<Desk>>);

impl Desks {
    pub(crate) fn new(desks: Vec<Desk>) -> Self {
        Self(Arc::new(desks))
    }

    /// The one whose turn it is.
    pub(crate) fn get(&self, n: u64) -> Result<&Desk, String> {
        let index = usize::try_from(n).ok().and_then(|n| n.checked_rem(self.0.len()));
        index.and_then(|index| self.0.get(index)).ok_or_else(|| "there is no desk".into())
    }
}

/// Seed of cards that nobody has registered: not the one of demonstrations and `cards`.
const UNKNOWN: u64 = 7;
/// Requests at one time on a connection of HTTP/2: half of what the server takes by default.
const ON_A_CONNECTION: usize = 64;

/// New connections at one time: half of the unfinished handshakes that the server takes by default.
const HANDSHAKES: usize = 64;

/// Time for one request of a registration: a slow token takes some ms for each line.
const REGISTRATION_MS: u64 = 120_000;

/// HTTP's version, for people.
pub(crate) const fn http(http2: bool) -> &'static str {
    if http2 { "HTTP/2" } else { "HTTP/1.1" }
}

impl Authority {
    /// What is measured of it.
    pub(crate) fn server(&self) -> Server {
        Server { pid: self.pid, internal: self.internal.clone(), courier: None }
    }

    /// The caller who registers cards, and forwards no operator.
    pub(crate) fn bureau(&self, http2: bool) -> Result<Desk, String> {
        let limits = ClientLimits { request_ms: REGISTRATION_MS, ..ClientLimits::default() };
        self.caller(("bureau", "operator"), &self.url, http2, limits)
    }

    fn caller(
        &self,
        who: (&str, &str),
        url: &str,
        http2: bool,
        limits: ClientLimits,
    ) -> Result<Desk, String> {
        let protocols = if http2 { Protocols::Http2 } else { Protocols::Http1 };
        let limits = ClientLimits { protocols, concurrent: 1024, ..limits };
        Desk::with_limits(&self.clients, who, url, limits)
    }
}

impl Place {
    /// HTTP's version, for people.
    pub(crate) const fn http(&self) -> &'static str {
        http(self.http2)
    }

    pub(crate) fn plan(&self) -> Plan {
        Plan {
            pace: self.rate.map_or(Pace::Closed(self.in_flight), Pace::Open),
            warm_up: Duration::from_secs(self.warm_up),
            time: Duration::from_secs(self.seconds.max(1)),
            calls: self.authority.pid.is_some(),
            windows: Windows::SHORT,
        }
    }

    /// The same for connections that are made anew each time, of which a server admits few at once.
    ///
    /// # Errors
    /// HTTP/2: its client keeps one connection for all requests, and the handshake is the same.
    pub(crate) fn for_handshakes(self) -> Result<Self, String> {
        if self.http2 {
            return Err(
                "--http2: a handshake is the same for both versions, and is measured over HTTP/1.1".into()
            );
        }
        Ok(Self { in_flight: self.in_flight.min(HANDSHAKES), ..self })
    }

    /// The caller's desk with the operator of these files.
    pub(crate) fn desk(&self, operator: &str) -> Result<Desk, String> {
        self.desk_at(&self.authority.url, operator, ClientLimits::default())
    }

    fn desk_at(&self, url: &str, operator: &str, limits: ClientLimits) -> Result<Desk, String> {
        self.authority.caller(("desk", operator), url, self.http2, limits)
    }

    /// Desks for the requests in flight, at this address.
    pub(crate) fn desks(&self, url: &str) -> Result<Desks, String> {
        let in_flight = if self.rate.is_some() { 4 * ON_A_CONNECTION } else { self.in_flight };
        let count = if self.http2 { in_flight.div_ceil(ON_A_CONNECTION).max(1) } else { 1 };
        let desk = |_| self.desk_at(url, "operator", ClientLimits::default());
        Ok(Desks::new((0..count).map(desk).collect::<Result<_, _>>()?))
    }

    /// Desks that connect anew for each request, at this address.
    pub(crate) fn strangers(&self, url: &str) -> Result<Desks, String> {
        let limits = ClientLimits { idle_ms: 0, ..ClientLimits::default() };
        let desk = |_| self.desk_at(url, "operator", limits.clone());
        Ok(Desks::new((0..self.in_flight.max(1)).map(desk).collect::<Result<_, _>>()?))
    }

    /// The cards of the file; without one, cards of nobody that are in no store.
    pub(crate) fn cards(&self) -> Result<Vec<NewCard>, String> {
        self.cards.as_deref().map_or_else(|| Ok(cards(UNKNOWN, 0, 4096).collect()), of_file)
    }
}

/// The cards of a file.
pub(crate) fn of_file(file: &Path) -> Result<Vec<NewCard>, String> {
    let text = fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
    let mut cards = Vec::new();
    for (line, text) in (1..).zip(text.lines()) {
        let card = serde_json::from_str(text);
        cards.push(card.map_err(|e| format!("{}:{line}: {e}", file.display()))?);
    }
    if cards.is_empty() { Err(format!("{}: no card", file.display())) } else { Ok(cards) }
}
