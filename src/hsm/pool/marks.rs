//! Checkpoints kept in the token, through the pool.

use std::sync::Arc;

use tokio::sync::{Mutex, OwnedMutexGuard};

use super::{Error, Hsm};
use crate::hsm::{MARK_MAX, Marks, Place};

/// The right to write the next mark, and where it goes. A write keeps it to its own end.
pub type MarkTurn = OwnedMutexGuard<Place>;

impl Hsm {
    /// What is kept at both places, as [`crate::hsm::Token::read_marks`].
    pub async fn read_marks(&self) -> Result<Marks, Error> {
        self.call(|token| token.read_marks()).await
    }

    /// The turn to write a mark.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if a write before has not ended within the deadline of a call.
    pub async fn mark_turn(&self, turns: &Arc<Mutex<Place>>) -> Result<MarkTurn, Error> {
        let turn = Arc::clone(turns).lock_owned();
        tokio::time::timeout(self.inner.deadline, turn)
            .await
            .map_err(|_| Error::Unavailable("the write of the checkpoint before has not ended".into()))
    }

    /// Keeps a text at the place of this turn, as [`crate::hsm::Token::write_mark`]; the next turn has the other place.
    ///
    /// The turn ends with the write, not with the answer to the caller: a write that outlives its deadline is over
    /// before the next one begins, so that no older mark comes after a newer one.
    pub async fn write_mark(&self, mut turn: MarkTurn, mark: Vec<u8>) -> Result<(), Error> {
        if mark.is_empty() || mark.len() > MARK_MAX {
            return Err(Error::Bug(format!("a mark of {} bytes", mark.len())));
        }
        self.call(move |token| {
            token.write_mark(*turn, &mark)?;
            *turn = turn.other();
            Ok(())
        })
        .await
    }
}
