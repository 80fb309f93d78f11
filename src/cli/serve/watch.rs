//! What the internal listener shows: readiness, and numbers that are read now and then. And revocation lists of operators'
//! cards, read when their files change.

use std::{sync::Arc, time::Duration};

use tokio::sync::{Notify, watch::Receiver};

use crate::{
    auth::cns::Validator,
    hsm::{self, MacKey},
    http::internal::Readiness,
    metrics::{HsmState, Metrics},
    service::{Service, Unspent},
};

const EVERY: Duration = Duration::from_millis(500);

/// How often the files of the lists are looked at.
const LISTS: Duration = Duration::from_secs(30);

/// What a signal asks for, each in a task of its own: none waits for another, and the end for none.
#[derive(Debug, Default)]
pub(super) struct Again {
    /// The revocation lists of operators' cards.
    pub(super) lists: Notify,
    /// The policy set.
    pub(super) policy: Notify,
}

/// Reads the revocation lists that changed, until `stop`.
pub(super) async fn lists(
    operators: Arc<Validator>,
    service: Arc<Service>,
    again: Arc<Again>,
    stop: impl Future<Output = ()>,
) {
    let mut stop = std::pin::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => return,
            () = tokio::time::sleep(LISTS) => {}
            () = again.lists.notified() => {}
        }
        operators.refresh_aside(service.policy().trust()).await;
    }
}

/// Loads the policy set each time that a signal asks for it; ended by being aborted.
pub(super) async fn policy(service: Arc<Service>, again: Arc<Again>) {
    loop {
        again.policy.notified().await;
        match service.reload_policy(None).await {
            // Its authorities may be others.
            Ok(set) if set.changed => again.lists.notify_one(),
            Ok(set) => tracing::info!(set.policy, set.sequence, "the policy set is the one in force"),
            Err(e) => tracing::error!("the policy set stays as it was: {e}"),
        }
    }
}

/// Ready while HSM and store work, what spends is not refused, and nobody has told the service to stop.
pub(super) fn readiness(service: Arc<Service>, stopped: Receiver<bool>) -> Arc<dyn Readiness> {
    Arc::new(move || match (service.hsm().state(), service.store().is_up(), *stopped.borrow()) {
        (_, _, true) => Err("draining"),
        (hsm::State::Down, _, _) => Err("HSM down"),
        (hsm::State::Degraded, _, _) => Err("HSM degraded"),
        (hsm::State::Up, false, _) => Err("store down"),
        (hsm::State::Up, true, false) => service.spends().map_err(Unspent::text),
    })
}

/// Copies the numbers of HSM and store into the metrics until `stop`.
pub(super) async fn gauges(service: Arc<Service>, metrics: Arc<Metrics>, stop: impl Future<Output = ()>) {
    let (hsm, store) = (service.hsm(), service.store());
    let mut stop = std::pin::pin!(stop);
    loop {
        metrics.hsm_state(match hsm.state() {
            hsm::State::Degraded => HsmState::Degraded,
            hsm::State::Down => HsmState::Down,
            hsm::State::Up => HsmState::Up,
        });
        metrics.hsm_supervised(hsm.recoveries(), hsm.last_recovery(), hsm.is_given_up());
        for (key, count) in hsm.counts() {
            metrics.hsm_operations(key.label(), count);
        }
        let unaccounted = service.unaccounted();
        for (key, count) in [(MacKey::Print, unaccounted.print), (MacKey::Verify, unaccounted.verify)] {
            metrics.hsm_unaccounted(key.label(), count);
        }
        for (scope, what, count) in service.over_limits() {
            metrics.over_limits(scope.text(), what.text(), count);
        }
        let stats = store.stats();
        metrics.unmarked(service.unmarked());
        for behind in service.behind_witnesses() {
            metrics.witness(behind.witness, behind.events, behind.waiting);
        }
        metrics.store(stats.commits, stats.units, stats.failed, stats.patrols, stats.queued);
        tokio::select! {
            () = &mut stop => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}
