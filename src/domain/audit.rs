//! Audit events and the chain that binds them: pure, the same code writes the log and verifies an export.
//!
//! An event's bytes are one line of JSON, kept as written. The chain is
//! `hash(n) = SHA-256("sigillo audit event v1\n" || hash(n-1) || u32 length || bytes)`, `hash(0)` 32 zero bytes;
//! the first event has sequence number 1, which its bytes hold too.

use std::fmt;

use aws_lc_rs::digest;
use serde::{Deserialize, Serialize, Serializer, ser::SerializeMap};

use super::{id::RequestId, tries::Ticket};

/// What an event is about. The text is part of the log's format: it never changes, it is only added to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// An approval was asked for.
    #[serde(rename = "approval.asked")]
    ApprovalAsked,
    /// The text of an approval was shown.
    #[serde(rename = "approval.shown")]
    ApprovalShown,
    /// Another operator signed it.
    #[serde(rename = "approval.signed")]
    ApprovalSigned,
    /// Another audit key signs for the log from here on: `handover` says which, by the word of both.
    #[serde(rename = "audit.key_replaced")]
    AuditKeyReplaced,
    /// A card became usable and its first parts were handed out, or that was refused.
    #[serde(rename = "card.activated")]
    CardActivated,
    /// What a card's codes are derived from left for the making of its chip, or that was refused.
    #[serde(rename = "card.exported")]
    CardExported,
    /// A card was looked up.
    #[serde(rename = "card.looked_up")]
    CardLookedUp,
    /// A produced card entered the register.
    #[serde(rename = "card.registered")]
    CardRegistered,
    /// A recovery locked a card's C.I.P., and did with the card what `changes` says.
    #[serde(rename = "card.recovered")]
    CardRecovered,
    /// A card was revoked for good.
    #[serde(rename = "card.revoked")]
    CardRevoked,
    /// Figures were read, or that was refused.
    #[serde(rename = "report.read")]
    ReportRead,
    /// The salt of a revoked card is gone: no code of it can be derived again.
    #[serde(rename = "card.salt_destroyed")]
    CardSaltDestroyed,
    /// A card got a new C.I.P. and the former one died, or that was refused.
    #[serde(rename = "cip.renewed")]
    CipRenewed,
    /// The wrong guesses that locked a C.I.P. were forgiven, or that was refused.
    #[serde(rename = "cip.unlocked")]
    CipUnlocked,
    /// Consents to the health record were read.
    #[serde(rename = "consents.read")]
    ConsentsRead,
    /// Consents to the health record were recorded, or that was refused.
    #[serde(rename = "consents.recorded")]
    ConsentsRecorded,
    /// An operation was refused before it reached a card.
    #[serde(rename = "request.refused")]
    RequestRefused,
    /// A request was repeated with its idempotency key and had no second effect.
    #[serde(rename = "request.replayed")]
    RequestReplayed,
    /// Offline, in a log of its own: chips' codes are joined from both parts, or were.
    #[serde(rename = "cards.personalised")]
    CardsPersonalised,
    /// First parts were handed out again.
    #[serde(rename = "codes.reprinted")]
    CodesReprinted,
    /// Second parts go to another contact than was given first, or that was refused.
    #[serde(rename = "contact.changed")]
    ContactChanged,
    /// What could not be sent in time is given up.
    #[serde(rename = "delivery.expired")]
    DeliveryExpired,
    /// A message is to be sent once more, or that was refused.
    #[serde(rename = "delivery.resent")]
    DeliveryResent,
    /// Second parts wait to be sent.
    #[serde(rename = "delivery.queued")]
    DeliveryQueued,
    /// The courier holds a delivery.
    #[serde(rename = "delivery.leased")]
    DeliveryLeased,
    /// A delivery was looked up.
    #[serde(rename = "delivery.looked_up")]
    DeliveryLookedUp,
    /// The courier said what became of a delivery.
    #[serde(rename = "delivery.reported")]
    DeliveryReported,
    /// A newer request made a delivery pointless.
    #[serde(rename = "delivery.cancelled")]
    DeliveryCancelled,
    /// Courier: the authority showed a checkpoint that does not follow the one kept; nothing was taken from it.
    #[serde(rename = "authority.refused")]
    AuthorityRefused,
    /// Courier: a former contact was told that another one was asked for, or could not be.
    #[serde(rename = "contact.notified")]
    ContactNotified,
    /// Courier: it started with the policy named.
    #[serde(rename = "courier.started")]
    CourierStarted,
    /// Courier: second parts may be derived and sent; counted before that.
    #[serde(rename = "lease.admitted")]
    LeaseAdmitted,
    /// Courier: what became of an admitted lease.
    #[serde(rename = "lease.ended")]
    LeaseEnded,
    /// Courier: its policy or the form of the lease forbids it.
    #[serde(rename = "lease.refused")]
    LeaseRefused,
    /// Courier: not now; `reason` and `until` say more.
    #[serde(rename = "lease.waiting")]
    LeaseWaiting,
    /// Courier: so many events of leases that came to nothing were not written, since there were too many of them.
    #[serde(rename = "leases.unwritten")]
    LeasesUnwritten,
    /// The history of a card was read, or that was refused.
    #[serde(rename = "history.read")]
    HistoryRead,
    /// A limit left nothing for the rest of its window; said once in a window.
    #[serde(rename = "limit.reached")]
    LimitReached,
    /// The log itself was read.
    #[serde(rename = "audit.read")]
    AuditRead,
    /// Keys of codes were used without an intent.
    #[serde(rename = "operations.unaccounted")]
    OperationsUnaccounted,
    /// Officers brought the log back from an older store: what was between `from_seq` and `lost_seq` is not in it.
    #[serde(rename = "store.recovered")]
    StoreRecovered,
    /// The courier kept a checkpoint that this log does not hold: it went back, and serves no more.
    #[serde(rename = "store.gone_back")]
    StoreGoneBack,
    /// The whole store was read, encrypted to the officers.
    #[serde(rename = "store.backed_up")]
    StoreBackedUp,
    /// An operator's card is no operator's card any more, or was none.
    #[serde(rename = "operator.deregistered")]
    OperatorDeregistered,
    /// A recovery bound, ended or held an operator's card, as `changes` says.
    #[serde(rename = "operator.recovered")]
    OperatorRecovered,
    /// An operator registered a card, or that was refused.
    #[serde(rename = "operator.registered")]
    OperatorRegistered,
    /// An operator was given a text to sign with the card that is to be registered, or that was refused.
    #[serde(rename = "operator.registration_opened")]
    OperatorRegistrationOpened,
    /// A card reader was handed over, or that was refused.
    #[serde(rename = "reader.handed_over")]
    ReaderHandedOver,
    /// An office took card readers into its stock, or counted them.
    #[serde(rename = "reader.stocked")]
    ReaderStocked,
    /// A policy set came into force.
    #[serde(rename = "policy.activated")]
    PolicyActivated,
    /// A policy set was refused; the one in force stays.
    #[serde(rename = "policy.refused")]
    PolicyRefused,
    /// The service started with the policy set named.
    #[serde(rename = "service.started")]
    ServiceStarted,
    /// A front end asked who its operator is and what they may do.
    #[serde(rename = "session.shown")]
    SessionShown,
    /// A try was spent, before anything was evaluated.
    #[serde(rename = "verification.spent")]
    VerificationSpent,
    /// A presented C.I.P. was accepted or rejected.
    #[serde(rename = "verification.decided")]
    VerificationDecided,
}

impl Kind {
    /// The kind with this text.
    pub fn from_text(text: &str) -> Option<Self> {
        let from = serde::de::value::StrDeserializer::<serde::de::value::Error>::new(text);
        Self::deserialize(from).ok()
    }
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The presented code is right, the card active, and a try was left.
    Accepted,
    /// Done.
    Done,
    /// What is about to be done; the next event of the same request says how it ended.
    Intent,
    /// Refused; `reason` says why.
    Refused,
    /// The presented code was not accepted. The wire does not say why; `checks` does, to the auditor.
    Rejected,
}

impl Outcome {
    /// The outcome with this text.
    pub fn from_text(text: &str) -> Option<Self> {
        let from = serde::de::value::StrDeserializer::<serde::de::value::Error>::new(text);
        Self::deserialize(from).ok()
    }
}

/// An event before it has its place in the chain.
#[derive(Clone, Debug)]
pub struct Event {
    /// Milliseconds since 1970 UTC.
    pub at_ms: u64,
    /// What it is about.
    pub kind: Kind,
    /// How it ended.
    pub outcome: Outcome,
    /// Front end, by its name in the policy; `courier`; or `sigillo` for what the service does by itself.
    pub caller: String,
    /// The request that caused it.
    pub request: RequestId,
    /// SHA-256 of the policy set in force, hexadecimal.
    pub policy: String,
    /// The card's id, or for an unknown card a commitment of the same size under the index key.
    pub card: Option<[u8; 16]>,
    /// Whether the unit's `Spend` was granted and with which ticket: filled in by the store.
    pub with_ticket: bool,
    /// References, reasons and keyed commitments. Never a code, a part, a contact or an unkeyed digest of one.
    pub detail: Vec<(&'static str, String)>,
}

impl Event {
    /// The event, saying one thing more.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.detail.push((name, value.into()));
        self
    }

    /// The event's bytes at its place in the chain.
    #[expect(
        clippy::expect_used,
        reason = "strings and numbers are always JSON, and memory takes what is written"
    )]
    pub fn encode(&self, seq: u64, ticket: Option<Ticket>) -> Vec<u8> {
        let mut out = Vec::with_capacity(USUAL_SIZE);
        let mut to = serde_json::Serializer::new(&mut out);
        Placed { event: self, seq, ticket }.serialize(&mut to).expect("an event is JSON");
        out
    }
}

/// More bytes than most events have: their memory is taken once.
const USUAL_SIZE: usize = 640;

/// An event at its place in the chain.
struct Placed<'a> {
    event: &'a Event,
    seq: u64,
    ticket: Option<Ticket>,
}

impl Serialize for Placed<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Self { event, seq, ticket } = self;
        let mut map = to.serialize_map(None)?;
        map.serialize_entry("seq", seq)?;
        map.serialize_entry("at", &time_text(event.at_ms))?;
        map.serialize_entry("kind", &event.kind)?;
        map.serialize_entry("outcome", &event.outcome)?;
        map.serialize_entry("caller", &event.caller)?;
        map.serialize_entry("request", &event.request.to_string())?;
        map.serialize_entry("policy", &event.policy)?;
        if let Some(card) = &event.card {
            map.serialize_entry("card", &hex::encode(card))?;
        }
        if event.with_ticket {
            let number = ticket.map_or(0, Ticket::number);
            map.serialize_entry("ticket", &format_args!("{number:010}"))?;
        }
        for (index, (name, value)) in event.detail.iter().enumerate() {
            // What is said once more takes the place of what was said.
            if event.detail.iter().skip(index).skip(1).all(|(later, _)| later != name) {
                map.serialize_entry(name, value)?;
            }
        }
        map.end()
    }
}

/// RFC 3339 with milliseconds, UTC.
pub fn time_text(at_ms: u64) -> String {
    i64::try_from(at_ms)
        .ok()
        .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
        .map_or_else(|| "out-of-range".into(), |t| format!("{t:.3}"))
}

/// The inverse of [`time_text`].
pub fn time_ms(text: &str) -> Option<u64> {
    text.parse::<jiff::Timestamp>().ok().and_then(|at| u64::try_from(at.as_millisecond()).ok())
}

/// A place in the chain: sequence number of the last event and the hash up to it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Number of events so far; 0 when there are none.
    pub seq: u64,
    /// Chain hash up to and including event `seq`.
    pub hash: [u8; 32],
}

impl Head {
    /// The empty chain.
    pub const EMPTY: Self = Self { seq: 0, hash: [0; 32] };

    /// The head after one more event with these bytes; nothing when 2^64 events are reached.
    pub fn next(&self, event: &[u8]) -> Option<Self> {
        let length = u32::try_from(event.len()).ok()?;
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(b"sigillo audit event v1\n");
        context.update(&self.hash);
        context.update(&length.to_be_bytes());
        context.update(event);
        let mut hash = [0; 32];
        hash.copy_from_slice(context.finish().as_ref());
        Some(Self { seq: self.seq.checked_add(1)?, hash })
    }
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Head({}, {})", self.seq, hex::encode(self.hash))
    }
}
