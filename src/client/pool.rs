//! Connections between calls: one for HTTP/2, idle ones for HTTP/1.1.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::connect::Sender;
use crate::clock::Clock;

pub(super) struct Pool {
    clock: Arc<dyn Clock>,
    idle: Duration,
    held: Mutex<Vec<Idle>>,
}

/// An idle HTTP/1.1 connection, or the HTTP/2 connection that all calls share.
struct Idle {
    since: Duration,
    shared: bool,
    sender: Sender,
}

/// Whether a connection carries many calls at a time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shared {
    No,
    Yes,
}

impl Pool {
    /// Connections idle for longer than `idle` are not used again: the server may be closing them.
    pub(super) const fn new(clock: Arc<dyn Clock>, idle: Duration) -> Self {
        Self { clock, idle, held: Mutex::new(Vec::new()) }
    }

    /// A connection that looks usable. One for HTTP/2 stays in the pool.
    pub(super) fn take(&self) -> Option<Sender> {
        let now = self.clock.uptime();
        let mut held = self.held();
        held.retain(|idle| {
            // Pings watch over a shared connection.
            let fresh = idle.shared || now.saturating_sub(idle.since) < self.idle;
            fresh && !idle.sender.is_closed()
        });
        match held.last()?.sender.share() {
            Some(shared) => Some(shared),
            None => held.pop().map(|idle| idle.sender),
        }
    }

    /// Keeps a connection for later calls: a handle of one that can be shared, or one that no call is using.
    pub(super) fn put(&self, sender: Sender, shared: Shared) {
        let since = self.clock.uptime();
        let shared = shared == Shared::Yes;
        let mut held = self.held();
        if shared {
            held.clear();
        }
        held.push(Idle { since, shared, sender });
    }

    /// Forgets all connections; calls that run on them are not touched.
    pub(super) fn clear(&self) {
        self.held().clear();
    }

    fn held(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
