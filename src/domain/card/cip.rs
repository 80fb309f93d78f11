//! What a verification reads of a stored card: the same steps at the same places, whatever the record says (I6).
//!
//! [`Card::decode`] builds what a record means, with a branch for each of its forms. Here nothing is built: every number is there
//! for every card, and bits say which of them count. Beyond size and format, no branch and no address depends on the record
//! (`prove --only time-in-code`).

use subtle::{Choice, ConstantTimeEq};

use super::{Card, stored};
use crate::domain::{id::CardId, record::Reader};

/// What a record says of a card's C.I.P.
pub struct Cip {
    /// The card's id.
    pub id: CardId,
    /// Zero bytes where it is destroyed.
    pub salt: [u8; 32],
    /// Whether it is there.
    pub has_salt: Choice,
    /// Counted from 1.
    pub generation: u32,
    /// Whether the card is active.
    pub is_active: Choice,
    /// Of the first and of the second part; zero bytes where there is none.
    pub tags: [[u8; 32]; 2],
    /// Which of them are there.
    pub has_tags: [Choice; 2],
    /// Whether all this holds together. Of a record for which it does not, [`Card::decode`] makes no card.
    pub is_sound: Choice,
    template: [u8; stored::TEMPLATE],
}

/// A field that may be absent.
struct Field<const N: usize> {
    is_there: Choice,
    bytes: [u8; N],
    is_sound: Choice,
}

fn field<const N: usize>(from: &mut Reader<'_>) -> Option<Field<N>> {
    let (present, bytes) = (from.byte()?, from.bytes()?);
    let is_there = present.ct_eq(&1);
    let is_empty = present.ct_eq(&0) & bytes.as_slice().ct_eq([0; N].as_slice());
    Some(Field { is_there, bytes, is_sound: is_there | is_empty })
}

impl Cip {
    /// Reads a stored record; nothing if it has not a card's size and format.
    pub fn read(record: &[u8]) -> Option<Self> {
        let mut from = Reader::new(record);
        if record.len() != Card::SIZE || from.byte()? != stored::FORMAT {
            return None;
        }
        let id = CardId::new(from.bytes()?);
        let _tax_code_and_team: [u8; 32] = from.bytes()?;
        let _expiry_and_region: [u8; 7] = from.bytes()?;
        let template = from.bytes()?;
        let _predecessor_and_time: [u8; 25] = from.bytes()?;
        let (state, activation) = stored::halves(from.byte()?);
        let (activated, revoked): (Field<8>, Field<8>) = (field(&mut from)?, field(&mut from)?);
        let _reason = from.byte()?;
        let generation = from.u32()?;
        let _pin_and_puk: [u8; 8] = from.bytes()?;
        let (salt, first, second): (Field<32>, _, _) =
            (field(&mut from)?, field(&mut from)?, field(&mut from)?);

        let is = |number: u8| state.ct_eq(&number);
        let is_active = is(stored::ACTIVE);
        let is_known_state = is(stored::REGISTERED) & !activated.is_there & !revoked.is_there
            | is_active & activated.is_there & !revoked.is_there
            | is(stored::REVOKED) & revoked.is_there
            | is(stored::HELD) & !revoked.is_there;
        let is_sound = is_known_state
            & !generation.ct_eq(&0)
            & (salt.is_there | is(stored::REVOKED) & !first.is_there)
            & (!first.is_there & activation.ct_eq(&0) | activated.is_there)
            & (!second.is_there | first.is_there);
        let fields = [activated.is_sound, revoked.is_sound, salt.is_sound, first.is_sound, second.is_sound];
        Some(Self {
            id,
            salt: salt.bytes,
            has_salt: salt.is_there,
            generation,
            is_active,
            tags: [first.bytes, second.bytes],
            has_tags: [first.is_there, second.is_there],
            is_sound: fields.into_iter().fold(is_sound, |all, one| all & one),
            template,
        })
    }

    /// The text of its template's id; nothing if it is none.
    pub fn template(&self) -> Option<&str> {
        let (length, text) = self.template.split_first()?;
        std::str::from_utf8(text.get(..usize::from(*length))?).ok()
    }
}
