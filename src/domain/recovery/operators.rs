//! What evidence tells of an operator's card. Pure.

/// How an operator's card stood at the end of a gap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Binding {
    /// No card is bound, and the last one never comes back.
    #[default]
    Ended,
    /// An earlier recovery held it: it acts once it is registered again.
    Held {
        /// Commitment to its key.
        key: String,
    },
    /// This one is bound.
    Registered {
        /// Commitment to its key.
        key: String,
        /// Since when, milliseconds since 1970 UTC.
        at_ms: u64,
    },
}

/// What happened to an operator's card in a gap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OperatorTold {
    /// How it stood at the end.
    pub last: Binding,
    /// Commitments to the keys that ended in it, oldest first: none of these cards is registered again.
    pub ended: Vec<String>,
}

impl OperatorTold {
    /// One more event: how the card stands after it, and the keys that it ended.
    pub(super) fn then(&mut self, last: Binding, ended: Vec<String>) {
        self.last = last;
        for key in ended {
            self.ended.retain(|known| *known != key);
            self.ended.push(key);
        }
    }
}
