//! How many operations with the keys of codes an exported log accounts for: pure, from the events alone.
//!
//! Every such operation follows a durable intent. An outcome says how many there were; an intent without one bounds
//! them. It must never count what no event names.

use std::{collections::HashMap, fmt};

use serde::{Deserialize, Serialize};

/// Most operations with each key after one intent; the service refuses more.
pub const MOST_PER_INTENT: u64 = 256;
/// The most after an intent that does not say how many.
const MOST: Operations =
    Operations { print: MOST_PER_INTENT, deliver: MOST_PER_INTENT, verify: MOST_PER_INTENT };
/// A verification computes two tags, whatever is presented.
const VERIFICATION: Operations = Operations { print: 0, deliver: 0, verify: 2 };

/// Operations by key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Operations {
    /// With the print key.
    pub print: u64,
    /// With the deliver key.
    pub deliver: u64,
    /// With the verify key.
    pub verify: u64,
}

impl Operations {
    /// With all keys together.
    pub const fn sum(self) -> u64 {
        self.print.saturating_add(self.deliver).saturating_add(self.verify)
    }

    const fn is_within(self, most: Self) -> bool {
        self.print <= most.print && self.deliver <= most.deliver && self.verify <= most.verify
    }

    fn add(&mut self, other: Self) {
        self.print = self.print.saturating_add(other.print);
        self.deliver = self.deliver.saturating_add(other.deliver);
        self.verify = self.verify.saturating_add(other.verify);
    }
}

/// As an outcome says it. Only the courier's have a third number.
impl fmt::Display for Operations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "print={} verify={}", self.print, self.verify)?;
        if self.deliver > 0 { write!(f, " deliver={}", self.deliver) } else { Ok(()) }
    }
}

impl Operations {
    /// The inverse of its text.
    pub fn parse(text: &str) -> Option<Self> {
        let (print, rest) = text.strip_prefix("print=")?.split_once(" verify=")?;
        let (verify, deliver) = rest.split_once(" deliver=").unwrap_or((rest, "0"));
        Some(Self {
            print: print.parse().ok()?,
            deliver: deliver.parse().ok()?,
            verify: verify.parse().ok()?,
        })
    }
}

/// What events account for. Where `least` and `most` are equal the number is exact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Bounds {
    /// At least so many.
    pub least: Operations,
    /// At most so many.
    pub most: Operations,
    /// Intents without an outcome, which is why the two differ.
    pub unfinished: u64,
}

/// What a log accounts for.
#[derive(Debug, Default)]
pub struct Account {
    /// Earlier processes.
    before: Bounds,
    /// The last process, from its start on.
    now: Bounds,
    /// The most that an intent without its outcome may have done, by request.
    open: HashMap<String, Operations>,
    /// Most operations with the print key of any hand-out of each card: a repetition derives one of them again, not
    /// necessarily the last.
    handed: HashMap<String, u64>,
}

#[derive(Deserialize)]
struct Event {
    kind: String,
    outcome: String,
    request: String,
    card: Option<String>,
    operations: Option<String>,
    most: Option<String>,
}

impl Account {
    /// Takes the next event of the log, as its bytes.
    ///
    /// # Errors
    /// What is wrong with an event that cannot be read.
    pub fn take(&mut self, event: &str) -> Result<(), String> {
        let event: Event = serde_json::from_str(event).map_err(|e| e.to_string())?;
        match (event.kind.as_str(), event.outcome.as_str()) {
            ("service.started" | "courier.started", _) => {
                let ended = self.since_start();
                add(&mut self.before, ended);
                self.now = Bounds::default();
                self.open.clear();
            }
            ("verification.spent", _) => {
                self.begun(event.request, VERIFICATION);
            }
            ("verification.decided", _) => {
                self.done(&event.request, VERIFICATION)?;
            }
            ("card.activated" | "cip.renewed" | "codes.reprinted", "intent") => {
                self.begun(event.request, Operations { deliver: 0, ..MOST });
            }
            // Of many cards at once, which says itself how many operations it entitles to.
            ("cards.personalised", "intent") => {
                let most = event.most.unwrap_or_default();
                let most = Operations::parse(&most).ok_or_else(|| format!("most {most:?}"))?;
                self.begun(event.request, most);
            }
            ("lease.admitted", _) => {
                self.begun(event.request, Operations { print: 0, ..MOST });
            }
            // Its own intent; no outcome follows.
            ("request.replayed", _) => {
                if let Some(card) = event.card {
                    let print = self.handed.get(&card).copied().unwrap_or(MOST_PER_INTENT);
                    self.unfinished(Operations { print, ..Operations::default() });
                }
            }
            _ => {
                if let Some(text) = event.operations {
                    let done = Operations::parse(&text).ok_or_else(|| format!("operations {text:?}"))?;
                    self.done(&event.request, done)?;
                    if let Some(card) = event.card.filter(|_| event.outcome == "done") {
                        let most = self.handed.entry(card).or_default();
                        *most = done.print.max(*most);
                    }
                }
            }
        }
        Ok(())
    }

    fn begun(&mut self, request: String, most: Operations) {
        // An authority may give one lease twice. What the first came to is then not known.
        if let Some(earlier) = self.open.insert(request, most) {
            self.unfinished(earlier);
        }
    }

    fn unfinished(&mut self, most: Operations) {
        self.now.most.add(most);
        self.now.unfinished = self.now.unfinished.saturating_add(1);
    }

    fn done(&mut self, request: &str, done: Operations) -> Result<(), String> {
        let most =
            self.open.remove(request).ok_or_else(|| format!("an outcome of {request} without its intent"))?;
        if !done.is_within(most) {
            return Err(format!("the outcome of {request} has more operations than its intent allows"));
        }
        self.now.least.add(done);
        self.now.most.add(done);
        Ok(())
    }

    /// Since the last start of the service: to be compared with the counters of the process.
    pub fn since_start(&self) -> Bounds {
        let mut now = self.now;
        for most in self.open.values() {
            now.most.add(*most);
            now.unfinished = now.unfinished.saturating_add(1);
        }
        now
    }

    /// Over the whole log: to be compared with the HSM's own counters.
    pub fn total(&self) -> Bounds {
        let mut total = self.before;
        add(&mut total, self.since_start());
        total
    }
}

fn add(sum: &mut Bounds, other: Bounds) {
    sum.least.add(other.least);
    sum.most.add(other.most);
    sum.unfinished = sum.unfinished.saturating_add(other.unfinished);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(events: &[(&str, &str, &str, Option<&str>)]) -> Result<Account, String> {
        let mut account = Account::default();
        for (kind, outcome, request, operations) in events {
            let mut event =
                serde_json::json!({ "kind": kind, "outcome": outcome, "request": request, "card": "c" });
            if let Some(text) = operations {
                event["operations"] = (*text).into();
            }
            account.take(&event.to_string())?;
        }
        Ok(account)
    }

    const START: (&str, &str, &str, Option<&str>) = ("service.started", "done", "s", None);
    const HANDED: [(&str, &str, &str, Option<&str>); 2] =
        [("card.activated", "intent", "a", None), ("card.activated", "done", "a", Some("print=3 verify=1"))];

    #[test]
    fn outcomes_are_exact_and_starts_part_processes() {
        let mut events = vec![START];
        events.extend(HANDED);
        events.extend([START, ("verification.spent", "intent", "v", None)]);
        events.push(("verification.decided", "rejected", "v", None));
        let account = account(&events).unwrap();
        let exact = |print, verify| {
            let both = Operations { print, deliver: 0, verify };
            Bounds { least: both, most: both, unfinished: 0 }
        };
        assert_eq!(account.since_start(), exact(0, 2));
        assert_eq!(account.total(), exact(3, 3));
    }

    #[test]
    fn intents_without_an_outcome_are_bounds_and_stay_so() {
        let events =
            [START, ("card.activated", "intent", "a", None), ("verification.spent", "intent", "v", None)];
        let open = account(&events).unwrap();
        let most = Operations { print: MOST_PER_INTENT, deliver: 0, verify: MOST_PER_INTENT + 2 };
        assert_eq!(open.since_start(), Bounds { least: Operations::default(), most, unfinished: 2 });
        let after = account(&[&events[..], &[START]].concat()).unwrap();
        assert_eq!((after.since_start(), after.total()), (Bounds::default(), open.total()));
    }

    #[test]
    fn a_repetition_derives_at_most_what_the_hand_out_did() {
        let repeated = account(&[&HANDED[..], &[("request.replayed", "done", "r", None)]].concat()).unwrap();
        let most = Operations { print: 6, deliver: 0, verify: 1 };
        assert_eq!(repeated.total().most, most);
        assert_eq!(repeated.total().least, Operations { print: 3, deliver: 0, verify: 1 });
    }

    #[test]
    fn a_repetition_may_be_of_an_older_and_larger_hand_out() {
        let reprint = [
            ("codes.reprinted", "intent", "b", None),
            ("codes.reprinted", "done", "b", Some("print=2 verify=0")),
        ];
        let repeated = [("request.replayed", "done", "r", None)];
        let account = account(&[&HANDED[..], &reprint, &repeated].concat()).unwrap();
        assert_eq!(account.total().most, Operations { print: 3 + 2 + 3, deliver: 0, verify: 1 });
    }

    #[test]
    fn a_new_cip_is_a_hand_out_too() {
        let renewal = [
            ("cip.renewed", "intent", "n", None),
            ("cip.renewed", "done", "n", Some("print=1 verify=1")),
            ("request.replayed", "done", "r", None),
        ];
        let account = account(&renewal).unwrap().total();
        assert_eq!(account.least, Operations { print: 1, deliver: 0, verify: 1 });
        assert_eq!(account.most, Operations { print: 2, deliver: 0, verify: 1 });
    }

    #[test]
    fn a_couriers_log_is_read_alike_and_a_lease_admitted_twice_counts_twice() {
        let admitted = ("lease.admitted", "intent", "l", None);
        let ended = ("lease.ended", "done", "l", Some("print=0 verify=1 deliver=3"));
        let once = account(&[("courier.started", "done", "s", None), admitted, ended]).unwrap();
        let did = Operations { print: 0, deliver: 3, verify: 1 };
        assert_eq!(once.since_start(), Bounds { least: did, most: did, unfinished: 0 });
        // The end of the first was not written.
        let twice = account(&[admitted, admitted, ended]).unwrap().total();
        let most = Operations { print: 0, deliver: MOST_PER_INTENT + 3, verify: MOST_PER_INTENT + 1 };
        assert_eq!(twice, Bounds { least: did, most, unfinished: 1 });
    }

    #[test]
    fn an_outcome_without_an_intent_or_beyond_it_is_refused() {
        account(&HANDED[1..]).unwrap_err();
        account(&[("verification.decided", "accepted", "v", None)]).unwrap_err();
        account(&[HANDED[0], ("card.activated", "done", "a", Some("print=257 verify=1"))]).unwrap_err();
        account(&[HANDED[0], ("card.activated", "done", "a", Some("print=x"))]).unwrap_err();
        account(&[HANDED[0], ("card.activated", "done", "a", Some("print=3 verify=1 deliver=1"))])
            .unwrap_err();
    }
}
