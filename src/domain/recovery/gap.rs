//! What evidence tells of a gap, event by event. Pure.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{
    super::{
        applicant::Role,
        audit::{Head, Kind, Outcome, time_ms},
        card::{Activation, Reason},
        id::CardId,
    },
    Binding, OperatorTold,
};

/// What happened to a card in the gap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Touched {
    /// The last try that was granted: its ticket's number, 0 for none.
    pub spent: u32,
    /// When it was activated, milliseconds since 1970 UTC.
    pub activated_at_ms: Option<u64>,
    /// How, where the event says so.
    pub activation: Option<Activation>,
    /// The generation of its C.I.P. that the last renewal came to; 0 for none.
    pub cip_generation: u32,
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
    told: Told,
}

/// What evidence tells of a gap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Cards that were touched.
    pub cards: BTreeMap<CardId, Touched>,
    /// Operators whose card was registered, ended or held, by their name in events.
    pub operators: BTreeMap<[u8; 16], OperatorTold>,
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
    activation: Option<String>,
    applicant: Option<String>,
    generation: Option<String>,
    operator: Option<String>,
    key: Option<String>,
    replaces: Option<String>,
    former: Option<String>,
    registered_at: Option<String>,
}

impl Gap {
    /// The gap after the end of a store's log, which goes up to the newest checkpoint that is known, or further.
    pub fn after(store: Head, known: Head) -> Self {
        let met = store == Head::EMPTY;
        Self { from: store, known, met, end: 0, bad: None, told: Told::default() }
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
        self.read_operator(&logged)?;
        let Some(card) = logged.card else { return Ok(()) };
        let done = logged.outcome == Outcome::Done;
        let at_ms = || time_ms(&logged.at).ok_or_else(|| "its time".to_owned());
        match logged.kind {
            // These change nothing of a card.
            Kind::ApprovalAsked
            | Kind::ApprovalShown
            | Kind::ApprovalSigned
            | Kind::CardExported
            | Kind::CardLookedUp
            // The older store has it again, and the note that destroys it.
            | Kind::CardSaltDestroyed
            | Kind::ConsentsRead
            | Kind::ConsentsRecorded
            | Kind::CardsPersonalised
            | Kind::DeliveryLookedUp
            | Kind::HistoryRead
            | Kind::LimitReached
            | Kind::ReportRead
            | Kind::ReaderHandedOver
            | Kind::ReaderStocked
            | Kind::RequestRefused
            | Kind::RequestReplayed
            | Kind::AuditKeyReplaced
            | Kind::AuditRead
            | Kind::OperationsUnaccounted
            | Kind::OperatorDeregistered
            | Kind::OperatorRecovered
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
                let touched = self.touch(card);
                touched.activated_at_ms = Some(at_ms()?);
                // Said where the role of who asked does not say it: the holder alone is not the holder in person.
                let said = logged.activation.as_deref().and_then(Activation::of);
                let of_role = logged.applicant.as_deref().and_then(Role::of).map(Activation::from);
                touched.activation = said.or(of_role);
            }
            Kind::CipRenewed if done => self.renewed(card, logged.generation.as_deref())?,
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
                            let touched = self.touch(card);
                            touched.activated_at_ms = Some(at_ms);
                            touched.activation = logged.activation.as_deref().and_then(Activation::of);
                        }
                        "cip_voided" => self.renewed(card, logged.generation.as_deref())?,
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
            // An unlock is not repeated: the recovery locks again what it gave back.
            | Kind::CipUnlocked
            | Kind::CipRenewed
            | Kind::CodesReprinted
            | Kind::ContactChanged
            | Kind::DeliveryExpired
            | Kind::DeliveryResent
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

    fn renewed(&mut self, card: CardId, generation: Option<&str>) -> Result<(), String> {
        let generation = generation.and_then(|text| text.parse().ok());
        let generation: u32 = generation.ok_or_else(|| "the generation of its C.I.P.".to_owned())?;
        let touched = self.touch(card);
        touched.cip_generation = touched.cip_generation.max(generation);
        Ok(())
    }

    fn touch(&mut self, card: CardId) -> &mut Touched {
        self.told.cards.entry(card).or_default()
    }

    /// What an event says of an operator's card.
    fn read_operator(&mut self, logged: &Logged) -> Result<(), String> {
        let registered = |at: Option<&str>| {
            let at_ms = at.and_then(time_ms).ok_or("when it was registered")?;
            Ok(Binding::Registered { key: commitment(logged.key.as_deref())?, at_ms })
        };
        let last = match (logged.kind, logged.outcome, logged.changes.as_deref()) {
            (Kind::OperatorRegistered, Outcome::Done, _) => registered(Some(&logged.at)),
            (Kind::OperatorDeregistered, Outcome::Done, _) => Ok(Binding::Ended),
            // What an earlier recovery did, of a gap that this log does not hold.
            (Kind::OperatorRecovered, Outcome::Done, Some("registered")) => {
                registered(logged.registered_at.as_deref())
            }
            (Kind::OperatorRecovered, Outcome::Done, Some("ended")) => Ok(Binding::Ended),
            (Kind::OperatorRecovered, Outcome::Done, Some("held")) => {
                commitment(logged.key.as_deref()).map(|key| Binding::Held { key })
            }
            (Kind::OperatorRecovered, ..) => Err("its changes".to_owned()),
            _ => return Ok(()),
        }?;
        let name = logged.operator.as_deref().and_then(bytes).ok_or("its operator")?;
        let deregistered = (logged.kind == Kind::OperatorDeregistered).then_some(&logged.key);
        let ended = [&logged.replaces, &logged.former].into_iter().chain(deregistered).flatten();
        let ended = ended.flat_map(|keys| keys.split(',')).filter(|key| !key.is_empty());
        let ended = ended.map(|key| commitment(Some(key))).collect::<Result<Vec<_>, _>>()?;
        if logged.kind == Kind::OperatorDeregistered && ended.is_empty() {
            return Err("its key".to_owned());
        }
        self.told.operators.entry(name).or_default().then(last, ended);
        Ok(())
    }

    /// What it tells, if the evidence goes on from the store's log up to what is known at least.
    pub fn told(self) -> Result<Told, BadEvidence> {
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
        Ok(self.told)
    }
}

fn bytes(digits: &str) -> Option<[u8; 16]> {
    let mut out = [0; 16];
    hex::decode_to_slice(digits, &mut out).ok()?;
    Some(out)
}

/// A commitment to the key of a card, in the one form that records have it in.
fn commitment(text: Option<&str>) -> Result<String, String> {
    let key = text.and_then(bytes).map(hex::encode);
    key.filter(|key| Some(key.as_str()) == text).ok_or_else(|| "its key".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::applicant::Title;

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
            event("card.activated", "done", 5, ",\"applicant\":\"proxy:guardian\""),
            event("card.revoked", "done", 6, ",\"reason\":\"stolen\""),
            event("card.registered", "done", 7, ""),
            event("card.activated", "done", 8, ",\"applicant\":\"holder\",\"activation\":\"self_service\""),
            event("consents.recorded", "done", 9, ""),
            event("reader.handed_over", "done", 9, ""),
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
        let cards = read(head(1), events.len()).told().map(|told| told.cards).unwrap();
        let at_ms = 1_767_225_600_000;
        let none = Touched::default();
        let by_guardian = Some(Activation::Proxy(Title::Guardian));
        let expected = BTreeMap::from([
            (id(3), Touched { spent: 2, ..none }),
            (id(4), none),
            (id(5), Touched { activated_at_ms: Some(at_ms), activation: by_guardian, ..none }),
            (id(6), Touched { revoked: Some((Reason::Stolen, at_ms)), ..none }),
            (id(7), Touched { registered: true, ..none }),
            (
                id(8),
                Touched { activated_at_ms: Some(at_ms), activation: Some(Activation::SelfService), ..none },
            ),
        ]);
        assert_eq!(cards, expected);
        assert_eq!(read(Head::EMPTY, 8).told().map(|told| told.cards).unwrap().len(), 6);
        assert_eq!(
            read(head(1), 7).told().map(|told| told.cards),
            Err(BadEvidence::TooShort { end: 7, known: 8 })
        );
        let late = Head { seq: 900, hash: [9; 32] };
        assert_eq!(
            read(late, 8).told().map(|told| told.cards),
            Err(BadEvidence::BeforeStore { end: 8, store: 900 })
        );
        let other = Head { seq: 3, hash: [99; 32] };
        assert_eq!(read(other, 8).told().map(|told| told.cards), Err(BadEvidence::OtherBranch));
        let mut gap = Gap::after(head(1), Head { seq: 4, hash: [99; 32] });
        for (seq, event) in (1..).zip(&events) {
            gap.take(&head(seq), event);
        }
        assert_eq!(
            gap.told().map(|told| told.cards),
            Err(BadEvidence::OtherBranch),
            "not the known checkpoint's history"
        );
        let one = |event: &str| {
            let mut gap = Gap::after(Head::EMPTY, head(1));
            gap.take(&head(1), event);
            gap.told().map(|told| told.cards)
        };
        let eaten = event("card.eaten", "done", 1, "");
        assert!(matches!(one(&eaten), Err(BadEvidence::Event { seq: 1, .. })));

        // A second recovery gives nothing back that the first one took away.
        let recovered = |rest: &str| one(&event("card.recovered", "done", 1, rest));
        let told = |touched: Touched| Ok(BTreeMap::from([(id(1), touched)]));
        assert_eq!(recovered(",\"changes\":\"held,locked\""), told(Touched { held: true, ..none }));
        assert_eq!(recovered(",\"changes\":\"locked\""), told(none));
        let activated = ",\"changes\":\"activated,locked\",\"activated_at\":\"2026-01-01T00:00:00.000Z\"";
        let voided = recovered(",\"changes\":\"cip_voided,locked\",\"generation\":\"3\"");
        assert_eq!(voided, told(Touched { cip_generation: 3, ..none }));
        assert_eq!(recovered(activated), told(Touched { activated_at_ms: Some(at_ms), ..none }));
        let with_guardian = format!("{activated},\"activation\":\"proxy:guardian\"");
        let activated_at_ms = Some(at_ms);
        assert_eq!(
            recovered(&with_guardian),
            told(Touched { activated_at_ms, activation: by_guardian, ..none })
        );
        for bad in [",\"changes\":\"activated\"", ",\"changes\":\"eaten\""] {
            assert!(matches!(recovered(bad), Err(BadEvidence::Event { seq: 1, .. })), "{bad}");
        }
    }

    #[test]
    fn the_gap_is_what_became_of_operators_cards_too() {
        let key = |n: u8| hex::encode([n; 16]);
        let read = |events: &[(&str, &str, String)]| {
            let known = Head { seq: u64::try_from(events.len()).unwrap(), hash: [9; 32] };
            let mut gap = Gap::after(Head::EMPTY, known);
            for (seq, (kind, outcome, rest)) in (1..).zip(events) {
                let event = format!(
                    "{{\"at\":\"2026-01-01T00:00:00.000Z\",\"kind\":\"operator.{kind}\",\
                     \"outcome\":\"{outcome}\"{rest}}}"
                );
                gap.take(&Head { seq, hash: [9; 32] }, &event);
            }
            gap.told().map(|told| told.operators)
        };
        let says = |operator: u8, pairs: &[(&str, &str)]| {
            let pairs = pairs.iter().map(|(name, value)| format!(",\"{name}\":\"{value}\""));
            format!(",\"operator\":\"{}\"{}", key(operator), pairs.collect::<String>())
        };
        let (at, at_ms) = ("2026-01-01T00:00:00.000Z", 1_767_225_600_000);
        let told = read(&[
            ("registered", "done", says(1, &[("key", &key(11))])),
            ("registered", "refused", says(2, &[("key", &key(12)), ("reason", "bad_signature")])),
            ("registered", "done", says(1, &[("key", &key(13)), ("replaces", &key(11))])),
            ("deregistered", "done", says(3, &[("key", &key(14))])),
            ("registered", "done", says(3, &[("key", &key(15))])),
            ("deregistered", "done", says(4, &[("key", &key(16))])),
            ("deregistered", "refused", says(5, &[("reason", "operator_not_registered")])),
            ("registration_opened", "done", says(6, &[("key", &key(17))])),
            ("recovered", "done", says(7, &[("changes", "held"), ("key", &key(18))])),
            ("recovered", "done", says(8, &[("changes", "ended"), ("former", &(key(19) + "," + &key(20)))])),
            (
                "recovered",
                "done",
                says(9, &[("changes", "registered"), ("key", &key(21)), ("registered_at", at)]),
            ),
        ]);
        let bound = |n| Binding::Registered { key: key(n), at_ms };
        let ended = |ended: &[u8]| ended.iter().copied().map(key).collect::<Vec<_>>();
        let expected = [
            (1, bound(13), ended(&[11])),
            (3, bound(15), ended(&[14])),
            (4, Binding::Ended, ended(&[16])),
            (7, Binding::Held { key: key(18) }, ended(&[])),
            (8, Binding::Ended, ended(&[19, 20])),
            (9, bound(21), ended(&[])),
        ];
        let expected = expected.map(|(n, last, ended)| ([n; 16], OperatorTold { last, ended }));
        assert_eq!(told.unwrap(), BTreeMap::from(expected));
        for bad in [
            ("registered", says(1, &[])),
            ("registered", says(1, &[("key", "11")])),
            ("registered", says(1, &[("key", &key(0xab).to_uppercase())])),
            ("registered", format!(",\"key\":\"{}\"", key(1))),
            ("deregistered", says(1, &[])),
            ("recovered", says(1, &[("changes", "eaten"), ("key", &key(1))])),
            ("recovered", says(1, &[("changes", "registered"), ("key", &key(1))])),
            ("recovered", says(1, &[("changes", "held")])),
        ] {
            let read = read(&[(bad.0, "done", bad.1.clone())]);
            assert!(matches!(read, Err(BadEvidence::Event { seq: 1, .. })), "{bad:?}");
        }
    }
}
