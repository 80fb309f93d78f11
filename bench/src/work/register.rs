//! Registrations of produced cards, so many lines in a request.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use sigillo::api::cards::{NewCard, Registered};
use sigillo_bench::{cards::write, desk::Desk};

use crate::load::{Turn, Work};

/// Each card once, in their order.
pub(crate) struct Register {
    bureau: Desk,
    cards: Mutex<Box<dyn Iterator<Item = NewCard> + Send>>,
    step: usize,
    /// Cards that the authority has taken.
    taken: Arc<AtomicU64>,
}

impl Register {
    /// `step` lines in a request. They are made as they are wanted: any number takes the memory of those under way.
    pub(crate) fn new(
        bureau: Desk,
        cards: impl Iterator<Item = NewCard> + Send + 'static,
        step: usize,
    ) -> Self {
        Self { bureau, cards: Mutex::new(Box::new(cards)), step: step.max(1), taken: Arc::default() }
    }

    /// How many the authority has taken, also when this is gone.
    pub(crate) fn taken(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.taken)
    }

    fn next(&self) -> Result<Vec<u8>, String> {
        let mut cards = self.cards.lock().unwrap_or_else(PoisonError::into_inner);
        let mut lines = Vec::new();
        write(cards.by_ref().take(self.step), &mut lines).map_err(|e| e.to_string())?;
        Ok(lines)
    }
}

impl Work for Register {
    async fn turn(&self, _: u64) -> Result<Turn, String> {
        let lines = self.next()?;
        if lines.is_empty() {
            return Ok(Turn::Over);
        }
        let done = self.bureau.post_lines("/v1/cards", lines).await;
        let done: Registered = done.map_err(|e| format!("POST /v1/cards: {e}"))?;
        self.taken.fetch_add(done.registered, Ordering::Relaxed);
        all_new(&done).map(|()| Turn::Done)
    }
}

/// A card that is there already costs less: what it would tell is not what a registration costs.
fn all_new(done: &Registered) -> Result<(), String> {
    match (done.unchanged, done.rejected.first()) {
        (0, None) => Ok(()),
        (0, Some(bad)) => Err(format!("POST /v1/cards: a line was rejected: {}: {}", bad.code, bad.detail)),
        (some, _) => Err(format!(
            "POST /v1/cards: {some} cards are registered already: go on behind them with --from, or take another --seed"
        )),
    }
}

#[cfg(test)]
mod tests {
    use sigillo::api::cards::BadLine;

    use super::*;

    #[test]
    fn figures_are_of_new_cards_alone() {
        let done =
            |unchanged, rejected| Registered { registered: 5, unchanged, rejected, ..Registered::default() };
        all_new(&done(0, Vec::new())).unwrap();
        assert!(all_new(&done(1, Vec::new())).unwrap_err().contains("1 cards are registered already"));
        let bad = BadLine { line: 2, code: "number_taken".into(), field: None, detail: "it is taken".into() };
        assert!(all_new(&done(0, vec![bad])).unwrap_err().ends_with("number_taken: it is taken"));
    }
}
