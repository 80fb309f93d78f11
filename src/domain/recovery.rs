//! The way back from an older store: the order that officers sign, and what evidence tells of the gap.
//!
//! Evidence is an export of the log. It must never give a try back or make a card alive again: what it cannot tell, it
//! tells as touched.

use std::{collections::BTreeMap, fmt, str::FromStr};

use aws_lc_rs::digest;
use serde::Deserialize;

use super::{
    audit::{Head, Kind, Outcome, time_ms, time_text},
    card::Reason,
    id::{CardId, RequestId},
};

/// What officers order: this store, which is older than what is known, is to be served from again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// The log's name.
    pub log: String,
    /// Where the store's log ends.
    pub store: Head,
    /// The newest checkpoint that is known. Event 0 where none is.
    pub known: Head,
    /// Recoveries before the known checkpoint.
    pub recoveries: u64,
    /// SHA-256 of the evidence; nothing for a recovery without evidence.
    pub evidence: Option<[u8; 32]>,
    /// Digest of the policy set, hexadecimal.
    pub policy: String,
    /// Random: no order is made twice.
    pub nonce: [u8; 16],
    /// Milliseconds since 1970 UTC.
    pub at_ms: u64,
}

const FIRST: &str = "sigillo recovery order v1";

impl Order {
    /// Names the order in events: the start of the text's SHA-256.
    pub fn id(&self) -> RequestId {
        let hash = digest::digest(&digest::SHA256, self.to_string().as_bytes());
        let mut id = [0; 16];
        for (to, from) in id.iter_mut().zip(hash.as_ref()) {
            *to = *from;
        }
        RequestId::new(id)
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { log, store, known, recoveries, evidence, policy, nonce, at_ms } = self;
        let evidence = evidence.map_or_else(|| "none".to_owned(), hex::encode);
        writeln!(f, "{FIRST}\nlog {log}\nstore-seq {}\nstore-hash {}", store.seq, hex::encode(store.hash))?;
        writeln!(f, "known-seq {}\nknown-hash {}", known.seq, hex::encode(known.hash))?;
        writeln!(f, "known-recoveries {recoveries}\nevidence {evidence}\npolicy {policy}")?;
        writeln!(f, "nonce {}\ntime {}", hex::encode(nonce), time_text(*at_ms))
    }
}

/// The text is not an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an order of recovery: {0}")]
pub struct BadOrder(&'static str);

impl FromStr for Order {
    type Err = BadOrder;

    /// Takes the exact text of an order and nothing else: it is what was signed.
    fn from_str(text: &str) -> Result<Self, BadOrder> {
        let mut lines = text.lines();
        if lines.next() != Some(FIRST) {
            return Err(BadOrder("first line"));
        }
        let mut field = |name: &'static str| {
            let value = lines.next().and_then(|line| line.strip_prefix(name)?.strip_prefix(' '));
            value.ok_or(BadOrder(name))
        };
        let log = field("log")?.to_owned();
        let store = head(field("store-seq")?, field("store-hash")?)?;
        let known = head(field("known-seq")?, field("known-hash")?)?;
        let recoveries = field("known-recoveries")?.parse().map_err(|_| BadOrder("known-recoveries"))?;
        let evidence = match field("evidence")? {
            "none" => None,
            digits => Some(bytes(digits).ok_or(BadOrder("evidence"))?),
        };
        let policy = field("policy")?.to_owned();
        let nonce = bytes(field("nonce")?).ok_or(BadOrder("nonce"))?;
        let at_ms = time_ms(field("time")?).ok_or(BadOrder("time"))?;
        let order = Self { log, store, known, recoveries, evidence, policy, nonce, at_ms };
        if order.to_string() == text { Ok(order) } else { Err(BadOrder("not the text that was written")) }
    }
}

fn head(seq: &str, hash: &str) -> Result<Head, BadOrder> {
    let seq = seq.parse().map_err(|_| BadOrder("an event number"))?;
    Ok(Head { seq, hash: bytes(hash).ok_or(BadOrder("a hash"))? })
}

fn bytes<const N: usize>(digits: &str) -> Option<[u8; N]> {
    let mut out = [0; N];
    hex::decode_to_slice(digits, &mut out).ok()?;
    Some(out)
}

/// What happened to a card in the gap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Touched {
    /// The last try that was granted: its ticket's number, 0 for none.
    pub spent: u32,
    /// When it was activated, milliseconds since 1970 UTC.
    pub activated_at_ms: Option<u64>,
    /// That an earlier recovery without evidence held it.
    pub held: bool,
    /// That it was registered.
    pub registered: bool,
    /// Why and when it was revoked.
    pub revoked: Option<(Reason, u64)>,
}

/// Why evidence does not tell of the gap.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadEvidence {
    /// An event that this program does not understand.
    #[error("event {seq} of the evidence cannot be read: {reason}")]
    Event {
        /// Its number.
        seq: u64,
        /// Why.
        reason: String,
    },
    /// The store's log is not the beginning of the evidence.
    #[error(
        "the store's log is not the beginning of the evidence: it went another way. Recover without evidence \
         (--without-events)"
    )]
    OtherBranch,
    /// It ends before the store's log does.
    #[error(
        "the evidence ends at event {end}, before the store's log, which ends at event {store}: take a newer export"
    )]
    BeforeStore {
        /// Its last event.
        end: u64,
        /// The store's.
        store: u64,
    },
    /// It ends before the newest checkpoint that is known.
    #[error(
        "the evidence ends at event {end}, the newest checkpoint known is of event {known}: something is missing. \
         `sigillo audit export-store` takes what is left of the store that was lost"
    )]
    TooShort {
        /// Its last event.
        end: u64,
        /// The checkpoint's.
        known: u64,
    },
}

/// Reads the gap from the events of an export that is being verified.
#[derive(Debug)]
pub struct Gap {
    from: Head,
    known: Head,
    met: bool,
    end: u64,
    bad: Option<BadEvidence>,
    cards: BTreeMap<CardId, Touched>,
}

/// What is read of an event.
#[derive(Deserialize)]
struct Logged {
    at: String,
    kind: Kind,
    outcome: Outcome,
    card: Option<CardId>,
    ticket: Option<String>,
    reason: Option<String>,
    changes: Option<String>,
    activated_at: Option<String>,
}

impl Gap {
    /// The gap after the end of a store's log, which goes up to the newest checkpoint that is known, or further.
    pub fn after(store: Head, known: Head) -> Self {
        let met = store == Head::EMPTY;
        Self { from: store, known, met, end: 0, bad: None, cards: BTreeMap::new() }
    }

    /// Takes the next event with the chain's head after it.
    pub fn take(&mut self, head: &Head, event: &str) {
        self.end = head.seq;
        if *head == self.from {
            self.met = true;
        }
        if head.seq == self.known.seq && *head != self.known {
            self.bad.get_or_insert(BadEvidence::OtherBranch);
        }
        if head.seq > self.from.seq
            && self.bad.is_none()
            && let Err(reason) = self.read(event)
        {
            self.bad = Some(BadEvidence::Event { seq: head.seq, reason });
        }
    }

    fn read(&mut self, event: &str) -> Result<(), String> {
        let logged: Logged = serde_json::from_str(event).map_err(|e| e.to_string())?;
        let Some(card) = logged.card else { return Ok(()) };
        let done = logged.outcome == Outcome::Done;
        let at_ms = || time_ms(&logged.at).ok_or_else(|| "its time".to_owned());
        match logged.kind {
            // These change nothing of a card.
            Kind::ApprovalAsked
            | Kind::ApprovalShown
            | Kind::ApprovalSigned
            | Kind::CardLookedUp
            | Kind::DeliveryLookedUp
            | Kind::LimitReached
            | Kind::RequestRefused
            | Kind::RequestReplayed
            | Kind::AuditRead
            | Kind::OperationsUnaccounted
            | Kind::OperatorDeregistered
            | Kind::OperatorRegistered
            | Kind::OperatorRegistrationOpened
            | Kind::PolicyActivated
            | Kind::PolicyRefused
            | Kind::ServiceStarted
            | Kind::SessionShown
            | Kind::StoreBackedUp
            | Kind::StoreGoneBack
            | Kind::StoreRecovered => return Ok(()),
            Kind::CardActivated if done => {
                self.touch(card).activated_at_ms = Some(at_ms()?);
            }
            Kind::CardRegistered if done => self.touch(card).registered = true,
            Kind::CardRevoked if done => {
                let reason = logged.reason.as_deref().unwrap_or_default();
                let reason = reason.parse::<Reason>().map_err(|e| e.to_string())?;
                self.touch(card).revoked = Some((reason, at_ms()?));
            }
            Kind::VerificationSpent => {
                let ticket = logged.ticket.as_deref().unwrap_or_default();
                let ticket = ticket.parse::<u32>().map_err(|_| "its ticket".to_owned())?;
                let touched = self.touch(card);
                touched.spent = touched.spent.max(ticket);
            }
            // What an earlier recovery took away stays away. Its revocations are events of their own.
            Kind::CardRecovered if done => {
                for change in logged.changes.as_deref().unwrap_or_default().split(',') {
                    match change {
                        "activated" => {
                            let at_ms = logged.activated_at.as_deref().and_then(time_ms);
                            let at_ms = at_ms.ok_or_else(|| "when it was activated".to_owned())?;
                            self.touch(card).activated_at_ms = Some(at_ms);
                        }
                        "held" => self.touch(card).held = true,
                        "" | "locked" | "revoked" => {
                            self.touch(card);
                        }
                        _ => return Err("its changes".to_owned()),
                    }
                }
            }
            Kind::CardActivated
            | Kind::CardRecovered
            | Kind::CardRegistered
            | Kind::CardRevoked
            | Kind::CodesReprinted
            // The courier's own: they are in no log of an authority.
            | Kind::AuthorityRefused
            | Kind::ContactNotified
            | Kind::CourierStarted
            | Kind::LeaseAdmitted
            | Kind::LeaseEnded
            | Kind::LeaseRefused
            | Kind::LeaseWaiting
            | Kind::LeasesUnwritten
            | Kind::DeliveryCancelled
            | Kind::DeliveryLeased
            | Kind::DeliveryQueued
            | Kind::DeliveryReported
            | Kind::VerificationDecided => {
                self.touch(card);
            }
        }
        Ok(())
    }

    fn touch(&mut self, card: CardId) -> &mut Touched {
        self.cards.entry(card).or_default()
    }

    /// The cards that were touched, if the evidence goes on from the store's log up to what is known at least.
    pub fn cards(self) -> Result<BTreeMap<CardId, Touched>, BadEvidence> {
        if let Some(bad) = self.bad {
            return Err(bad);
        }
        if self.end < self.from.seq {
            return Err(BadEvidence::BeforeStore { end: self.end, store: self.from.seq });
        }
        if !self.met {
            return Err(BadEvidence::OtherBranch);
        }
        if self.end < self.known.seq {
            return Err(BadEvidence::TooShort { end: self.end, known: self.known.seq });
        }
        Ok(self.cards)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(evidence: Option<[u8; 32]>) -> Order {
        Order {
            log: "demo".into(),
            store: Head { seq: 7, hash: [7; 32] },
            known: Head { seq: 20, hash: [2; 32] },
            recoveries: 1,
            evidence,
            policy: "ab".repeat(32),
            nonce: [3; 16],
            at_ms: 1_780_000_000_123,
        }
    }

    #[test]
    fn an_order_and_back() {
        for order in [order(None), order(Some([9; 32]))] {
            let text = order.to_string();
            assert_eq!(text.parse::<Order>().unwrap(), order);
            for bad in [
                text.replace("v1", "v2"),
                text.clone() + "more\n",
                text.trim_end().to_owned(),
                text.replace("store-seq 7", "store-seq 07"),
                text.replace("evidence ", "evidence x"),
            ] {
                bad.parse::<Order>().unwrap_err();
            }
        }
        assert_ne!(order(None).id(), order(Some([9; 32])).id());
    }

    #[test]
    fn the_gap_is_what_changed_a_card_after_the_store() {
        let id = |n: u8| CardId::new([n; 16]);
        let event = |kind: &str, outcome: &str, card: u8, rest: &str| {
            let card = id(card);
            format!(
                "{{\"at\":\"2026-01-01T00:00:00.000Z\",\"kind\":\"{kind}\",\"outcome\":\"{outcome}\",\
                 \"card\":\"{card}\"{rest}}}"
            )
        };
        let events = [
            event("verification.spent", "intent", 1, ",\"ticket\":\"0000000004\""),
            event("card.looked_up", "done", 2, ""),
            event("verification.spent", "intent", 3, ",\"ticket\":\"0000000002\""),
            event("verification.spent", "intent", 3, ",\"ticket\":\"0000000000\""),
            event("card.activated", "refused", 4, ",\"reason\":\"card_revoked\""),
            event("card.activated", "done", 5, ""),
            event("card.revoked", "done", 6, ",\"reason\":\"stolen\""),
            event("card.registered", "done", 7, ""),
        ];
        let head =
            |seq: usize| Head { seq: u64::try_from(seq).unwrap(), hash: [u8::try_from(seq).unwrap(); 32] };
        let read = |store: Head, count: usize| {
            let mut gap = Gap::after(store, head(8));
            for (seq, event) in (1..).zip(&events).take(count) {
                gap.take(&head(seq), event);
            }
            gap
        };
        let cards = read(head(1), 8).cards().unwrap();
        let at_ms = 1_767_225_600_000;
        let none = Touched::default();
        let expected = BTreeMap::from([
            (id(3), Touched { spent: 2, ..none }),
            (id(4), none),
            (id(5), Touched { activated_at_ms: Some(at_ms), ..none }),
            (id(6), Touched { revoked: Some((Reason::Stolen, at_ms)), ..none }),
            (id(7), Touched { registered: true, ..none }),
        ]);
        assert_eq!(cards, expected);
        assert_eq!(read(Head::EMPTY, 8).cards().unwrap().len(), 6);
        assert_eq!(read(head(1), 7).cards(), Err(BadEvidence::TooShort { end: 7, known: 8 }));
        let late = Head { seq: 900, hash: [9; 32] };
        assert_eq!(read(late, 8).cards(), Err(BadEvidence::BeforeStore { end: 8, store: 900 }));
        let other = Head { seq: 3, hash: [99; 32] };
        assert_eq!(read(other, 8).cards(), Err(BadEvidence::OtherBranch));
        let mut gap = Gap::after(head(1), Head { seq: 4, hash: [99; 32] });
        for (seq, event) in (1..).zip(&events) {
            gap.take(&head(seq), event);
        }
        assert_eq!(gap.cards(), Err(BadEvidence::OtherBranch), "not the known checkpoint's history");
        let one = |event: &str| {
            let mut gap = Gap::after(Head::EMPTY, head(1));
            gap.take(&head(1), event);
            gap.cards()
        };
        let eaten = event("card.eaten", "done", 1, "");
        assert!(matches!(one(&eaten), Err(BadEvidence::Event { seq: 1, .. })));

        // A second recovery gives nothing back that the first one took away.
        let recovered = |rest: &str| one(&event("card.recovered", "done", 1, rest));
        let told = |touched: Touched| Ok(BTreeMap::from([(id(1), touched)]));
        assert_eq!(recovered(",\"changes\":\"held,locked\""), told(Touched { held: true, ..none }));
        assert_eq!(recovered(",\"changes\":\"locked\""), told(none));
        let activated = ",\"changes\":\"activated,locked\",\"activated_at\":\"2026-01-01T00:00:00.000Z\"";
        assert_eq!(recovered(activated), told(Touched { activated_at_ms: Some(at_ms), ..none }));
        for bad in [",\"changes\":\"activated\"", ",\"changes\":\"eaten\""] {
            assert!(matches!(recovered(bad), Err(BadEvidence::Event { seq: 1, .. })), "{bad}");
        }
    }
}
