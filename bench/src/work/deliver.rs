//! Activations whose turn ends when the mail relay has the second parts.

use std::{sync::Arc, time::Duration};

use sigillo::api::cards::NewCard;

use super::{activation, post};
use crate::{
    arrivals::Arrivals,
    load::{Turn, Work},
    place::Desks,
};

/// Each of these cards once.
pub(crate) struct Deliver {
    pub(crate) desks: Desks,
    pub(crate) cards: Arc<Vec<NewCard>>,
    pub(crate) name: String,
    /// Of mail to `name-N@...`.
    pub(crate) arrivals: Arrivals,
    /// Longest time from an activation's answer to its mail.
    pub(crate) patience: Duration,
}

impl Work for Deliver {
    async fn turn(&self, n: u64) -> Result<Turn, String> {
        let Some(card) = usize::try_from(n).ok().and_then(|n| self.cards.get(n)) else {
            return Ok(Turn::Over);
        };
        // Before it can come.
        let mail = self.arrivals.expect(n)?;
        let key = format!("{}-{n}", self.name);
        post(self.desks.get(n)?, "/v1/activations", &key, &activation(card, &self.name, n)).await?;
        match tokio::time::timeout(self.patience, mail).await {
            Ok(Ok(())) => Ok(Turn::Done),
            Ok(Err(_)) => Err(self.arrivals.fault()),
            Err(_) => Err(format!(
                "no mail of an activation has arrived in {} s: does the courier run, has it done the queue of before \
                 (--patience waits longer), and is --mail where its relay writes?",
                self.patience.as_secs()
            )),
        }
    }
}
