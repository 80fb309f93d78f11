//! Why an operation did not answer with its result.

use crate::{
    domain::{
        approval::NotApproved, card::Refusal, consent::NotRecorded, delivery::NotSentAgain,
        going_back::GoneBack, in_force::NotAdmitted, readers::NoReader, renewal::NotRenewed,
        tries::NotUnlocked,
    },
    hsm,
    policy::BadPolicy,
    store,
};

/// Closed: the transport maps each to one problem, without a wildcard.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The policy set in the directory does not hold.
    #[error(transparent)]
    BadPolicy(#[from] BadPolicy),
    /// Program or module broke its own contract. Logged under the request's id; outside sees only that.
    #[error("internal error: {0}")]
    Bug(String),
    /// A record changed between reading and writing it; nothing was done.
    #[error("changed by another request meanwhile")]
    Conflict,
    /// The consent cannot be recorded.
    #[error(transparent)]
    Consent(#[from] NotRecorded),
    /// A value is well formed but not acceptable here.
    #[error("{field}: {detail}")]
    Field {
        /// Path of the field in the body.
        field: &'static str,
        /// Stable code.
        code: &'static str,
        /// A sentence that does not repeat the value.
        detail: &'static str,
    },
    /// The store or the policy set is older than a checkpoint that was kept outside it.
    #[error("{0}. Nothing was changed. {way_back}", way_back = .0.way_back())]
    GoneBack(#[from] GoneBack),
    /// The first request with this idempotency key is still running.
    #[error("the first request with this idempotency key is still running")]
    InProgress,
    /// The operation changes something and came without an idempotency key.
    #[error("no idempotency key")]
    KeyMissing,
    /// The idempotency key was used for another request.
    #[error("idempotency key used for another request")]
    KeyReused,
    /// The token does not say how old the store may be.
    #[error(
        "the token vouches for no checkpoint: {0}. Nothing was changed. See `sigillo recover plan --help`"
    )]
    NoMark(String),
    /// The rules do not allow this operator this action on this card; which of them.
    #[error("not allowed on this card: {0}")]
    NotAllowedOnCard(String),
    /// The approval is not given, or does not serve this request.
    #[error(transparent)]
    NotApproved(#[from] NotApproved),
    /// The card is not renewed by its holder alone.
    #[error(transparent)]
    NotRenewed(#[from] NotRenewed),
    /// No such thing, or not for this caller: indistinguishable.
    #[error("{0} not found")]
    NotFound(What),
    /// Second parts are not sent again, or not elsewhere.
    #[error(transparent)]
    NotSentAgain(#[from] NotSentAgain),
    /// The C.I.P. is not unlocked.
    #[error(transparent)]
    NotUnlocked(#[from] NotUnlocked),
    /// The operator's card was replaced or deregistered, and cannot be registered again.
    #[error("a former card of the operator")]
    OperatorFormerCard,
    /// The operator is the proxy who asks.
    #[error("the operator is the proxy who asks")]
    OperatorIsProxy,
    /// The operation acts on a card and came without an operator.
    #[error("no operator")]
    OperatorMissing,
    /// The operator has registered no card.
    #[error("the operator has registered no card")]
    OperatorNotRegistered,
    /// The operator has registered another card than this one.
    #[error("not the operator's registered card")]
    OperatorOtherCard,
    /// The first request with this idempotency key has no known outcome, and never will.
    #[error("outcome of the first request with this idempotency key is unknown")]
    OutcomeUnknown,
    /// The operator is the card's holder.
    #[error("the card is the operator's own")]
    OwnCard,
    /// The policy set contradicts what cards have.
    #[error("{0}")]
    PolicyInUse(String),
    /// The policy set may not come into force.
    #[error("policy set refused: {0}")]
    PolicyRefused(NotAdmitted),
    /// The rules do not allow this operator this report; which of them.
    #[error("report not allowed: {0}")]
    ReportNotAllowed(String),
    /// No card reader is handed over or taken into the stock.
    #[error(transparent)]
    Reader(#[from] NoReader),
    /// The card's life cycle does not allow it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A witness cannot be read or takes no checkpoint.
    #[error("{0}. Nothing was changed. See hsm-config/README.md, \"Witnesses\"")]
    Witness(String),
    /// A limit of the operator, the office or the front end leaves nothing for the rest of its window.
    #[error("too many requests: {limit}")]
    TooMany {
        /// Its name in the policy.
        limit: String,
        /// How long its window still is.
        after: std::time::Duration,
    },
    /// The card's codes were handed out again as often as the policy allows.
    #[error("too many reprints of the card")]
    TooManyReprints {
        /// When there may be one again, milliseconds since 1970 UTC.
        again_at_ms: u64,
    },
    /// HSM or store gives no answer, now.
    #[error("unavailable: {0}")]
    Unavailable(String),
}

/// What was not found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// No such approval, or no longer.
    Approval,
    /// No card with these data.
    Card,
    /// No such delivery.
    Delivery,
    /// No such hold of a delivery, or no longer.
    Lease,
    /// No such open registration for this operator, card, caller and policy set, or no longer.
    Registration,
    /// No such accepted verification for this card, caller and purpose, or no longer.
    Verification,
}

impl std::fmt::Display for What {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Approval => "approval",
            Self::Card => "card",
            Self::Delivery => "delivery",
            Self::Lease => "lease",
            Self::Registration => "registration",
            Self::Verification => "verification",
        })
    }
}

/// A refusal by what is known of a card: a code in the problem and in the event alike.
pub(super) trait Coded: Into<Error> {
    /// It never changes.
    fn code(&self) -> &'static str;
}

impl Coded for NotSentAgain {
    fn code(&self) -> &'static str {
        Self::code(*self)
    }
}

impl Coded for NotUnlocked {
    fn code(&self) -> &'static str {
        Self::code(*self)
    }
}

impl Coded for Refusal {
    fn code(&self) -> &'static str {
        Self::code(*self)
    }
}

impl From<hsm::Error> for Error {
    fn from(e: hsm::Error) -> Self {
        match e {
            hsm::Error::Bug(what) => Self::Bug(what),
            hsm::Error::Busy => Self::Unavailable("HSM queue full".into()),
            hsm::Error::Unavailable(what) | hsm::Error::WrongKey(what) => Self::Unavailable(what),
        }
    }
}

impl From<store::Error> for Error {
    fn from(e: store::Error) -> Self {
        match e {
            store::Error::Fatal(what)
            | store::Error::NotWritten(what)
            | store::Error::Stopped(what)
            | store::Error::Unknown(what) => Self::Unavailable(what),
        }
    }
}
