//! How a card was activated: who had it in hand. A renewal by the holder alone asks for it.

use crate::domain::applicant::{Role, Title};

/// In whose hands an activated card was put. The text is part of the API: it never changes, it is only added to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// The holder's, at a counter.
    InPerson,
    /// A proxy's.
    Proxy(Title),
    /// The holder's, who had it already and renewed it alone, with the former card.
    SelfService,
}

impl From<Role> for Activation {
    fn from(role: Role) -> Self {
        match role {
            Role::Holder => Self::InPerson,
            Role::Proxy(title) => Self::Proxy(title),
        }
    }
}

impl Activation {
    /// Every way.
    pub const ALL: [Self; 6] = [
        Self::InPerson,
        Self::Proxy(Title::Curator),
        Self::Proxy(Title::Guardian),
        Self::Proxy(Title::HealthImpediment),
        Self::Proxy(Title::ParentalAuthority),
        Self::SelfService,
    ];

    /// Its text: `in_person`, `proxy:` and the title, or `self_service`.
    pub const fn text(self) -> &'static str {
        match self {
            Self::InPerson => "in_person",
            Self::Proxy(title) => Role::Proxy(title).text(),
            Self::SelfService => "self_service",
        }
    }

    /// The way of a text in an event; nothing if it is none.
    pub fn of(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|how| how.text() == text)
    }

    /// Its number in stored records, 1 to 15.
    pub(super) const fn number(self) -> u8 {
        match self {
            Self::InPerson => 1,
            Self::Proxy(Title::Curator) => 2,
            Self::Proxy(Title::Guardian) => 3,
            Self::Proxy(Title::HealthImpediment) => 4,
            Self::Proxy(Title::ParentalAuthority) => 5,
            Self::SelfService => 6,
        }
    }
}
