//! The life of a listener, as its connections see it.

use tokio::sync::watch;

/// What connections should do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// Serve.
    Run,
    /// Finish what is running, take nothing new.
    Drain,
    /// Close now.
    Close,
}

/// Waits until the listener has come to this stage or a later one. A listener that is gone has closed.
pub(super) async fn reached(stage: &mut watch::Receiver<Stage>, wanted: Stage) {
    if stage.wait_for(|now| *now >= wanted).await.is_err() {
        tracing::trace!("listener gone");
    }
}
