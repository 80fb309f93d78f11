//! What the courier remembers of a card, and what follows from it for the next delivery: pure.
//!
//! Contacts are here as keyed commitments and as the sealed blobs that came with a lease: neither says anything without
//! the courier's token.

use serde::{Deserialize, Serialize};

use super::window::{Full, Rate, Window};

/// How long after its end a waiting time still counts: later, the former contact has forgotten the notice.
const VALID_MS: u64 = 30 * 86_400_000;

/// A commitment under the judge key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Commitment(pub(super) [u8; 32]);

impl Serialize for Commitment {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&hex::encode(self.0))
    }
}

impl<'de> Deserialize<'de> for Commitment {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let mut bytes = [0; 32];
        hex::decode_to_slice(&text, &mut bytes).map_err(serde::de::Error::custom)?;
        Ok(Self(bytes))
    }
}

/// A contact that second parts of a card went to, or are about to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Known {
    /// For comparison.
    pub(super) contact: Commitment,
    /// As the lease had it, hexadecimal: only the courier's token opens it.
    pub(super) sealed: String,
}

/// Another contact has been asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    contact: Commitment,
    until_ms: u64,
}

/// All that is remembered of one card.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Memory {
    /// Where second parts last went.
    last: Option<Known>,
    /// Where they are being sent: what came of it is not known yet.
    trying: Option<Known>,
    change: Option<Change>,
    /// The message that was counted and has not been taken by a gateway yet: again, it says nothing new.
    counted: Option<Commitment>,
    window: Window,
}

/// What a lease asks for, as commitments.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// The contact, for comparison.
    pub(super) known: Known,
    /// The whole message: card, delivery, contact, codes, text.
    pub(super) message: Commitment,
}

/// At most so many messages.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// For one card.
    pub card: Rate,
    /// To one mailbox.
    pub contact: Rate,
    /// In all.
    pub all: Rate,
}

/// What is counted beside the card.
#[derive(Debug)]
pub(super) struct Counters {
    /// Of the mailbox.
    pub(super) contact: Window,
    /// Of the courier.
    pub(super) all: Window,
    /// Of messages that were admitted before, and not taken by a gateway: they say nothing new, and cost only space.
    pub(super) again: Window,
}

/// What follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// Second parts may be derived and sent to the contact asked for.
    Admit {
        /// A change of contact was under way, and is taken back by this.
        returned: bool,
    },
    /// A limit is reached.
    Over {
        /// `card`, `contact`, `all` or `again`.
        limit: &'static str,
        /// Which span, and until when.
        full: Full,
    },
    /// Another contact than the last: not before this time.
    Wait {
        /// Milliseconds since 1970 UTC.
        until_ms: u64,
        /// The contact to be told of it, when the wait begins.
        tell: Option<Known>,
    },
}

/// How a message ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// No gateway has it.
    NotSent,
    /// A gateway has it.
    Sent,
    /// A gateway may have it.
    Unknown,
}

impl Memory {
    /// Decides on a lease, and counts what is to be counted: to be made durable before anything is derived.
    pub(super) fn decide(
        &mut self,
        counters: &mut Counters,
        limits: &Limits,
        wait_ms: u64,
        asked: &Asked,
        now_ms: u64,
    ) -> Decision {
        // Whoever stopped the courier in the middle may not choose what it believes.
        self.end(Ended::Unknown);
        let mut returned = false;
        match &self.last {
            Some(last) if last.contact != asked.known.contact => {
                let last = last.clone();
                match &self.change {
                    Some(change) if change.is_for(asked, now_ms) => {
                        if now_ms < change.until_ms {
                            return Decision::Wait { until_ms: change.until_ms, tell: None };
                        }
                    }
                    Some(_) | None => {
                        if let Err(over) = self.count(counters, limits, now_ms) {
                            return over;
                        }
                        let until_ms = now_ms.saturating_add(wait_ms);
                        self.change = Some(Change { contact: asked.known.contact, until_ms });
                        return Decision::Wait { until_ms, tell: Some(last) };
                    }
                }
            }
            Some(_) => returned = self.change.take().is_some(),
            None => {}
        }
        if self.counted == Some(asked.message) {
            if let Err(full) = counters.again.room(limits.all, now_ms) {
                return Decision::Over { limit: "again", full };
            }
            counters.again.add(now_ms);
        } else {
            if let Err(over) = self.count(counters, limits, now_ms) {
                return over;
            }
            self.counted = Some(asked.message);
        }
        self.trying = Some(asked.known.clone());
        Decision::Admit { returned }
    }

    fn count(&mut self, counters: &mut Counters, limits: &Limits, now_ms: u64) -> Result<(), Decision> {
        for (limit, window, rate) in [
            ("card", &self.window, limits.card),
            ("contact", &counters.contact, limits.contact),
            ("all", &counters.all, limits.all),
        ] {
            window.room(rate, now_ms).map_err(|full| Decision::Over { limit, full })?;
        }
        for window in [&mut self.window, &mut counters.contact, &mut counters.all] {
            window.add(now_ms);
        }
        Ok(())
    }

    /// Notes how the message that was admitted ended.
    pub(super) fn end(&mut self, ended: Ended) {
        let Some(tried) = self.trying.take() else { return };
        match ended {
            Ended::NotSent => {}
            Ended::Sent | Ended::Unknown => {
                self.last = Some(tried);
                self.change = None;
            }
        }
        if ended == Ended::Sent {
            self.counted = None;
        }
    }
}

impl Change {
    fn is_for(&self, asked: &Asked, now_ms: u64) -> bool {
        self.contact == asked.known.contact && now_ms < self.until_ms.saturating_add(VALID_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: u64 = 1_800_000_000_000;
    const HOUR: u64 = 3_600_000;
    const WAIT: u64 = 72 * HOUR;
    const LIMITS: Limits = Limits {
        card: Rate { hour: 3, day: 6 },
        contact: Rate { hour: 5, day: 10 },
        all: Rate { hour: 100, day: 100 },
    };

    struct Desk(Memory, Counters);

    impl Desk {
        fn new() -> Self {
            Self(
                Memory::default(),
                Counters { contact: Window::default(), all: Window::default(), again: Window::default() },
            )
        }

        fn ask(&mut self, contact: u8, message: u8, now_ms: u64) -> Decision {
            let known = Known { contact: Commitment([contact; 32]), sealed: hex::encode([contact]) };
            let asked = Asked { known, message: Commitment([message; 32]) };
            self.0.decide(&mut self.1, &LIMITS, WAIT, &asked, now_ms)
        }

        fn sent(&mut self, contact: u8, message: u8, now_ms: u64) {
            let decision = self.ask(contact, message, now_ms);
            assert!(matches!(decision, Decision::Admit { .. }), "{decision:?}");
            self.0.end(Ended::Sent);
        }
    }

    fn until(decision: &Decision) -> (u64, Option<&str>) {
        match decision {
            Decision::Wait { until_ms, tell } => {
                (*until_ms, tell.as_ref().map(|known| known.sealed.as_str()))
            }
            Decision::Admit { .. } | Decision::Over { .. } => panic!("{decision:?}"),
        }
    }

    #[test]
    fn another_contact_waits_and_the_former_one_is_told_once() {
        let mut desk = Desk::new();
        desk.sent(1, 1, T);
        assert_eq!(until(&desk.ask(2, 2, T + HOUR)), (T + HOUR + WAIT, Some("01")));
        assert_eq!(until(&desk.ask(2, 2, T + 2 * HOUR)), (T + HOUR + WAIT, None));
        assert_eq!(until(&desk.ask(2, 3, T + HOUR + WAIT - 1)), (T + HOUR + WAIT, None));
        desk.sent(2, 3, T + HOUR + WAIT);
        desk.sent(2, 4, T + HOUR + WAIT);
        assert_eq!(until(&desk.ask(1, 5, T + 80 * HOUR)).1, Some("02"));
    }

    #[test]
    fn the_former_contact_again_ends_the_wait_and_a_third_one_begins_it_anew() {
        let mut desk = Desk::new();
        desk.sent(1, 1, T);
        until(&desk.ask(2, 2, T));
        assert_eq!(desk.ask(1, 3, T + HOUR), Decision::Admit { returned: true });
        desk.0.end(Ended::Sent);
        assert_eq!(until(&desk.ask(2, 2, T + 2 * HOUR)), (T + 2 * HOUR + WAIT, Some("01")));
        assert_eq!(until(&desk.ask(3, 4, T + 26 * HOUR)), (T + 26 * HOUR + WAIT, Some("01")));
        assert_eq!(until(&desk.ask(2, 2, T + 27 * HOUR)), (T + 27 * HOUR + WAIT, Some("01")));
    }

    #[test]
    fn a_wait_that_ended_long_ago_does_not_count() {
        let mut desk = Desk::new();
        desk.sent(1, 1, T);
        until(&desk.ask(2, 2, T));
        let late = T + WAIT + VALID_MS;
        assert_eq!(until(&desk.ask(2, 2, late)), (late + WAIT, Some("01")));
    }

    #[test]
    fn a_contact_that_got_nothing_is_not_the_last_one() {
        let mut desk = Desk::new();
        desk.ask(1, 1, T);
        desk.0.end(Ended::NotSent);
        desk.sent(2, 2, T);
        // A courier that died while it sent may have sent.
        until(&desk.ask(1, 3, T));
        let mut desk = Desk::new();
        desk.ask(1, 1, T);
        assert_eq!(until(&desk.ask(2, 2, T)).1, Some("01"));
    }

    #[test]
    fn a_message_is_counted_once_until_it_is_sent() {
        let mut desk = Desk::new();
        for ended in [Ended::NotSent, Ended::Unknown, Ended::NotSent, Ended::Sent] {
            assert_eq!(desk.ask(1, 1, T), Decision::Admit { returned: false });
            desk.0.end(ended);
        }
        assert_eq!(desk.1.all, {
            let mut one = Window::default();
            one.add(T);
            one
        });
        desk.sent(1, 1, T);
        desk.sent(1, 2, T);
        let Decision::Over { limit, full } = desk.ask(1, 1, T) else { panic!("a fourth message") };
        assert_eq!((limit, full.span), ("card", "hour"));
    }

    #[test]
    fn repetitions_have_a_limit_of_their_own_and_use_no_other_up() {
        let mut desk = Desk::new();
        desk.ask(1, 1, T);
        for _ in 0..LIMITS.all.hour {
            assert_eq!(desk.ask(1, 1, T), Decision::Admit { returned: false });
            desk.0.end(Ended::NotSent);
        }
        assert!(matches!(desk.ask(1, 1, T), Decision::Over { limit: "again", .. }));
        assert_eq!(desk.ask(1, 2, T), Decision::Admit { returned: false });
    }

    #[test]
    fn what_is_over_a_limit_leaves_no_trace_of_a_card_never_seen() {
        let mut desk = Desk::new();
        for message in 0..5 {
            desk.sent(1, message, T);
            desk.0 = Memory::default();
        }
        assert!(matches!(desk.ask(1, 9, T), Decision::Over { limit: "contact", .. }));
        assert_eq!(desk.0, Memory::default());
    }

    #[test]
    fn waits_are_counted_too() {
        let mut desk = Desk::new();
        desk.sent(1, 1, T);
        until(&desk.ask(2, 2, T));
        until(&desk.ask(3, 2, T));
        assert!(matches!(desk.ask(2, 2, T), Decision::Over { limit: "card", .. }));
        assert!(matches!(desk.ask(1, 4, T), Decision::Over { limit: "card", .. }));
    }
}
