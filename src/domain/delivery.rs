//! Why second parts are not sent again, or not elsewhere.

/// A business outcome, not a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSentAgain {
    /// A recovery or the end of the card has cancelled it.
    #[error("the delivery was cancelled")]
    Cancelled,
    /// It has been forgotten where it went.
    #[error("the contact is not kept any more")]
    ContactGone,
    /// It has arrived.
    #[error("the message has arrived")]
    Delivered,
    /// Nothing was ever sent for the card.
    #[error("the card has no delivery")]
    None,
    /// A gateway has it: it may arrive yet.
    #[error("a gateway has the message")]
    Sent,
    /// A later delivery took its place.
    #[error("a later delivery took its place")]
    Superseded,
    /// It is still to be sent.
    #[error("the message is still to be sent")]
    UnderWay,
}

impl NotSentAgain {
    /// Its code in problems and audit events: it never changes.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Cancelled => "delivery_cancelled",
            Self::ContactGone => "contact_gone",
            Self::Delivered => "delivery_delivered",
            Self::None => "delivery_none",
            Self::Sent => "delivery_sent",
            Self::Superseded => "delivery_superseded",
            Self::UnderWay => "delivery_under_way",
        }
    }
}
