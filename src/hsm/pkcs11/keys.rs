//! The key set: names, identifiers, and which key belongs on which token.

use cryptoki::object::{Attribute, ObjectClass};

use crate::hsm::{MacKey, Role};

/// Every key that a token of ours may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyName {
    /// Signs checkpoints and the audit chain: EC P-256, one on each token.
    Audit,
    /// Opens contacts: RSA-3072, courier.
    Contact,
    /// HMAC, second parts: courier.
    Deliver,
    /// HMAC, index and commitments: authority.
    Index,
    /// HMAC, commitments in the courier's own memory: courier.
    Judge,
    /// HMAC, first parts: authority.
    Print,
    /// Unwraps the verify key in the ceremony: RSA-3072, courier.
    Transport,
    /// HMAC, tags of the C.I.P.: both tokens.
    Verify,
}

/// Where a key's value has been.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyClass {
    /// Came in wrapped or was wrapped once; not extractable from then on.
    Replicated,
    /// Made in its token, never left it.
    Strict,
}

/// What a key is, in PKCS#11's terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// HMAC-SHA-256.
    Mac(MacKey),
    /// RSA, decrypts.
    RsaDecrypt,
    /// RSA, unwraps.
    RsaUnwrap,
    /// ECDSA P-256, signs.
    Sign,
}

impl KeyName {
    /// Every key name.
    pub const ALL: [Self; 8] = [
        Self::Audit,
        Self::Contact,
        Self::Deliver,
        Self::Index,
        Self::Judge,
        Self::Print,
        Self::Transport,
        Self::Verify,
    ];

    /// `CKA_LABEL`, and the name in messages.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Audit => "audit",
            Self::Contact => "contact",
            Self::Deliver => MacKey::Deliver.label(),
            Self::Index => MacKey::Index.label(),
            Self::Judge => MacKey::Judge.label(),
            Self::Print => MacKey::Print.label(),
            Self::Transport => "transport",
            Self::Verify => MacKey::Verify.label(),
        }
    }

    /// The keys that must be on the token of `role`, in the order in which the ceremony makes them.
    pub const fn required(role: Role) -> &'static [Self] {
        match role {
            Role::Authority => &[Self::Print, Self::Index, Self::Audit, Self::Verify],
            Role::Courier => {
                &[Self::Deliver, Self::Judge, Self::Audit, Self::Contact, Self::Transport, Self::Verify]
            }
        }
    }

    /// Whether split knowledge (ISO 9564-1) or the separation of duties forbids this key on the token of `role`.
    pub fn forbidden(self, role: Role) -> bool {
        !Self::required(role).contains(&self)
    }

    /// Only the verify key is meant to be on two tokens.
    pub const fn may_be_replicated(self) -> bool {
        match self {
            Self::Verify => true,
            Self::Audit
            | Self::Contact
            | Self::Deliver
            | Self::Index
            | Self::Judge
            | Self::Print
            | Self::Transport => false,
        }
    }

    pub(super) const fn kind(self) -> Kind {
        match self {
            Self::Audit => Kind::Sign,
            Self::Contact => Kind::RsaDecrypt,
            Self::Deliver => Kind::Mac(MacKey::Deliver),
            Self::Index => Kind::Mac(MacKey::Index),
            Self::Judge => Kind::Mac(MacKey::Judge),
            Self::Print => Kind::Mac(MacKey::Print),
            Self::Transport => Kind::RsaUnwrap,
            Self::Verify => Kind::Mac(MacKey::Verify),
        }
    }

    /// The private or secret object's class.
    pub(super) const fn class(self) -> ObjectClass {
        match self.kind() {
            Kind::Mac(_) => ObjectClass::SECRET_KEY,
            Kind::RsaDecrypt | Kind::RsaUnwrap | Kind::Sign => ObjectClass::PRIVATE_KEY,
        }
    }

    /// `CKA_ID`, such as `sigillo/print/1`.
    pub(super) fn id(self, version: u8) -> Vec<u8> {
        format!("sigillo/{}/{version}", self.label()).into_bytes()
    }

    /// The version in a `CKA_ID` of this key; nothing for any other id.
    pub(super) fn version(self, id: &[u8]) -> Option<u8> {
        let number = std::str::from_utf8(id).ok()?.strip_prefix("sigillo/")?.strip_prefix(self.label())?;
        let version = number.strip_prefix('/')?.parse().ok()?;
        (self.id(version) == id).then_some(version)
    }

    /// The search for the token object: class, `CKA_TOKEN`, id and label. Without `CKA_TOKEN` a session copy
    /// would be found as well, and it outlives its token.
    pub(super) fn search(self, class: ObjectClass, version: u8) -> Vec<Attribute> {
        vec![
            Attribute::Class(class),
            Attribute::Token(true),
            Attribute::Id(self.id(version)),
            Attribute::Label(self.label().into()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_in_the_id() {
        let version = |id: &str| KeyName::Audit.version(id.as_bytes());
        assert_eq!((version("sigillo/audit/1"), version("sigillo/audit/99")), (Some(1), Some(99)));
        for other in ["sigillo/audit/", "sigillo/audit/01", "sigillo/print/1", "audit/1", "sigillo/audit/256"]
        {
            assert_eq!(version(other), None, "{other}");
        }
    }

    #[test]
    fn no_token_holds_both_halves() {
        for role in [Role::Authority, Role::Courier] {
            let required = KeyName::required(role);
            assert!(required.contains(&KeyName::Print) != required.contains(&KeyName::Deliver));
            for mac in MacKey::ALL {
                let name = KeyName::ALL.into_iter().find(|name| name.kind() == Kind::Mac(mac)).unwrap();
                assert_eq!(name.forbidden(role), !role.mac_keys().contains(&mac));
            }
        }
        assert!(KeyName::Deliver.forbidden(Role::Authority) && KeyName::Contact.forbidden(Role::Authority));
        assert!(KeyName::Judge.forbidden(Role::Authority));
        assert!(KeyName::Print.forbidden(Role::Courier) && KeyName::Index.forbidden(Role::Courier));
    }
}
