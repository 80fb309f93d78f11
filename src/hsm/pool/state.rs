//! What is known of the token, and how often each key was used.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::SeqCst};

use crate::hsm::MacKey;

/// What is known of the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// A deadline passed or a probe is late, and nothing good has been heard since.
    Degraded,
    /// The token is lost. Stays so until the process starts again.
    Down,
    /// The last probe was good.
    Up,
}

const UP: u8 = 0;
const DEGRADED: u8 = 1;
const DOWN: u8 = 2;

/// State shared by handle, workers and the probe's timer.
#[derive(Debug, Default)]
pub(super) struct Shared {
    state: AtomicU8,
    /// A probe was answered since the timer last looked.
    answered: AtomicBool,
    print: AtomicU64,
    deliver: AtomicU64,
    verify: AtomicU64,
    index: AtomicU64,
    judge: AtomicU64,
}

impl Shared {
    pub(super) fn state(&self) -> State {
        match self.state.load(SeqCst) {
            UP => State::Up,
            DEGRADED => State::Degraded,
            _ => State::Down,
        }
    }

    /// A deadline passed or a probe is late; whether that is news.
    pub(super) fn late(&self) -> bool {
        self.state.compare_exchange(UP, DEGRADED, SeqCst, SeqCst).is_ok()
    }

    /// A probe was good. Does not bring back a lost token: its handles are dead until the module starts again.
    /// This is the place where an in-process recovery will lift [`State::Down`].
    pub(super) fn good(&self) {
        self.answered.store(true, SeqCst);
        if self.state.compare_exchange(DEGRADED, UP, SeqCst, SeqCst).is_ok() {
            tracing::info!("the HSM answers in time again");
        }
    }

    /// The token is lost; whether that is news.
    pub(super) fn lost(&self) -> bool {
        self.answered.store(true, SeqCst);
        self.state.swap(DOWN, SeqCst) != DOWN
    }

    /// Whether a probe was answered since the last call.
    pub(super) fn take_answered(&self) -> bool {
        self.answered.swap(false, SeqCst)
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
