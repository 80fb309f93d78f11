//! Events as the log holds them, read for the history of cards and for reports. Kinds and outcomes are texts here: an
//! event of a later version is read and counted too.

use serde::Deserialize;

use super::{audit::time_ms, id::CardId};

/// What history and reports look at in an event.
#[derive(Clone, Debug, Deserialize)]
pub struct Logged {
    /// RFC 3339.
    pub at: String,
    /// As [`super::audit::Kind`] is written.
    pub kind: String,
    /// As [`super::audit::Outcome`] is written.
    pub outcome: String,
    /// Front end, `courier` or `sigillo`; empty for a certificate that the policy did not know.
    pub caller: String,
    /// The request that caused it.
    pub request: String,
    /// The card, or what stands in for an unknown one.
    pub card: Option<CardId>,
    /// Who acted, by the name in events.
    pub operator: Option<String>,
    /// Where the operator worked then.
    pub office: Option<String>,
    /// `email` or `sms`, where second parts are on their way.
    pub channel: Option<String>,
    /// Why, as the event says it.
    pub reason: Option<String>,
    /// State of a delivery.
    pub state: Option<String>,
    /// The delivery.
    pub delivery: Option<String>,
}

impl Logged {
    /// Reads an event's bytes.
    ///
    /// # Errors
    /// They are no event.
    pub fn read(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }

    /// When, milliseconds since 1970 UTC; 0 for a time that was out of range.
    pub fn at_ms(&self) -> u64 {
        time_ms(&self.at).unwrap_or(0)
    }

    /// How it ended: its outcome; what the courier reports ends in the state of the delivery.
    pub fn ended(&self) -> &str {
        match &self.state {
            Some(state) if self.kind == "delivery.reported" => state,
            Some(_) | None => &self.outcome,
        }
    }

    /// Whether this says what is about to be done.
    pub fn is_intent(&self) -> bool {
        self.outcome == INTENT
    }
}

/// How the outcome of an intent is written.
pub const INTENT: &str = "intent";

/// What an operation that came to nothing ended in.
pub const FAILED: [&str; 3] = ["failed", "refused", "rejected"];
