//! A card's life: registered, active, revoked for good. There is no suspension, and expiry is computed, not stored.
//!
//! Every change is a function from one record to the next, or to the [`Refusal`] that says why not.

mod activation;
mod cip;
mod reason;
mod stored;
#[cfg(test)]
mod tests;

use std::fmt;

use super::{
    date::CivilDate,
    id::CardId,
    team::Region,
    template::{CodeName, TemplateId},
};

pub use activation::Activation;
pub use cip::Cip;
pub use reason::{BadReason, Reason, Refusal};

/// What is known of a card from its production on, and never changes.
#[derive(Clone, PartialEq, Eq)]
pub struct Registration {
    /// Random.
    pub id: CardId,
    /// MAC of the holder's C.F. under the index key, cut to 16 bytes.
    pub tax_code_mac: [u8; 16],
    /// MAC of the TEAM number under the index key, cut to 16 bytes.
    pub team_mac: [u8; 16],
    /// Last day on which it is valid, as printed.
    pub expiry: CivilDate,
    /// Issuing region.
    pub region: Region,
    /// Template in force when it was registered.
    pub template: TemplateId,
    /// The card that it takes the place of.
    pub predecessor: Option<Predecessor>,
    /// Milliseconds since 1970 UTC.
    pub registered_at_ms: u64,
}

/// How a card takes the place of a former one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Predecessor {
    /// The former one is about to expire and stays valid until this one is active.
    Renews(CardId),
    /// The former one is lost, stolen, faulty or out of date, and is revoked when this one is registered.
    Replaces(CardId),
}

/// Where a card is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Produced, not handed over.
    Registered,
    /// Handed over: its codes are with the holder. It may have expired since.
    Active {
        /// Milliseconds since 1970 UTC.
        activated_at_ms: u64,
    },
    /// After a recovery without evidence: nobody knows what became of it since. It can only be replaced by another card.
    Held {
        /// Milliseconds since 1970 UTC; nothing if it was not known to be active.
        activated_at_ms: Option<u64>,
    },
    /// Out of use for good.
    Revoked {
        /// Milliseconds since 1970 UTC; nothing if it never was active.
        activated_at_ms: Option<u64>,
        /// Milliseconds since 1970 UTC.
        revoked_at_ms: u64,
        /// Why.
        reason: Reason,
    },
}

impl State {
    /// `registered`, `active`, `held` or `revoked`.
    pub const fn text(&self) -> &'static str {
        match self {
            Self::Registered => "registered",
            Self::Active { .. } => "active",
            Self::Held { .. } => "held",
            Self::Revoked { .. } => "revoked",
        }
    }
}

/// A card's record.
#[derive(Clone, PartialEq, Eq)]
pub struct Card {
    registration: Registration,
    state: State,
    /// How it was activated; nothing where it never was, or nobody knows.
    activation: Option<Activation>,
    /// Gone when destroyed: then no code of the card can be derived again.
    salt: Option<[u8; 32]>,
    /// By [`CodeName::ALL`]; each starts at 1.
    generations: Generations,
    /// Tags of the C.I.P. of its present generation.
    first_tag: Option<[u8; 32]>,
    second_tag: Option<[u8; 32]>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Generations {
    cip: u32,
    pin: u32,
    puk: u32,
}

impl Card {
    /// A card that has been produced.
    pub const fn register(registration: Registration, salt: [u8; 32]) -> Self {
        Self {
            registration,
            state: State::Registered,
            activation: None,
            salt: Some(salt),
            generations: Generations { cip: 1, pin: 1, puk: 1 },
            first_tag: None,
            second_tag: None,
        }
    }

    /// What never changes.
    pub const fn registration(&self) -> &Registration {
        &self.registration
    }

    /// Where it is in its life.
    pub const fn state(&self) -> State {
        self.state
    }

    /// How it was activated; nothing where it never was, or nobody knows: it was before this was kept, or evidence of a
    /// recovery does not say it.
    pub const fn activation(&self) -> Option<Activation> {
        self.activation
    }

    /// The salt of its codes; nothing once destroyed.
    pub const fn salt(&self) -> Option<&[u8; 32]> {
        self.salt.as_ref()
    }

    /// The generation of a code, from 1 up.
    pub const fn generation(&self, code: CodeName) -> u32 {
        match code {
            CodeName::Cip => self.generations.cip,
            CodeName::Pin => self.generations.pin,
            CodeName::Puk => self.generations.puk,
        }
    }

    /// Tag of the first part of its C.I.P.; nothing before activation or where it has none.
    pub const fn cip_first_tag(&self) -> Option<&[u8; 32]> {
        self.first_tag.as_ref()
    }

    /// Tag of the second part of its C.I.P., of the same generation; nothing until the courier has prepared it.
    pub const fn cip_second_tag(&self) -> Option<&[u8; 32]> {
        self.second_tag.as_ref()
    }

    /// Whether its last day has passed.
    pub fn is_expired(&self, today: CivilDate) -> bool {
        self.registration.expiry.is_expired(today)
    }

    /// Refuses unless the card is active and not expired, as for a reprint.
    pub fn check_in_use(&self, today: CivilDate) -> Result<(), Refusal> {
        self.check_active()?;
        if self.is_expired(today) { Err(Refusal::CardExpired) } else { Ok(()) }
    }

    /// Refuses unless the card is active and its C.I.P. was handed out. It may have expired: until it is revoked the C.I.P.
    /// serves for that.
    pub fn check_has_cip(&self) -> Result<(), Refusal> {
        self.check_active()?;
        if self.first_tag.is_none() { Err(Refusal::NoCip) } else { Ok(()) }
    }

    /// Refuses unless the card says who its holder is: handed over or about to be, and not expired.
    pub fn check_presentable(&self, today: CivilDate) -> Result<(), Refusal> {
        match self.state {
            State::Registered if self.is_expired(today) => Err(Refusal::CardExpired),
            State::Registered => Ok(()),
            State::Active { .. } | State::Held { .. } | State::Revoked { .. } => self.check_in_use(today),
        }
    }

    const fn check_active(&self) -> Result<(), Refusal> {
        match self.state {
            State::Registered => Err(Refusal::CardNotActive),
            State::Active { .. } => Ok(()),
            State::Held { .. } => Err(Refusal::CardHeld),
            State::Revoked { .. } => Err(Refusal::CardRevoked),
        }
    }

    /// Hands it over. `first_tag` is the tag of the first part of its C.I.P., if its template has one.
    pub fn activate(
        &self,
        how: Activation,
        now_ms: u64,
        today: CivilDate,
        first_tag: Option<[u8; 32]>,
    ) -> Result<Self, Refusal> {
        match self.state {
            State::Registered if self.is_expired(today) => Err(Refusal::CardExpired),
            State::Registered => {
                let state = State::Active { activated_at_ms: now_ms };
                Ok(Self { state, activation: Some(how), first_tag, ..self.clone() })
            }
            State::Active { .. } => Err(Refusal::CardAlreadyActive),
            State::Held { .. } => Err(Refusal::CardHeld),
            State::Revoked { .. } => Err(Refusal::CardRevoked),
        }
    }

    /// Takes it out of use for good, expired or not.
    pub fn revoke(&self, reason: Reason, now_ms: u64) -> Result<Self, Refusal> {
        let activated_at_ms = match self.state {
            State::Registered => None,
            State::Active { activated_at_ms } => Some(activated_at_ms),
            State::Held { activated_at_ms } => activated_at_ms,
            State::Revoked { .. } => return Err(Refusal::CardRevoked),
        };
        let state = State::Revoked { activated_at_ms, revoked_at_ms: now_ms, reason };
        Ok(Self { state, ..self.clone() })
    }

    /// Takes it out of every use but its replacement, when nobody knows what became of it. A revoked card stays so.
    #[must_use]
    pub fn hold(&self) -> Self {
        let activated_at_ms = match self.state {
            State::Registered => None,
            State::Active { activated_at_ms } => Some(activated_at_ms),
            State::Held { .. } | State::Revoked { .. } => return self.clone(),
        };
        Self { state: State::Held { activated_at_ms }, ..self.clone() }
    }

    /// Repeats an activation that evidence tells of. Its first parts were handed out then; they are not handed out by
    /// this, and the C.I.P. has no tags, so that it is never right. A card that is not merely registered stays as it is.
    #[must_use]
    pub fn activated_before(&self, at_ms: u64, activation: Option<Activation>) -> Self {
        match self.state {
            State::Registered => {
                Self { state: State::Active { activated_at_ms: at_ms }, activation, ..self.clone() }
            }
            State::Active { .. } | State::Held { .. } | State::Revoked { .. } => self.clone(),
        }
    }

    /// Keeps the tag of the second part of the C.I.P., as the courier hands it back. The same tag again changes
    /// nothing: the courier may have been interrupted and prepare the delivery anew.
    pub fn set_second_tag(&self, generation: u32, tag: [u8; 32]) -> Result<Self, Refusal> {
        self.check_has_cip()?;
        if generation != self.generations.cip {
            return Err(Refusal::GenerationChanged);
        }
        if self.second_tag.is_some_and(|known| known != tag) {
            return Err(Refusal::SecondPartDiffers);
        }
        Ok(Self { second_tag: Some(tag), ..self.clone() })
    }

    /// Voids its C.I.P. for a new one: the next generation, of which no part is handed out yet ([`Card::hand_out_cip`]).
    /// Whether its template has a C.I.P. is for the caller to know.
    pub fn renew_cip(&self, today: CivilDate) -> Result<Self, Refusal> {
        self.check_in_use(today)?;
        let cip = self.generations.cip.checked_add(1).ok_or(Refusal::NoCip)?;
        Ok(self.with_void_cip(cip))
    }

    /// Keeps the tag of the first part of the C.I.P. that [`Card::renew_cip`] has begun.
    pub fn hand_out_cip(&self, first_tag: [u8; 32]) -> Result<Self, Refusal> {
        self.check_active()?;
        Ok(Self { first_tag: Some(first_tag), second_tag: None, ..self.clone() })
    }

    /// Repeats a renewal that evidence tells of. Parts of the new C.I.P. were handed out then; it has no tags here, so that
    /// neither it nor the former one is ever right. A card that has come as far stays as it is.
    #[must_use]
    pub fn cip_renewed_before(&self, generation: u32) -> Self {
        if generation > self.generations.cip { self.with_void_cip(generation) } else { self.clone() }
    }

    fn with_void_cip(&self, cip: u32) -> Self {
        let generations = Generations { cip, ..self.generations };
        Self { generations, first_tag: None, second_tag: None, ..self.clone() }
    }

    /// Destroys the salt and the tags of a revoked card, when its retention time is over.
    pub fn destroy_salt(&self) -> Result<Self, Refusal> {
        match self.state {
            State::Registered | State::Active { .. } | State::Held { .. } => Err(Refusal::CardNotRevoked),
            State::Revoked { .. } => {
                Ok(Self { salt: None, first_tag: None, second_tag: None, ..self.clone() })
            }
        }
    }
}

/// Shows what identifies the record, not what it holds.
impl fmt::Debug for Card {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Card({}, {})", self.registration.id, self.state.text())
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Registration({})", self.id)
    }
}
