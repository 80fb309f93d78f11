//! The end of a process in which a call does not come back: nothing that could hang as well is waited for.

use std::{
    io::Write,
    sync::{Arc, mpsc},
    time::Duration,
};

use super::Failure;
use crate::store::{Engine, Limits, Reader, Store};

/// So long a process may take to answer and to end by itself after its store was given up.
const GRACE: Duration = Duration::from_secs(30);

/// So long the last words may take: standard error may be what hangs.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Starts the store of this process. Where a call to it does not come back, the process ends with 75, at the latest after half
/// a minute: sled keeps readers out of what a writer hangs in, and every thread of the runtime may be one.
pub(super) fn start_store((engine, reader): (Box<dyn Engine>, Arc<dyn Reader>)) -> Store {
    Store::start_with(engine, reader, Limits::default(), || {
        std::thread::sleep(GRACE);
        at_once();
    })
}

/// Ends this process: a call to the store does not come back.
pub(super) fn at_once() {
    let failure = Failure::store_stands_still();
    let code = failure.exit_code();
    let (said, told) = mpsc::channel();
    let words = std::thread::Builder::new().spawn(move || {
        // Standard error is the last resort; if it is closed, the exit code still says it.
        let (Ok(()) | Err(_)) = writeln!(std::io::stderr(), "\nsigillo: {failure}");
        said.send(())
    });
    if words.is_ok() {
        let (Ok(()) | Err(_)) = told.recv_timeout(LAST_WORDS);
    }
    signal_hook::low_level::exit(code.into());
}

/// Closes the store. Where it stands still, that is why a command failed that failed.
pub(super) async fn close<T, E: From<Failure>>(store: &Store, result: Result<T, E>) -> Result<T, E> {
    store.close().await;
    match result {
        Err(_) if store.stands_still() => Err(Failure::store_stands_still().into()),
        other => other,
    }
}
