//! What the tests stand on.

pub(crate) mod api;
pub(crate) mod audit;
pub(crate) mod cards;
pub(crate) mod counter;
pub(crate) mod demo;
pub(crate) mod installation;
pub(crate) mod kannel;
pub(crate) mod listed;
pub(crate) mod memory;
pub(crate) mod postfix;
pub(crate) mod process;
pub(crate) mod registered;
pub(crate) mod relay;
pub(crate) mod users;

pub(crate) use api::{Answer, Api, key};
pub(crate) use cards::{Activated, Card};
pub(crate) use installation::Installation;

use std::time::Duration;

/// Asks until there is an answer. The bound is generous: only what never comes reaches it.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> impl Future<Output = T> {
    let at = std::panic::Location::caller();
    async move {
        for _ in 0..2400 {
            if let Some(found) = ask().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{at}: never came: {what}")
    }
}

/// Waits until as many have arrived. Each further one may take as long as [`eventually`] waits.
pub(crate) async fn arrived(home: &Installation, wanted: usize, count: impl Fn(&Installation) -> usize) {
    loop {
        let before = count(home);
        if before >= wanted {
            return;
        }
        eventually("another message", async || (count(home) > before).then_some(())).await;
    }
}
