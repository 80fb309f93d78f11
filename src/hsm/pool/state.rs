//! What handle, workers and supervisor share: the machine, why it is where it is, and how often each key was used.

use std::{
    fmt,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use crossbeam_channel::Sender;
use tokio::sync::watch;

use super::machine::{Event, Machine, Phase, State};
use crate::{
    clock::{Clock as _, SystemClock},
    hsm::{Error, MacKey},
};

/// State shared by handle, workers and supervisor. It outlives every loss of the token, and the counts with it.
pub(super) struct Shared {
    clock: SystemClock,
    now: Mutex<Now>,
    /// A probe was answered since the supervisor last looked.
    answered: AtomicBool,
    given_up: watch::Sender<bool>,
    recoveries: AtomicU64,
    /// Milliseconds from the last loss that was recovered from to its end.
    last_recovery_ms: AtomicU64,
    print: AtomicU64,
    deliver: AtomicU64,
    verify: AtomicU64,
    index: AtomicU64,
    judge: AtomicU64,
    /// Wakes the supervisor.
    wake: Sender<()>,
}

struct Now {
    machine: Machine,
    /// When the token was lost last.
    lost_at: Duration,
    /// Why the token is not up.
    reason: String,
}

impl Shared {
    pub(super) fn new(give_up: Duration, wake: Sender<()>) -> Self {
        let clock = SystemClock::new();
        let machine = Machine::new(clock.uptime(), give_up);
        Self {
            clock,
            now: Mutex::new(Now { machine, lost_at: Duration::ZERO, reason: String::new() }),
            answered: AtomicBool::new(false),
            given_up: watch::Sender::new(false),
            recoveries: AtomicU64::new(0),
            last_recovery_ms: AtomicU64::new(0),
            print: AtomicU64::new(0),
            deliver: AtomicU64::new(0),
            verify: AtomicU64::new(0),
            index: AtomicU64::new(0),
            judge: AtomicU64::new(0),
            wake,
        }
    }

    /// Time since the pool started.
    pub(super) fn uptime(&self) -> Duration {
        self.clock.uptime()
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn state(&self) -> State {
        self.now().machine.state()
    }

    pub(super) fn phase(&self) -> Phase {
        self.now().machine.phase()
    }

    /// Nothing while the token is not known to be lost.
    pub(super) fn lost(&self) -> Option<Error> {
        let now = self.now();
        match now.machine.phase() {
            Phase::Up { .. } | Phase::Degraded { .. } => None,
            Phase::Leaving { .. } | Phase::Waiting { .. } | Phase::Opening { .. } => {
                Some(Error::Unavailable(format!("the token is lost: {}", now.reason)))
            }
            Phase::Refused => Some(Error::Unavailable(format!(
                "the token is refused until this process is started again: {}",
                now.reason
            ))),
            Phase::GivenUp => Some(Error::Unavailable(format!("this process must end: {}", now.reason))),
        }
    }

    /// Takes a step for `why`; whether that is news. The one place that says so in the log.
    pub(super) fn on(&self, event: Event, why: impl fmt::Display) -> bool {
        let at = self.uptime();
        let mut now = self.now();
        // A bad answer is an answer, and a token that was just opened has been asked enough.
        if matches!(event, Event::Good | Event::Lost | Event::Opened) {
            self.answered.store(true, SeqCst);
        }
        if !now.machine.on(event, at) {
            return false;
        }
        let why = why.to_string();
        if !why.is_empty() {
            now.reason = why;
        }
        if event == Event::Lost {
            now.lost_at = at;
        }
        let reason = now.reason.as_str();
        match now.machine.phase() {
            Phase::Up { .. } if event == Event::Opened => {
                self.recoveries.fetch_add(1, SeqCst);
                let took = at.saturating_sub(now.lost_at).as_millis();
                self.last_recovery_ms.store(u64::try_from(took).unwrap_or(u64::MAX), SeqCst);
                tracing::info!(
                    down_ms = took,
                    "the HSM token is back: every check of the start was passed again"
                );
            }
            Phase::Up { .. } => tracing::info!("the HSM answers in time again"),
            Phase::Degraded { .. } => tracing::warn!(%reason, "the HSM is late"),
            Phase::Leaving { .. } => {
                tracing::error!(%reason, "HSM token lost: no more calls are sent to it");
            }
            Phase::Waiting { until, .. } => {
                let pause_ms = until.saturating_sub(at).as_millis();
                tracing::warn!(%reason, pause_ms, "the HSM token is not in use");
            }
            Phase::Opening { .. } => tracing::info!("opening the HSM token again"),
            Phase::Refused => {
                tracing::error!(%reason, "the HSM token is refused; it is not opened again in this process");
            }
            Phase::GivenUp => {
                tracing::error!(%reason, "the HSM module is given up: this process must end");
                self.given_up.send_replace(true);
            }
        }
        drop(now);
        // A full channel means that it has been woken already.
        let _woken_or_awake: Result<(), _> = self.wake.try_send(());
        true
    }

    /// Whether a probe was answered since the last call.
    pub(super) fn take_answered(&self) -> bool {
        self.answered.swap(false, SeqCst)
    }

    pub(super) fn given_up(&self) -> watch::Receiver<bool> {
        self.given_up.subscribe()
    }

    pub(super) fn recoveries(&self) -> u64 {
        self.recoveries.load(SeqCst)
    }

    pub(super) fn last_recovery(&self) -> Duration {
        Duration::from_millis(self.last_recovery_ms.load(SeqCst))
    }

    const fn counter(&self, key: MacKey) -> &AtomicU64 {
        match key {
            MacKey::Print => &self.print,
            MacKey::Deliver => &self.deliver,
            MacKey::Verify => &self.verify,
            MacKey::Index => &self.index,
            MacKey::Judge => &self.judge,
        }
    }

    pub(super) fn count(&self, key: MacKey) {
        self.counter(key).fetch_add(1, SeqCst);
    }

    pub(super) fn counts(&self) -> Vec<(MacKey, u64)> {
        MacKey::ALL.into_iter().map(|key| (key, self.counter(key).load(SeqCst))).collect()
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("phase", &self.phase()).finish_non_exhaustive()
    }
}
