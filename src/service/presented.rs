//! The courier's copy of the newest checkpoint (I13): each lease presents it, and a log that does not hold it went back.
//!
//! What was found is final for the process: nothing is committed any more, and the token is left with the courier's checkpoint
//! alone, so that no later start takes the store for the right one. It must never take the word of whoever presents a text:
//! only what this authority's own key has signed counts.

use std::sync::OnceLock;

use tokio::sync::Notify;

use super::{Call, Error, Service};
use crate::{
    domain::{
        audit::{Event, Kind, Outcome},
        checkpoint::Checkpoint,
        going_back::{self, GoneBack},
    },
    policy::act,
    store::Unit,
};

/// Whether the log went back, and who waits to hear of it.
#[derive(Default)]
pub(super) struct Presented {
    gone_back: OnceLock<GoneBack>,
    dealt_with: Notify,
}

const FIELD: &str = "checkpoint";

impl Service {
    /// Compares the log with the checkpoint that a courier presents.
    ///
    /// # Errors
    /// A text that the audit key has not signed, or of another log, is the courier's fault; any other is the end of serving.
    pub(super) async fn compare_presented(&self, call: &Call<act::Courier>, text: &str) -> Result<(), Error> {
        self.refuse_if_gone_back()?;
        let kept = self.marks.open(text).map_err(|error| {
            tracing::error!(%error, "a courier presents what is no checkpoint of this authority");
            Error::Field { field: FIELD, code: "invalid_value", detail: "not signed by this authority" }
        })?;
        let policy = self.policy();
        let now = self.now(&policy)?;
        let gone_back = match going_back::compare_kept(&kept, &now, self.hash_at(kept.head.seq)?) {
            Ok(()) => return Ok(()),
            Err(GoneBack::OtherLog { .. }) => {
                return Err(Error::Field { field: FIELD, code: "invalid_value", detail: "of another log" });
            }
            Err(
                gone_back @ (GoneBack::Forked { .. }
                | GoneBack::Older { .. }
                | GoneBack::PolicyChanged { .. }
                | GoneBack::PolicyOlder { .. }
                | GoneBack::Recovered { .. }),
            ) => gone_back,
        };
        self.end(call, &kept, text, &gone_back).await;
        Err(gone_back.into())
    }

    /// Nothing is committed from here on but the event that says why.
    async fn end(&self, call: &Call<act::Courier>, kept: &Checkpoint, text: &str, gone_back: &GoneBack) {
        if self.presented.gone_back.set(gone_back.clone()).is_err() {
            return; // another request found it first
        }
        tracing::error!(
            "ALARM: the courier keeps a newer checkpoint: {gone_back}. Nothing is served any more"
        );
        let event = Event {
            detail: vec![
                ("kept_seq", kept.head.seq.to_string()),
                ("kept_hash", hex::encode(kept.head.hash)),
                ("kept_recoveries", kept.recoveries.to_string()),
            ],
            ..self.event(call, Kind::StoreGoneBack, Outcome::Refused)
        };
        if let Err(error) = self.store.submit(Unit { ops: Vec::new(), events: vec![event] }).await {
            tracing::error!(%error, "that the log went back is not in it");
        }
        if let Err(error) = self.leave_mark(text).await {
            tracing::error!(%error, "the token does not hold the courier's checkpoint: a next start may not refuse this store");
        }
        self.presented.dealt_with.notify_one();
    }

    /// Refuses whatever would be committed to a log that went back.
    pub(super) fn refuse_if_gone_back(&self) -> Result<(), Error> {
        match self.presented.gone_back.get() {
            Some(gone_back) => Err(gone_back.clone().into()),
            None => Ok(()),
        }
    }

    /// Ready when the log is known to have gone back and all that is to be done about it is done; for one who waits.
    pub async fn gone_back(&self) -> GoneBack {
        loop {
            self.presented.dealt_with.notified().await;
            if let Some(gone_back) = self.presented.gone_back.get() {
                return gone_back.clone();
            }
        }
    }
}
