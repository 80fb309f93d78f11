//! The courier's loop: lease, carry out a few at a time, pause; back off on trouble; stop between two deliveries.
//!
//! What waits in a delivery is the gateway, the authority and the disk, so that a few at a time share one task. What
//! is decided and counted is still decided and counted one after another ([`super::judge`]).

use std::time::Duration;

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::sync::watch;

use super::{Authority, Courier, Gateway, Moment, Outcome, Setback};
use crate::api::courier::Lease;

/// Longest pause after trouble.
const MAX_PAUSE: Duration = Duration::from_secs(60);

/// How the loop runs.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Most deliveries in one lease, 1 to 100.
    pub batch: usize,
    /// Most deliveries in hand at one time, at least 1.
    pub at_once: usize,
    /// Pause when nothing is due, and after the first trouble; doubled with each further one, up to a minute.
    pub poll: Duration,
    /// When to end.
    pub until: Until,
}

/// When the loop ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// When nothing is due, at the first trouble, or when told to stop.
    Idle,
    /// When told to stop.
    Stopped,
}

/// How often each outcome came about since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Given up.
    pub failed: u64,
    /// Leases that were over or went to another courier.
    pub lease_lost: u64,
    /// Deliveries of which the authority refused a report.
    pub refused: u64,
    /// Reported as to be tried again.
    pub retry: u64,
    /// Sent and reported.
    pub sent: u64,
    /// Handed back until a waiting time ends or a limit has room.
    pub waiting: u64,
    /// Rounds in which authority, token or a gateway did not work.
    pub trouble: u64,
    /// Deliveries of which the authority did not answer a report.
    pub unreported: u64,
}

impl Tally {
    fn count(&mut self, outcome: Outcome) {
        let counter = match outcome {
            Outcome::Failed => &mut self.failed,
            Outcome::LeaseLost => &mut self.lease_lost,
            Outcome::Refused => &mut self.refused,
            Outcome::Resting | Outcome::Retry | Outcome::Trouble => &mut self.retry,
            Outcome::Sent => &mut self.sent,
            Outcome::Waiting => &mut self.waiting,
            Outcome::Unreported => &mut self.unreported,
        };
        *counter = counter.saturating_add(1);
    }

    fn log(&self) {
        tracing::info!(
            sent = self.sent,
            waiting = self.waiting,
            retry = self.retry,
            failed = self.failed,
            lease_lost = self.lease_lost,
            refused = self.refused,
            unreported = self.unreported,
            trouble = self.trouble,
            "deliveries since the start"
        );
    }
}

/// How a round ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Round {
    /// There were deliveries, and nothing was sent.
    Fruitless,
    Idle,
    NoToken,
    Stopped,
    Trouble,
    Worked,
}

/// Why nothing more of a round is taken in hand; the later one counts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Ending {
    Stopping,
    Trouble,
    Unreported,
}

/// Runs until `pace.until`, until `stop` becomes true (or its sender is gone), or until the token's module is given up or
/// the courier's memory is lost: then only a new process finds them again. While the token is lost nothing is leased. The
/// deliveries in hand are finished; those leased with them are given back.
pub async fn run<A: Authority, G: Gateway>(
    courier: &Courier<A, G>,
    pace: Pace,
    mut stop: watch::Receiver<bool>,
) -> Tally {
    let mut tally = Tally::default();
    let mut pause = pace.poll;
    loop {
        let before = tally;
        let round =
            if *stop.borrow() { Round::Stopped } else { work(courier, pace, &stop, &mut tally).await };
        if round == Round::Trouble || (round == Round::NoToken && pace.until == Until::Idle) {
            tally.trouble = tally.trouble.saturating_add(1);
        }
        if tally != before {
            tally.log();
        }
        // After each round, busy or not: an authority that never lets the courier rest cannot keep its log unsigned.
        courier.upkeep().await;
        let wait = match (round, pace.until) {
            _ if courier.is_token_given_up() || courier.is_memory_lost() => break,
            (Round::Stopped, _) | (Round::Idle | Round::NoToken | Round::Trouble, Until::Idle) => break,
            (Round::Worked, _) => {
                pause = pace.poll;
                continue;
            }
            // Nothing is asked of anybody meanwhile: no need to hold back. After waits and refusals alone there is no hurry
            // either: an authority that leases what cannot be sent must not keep the courier busy.
            (Round::Fruitless, _) | (Round::Idle | Round::NoToken, Until::Stopped) => {
                pause = pace.poll;
                pause
            }
            (Round::Trouble, Until::Stopped) => {
                let now = pause;
                pause = pause.saturating_mul(2).min(MAX_PAUSE.max(pace.poll));
                now
            }
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            _ = stop.wait_for(|stop| *stop) => break,
            () = courier.token_given_up() => break,
        }
    }
    courier.finish().await;
    tally
}

/// One lease and its deliveries.
async fn work<A: Authority, G: Gateway>(
    courier: &Courier<A, G>,
    pace: Pace,
    stop: &watch::Receiver<bool>,
    tally: &mut Tally,
) -> Round {
    if !courier.has_token() {
        return Round::NoToken;
    }
    courier.notify().await;
    let taken = courier.moment();
    let leases = match courier.lease(pace.batch).await {
        Ok(leases) => leases,
        Err(error) => {
            tracing::warn!(%error, "no leases");
            return Round::Trouble;
        }
    };
    if leases.is_empty() {
        return Round::Idle;
    }
    let (mut sent, mut told, mut rested) = (false, false, false);
    let mut rest = leases.iter();
    let mut in_hand = FuturesUnordered::new();
    let mut ending = None;
    loop {
        while ending.is_none() && in_hand.len() < pace.at_once {
            if *stop.borrow() {
                ending = Some(Ending::Stopping);
            } else if let Some(lease) = rest.next() {
                in_hand.push(courier.deliver(lease, taken));
            } else {
                break;
            }
        }
        let Some(outcome) = in_hand.next().await else { break };
        tally.count(outcome);
        match outcome {
            Outcome::Sent => sent = true,
            Outcome::Failed | Outcome::Retry | Outcome::Waiting => told = true,
            Outcome::LeaseLost | Outcome::Refused => {}
            Outcome::Resting => rested = true,
            Outcome::Trouble => ending = ending.max(Some(Ending::Trouble)),
            Outcome::Unreported => ending = Some(Ending::Unreported),
        }
    }
    match ending {
        Some(Ending::Stopping) => {
            give_back(courier, rest, taken, "the courier is stopping", tally).await;
            return Round::Stopped;
        }
        Some(Ending::Trouble) => {
            give_back(courier, rest, taken, "the courier's token or gateway is down", tally).await;
            return Round::Trouble;
        }
        // The rest would not be taken either; their leases end by themselves.
        Some(Ending::Unreported) => return Round::Trouble,
        None => {}
    }
    if (sent || told) && rested {
        tally.trouble = tally.trouble.saturating_add(1);
    }
    // All lost, refused or handed back: every gateway is down, a clock is wrong, leases are too short, or the two
    // sides differ in version. No hurry.
    match (sent, told) {
        (true, _) => Round::Worked,
        (false, true) => Round::Fruitless,
        (false, false) => Round::Trouble,
    }
}

/// Reports what will not be tried now. Ends at the first report that is not taken: those leases end by themselves.
async fn give_back<'a, A: Authority, G: Gateway>(
    courier: &Courier<A, G>,
    leases: impl Iterator<Item = &'a Lease>,
    taken: Moment,
    why: &str,
    tally: &mut Tally,
) {
    for lease in leases {
        let outcome = courier.give_back(lease, taken, Setback::Rest(why.to_owned())).await;
        tally.count(outcome);
        if outcome == Outcome::Unreported {
            break;
        }
    }
}
