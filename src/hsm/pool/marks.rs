//! Checkpoints kept in the token, through the pool.

use super::{Error, Hsm};
use crate::hsm::{MARK_MAX, Marks, Place};

impl Hsm {
    /// What is kept at both places, as [`crate::hsm::Token::read_marks`].
    pub async fn read_marks(&self) -> Result<Marks, Error> {
        self.call(|token| token.read_marks()).await
    }

    /// Keeps a text at a place, as [`crate::hsm::Token::write_mark`].
    pub async fn write_mark(&self, place: Place, mark: Vec<u8>) -> Result<(), Error> {
        if mark.is_empty() || mark.len() > MARK_MAX {
            return Err(Error::Bug(format!("a mark of {} bytes", mark.len())));
        }
        self.call(move |token| token.write_mark(place, &mark)).await
    }
}
