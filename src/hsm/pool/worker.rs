//! The threads of a pool.

use std::{convert::Infallible, time::Duration};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, select_biased};
use tokio::sync::oneshot;

use super::state::Shared;
use crate::hsm::{Error, Token};

/// Nothing is ever sent: the end of the channel is the message.
pub(super) type Stop = Infallible;

/// A call: answers its caller itself, and tells the worker what went wrong.
pub(super) type Job = Box<dyn FnOnce(&mut dyn Token) -> Result<(), Error> + Send>;

/// What a worker listens to.
pub(super) struct Channels {
    pub(super) jobs: Receiver<Job>,
    pub(super) probes: Receiver<()>,
    pub(super) stop: Receiver<Stop>,
}

/// Works until told to stop. Probes go before calls: under load the probe is what notices a lost token, since
/// session copies go on working.
pub(super) fn run(mut token: Box<dyn Token>, from: &Channels, shared: &Shared, alive: oneshot::Sender<Stop>) {
    loop {
        select_biased! {
            recv(from.stop) -> _ => break,
            recv(from.probes) -> asked => match asked {
                Ok(()) => probe(token.as_mut(), shared),
                Err(_) => break,
            },
            recv(from.jobs) -> job => match job {
                Ok(job) => {
                    if let Err(Error::Unavailable(_)) = job(token.as_mut()) {
                        probe(token.as_mut(), shared);
                    }
                }
                Err(_) => break,
            },
        }
    }
    // The token goes first: who waits for `alive` may finalise the module next.
    drop(token);
    drop(alive);
}

/// Asks for the token. A failed probe is repeated once, on the session that replaced the failed one.
fn probe(token: &mut dyn Token, shared: &Shared) {
    match token.probe().or_else(|_| token.probe()) {
        Ok(()) => shared.good(),
        Err(error) => {
            if shared.lost() {
                tracing::error!(%error, "HSM token lost: no more calls are sent to it");
            }
        }
    }
}

/// Asks for a probe at every tick, and says so if the last one was not answered.
pub(super) fn ask_for_probes(probes: &Sender<()>, stop: &Receiver<Stop>, shared: &Shared, every: Duration) {
    let mut asked = false;
    loop {
        match stop.recv_timeout(every) {
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
            Ok(never) => match never {},
        }
        if asked && !shared.take_answered() && shared.late() {
            tracing::warn!("the HSM did not answer a probe within {} ms", every.as_millis());
        }
        // A full channel means that no worker is free to probe, which the next tick will see.
        asked = true;
        if probes.try_send(()).is_err() {
            tracing::debug!("an HSM probe is still waiting");
        }
    }
}
