//! PIN and PUK: given to the card in one command each, then wiped.

use zeroize::Zeroizing;

use super::{CardError, Session, apdu::Answer};
use crate::secret::{Digits, Secret};

/// What somebody typed is not a PIN or PUK of such a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a PIN or PUK of a CNS card has 5 to 8 digits")]
pub struct BadPin;

/// A PIN or PUK, as the card wants it: 5 to 8 digits, filled up with `FF`. It is never empty.
#[derive(Debug)]
pub struct Pin(Secret<8>);

impl Pin {
    /// Takes digits.
    pub fn new(digits: &Digits) -> Result<Self, BadPin> {
        let digits = digits.expose().as_bytes();
        let mut padded = Zeroizing::new([0xFF; 8]);
        if digits.len() < 5 {
            return Err(BadPin);
        }
        padded.get_mut(..digits.len()).ok_or(BadPin)?.copy_from_slice(digits);
        Ok(Self(Secret::new(*padded)))
    }

    /// Whether both are the same, in constant time.
    pub fn is_same(&self, other: &Self) -> bool {
        self.0.ct_eq(other.0.expose()).into()
    }
}

impl Session {
    /// Gives the PIN to the card, which then signs until this session ends. Costs a try if it is wrong. Blocks.
    ///
    /// # Errors
    /// [`CardError::WrongPin`], [`CardError::Blocked`] and others.
    pub fn unlock(&mut self, pin: &Pin) -> Result<(), CardError> {
        let head = [0x00, 0x20, 0x00, self.atr.pin_reference()];
        let answer = self.channel()?.send(head, pin.0.expose(), None)?;
        judge(answer, "VERIFY", CardError::Blocked, CardError::WrongPin)
    }

    /// Sets a new PIN by the PUK, and all its tries. Costs a try of the PUK if it is wrong. Blocks.
    ///
    /// # Errors
    /// [`CardError::WrongPuk`], [`CardError::PukBlocked`] and others.
    pub fn unblock(&mut self, puk: &Pin, new: &Pin) -> Result<(), CardError> {
        let mut data = Zeroizing::new(Vec::with_capacity(16));
        data.extend(puk.0.expose());
        data.extend(new.0.expose());
        let head = [0x00, 0x2C, 0x00, self.atr.pin_reference()];
        let answer = self.channel()?.send(head, &data, None)?;
        judge(answer, "RESET RETRY COUNTER", CardError::PukBlocked, CardError::WrongPuk)
    }
}

fn judge(
    answer: Answer,
    command: &'static str,
    blocked: CardError,
    wrong: fn(Option<u8>) -> CardError,
) -> Result<(), CardError> {
    match answer.status {
        0x6983 | 0x63C0 => Err(blocked),
        0x6300 => Err(wrong(None)),
        status @ 0x63C1..=0x63CF => Err(wrong(u8::try_from(status & 0xF).ok())),
        _ => answer.done(command).map(drop),
    }
}
