//! The stored form of a card: a format byte, then fields of fixed sizes, absent ones zero. All records are of one size,
//! so that the size of what is read or written says nothing about a card.

use super::{Activation, Card, Generations, Predecessor, Reason, Registration, State};
use crate::domain::{
    date::CivilDate,
    id::CardId,
    record::{Reader, put_optional},
    team::Region,
    template::TemplateId,
};

pub(super) const FORMAT: u8 = 1;
/// Bytes of a template's id, its length before it.
pub(super) const TEMPLATE: usize = 1 + TemplateId::MAX;
pub(super) const REGISTERED: u8 = 0;
pub(super) const ACTIVE: u8 = 1;
pub(super) const REVOKED: u8 = 2;
pub(super) const HELD: u8 = 3;

impl Card {
    /// Bytes of every stored card.
    pub const SIZE: usize = 245;

    /// The stored record.
    pub fn encode(&self) -> Vec<u8> {
        let r = &self.registration;
        let (state, activated, revoked, reason) = match self.state {
            State::Registered => (REGISTERED, None, None, None),
            State::Active { activated_at_ms } => (ACTIVE, Some(activated_at_ms), None, None),
            State::Revoked { activated_at_ms, revoked_at_ms, reason } => {
                (REVOKED, activated_at_ms, Some(revoked_at_ms), Some(reason))
            }
            State::Held { activated_at_ms } => (HELD, activated_at_ms, None, None),
        };
        let (link, former) = match &r.predecessor {
            None => (0, None),
            Some(Predecessor::Renews(id)) => (1, Some(id)),
            Some(Predecessor::Replaces(id)) => (2, Some(id)),
        };
        let (year, month, day) = r.expiry.numbers();
        let mut out = Vec::with_capacity(Self::SIZE);
        out.push(FORMAT);
        out.extend_from_slice(r.id.bytes());
        out.extend_from_slice(&r.tax_code_mac);
        out.extend_from_slice(&r.team_mac);
        out.extend_from_slice(&year.to_be_bytes());
        out.extend_from_slice(&[month, day]);
        out.extend_from_slice(r.region.bytes());
        out.extend_from_slice(&padded(&r.template));
        out.push(link);
        out.extend_from_slice(former.map_or(&[0; 16], |id| id.bytes()));
        out.extend_from_slice(&r.registered_at_ms.to_be_bytes());
        // In its upper half, so that records from before it was kept are read, and all are of one size.
        out.push(state | self.activation.map_or(0, Activation::number) << 4);
        put_optional(&mut out, activated.map(u64::to_be_bytes).as_ref());
        put_optional(&mut out, revoked.map(u64::to_be_bytes).as_ref());
        out.push(reason.map_or(0, Reason::number));
        for generation in [self.generations.cip, self.generations.pin, self.generations.puk] {
            out.extend_from_slice(&generation.to_be_bytes());
        }
        for field in [&self.salt, &self.first_tag, &self.second_tag] {
            put_optional(&mut out, field.as_ref());
        }
        out
    }

    /// Reads a stored record; nothing if it is not one, or if its fields contradict each other.
    pub fn decode(record: &[u8]) -> Option<Self> {
        let mut from = Reader::new(record);
        if from.byte()? != FORMAT {
            return None;
        }
        let registration = registration(&mut from)?;
        let (state, activation) = state(&mut from)?;
        let generations = Generations { cip: from.u32()?, pin: from.u32()?, puk: from.u32()? };
        let (salt, first_tag, second_tag) = (from.optional()?, from.optional()?, from.optional()?);
        let was_active = match state {
            State::Registered => false,
            State::Active { .. } => true,
            State::Held { activated_at_ms } | State::Revoked { activated_at_ms, .. } => {
                activated_at_ms.is_some()
            }
        };
        let holds_together = from.is_done()
            && generations.cip.min(generations.pin).min(generations.puk) >= 1
            && (salt.is_some() || matches!(state, State::Revoked { .. }) && first_tag.is_none())
            && (first_tag.is_none() || was_active)
            && (activation.is_none() || was_active)
            && (second_tag.is_none() || first_tag.is_some());
        holds_together.then_some(Self {
            registration,
            state,
            activation,
            salt,
            generations,
            first_tag,
            second_tag,
        })
    }
}

impl Reason {
    const fn number(self) -> u8 {
        match self {
            Self::ChangedData => 1,
            Self::Deceased => 2,
            Self::Faulty => 3,
            Self::HolderRequest => 4,
            Self::Lost => 5,
            Self::Renewed => 6,
            Self::Stolen => 7,
            Self::Replaced => 8,
        }
    }
}

/// The id's length and its bytes, padded with zero bytes.
fn padded(template: &TemplateId) -> [u8; TEMPLATE] {
    let text = template.as_str().as_bytes();
    let length = u8::try_from(text.len()).unwrap_or(0); // at most 32
    let mut out = [0; TEMPLATE];
    for (to, from) in out.iter_mut().zip(std::iter::once(&length).chain(text)) {
        *to = *from;
    }
    out
}

fn template(from: &mut Reader<'_>) -> Option<TemplateId> {
    let length = usize::from(from.byte()?);
    let field = from.bytes::<{ TemplateId::MAX }>()?;
    let (text, padding) = field.split_at_checked(length)?;
    if padding.iter().any(|byte| *byte != 0) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn predecessor(from: &mut Reader<'_>) -> Option<Option<Predecessor>> {
    let (kind, id) = (from.byte()?, from.bytes()?);
    match kind {
        0 if id == [0; 16] => Some(None),
        1 => Some(Some(Predecessor::Renews(CardId::new(id)))),
        2 => Some(Some(Predecessor::Replaces(CardId::new(id)))),
        _ => None,
    }
}

fn registration(from: &mut Reader<'_>) -> Option<Registration> {
    Some(Registration {
        id: CardId::new(from.bytes()?),
        tax_code_mac: from.bytes()?,
        team_mac: from.bytes()?,
        expiry: CivilDate::new(from.u16()?, from.byte()?, from.byte()?)?,
        region: Region::from_bytes(from.bytes()?)?,
        template: template(from)?,
        predecessor: predecessor(from)?,
        registered_at_ms: from.u64()?,
    })
}

/// The numbers of the state, and of how the card was activated.
pub(super) const fn halves(byte: u8) -> (u8, u8) {
    (byte & 0x0f, byte >> 4)
}

/// The state, and how the card was activated.
fn state(from: &mut Reader<'_>) -> Option<(State, Option<Activation>)> {
    let (number, activation) = halves(from.byte()?);
    let activation = match activation {
        0 => None,
        number => Some(Activation::ALL.into_iter().find(|how| how.number() == number)?),
    };
    let activated_at_ms = from.optional()?.map(u64::from_be_bytes);
    let revoked_at_ms = from.optional()?.map(u64::from_be_bytes);
    let reason = from.byte()?;
    let state = match (number, activated_at_ms, revoked_at_ms, reason) {
        (REGISTERED, None, None, 0) => State::Registered,
        (ACTIVE, Some(activated_at_ms), None, 0) => State::Active { activated_at_ms },
        (REVOKED, _, Some(revoked_at_ms), number) => {
            let reason = Reason::ALL.into_iter().find(|reason| reason.number() == number)?;
            State::Revoked { activated_at_ms, revoked_at_ms, reason }
        }
        (HELD, activated_at_ms, None, 0) => State::Held { activated_at_ms },
        _ => return None,
    };
    Some((state, activation))
}
