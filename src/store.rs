//! Port: where cards, counters and the audit log live.
//!
//! A [`Unit`] is all or nothing, and durable when [`Store::submit`] returns `Applied`. [`Store`] is the one generic
//! shell: it queues units and hands them in batches to an [`Engine`], which alone knows a database (group commit).
//! Reads see what was applied, never what is only queued. They may see it a moment before it is durable: who answers
//! from a read and commits nothing goes no further than [`Store::head`]. Any later commit that is acknowledged proves
//! everything durable that was read before it, since commits are durable in their order.

#[cfg(feature = "testing")]
pub mod hostile;
mod overlay;
mod patrol;
mod record;
mod shell;
mod snapshot;
mod sum;

pub mod durable;
#[cfg(feature = "testing")]
pub mod memory;
pub mod sled;
pub mod watchdog;

pub use patrol::Step;
pub use record::{EVENT_TEXT_MAX, KEY_MAX, UNIT_MAX, VALUE_MAX, logged_event};
pub use shell::{Limits, Stats, Store};
pub use snapshot::{Entry, Snapshot};

use std::sync::Arc;

use crate::domain::{
    audit::{Event, Head},
    limits::{Budget, Use},
    tries::Ticket,
};

/// The kinds of record. The byte is the first of every stored key: it never changes, it is only added to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Space {
    /// `a` and approval id -> approval; `o`, operator's name and a number -> empty: a place that an open one takes.
    Approval = b'a',
    /// `o` and an operator's name, `w` and an office, `f` and a front end -> [`crate::domain::limits::Used`]; `a`, such a key, use
    /// and window -> number of the window whose alarm was raised last; `c` and card id -> [`crate::domain::unlocks::Unlocks`].
    Budget = b'b',
    /// Card id -> card record.
    Card = b'c',
    /// Card id -> id of its latest delivery.
    CardDelivery = b'l',
    /// MAC of the C.F. (16 bytes) and card id -> empty: a person's cards by prefix.
    CfCard = b'f',
    /// `latest` -> the newest signed checkpoint.
    Checkpoint = b'k',
    /// Card id -> what the courier remembers of it. In the courier's own store, as the next two.
    CourierCard = b'j',
    /// `a`, or `m` and a commitment to a mailbox (32 bytes) -> how many messages by minute.
    CourierCount = b'w',
    /// Card id -> notice to its former contact that is still to be sent.
    CourierNotice = b'o',
    /// MAC of the C.F. (16 bytes), kind of consent, 0, [`u32::MAX`] less the number of the record (4 bytes) -> what the person
    /// said: the newest comes first.
    Consent = b'g',
    /// The SMS centre's id of a message -> what it stands for, until its receipt has come. In the courier's own store.
    CourierSms = b'S',
    /// Consumer's name -> sequence number of the last event it has dealt with.
    Cursor = b'u',
    /// Delivery id -> delivery record.
    Delivery = b'd',
    /// `d` and request id -> who asked for it, encrypted; `r` and card id -> [`crate::domain::reprints::Reprints`].
    Dossier = b'y',
    /// Due time in ms (8 bytes) and delivery id -> empty.
    Due = b'q',
    /// Sequence number (8 bytes) -> chain hash (32 bytes) and the event's bytes. Written by the store itself.
    Event = b'e',
    /// MAC of scope and idempotency key -> what became of the first request.
    Idem = b'i',
    /// Expiry in ms (8 bytes) and key of `Dossier`, `Idem` or `Verification`, with its space's byte first -> empty.
    Expiry = b'x',
    /// Made from the log, behind it: `c`, card id and sequence number of an event -> empty; `d` and `h`, a day or an hour and what
    /// is counted ([`crate::domain::counts`]) -> how many events.
    History = b'z',
    /// Name -> value: format of the store, and what only the store itself reads and writes.
    Meta = b'm',
    /// Operator's name in events (16 bytes) -> the registration that is open, one at most.
    OpenRegistration = b'h',
    /// Operator's name in events (16 bytes) -> commitment to the key of the card that is registered.
    OperatorCard = b'r',
    /// `o` and an office -> [`crate::domain::readers::Desk`]; `h` and MAC of the C.F., `f` and MAC of a household (16 bytes) -> when
    /// readers were handed over, as [`crate::domain::reprints::Reprints`].
    Reader = b's',
    /// MAC of the TEAM number (16 bytes) -> card id.
    TeamCard = b't',
    /// Template id -> the template as it was when the first card got it, for ever.
    Template = b'p',
    /// `c` and a card id, or `d` and a decoy number -> [`crate::domain::tries::Tries`].
    Tries = b'n',
    /// Verification id -> what was decided, for whom.
    Verification = b'v',
}

impl Space {
    /// Every space, in the order of its bytes.
    pub const ALL: [Self; 23] = [
        Self::Approval,
        Self::Budget,
        Self::Card,
        Self::Delivery,
        Self::Event,
        Self::CfCard,
        Self::Consent,
        Self::OpenRegistration,
        Self::Idem,
        Self::Checkpoint,
        Self::CardDelivery,
        Self::Meta,
        Self::Tries,
        Self::Template,
        Self::Due,
        Self::OperatorCard,
        Self::Reader,
        Self::TeamCard,
        Self::Cursor,
        Self::Verification,
        Self::Expiry,
        Self::Dossier,
        Self::History,
    ];
}

/// What a guarded operation expects to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// No such key.
    Absent,
    /// Whatever is there, or nothing.
    Any,
    /// Exactly the version that was read.
    Version(u64),
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Charges a budget on [`Space::Budget`], which begins empty; refuses the unit if it has none left.
    Charge {
        /// Which.
        key: Vec<u8>,
        /// When, milliseconds since 1970 UTC.
        at_ms: u64,
        /// Of what: one each.
        uses: &'static [Use],
        /// How much there is.
        budget: Budget,
    },
    /// Removes a record.
    Delete {
        /// Where.
        space: Space,
        /// Which.
        key: Vec<u8>,
        /// Refuses the unit unless met.
        expect: Expect,
    },
    /// Counts a success on [`Space::Tries`]; refuses the unit if there is no such record.
    Forgive {
        /// Which.
        key: Vec<u8>,
        /// The ticket that its [`Op::Spend`] gave.
        ticket: Ticket,
    },
    /// Begins the count of a new C.I.P. on [`Space::Tries`]; refuses the unit if there is no such record.
    RenewTries {
        /// Which.
        key: Vec<u8>,
    },
    /// Writes a record.
    Put {
        /// Where.
        space: Space,
        /// Which.
        key: Vec<u8>,
        /// The record.
        value: Vec<u8>,
        /// Refuses the unit unless met.
        expect: Expect,
    },
    /// Ends what was charged for a wrong guess on [`Space::Budget`]: gives it back, or does the same work without changing a
    /// count. Refuses the unit if there is no such record.
    Settle {
        /// Which.
        key: Vec<u8>,
        /// When it was charged, milliseconds since 1970 UTC.
        at_ms: u64,
        /// Whether it was no wrong guess.
        refund: bool,
    },
    /// Spends a try on [`Space::Tries`]. No try left does not refuse the unit: the answer is no ticket.
    /// Refuses the unit if there is no such record. At most one in a unit.
    Spend {
        /// Which.
        key: Vec<u8>,
    },
    /// Reads and writes the record on [`Space::Tries`] without changing its counters: the same work as
    /// [`Op::Forgive`] where nothing is to be forgiven.
    Touch {
        /// Which.
        key: Vec<u8>,
    },
    /// Forgives all tries up to now on [`Space::Tries`]; refuses the unit unless they lock it, and if there is no such record.
    Unlock {
        /// Which.
        key: Vec<u8>,
    },
}

/// Changes and events that happen together or not at all. Operations are looked at in order, and see the ones before.
#[derive(Clone, Debug, Default)]
pub struct Unit {
    /// The changes.
    pub ops: Vec<Op>,
    /// The audit events, in their order in the chain.
    pub events: Vec<Event>,
}

/// What became of a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Durable.
    Applied {
        /// The ticket of the unit's `Spend`, if it has one and a try was left.
        ticket: Option<Ticket>,
        /// Sequence number of the unit's last event, or of the last one before it.
        seq: u64,
    },
    /// Nothing was changed: the operation at this index did not find what it expects.
    Refused {
        /// Index into [`Unit::ops`].
        op: usize,
    },
}

/// Why the store gave no outcome.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A record is not what was written. Nothing more is answered: restore.
    #[error("store is damaged: {0}")]
    Fatal(String),
    /// Certainly nothing was changed.
    #[error("store did not write: {0}")]
    NotWritten(String),
    /// It cannot go on, and nothing says that its records are damaged: its disk failed, or it stopped before. Nothing more is
    /// answered until it is opened again.
    #[error("store has stopped: {0}")]
    Stopped(String),
    /// The unit may or may not be durable. Deny; never try again as if it had not happened.
    #[error("outcome of the write is unknown: {0}")]
    Unknown(String),
}

/// A record with the version that a later [`Expect::Version`] names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versioned {
    /// Number of the unit that wrote it. Grows with every write of the key and is never used again, not even for a
    /// key that was deleted and came back: an [`Expect::Version`] cannot take the new record for the old one.
    pub version: u64,
    /// The record.
    pub value: Vec<u8>,
}

/// A record found by a scan, with its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its key, without the space's byte.
    pub key: Vec<u8>,
    /// The record.
    pub record: Versioned,
}

/// The first key after this one: from there a scan goes on.
pub fn after(key: &[u8]) -> Vec<u8> {
    [key, &[0]].concat()
}

/// Reads of what was applied. May run at any time, from any thread.
pub trait Reader: Send + Sync {
    /// One record.
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Versioned>, Error>;

    /// Up to `limit` records whose keys start with `prefix` and are not below `from`, in the order of their keys.
    /// Not a snapshot: a commit that happens meanwhile may be seen in part.
    fn scan(&self, space: Space, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<Found>, Error>;

    /// As [`Reader::scan`] from the other end: the keys are below `below`, the greatest first.
    fn scan_back(&self, space: Space, prefix: &[u8], below: &[u8], limit: usize)
    -> Result<Vec<Found>, Error>;

    /// The record with the greatest key.
    fn last(&self, space: Space) -> Result<Option<Found>, Error>;
}

/// The two sides of an opened database: what [`Store::start`] takes.
pub type Opened = (Box<dyn Engine>, Arc<dyn Reader>);

/// The only writer of a database. Owned by one thread.
pub trait Engine: Send {
    /// Applies the units in order, each all or nothing, and makes them durable before it returns.
    ///
    /// An error is the error of every unit of the batch. After any but [`Error::NotWritten`] the shell
    /// calls it no more. The shell has looked at every unit: an engine does not see one that writes to
    /// [`Space::Event`] or [`Space::Meta`], spends twice or is above the limits.
    fn commit(&mut self, units: &[Unit]) -> Result<Vec<Outcome>, Error>;

    /// The chain's head after the last commit.
    fn head(&self) -> Head;

    /// Takes the next step of a pass over all records, at whose end they must add up to the sum that every commit keeps.
    ///
    /// # Errors
    /// [`Error::Fatal`]: they do not, and this store is refused at every later open; or they cannot be read.
    /// [`Error::Stopped`]: the disk failed.
    fn patrol(&mut self) -> Result<Step, Error>;

    /// The records as they are now, to be read while later batches are committed.
    fn snapshot(&mut self) -> Snapshot;
}
