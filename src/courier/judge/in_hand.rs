//! Cards whose message is in hand: one message of a card at a time, however many deliveries are carried out at once.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::domain::id::CardId;

/// The cards.
#[derive(Clone, Debug, Default)]
pub(super) struct InHand(Arc<Mutex<BTreeSet<CardId>>>);

/// A card's turn; over when dropped.
#[derive(Debug)]
pub(super) struct Turn {
    all: InHand,
    card: CardId,
}

impl InHand {
    /// The turn of this card; nothing while another has it.
    pub(super) fn take(&self, card: CardId) -> Option<Turn> {
        self.cards().insert(card).then(|| Turn { all: self.clone(), card })
    }

    fn cards(&self) -> MutexGuard<'_, BTreeSet<CardId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.all.cards().remove(&self.card);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_has_one_turn_at_a_time_and_others_have_theirs() {
        let (all, one, two) = (InHand::default(), CardId::new([1; 16]), CardId::new([2; 16]));
        let turn = all.take(one).unwrap();
        assert!(all.take(one).is_none());
        assert!(all.take(two).is_some());
        drop(turn);
        assert!(all.take(one).is_some());
    }
}
