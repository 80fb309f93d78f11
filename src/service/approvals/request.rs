//! What may be asked for, and what is looked at before anybody is asked to approve it.

use super::super::{
    Call, Error, Service, commitments, contacts, look_up::FoundCard, renew_cip, revoke, unlock,
};
use crate::{
    domain::{
        approval::Asked, audit::Kind, card::Reason, contact::Contact, message::MessageLanguage,
        team::TeamNumber,
    },
    policy::{Action, act},
};

/// What is to be approved.
#[derive(Debug)]
pub enum ApprovalRequest {
    /// Another contact for second parts.
    ChangeContact {
        /// Number on the card's back.
        team: TeamNumber,
        /// One of the policy's reasons.
        reason: String,
        /// Where they are to go.
        contact: Contact,
        /// Language of the message from now on, if another one. It is no part of what is approved.
        language: Option<MessageLanguage>,
    },
    /// A new C.I.P.
    RenewCip {
        /// Number on the card's back.
        team: TeamNumber,
        /// One of the policy's reasons.
        reason: String,
    },
    /// The revocation of a card without its holder's C.I.P.
    Revoke {
        /// Number on the card's back.
        team: TeamNumber,
        /// Why.
        reason: Reason,
    },
    /// The unlock of a locked C.I.P.
    Unlock {
        /// Number on the card's back.
        team: TeamNumber,
        /// One of the policy's reasons.
        reason: String,
    },
}

impl ApprovalRequest {
    /// Number of the card.
    pub(super) const fn team(&self) -> &TeamNumber {
        match self {
            Self::ChangeContact { team, .. }
            | Self::RenewCip { team, .. }
            | Self::Revoke { team, .. }
            | Self::Unlock { team, .. } => team,
        }
    }

    /// The other contact, where one is asked for.
    pub(super) const fn contact(&self) -> Option<&Contact> {
        match self {
            Self::ChangeContact { contact, .. } => Some(contact),
            Self::RenewCip { .. } | Self::Revoke { .. } | Self::Unlock { .. } => None,
        }
    }

    /// What is done once it is approved.
    pub(super) const fn action(&self) -> Action {
        match self {
            Self::ChangeContact { .. } => Action::ChangeContact,
            Self::RenewCip { .. } => Action::RenewCip,
            Self::Revoke { .. } => Action::Revoke,
            Self::Unlock { .. } => Action::Unlock,
        }
    }

    /// Refuses what the operation would refuse without a look at the card.
    pub(super) fn check(&self, call: &Call<act::AskApproval>) -> Result<(), Error> {
        match self {
            Self::ChangeContact { reason, contact, language, .. } => {
                contacts::check_reason(call, reason)?;
                contacts::check_asked(call, contact, *language)
            }
            Self::RenewCip { reason, .. } => renew_cip::check_reason(call, reason),
            Self::Revoke { reason, .. } => revoke::check_reason(call, *reason),
            Self::Unlock { reason, .. } => unlock::check_reason(call, reason),
        }
    }
}

impl Service {
    /// What is asked for, by value; the refusal that the operation would end with is given and recorded now.
    pub(super) async fn to_be_asked(
        &self,
        call: &Call<act::AskApproval>,
        found: &FoundCard,
        request: &ApprovalRequest,
    ) -> Result<Asked, Error> {
        let (kind, card) = (Kind::ApprovalAsked, found.id());
        Ok(match request {
            ApprovalRequest::ChangeContact { reason, contact, .. } => {
                let (delivery, _) = self.to_be_changed(call, kind, found).await?;
                let [to] = self.commitments([commitments::contact(contact)?]).await?;
                let contact = hex::encode(commitments::half(&to));
                Asked::ChangeContact { card, delivery, contact, reason: reason.clone() }
            }
            ApprovalRequest::RenewCip { reason, .. } => {
                self.to_be_renewed(call, kind, found).await?;
                Asked::RenewCip { card, reason: reason.clone() }
            }
            ApprovalRequest::Revoke { reason, .. } => {
                let decided = found.card.revoke(*reason, self.clock.now_ms());
                self.allowed(call, kind, &card, decided).await?;
                Asked::Revoke { card, reason: *reason }
            }
            ApprovalRequest::Unlock { reason, .. } => {
                self.to_be_unlocked(call, kind, found).await?;
                Asked::Unlock { card, reason: reason.clone() }
            }
        })
    }
}
