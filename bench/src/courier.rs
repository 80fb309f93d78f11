//! `sigillo-bench courier`: from the activation of a card until the mail relay has the second parts.

use std::{path::PathBuf, sync::Arc, time::Duration};

use sigillo::api::cards::NewCard;

use crate::{
    arrivals::Arrivals,
    load::{self, Plan, Work},
    meter::Server,
    place::Place,
    run::Run,
    work::{Deliver, fresh_name},
};

/// Activations of the cards of --cards, each until its mail is with the relay.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples (after `demo demo --keep-running --for-load` in another terminal):
  sigillo-bench import --count 20000 --keep cards.ndjson
  sigillo-bench courier --cards cards.ndjson --pid \"$(pgrep -f 'sigillo serve')\" --courier-pid \"$(pgrep -f 'sigillo courier')\"
  sigillo-bench courier --cards cards.ndjson --rate 20 --seconds 60

A latency is that of a turn: the request for an activation, the courier's lease, the second parts made in its HSM, the mail
written by the relay. One card goes first: what was queued before it is on its way by then. The relay's own CPU is not told; it
bounds the rate if it is slow, as the demonstration's is.")]
pub(crate) struct Courier {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Directory into which the relay moves each mail, on this machine.
    #[arg(long, default_value = "demo/smtp/mail/new", value_name = "DIR")]
    pub(crate) mail: PathBuf,
    /// Process of the courier on this machine; without it, its CPU is not told.
    #[arg(long, value_name = "PID")]
    pub(crate) courier_pid: Option<u32>,
    /// Longest time from an activation to its mail.
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    pub(crate) patience: u64,
}

/// Makes a run.
pub(crate) async fn measure(courier: &Courier, mut cards: Vec<NewCard>, plan: Plan) -> Result<Run, String> {
    let Courier { place, mail, courier_pid, patience } = courier;
    let desks = place.desks(&place.authority.url)?;
    let work = |cards: Vec<NewCard>| {
        let name = fresh_name();
        let arrivals = Arrivals::watch(mail, &name)?;
        let patience = Duration::from_secs(*patience);
        Ok::<_, String>(Deliver { desks: desks.clone(), cards: Arc::new(cards), name, arrivals, patience })
    };
    let first = cards.pop().ok_or("there is no card")?;
    work(vec![first])?.turn(0).await?;
    let server = Server { courier: *courier_pid, ..place.authority.server() };
    load::run(&format!("courier, {}", place.http()), work(cards)?, plan, &server).await
}
