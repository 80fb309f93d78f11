//! What a gateway learns after it has answered: told to the authority at once, whose record says what may follow what.
//! Nothing is kept here: until the authority has taken it, the gateway's own record of it stays. So it may come in any
//! order, more than once, before the answer to the sending, and after a restart.

use super::{Authority, AuthorityError, Limits};
use crate::{
    api::courier::{Report, ReportStatus},
    domain::id::{DeliveryId, LeaseId},
};

/// The end of a message, as a gateway learnt it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The citizen's device or mailbox has it.
    Delivered,
    /// Never; the reason is of fixed words and numbers.
    Failed(String),
}

/// What became of the word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// Nothing more is to be done about it: the authority has taken it, or it changes nothing.
    Done,
    /// The authority does not answer: to be told again.
    Later,
}

/// Tells the authority, again while it does not answer, as often as `limits` say.
pub(super) async fn tell<A: Authority>(
    authority: &A,
    limits: Limits,
    (delivery, lease): (DeliveryId, LeaseId),
    end: &End,
) -> Told {
    let (status, reason) = match end {
        End::Delivered => (ReportStatus::Delivered, None),
        End::Failed(reason) => (ReportStatus::Failed, Some(reason.clone())),
    };
    let report = Report { delivery, status, generation: None, second_part_tag: None, reason, until_ms: None };
    let mut tries = 1;
    loop {
        match authority.report(&lease, &report).await {
            Ok(()) => {
                tracing::info!(%delivery, ?end, "receipt");
                return Told::Done;
            }
            // Another hold has taken its place, or its end is known: this changes nothing.
            Err(error @ (AuthorityError::LeaseLost | AuthorityError::Refused(_))) => {
                tracing::info!(%delivery, ?end, %error, "receipt without effect");
                return Told::Done;
            }
            Err(error @ AuthorityError::Unavailable(_)) => {
                if tries >= limits.report_tries {
                    tracing::warn!(%delivery, ?end, %error, "receipt not taken: the gateway is to come again");
                    return Told::Later;
                }
            }
        }
        tries = tries.saturating_add(1);
        tokio::time::sleep(limits.report_pause).await;
    }
}
