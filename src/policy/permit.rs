//! Permission as a value: an operation takes a [`Permit`] for its own action and nothing else makes one.

use std::{marker::PhantomData, sync::Arc};

use super::{Caller, Policy};

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
    /// `GET /v1/backup`
    Backup = "backup"
    /// `POST /v1/courier/leases` and reports
    Courier = "courier"
    /// `POST /v1/cards/lookup`
    LookUp = "look_up"
    /// `GET /v1/audit/events` and `/v1/audit/checkpoint`
    ReadAudit = "read_audit"
    /// `GET /v1/deliveries/{id}`
    ReadDelivery = "read_delivery"
    /// `POST /v1/cards`
    Register = "register"
    /// `POST /v1/policy/reload`
    ReloadPolicy = "reload_policy"
    /// `POST /v1/reprints`
    Reprint = "reprint"
    /// `POST /v1/revocations`
    Revoke = "revoke"
    /// `POST /v1/verifications`
    Verify = "verify"
}

/// The policy in force allows this caller this action, now. Neither copied nor made elsewhere.
#[derive(Debug)]
pub struct Permit<A> {
    caller: Arc<str>,
    policy: Arc<Policy>,
    action: PhantomData<A>,
}

impl<A> Permit<A> {
    /// The caller's name in the policy.
    pub const fn caller(&self) -> &Arc<str> {
        &self.caller
    }

    /// The policy that allowed it; the operation goes by this one to its end.
    pub const fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }
}

impl Policy {
    /// Whether `caller` may do `A`. Looks at the request's sender only, never at a card.
    pub fn permit<A: Act>(self: &Arc<Self>, caller: &Caller) -> Option<Permit<A>> {
        caller.may(A::ACTION).then(|| Permit {
            caller: Arc::clone(caller.name()),
            policy: Arc::clone(self),
            action: PhantomData,
        })
    }
}
