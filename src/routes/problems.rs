//! Errors of the service as problems: one match, no wildcard.

mod counter;

use std::time::Duration;

use hyper::StatusCode;

use crate::{
    domain::{
        approval::NotApproved, audit::time_text, delivery::NotSentAgain, id::RequestId, tries::NotUnlocked,
    },
    http::Problem,
    policy::Refused,
    service::{Error, What},
};

/// What the caller is told. What it is not told goes to the log, under the request's id.
pub(super) fn of(error: &Error, request: RequestId) -> Problem {
    match error {
        Error::Bug(what) => {
            tracing::error!(%request, what, "internal error");
            Problem::internal()
        }
        Error::Conflict => Problem::new(
            StatusCode::CONFLICT,
            "changed_meanwhile",
            "Another request changed the card first; nothing was done",
        ),
        Error::Consent(refused) => counter::not_recorded(*refused),
        Error::Field { field, code, detail } => {
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code, "A value is not acceptable")
                .field(format!("$.{field}"))
                .detail(*detail)
        }
        Error::GoneBack(_) | Error::NoMark(_) | Error::Witness(_) => {
            tracing::error!(%request, %error, "unavailable");
            Problem::unavailable()
        }
        Error::InProgress => Problem::new(
            StatusCode::CONFLICT,
            "in_progress",
            "The first request with this Idempotency-Key is still running: ask again",
        )
        .retry_after(Duration::from_secs(1)),
        Error::KeyMissing => Problem::new(
            StatusCode::BAD_REQUEST,
            "idempotency_key_missing",
            "This operation needs an Idempotency-Key header",
        ),
        Error::KeyReused => Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "idempotency_key_reused",
            "The Idempotency-Key was used for another request",
        ),
        Error::NotApproved(refused) => not_approved(*refused),
        Error::NotFound(What::Approval) => {
            Problem::new(StatusCode::NOT_FOUND, "approval_not_found", "No such approval, or not any more")
        }
        Error::NotFound(What::Card) => {
            Problem::new(StatusCode::NOT_FOUND, "card_not_found", "No card with these data")
        }
        Error::NotFound(What::Delivery) => {
            Problem::new(StatusCode::NOT_FOUND, "delivery_not_found", "No such delivery")
        }
        Error::NotFound(What::Lease) => {
            Problem::new(StatusCode::CONFLICT, "lease_lost", "This hold of the delivery is over")
        }
        Error::NotFound(What::Registration) => Problem::new(
            StatusCode::CONFLICT,
            "no_open_registration",
            "No open registration of this card at this front end under this policy set, or not any more",
        ),
        Error::NotFound(What::Verification) => Problem::new(
            StatusCode::CONFLICT,
            "no_accepted_verification",
            "No accepted verification of this card's C.I.P. for this purpose, or not any more",
        ),
        Error::NotSentAgain(refused) => not_sent_again(*refused),
        Error::NotUnlocked(refused) => not_unlocked(*refused),
        Error::NotRenewed(refused) => counter::not_renewed(*refused),
        Error::Reader(refused) => counter::no_reader(*refused),
        Error::NotAllowedOnCard(rule) => Problem::new(
            StatusCode::FORBIDDEN,
            "not_allowed_on_card",
            "The policy does not allow this operator this operation on this card",
        )
        .detail(rule.clone()),
        Error::OperatorFormerCard => Problem::new(
            StatusCode::FORBIDDEN,
            "operator_former_card",
            "This card was replaced or deregistered: it cannot be registered again",
        ),
        Error::OperatorIsProxy => Problem::new(
            StatusCode::FORBIDDEN,
            "operator_is_proxy",
            "Nobody acts for a holder and as the operator at once: another operator must do it",
        )
        .field("$.applicant.proxy.tax_code"),
        Error::OperatorMissing => operator_missing(),
        Error::OperatorNotRegistered => Problem::new(
            StatusCode::FORBIDDEN,
            "operator_not_registered",
            "The operator has to register this card first",
        ),
        Error::OperatorOtherCard => Problem::new(
            StatusCode::FORBIDDEN,
            "operator_other_card",
            "The operator has registered another card than this one",
        ),
        Error::OutcomeUnknown => Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "outcome_unknown",
            "The first request with this Idempotency-Key has no known outcome: look the card up",
        ),
        Error::OwnCard => Problem::new(
            StatusCode::FORBIDDEN,
            "own_card",
            "Nobody acts on a card of their own: another operator must do it",
        ),
        Error::BadPolicy(_) | Error::PolicyInUse(_) | Error::PolicyRefused(_) => {
            let title = "The policy set in the directory is refused; the one in force stays";
            Problem::new(StatusCode::CONFLICT, "policy_refused", title).detail(error.to_string())
        }
        Error::ReportNotAllowed(rule) => Problem::new(
            StatusCode::FORBIDDEN,
            "report_not_allowed",
            "The policy does not allow this operator this report",
        )
        .detail(rule.clone()),
        Error::Refused(refusal) => {
            Problem::new(StatusCode::CONFLICT, refusal.code(), "The card does not allow it")
        }
        Error::TooMany { limit, after } => Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too_many_requests",
            "A limit of the policy leaves no more of these requests for now",
        )
        .detail(limit.clone())
        .retry_after(*after),
        Error::TooManyReprints { again_at_ms } => Problem::new(
            StatusCode::CONFLICT,
            "too_many_reprints",
            "The card's codes were handed out again as often as the policy allows",
        )
        .detail(format!("possible again from {}", time_text(*again_at_ms))),
        Error::Unavailable(what) => {
            tracing::warn!(%request, what, "unavailable");
            Problem::unavailable().retry_after(Duration::from_secs(1))
        }
    }
}

/// Codes are those of the audit events.
fn not_approved(refused: NotApproved) -> Problem {
    match refused {
        NotApproved::AlreadySigned => {
            Problem::new(StatusCode::CONFLICT, "approval_already_signed", "The approval is signed already")
        }
        NotApproved::BadSignature => Problem::new(
            StatusCode::FORBIDDEN,
            "approval_signature",
            "The signature is not over this text, in its context, by the key of the operator's certificate",
        ),
        NotApproved::Expired => {
            Problem::new(StatusCode::CONFLICT, "approval_expired", "The time of the approval is over")
        }
        NotApproved::NotSigned => {
            Problem::new(StatusCode::CONFLICT, "approval_not_signed", "Nobody has signed the approval yet")
        }
        NotApproved::OwnRequest => Problem::new(
            StatusCode::FORBIDDEN,
            "approval_own_request",
            "Nobody approves what they asked for, with whichever card",
        ),
        NotApproved::OtherPolicy => Problem::new(
            StatusCode::CONFLICT,
            "approval_other_policy",
            "Another policy set is in force since the approval was asked for: ask again",
        ),
        NotApproved::OtherRequest => Problem::new(
            StatusCode::CONFLICT,
            "approval_other_request",
            "The approval is for another request, operator or front end",
        ),
        NotApproved::TooMany => Problem::new(
            StatusCode::CONFLICT,
            "approvals_too_many",
            "The operator has asked for as many approvals as the policy allows at one time",
        ),
    }
}

/// Codes are those of the audit events.
const fn not_sent_again(refused: NotSentAgain) -> Problem {
    match refused {
        NotSentAgain::Cancelled => Problem::new(
            StatusCode::CONFLICT,
            "delivery_cancelled",
            "The delivery was cancelled: reprint the codes",
        ),
        NotSentAgain::ContactGone => Problem::new(
            StatusCode::CONFLICT,
            "contact_gone",
            "The contact is not kept any more: give it again, if the delivery has failed, or reprint the codes",
        ),
        NotSentAgain::Delivered => Problem::new(
            StatusCode::CONFLICT,
            "delivery_delivered",
            "The message has arrived: there is nothing to change",
        ),
        NotSentAgain::None => {
            Problem::new(StatusCode::CONFLICT, "delivery_none", "Nothing was ever sent for this card")
        }
        NotSentAgain::Sent => Problem::new(
            StatusCode::CONFLICT,
            "delivery_sent",
            "A gateway has the message: resend it to the same contact, or reprint the codes",
        ),
        NotSentAgain::Superseded => Problem::new(
            StatusCode::CONFLICT,
            "delivery_superseded",
            "A later delivery of the card took its place",
        ),
        NotSentAgain::UnderWay => Problem::new(
            StatusCode::CONFLICT,
            "delivery_under_way",
            "The message is still to be sent: there is nothing to resend",
        ),
    }
}

/// Codes are those of the audit events.
const fn not_unlocked(refused: NotUnlocked) -> Problem {
    match refused {
        NotUnlocked::LifetimeReached => Problem::new(
            StatusCode::CONFLICT,
            "lifetime_reached",
            "This C.I.P. has had all wrong guesses of its life: only a new one helps",
        ),
        NotUnlocked::NotLocked => {
            Problem::new(StatusCode::CONFLICT, "not_locked", "The C.I.P. is not locked: there are tries left")
        }
        NotUnlocked::TooMany => Problem::new(
            StatusCode::CONFLICT,
            "unlocks_too_many",
            "The card has been unlocked as often as the policy allows in this time",
        ),
    }
}

const fn operator_missing() -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "operator_missing",
        "This operation needs an operator's certificate (Client-Cert)",
    )
}

/// The answer to a request that gets no permit.
pub(super) fn of_refused(refused: &Refused) -> Problem {
    match refused {
        Refused::Caller => Problem::new(
            StatusCode::FORBIDDEN,
            "not_allowed",
            "The policy does not allow this caller this operation",
        ),
        Refused::OperatorMissing => operator_missing(),
        Refused::Rules(named) => Problem::new(
            StatusCode::FORBIDDEN,
            "operator_not_allowed",
            "The policy does not allow this operator this operation",
        )
        .detail(named.clone()),
        Refused::UnknownOperator => Problem::new(
            StatusCode::FORBIDDEN,
            "unknown_operator",
            "The policy does not list this operator, or not today",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_deliveries_are_those_of_the_events() {
        for refused in [
            NotSentAgain::Cancelled,
            NotSentAgain::ContactGone,
            NotSentAgain::Delivered,
            NotSentAgain::None,
            NotSentAgain::Sent,
            NotSentAgain::Superseded,
            NotSentAgain::UnderWay,
        ] {
            assert_eq!(not_sent_again(refused).code(), refused.code());
        }
    }

    #[test]
    fn codes_of_unlocks_are_those_of_the_events() {
        for refused in [NotUnlocked::LifetimeReached, NotUnlocked::NotLocked, NotUnlocked::TooMany] {
            assert_eq!(not_unlocked(refused).code(), refused.code());
        }
    }

    #[test]
    fn codes_of_approvals_are_those_of_the_events() {
        for refused in [
            NotApproved::AlreadySigned,
            NotApproved::BadSignature,
            NotApproved::Expired,
            NotApproved::NotSigned,
            NotApproved::OwnRequest,
            NotApproved::OtherPolicy,
            NotApproved::OtherRequest,
            NotApproved::TooMany,
        ] {
            assert_eq!(not_approved(refused).code(), refused.code());
        }
    }
}
