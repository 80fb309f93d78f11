//! Refusals of consents, readers and self-renewals. Codes are those of the audit events.

use hyper::StatusCode;

use crate::{
    domain::{audit::time_text, consent::NotRecorded, readers::NoReader, renewal::NotRenewed},
    http::Problem,
};

pub(super) fn not_recorded(refused: NotRecorded) -> Problem {
    match refused {
        NotRecorded::NotAskedFor => Problem::new(
            StatusCode::CONFLICT,
            "consent_not_asked_for",
            "This consent is not asked for, or not any more",
        ),
        NotRecorded::NothingToWithdraw => Problem::new(
            StatusCode::CONFLICT,
            "consent_not_in_force",
            "This consent is not in force: there is nothing to withdraw",
        ),
        NotRecorded::OtherText => Problem::new(
            StatusCode::CONFLICT,
            "consent_text_not_in_use",
            "The words that were read are not those in use: have the present ones read",
        ),
        NotRecorded::UnknownKind => Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "unknown_consent",
            "The policy has no consent of this kind",
        )
        .field("$.consents".to_owned()),
    }
}

pub(super) fn no_reader(refused: NoReader) -> Problem {
    match refused {
        NoReader::Again { at_ms } => Problem::new(
            StatusCode::CONFLICT,
            "reader_already_handed_over",
            "Holder or household has had as many readers as the policy allows",
        )
        .detail(format!("possible again from {}", time_text(at_ms))),
        NoReader::OutOfStock => {
            Problem::new(StatusCode::CONFLICT, "reader_out_of_stock", "The office has no reader in stock")
        }
        NoReader::TooMany => Problem::new(
            StatusCode::CONFLICT,
            "reader_stock_too_large",
            "The stock would be more than an office can have",
        ),
    }
}

pub(super) fn not_renewed(refused: NotRenewed) -> Problem {
    match refused {
        NotRenewed::FormerExpired => Problem::new(
            StatusCode::CONFLICT,
            "former_card_expired",
            "The card that is renewed has expired: the new one is activated at a counter",
        ),
        NotRenewed::FormerNotActive => Problem::new(
            StatusCode::CONFLICT,
            "former_card_not_active",
            "The card that is renewed is not active",
        ),
        NotRenewed::FormerNotInPerson => Problem::new(
            StatusCode::CONFLICT,
            "former_card_not_in_person",
            "The card that is renewed was not handed to its holder in person: the new one is activated at a counter",
        ),
        NotRenewed::NoFormerCard => {
            Problem::new(StatusCode::CONFLICT, "no_former_card", "The card renews no other")
        }
        NotRenewed::OtherCard => Problem::new(
            StatusCode::FORBIDDEN,
            "renewal_other_card",
            "The certificate is not of the card that is renewed",
        ),
        NotRenewed::OtherHolder => {
            Problem::new(StatusCode::FORBIDDEN, "renewal_other_holder", "The certificate is not the holder's")
        }
        NotRenewed::OtherIssuer => Problem::new(
            StatusCode::CONFLICT,
            "renewal_other_issuer",
            "The two cards are of different issuing bodies: the new one is activated at a counter",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_events() {
        for refused in [
            NotRecorded::NotAskedFor,
            NotRecorded::NothingToWithdraw,
            NotRecorded::OtherText,
            NotRecorded::UnknownKind,
        ] {
            assert_eq!(not_recorded(refused).code(), refused.code());
        }
        for refused in [NoReader::Again { at_ms: 1 }, NoReader::OutOfStock, NoReader::TooMany] {
            assert_eq!(no_reader(refused).code(), refused.code());
        }
        for refused in NotRenewed::ALL {
            assert_eq!(not_renewed(refused).code(), refused.code());
        }
    }
}
