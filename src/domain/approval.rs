//! Four eyes: what an approval is, who may sign it, and which request it then serves. Pure.
//!
//! Open from the request for it, signed once by somebody else, gone when it is used or its time is over. It names people
//! by keyed commitments. It is bound to one request by value: what is to be done, by whom and through which front end,
//! under one policy set.

mod text;

use serde::{Deserialize, Serialize};

use super::{
    card::Reason,
    id::{CardId, DeliveryId},
};

pub use text::{Facts, fits};

/// What is to be done once it is approved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
pub enum Asked {
    /// To send second parts to another contact.
    ChangeContact {
        /// Of which card.
        card: CardId,
        /// The delivery that takes its way.
        delivery: DeliveryId,
        /// Commitment to the contact.
        contact: String,
        /// One of the policy's reasons.
        reason: String,
    },
    /// To give a card a new C.I.P.
    RenewCip {
        /// Which.
        card: CardId,
        /// One of the policy's reasons.
        reason: String,
    },
    /// To revoke a card without its holder's C.I.P.
    Revoke {
        /// Which.
        card: CardId,
        /// Why.
        reason: Reason,
    },
    /// To forgive the wrong guesses that lock a C.I.P.
    Unlock {
        /// Of which card.
        card: CardId,
        /// One of the policy's reasons.
        reason: String,
    },
}

impl Asked {
    /// The card that it is about.
    pub const fn card(&self) -> &CardId {
        match self {
            Self::ChangeContact { card, .. }
            | Self::RenewCip { card, .. }
            | Self::Revoke { card, .. }
            | Self::Unlock { card, .. } => card,
        }
    }
}

/// Somebody at a front end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Party {
    /// Commitment to the C.F.
    pub operator: String,
    /// Commitment to the key of the certificate.
    pub key: String,
    /// Name of the front end in the policy.
    pub caller: String,
}

/// How far it is. Used and expired ones are not kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case", deny_unknown_fields)]
pub enum State {
    /// Nobody has signed it.
    Open,
    /// This one has.
    Signed {
        /// The approving operator.
        by: Party,
    },
}

impl State {
    /// Its text in answers.
    pub const fn text(&self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Signed { .. } => "signed",
        }
    }
}

/// An approval as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// Format of the record.
    pub format: u8,
    /// What for.
    pub asked: Asked,
    /// Who asked.
    pub by: Party,
    /// Digest of the policy set that it was asked for under.
    pub policy: String,
    /// From then on it serves nothing; milliseconds since 1970 UTC.
    pub until_ms: u64,
    /// Which of the operator's places for open approvals it takes.
    pub place: u8,
    /// What the approving operator reads and signs, as it was written then.
    pub text: String,
    /// How far it is.
    pub state: State,
}

/// The format that is written.
pub const FORMAT: u8 = 1;

/// Why an approval is not given, or does not serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotApproved {
    /// It has been signed before.
    #[error("the approval is signed already")]
    AlreadySigned,
    /// It is not over this text by the key of this operator's certificate.
    #[error("the signature does not hold")]
    BadSignature,
    /// Its time is over.
    #[error("the time of the approval is over")]
    Expired,
    /// Nobody has signed it.
    #[error("nobody has signed the approval")]
    NotSigned,
    /// The same person, or the same card, asked for it.
    #[error("the operator asked for this approval")]
    OwnRequest,
    /// Another policy set is in force now.
    #[error("another policy set is in force than when the approval was asked for")]
    OtherPolicy,
    /// It is for something else, or was asked for by somebody else or through another front end.
    #[error("the approval is not for this request")]
    OtherRequest,
    /// The operator has as many open as the policy allows.
    #[error("the operator has asked for as many approvals as the policy allows at one time")]
    TooMany,
}

impl NotApproved {
    /// Its code in problems and audit events: it never changes.
    pub const fn code(self) -> &'static str {
        match self {
            Self::AlreadySigned => "approval_already_signed",
            Self::BadSignature => "approval_signature",
            Self::Expired => "approval_expired",
            Self::NotSigned => "approval_not_signed",
            Self::OwnRequest => "approval_own_request",
            Self::OtherPolicy => "approval_other_policy",
            Self::OtherRequest => "approval_other_request",
            Self::TooMany => "approvals_too_many",
        }
    }
}

impl Approval {
    /// Whether it still counts: in time, and under the policy set that it was asked for under.
    pub fn holds(&self, policy: &str, now_ms: u64) -> Result<(), NotApproved> {
        if now_ms >= self.until_ms {
            return Err(NotApproved::Expired);
        }
        if self.policy == policy { Ok(()) } else { Err(NotApproved::OtherPolicy) }
    }

    /// Whether this operator may sign it: four eyes are two people with a card each.
    pub fn may_be_signed_by(&self, by: &Party, policy: &str, now_ms: u64) -> Result<(), NotApproved> {
        self.holds(policy, now_ms)?;
        if by.operator == self.by.operator || by.key == self.by.key {
            return Err(NotApproved::OwnRequest);
        }
        match self.state {
            State::Open => Ok(()),
            State::Signed { .. } => Err(NotApproved::AlreadySigned),
        }
    }

    /// The approval with this signature, which has been verified.
    #[must_use]
    pub fn signed(self, by: Party) -> Self {
        Self { state: State::Signed { by }, ..self }
    }

    /// Whether it serves this very request; who has signed it.
    pub fn serves(
        &self,
        asked: &Asked,
        (operator, caller): (&str, &str),
        policy: &str,
        now_ms: u64,
    ) -> Result<&Party, NotApproved> {
        if self.asked != *asked || self.by.operator != operator || self.by.caller != caller {
            return Err(NotApproved::OtherRequest);
        }
        self.holds(policy, now_ms)?;
        match &self.state {
            State::Open => Err(NotApproved::NotSigned),
            State::Signed { by } => Ok(by),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CARD: CardId = CardId::new([1; 16]);
    const ASKED: Asked = Asked::Revoke { card: CARD, reason: Reason::Lost };

    fn party(operator: &str, key: &str) -> Party {
        Party { operator: operator.into(), key: key.into(), caller: "desk".into() }
    }

    fn open() -> Approval {
        Approval {
            format: FORMAT,
            asked: ASKED,
            by: party("a", "key a"),
            policy: "set".into(),
            until_ms: 100,
            place: 0,
            text: "text".into(),
            state: State::Open,
        }
    }

    #[test]
    fn two_people_with_a_card_each() {
        let sign = |by: &Party| open().may_be_signed_by(by, "set", 99);
        assert_eq!(sign(&party("b", "key b")), Ok(()));
        assert_eq!(sign(&party("a", "key b")), Err(NotApproved::OwnRequest), "the same person, another card");
        assert_eq!(sign(&party("b", "key a")), Err(NotApproved::OwnRequest), "another person, the same card");
        let signed = open().signed(party("b", "key b"));
        let again = signed.may_be_signed_by(&party("c", "key c"), "set", 99);
        assert_eq!(again, Err(NotApproved::AlreadySigned));
    }

    #[test]
    fn its_time_is_over_at_its_end_and_with_its_policy_set() {
        let (open, by) = (open(), party("b", "key b"));
        assert_eq!(open.may_be_signed_by(&by, "set", 100), Err(NotApproved::Expired));
        assert_eq!(open.may_be_signed_by(&by, "other", 99), Err(NotApproved::OtherPolicy));
        let signed = open.signed(by.clone());
        let serves = |policy, now| signed.serves(&ASKED, ("a", "desk"), policy, now);
        assert_eq!(serves("set", 99), Ok(&by));
        assert_eq!(serves("set", 100), Err(NotApproved::Expired));
        assert_eq!(serves("other", 99), Err(NotApproved::OtherPolicy));
    }

    #[test]
    fn it_serves_the_request_that_was_approved_and_no_other() {
        let by = party("b", "key b");
        let serves = |state: &Approval, asked, who| state.serves(&asked, who, "set", 0).cloned();
        let (unsigned, signed) = (open(), open().signed(by.clone()));
        assert_eq!(serves(&unsigned, ASKED, ("a", "desk")), Err(NotApproved::NotSigned));
        assert_eq!(serves(&signed, ASKED, ("a", "desk")), Ok(by));
        let other = Err(NotApproved::OtherRequest);
        assert_eq!(serves(&signed, ASKED, ("b", "desk")), other);
        assert_eq!(serves(&signed, ASKED, ("a", "other-desk")), other);
        let card = CardId::new([2; 16]);
        for asked in [
            Asked::Revoke { card, reason: Reason::Lost },
            Asked::Revoke { card: CARD, reason: Reason::Stolen },
            Asked::RenewCip { card: CARD, reason: "lost".into() },
            Asked::Unlock { card: CARD, reason: "lost".into() },
        ] {
            assert_eq!(serves(&signed, asked, ("a", "desk")), other);
        }
    }

    #[test]
    fn records_are_read_as_they_were_written() {
        for (approval, state) in [
            (open(), r#""state":{"is":"open"}"#),
            (
                open().signed(party("b", "k")),
                r#""state":{"is":"signed","by":{"operator":"b","key":"k","caller":"desk"}}"#,
            ),
        ] {
            let text = serde_json::to_string(&approval).unwrap();
            assert!(text.contains(state), "{text}");
            assert!(text.contains(r#""action":"revoke""#) && text.contains(r#""reason":"lost""#), "{text}");
            assert_eq!(serde_json::from_str::<Approval>(&text).unwrap(), approval);
        }
        for reason in Reason::ALL {
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.text());
        }
    }
}
