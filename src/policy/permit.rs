//! Permission as a value: an operation takes a [`Permit`] for its own action and nothing else makes one.

use std::{marker::PhantomData, sync::Arc};

use super::{Asks, Caller, CardFacts, Decision, Policy, Profile, Proof, Question};
use crate::domain::{date::Moment, renewal::MayRenew, tax_code::TaxCode};

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident = $text:literal)*) => {
        /// What a caller may be allowed to do; the text is the one in `policies/callers.toml`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Deserialize)]
        pub enum Action { $(
            $(#[$doc])*
            #[serde(rename = $text)]
            $name,
        )* }

        impl Action {
            /// Its text in policy files and audit events.
            pub const fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }

        /// Each action as a type, so that a permit for one cannot serve for another.
        pub mod act { $(
            $(#[$doc])*
            #[derive(Debug)]
            pub enum $name {}

            impl super::Act for $name {
                const ACTION: super::Action = super::Action::$name;
            }
        )* }
    };
}

/// Joins an action's type to its name.
pub trait Act {
    /// Its name.
    const ACTION: Action;
}

actions! {
    /// `POST /v1/activations`
    Activate = "activate"
    /// `GET /v1/approvals/{id}` and `POST /v1/approvals/{id}/sign`
    Approve = "approve"
    /// `POST /v1/approvals`
    AskApproval = "ask_approval"
    /// `GET /v1/backup`
    Backup = "backup"
    /// `POST /v1/contacts`
    ChangeContact = "change_contact"
    /// `POST /v1/courier/leases` and reports
    Courier = "courier"
    /// `POST /v1/operator-registrations/end`
    DeregisterOperator = "deregister_operator"
    /// `POST /v1/cards/export`
    ExportCards = "export_cards"
    /// `POST /v1/cards/lookup`
    LookUp = "look_up"
    /// `GET /v1/audit/events` and `/v1/audit/checkpoint`
    ReadAudit = "read_audit"
    /// `POST /v1/consents/lookup`
    ReadConsents = "read_consents"
    /// `GET /v1/deliveries/{id}`
    ReadDelivery = "read_delivery"
    /// `POST /v1/history`
    ReadHistory = "read_history"
    /// `POST /v1/reports`
    ReadReports = "read_reports"
    /// `GET /v1/forms`, `/v1/guide` and their texts
    ReadTexts = "read_texts"
    /// `POST /v1/consents`
    RecordConsents = "record_consents"
    /// `POST /v1/cards`
    Register = "register"
    /// `POST /v1/operator-registrations` and their signature
    RegisterOperator = "register_operator"
    /// `POST /v1/policy/reload`
    ReloadPolicy = "reload_policy"
    /// `POST /v1/cip-renewals`
    RenewCip = "renew_cip"
    /// `POST /v1/self-renewals`
    RenewSelf = "renew_self"
    /// `POST /v1/reprints`
    Reprint = "reprint"
    /// `POST /v1/deliveries/{id}/resend`
    ResendDelivery = "resend_delivery"
    /// `POST /v1/reader-requests`
    RequestReader = "request_reader"
    /// `POST /v1/revocations`
    Revoke = "revoke"
    /// `GET /v1/session`
    Session = "session"
    /// `POST /v1/unlocks`
    Unlock = "unlock"
    /// `POST /v1/reader-stock`
    StockReaders = "stock_readers"
    /// `POST /v1/verifications`
    Verify = "verify"
}

/// The policy in force allows this caller, with this operator, to ask for this action, now. Neither copied nor made
/// elsewhere. What is done to a card needs a [`CardPermit`] as well.
#[derive(Debug)]
pub struct Permit<A> {
    action: PhantomData<A>,
    at: Moment,
    caller: Arc<str>,
    operator: Option<Arc<Profile>>,
    policy: Arc<Policy>,
}

/// The rules allow this action on this card, or its holder renews it alone. Made from a [`Permit`] only, with the card as it was
/// found.
#[derive(Debug)]
pub struct CardPermit<A>(PhantomData<A>);

/// The rules allow this report. Made from a [`Permit`] only, with what the report asks for.
#[derive(Debug)]
pub struct ReportPermit(());

/// Why there is no permit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// `callers.toml` does not allow this caller this action.
    #[error("the policy does not allow this caller this operation")]
    Caller,
    /// An operator must be named.
    #[error("no operator")]
    OperatorMissing,
    /// The rules do not allow it; which of them.
    #[error("not allowed: {0}")]
    Rules(String),
    /// The operator is not listed, or not on this day.
    #[error("the policy does not list this operator")]
    UnknownOperator,
}

impl Refused {
    /// The rules that decided, or `no rule`.
    pub fn rule(&self) -> &str {
        match self {
            Self::Rules(named) => named,
            Self::Caller | Self::OperatorMissing | Self::UnknownOperator => "no rule",
        }
    }
}

impl Action {
    /// Whether an operator asks for it, who must be on the list.
    pub const fn is_an_operators(self) -> bool {
        match self {
            Self::Activate
            | Self::Approve
            | Self::AskApproval
            | Self::ChangeContact
            | Self::LookUp
            | Self::ReadHistory
            | Self::ReadReports
            | Self::ReadConsents
            | Self::RecordConsents
            | Self::RegisterOperator
            | Self::RenewCip
            | Self::Reprint
            | Self::ResendDelivery
            | Self::RequestReader
            | Self::Revoke
            | Self::Session
            | Self::Unlock
            | Self::StockReaders
            | Self::Verify => true,
            Self::Backup
            | Self::Courier
            | Self::DeregisterOperator
            | Self::ExportCards
            | Self::ReadAudit
            | Self::ReadDelivery
            | Self::ReadTexts
            | Self::Register
            | Self::ReloadPolicy
            | Self::RenewSelf => false,
        }
    }

    /// What a request for it may name as proof, or nothing where that may be: rules decide whether it is enough.
    pub const fn proofs(self) -> &'static [Proof] {
        match self {
            Self::Revoke => &[Proof::Verification, Proof::Approval],
            Self::ChangeContact | Self::RenewCip | Self::Unlock => &[Proof::None, Proof::Approval],
            Self::Activate
            | Self::Approve
            | Self::AskApproval
            | Self::Backup
            | Self::Courier
            | Self::DeregisterOperator
            | Self::ExportCards
            | Self::LookUp
            | Self::ReadAudit
            | Self::ReadConsents
            | Self::ReadDelivery
            | Self::ReadHistory
            | Self::ReadReports
            | Self::ReadTexts
            | Self::RecordConsents
            | Self::Register
            | Self::RenewSelf
            | Self::RequestReader
            | Self::StockReaders
            | Self::RegisterOperator
            | Self::ReloadPolicy
            | Self::Reprint
            | Self::ResendDelivery
            | Self::Session
            | Self::Verify => &[Proof::None],
        }
    }

    /// Whether rules decide it on a card. A verification is decided by the request alone (I6); a report and the stock of readers
    /// are about none.
    pub const fn is_on_a_card(self) -> bool {
        !matches!(self, Self::ReadReports | Self::StockReaders | Self::Verify)
    }

    /// Whether a citizen asks for it, for whom no list and no rule speaks.
    pub const fn is_a_citizens(self) -> bool {
        matches!(self, Self::RenewSelf)
    }
}

impl<A> Permit<A> {
    /// The caller's name in the policy.
    pub const fn caller(&self) -> &Arc<str> {
        &self.caller
    }

    /// The operator's profile, for an operator's action.
    pub fn operator(&self) -> Option<&Profile> {
        self.operator.as_deref()
    }

    /// The moment that it was decided for, in Italy.
    pub const fn at(&self) -> Moment {
        self.at
    }

    /// The policy that allowed it; the operation goes by this one to its end.
    pub const fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }
}

impl<A: Act> Permit<A> {
    /// Decides on a card, now that it is known, with what the request names as proof. A refusal names the rules.
    pub fn on_card(&self, card: CardFacts<'_>, proof: Proof) -> Result<CardPermit<A>, Refused> {
        self.decide(A::ACTION, Some(card), proof, Asks::default()).map(|()| CardPermit(PhantomData))
    }

    fn decide(
        &self,
        action: Action,
        card: Option<CardFacts<'_>>,
        proof: Proof,
        asks: Asks,
    ) -> Result<(), Refused> {
        let operator = self.operator.as_ref().ok_or(Refused::OperatorMissing)?;
        let front_end = &self.caller;
        let question = Question { action, operator, front_end, card, proof, asks, at: self.at };
        allowed(&self.policy.decide(&question))
    }

    /// Where the operator works.
    pub fn office(&self) -> Option<&str> {
        self.operator.as_ref().map(|profile| profile.office.as_str())
    }
}

impl Permit<act::RenewSelf> {
    /// The holder acts on a card of their own, which no rule is asked about: the domain has decided.
    pub const fn of_holder(&self, _: &MayRenew) -> CardPermit<act::RenewSelf> {
        CardPermit(PhantomData)
    }
}

impl Permit<act::AskApproval> {
    /// Whether the rules allow `action` on this card once it is approved: nobody is asked to approve what would be refused
    /// after that.
    pub fn once_approved(&self, action: Action, card: CardFacts<'_>) -> Result<(), Refused> {
        self.decide(action, Some(card), Proof::Approval, Asks::default())
    }
}

impl Permit<act::ReadHistory> {
    /// Decides on the history of a card, now that it is known, with what is asked of it.
    pub fn history_of(
        &self,
        card: CardFacts<'_>,
        asks: Asks,
    ) -> Result<CardPermit<act::ReadHistory>, Refused> {
        let decided = self.decide(Action::ReadHistory, Some(card), Proof::None, asks);
        decided.map(|()| CardPermit(PhantomData))
    }
}

impl Permit<act::ReadReports> {
    /// Decides on a report by what it asks for.
    pub fn report(&self, asks: Asks) -> Result<ReportPermit, Refused> {
        self.decide(Action::ReadReports, None, Proof::None, asks).map(|()| ReportPermit(()))
    }
}

fn allowed(decision: &Decision) -> Result<(), Refused> {
    if decision.allowed { Ok(()) } else { Err(Refused::Rules(decision.named())) }
}

impl Policy {
    /// Whether `caller` may ask for `A`, with this operator at this moment. Looks at the request only, never at a card.
    pub fn permit<A: Act>(
        self: &Arc<Self>,
        caller: &Caller,
        operator: Option<&TaxCode>,
        at: Moment,
    ) -> Result<Permit<A>, Refused> {
        if !caller.may(A::ACTION) {
            return Err(Refused::Caller);
        }
        let operator = if A::ACTION.is_an_operators() {
            let who = operator.ok_or(Refused::OperatorMissing)?;
            let profile = self.operators.profile(who, at.date).ok_or(Refused::UnknownOperator)?;
            match self.rules.of(A::ACTION) {
                Some(_) if !A::ACTION.is_on_a_card() => {
                    let front_end = caller.name();
                    let (action, proof, asks) = (A::ACTION, Proof::None, Asks::default());
                    let question =
                        Question { action, operator: profile, front_end, card: None, proof, asks, at };
                    if action == Action::Verify {
                        allowed(&self.decide_verification(who, front_end, &question))?;
                    } else {
                        allowed(&self.decide(&question))?;
                    }
                }
                Some(of_action) if !of_action.may_concern(profile) => {
                    return Err(Refused::Rules(Decision::nothing_allows().named()));
                }
                // To register a card and to see what is allowed takes no rule: the list is enough.
                Some(_) | None => {}
            }
            Some(Arc::clone(profile))
        } else {
            None
        };
        Ok(Permit {
            action: PhantomData,
            at,
            caller: Arc::clone(caller.name()),
            operator,
            policy: Arc::clone(self),
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::policy::OPERATORS_ACTIONS;

    /// An action with rules and without an operator would be allowed by the caller's list alone.
    #[test]
    fn whatever_rules_decide_is_asked_for_by_an_operator() {
        assert!(OPERATORS_ACTIONS.iter().all(|action| action.is_an_operators()));
    }
}
