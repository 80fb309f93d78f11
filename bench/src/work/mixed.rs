//! A mixture shaped like a day of the counters.
//!
//! Assumed, for want of published figures: an operator looks a card up before anything else, and often only that; most
//! who come want their codes for the first time; C.I.P.s are presented to revoke a card, and many are mistyped. Of 100
//! turns 50 are look-ups, 22 activations, 14 presented C.I.P.s, 8 histories, 4 reprints, 2 revocations. A revocation is
//! without C.I.P., by two operators: three requests more (it is asked for, signed, carried out), one at a time, since the policy
//! bounds what an operator may have asked for. What has no card yet (a reprint before the first activation) is a look-up.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde_json::{Value, json};
use sigillo::{
    api::{
        approvals::{Approval, SignApproval},
        cards::NewCard,
    },
    domain::signed_text::Context,
};
use sigillo_bench::desk::Desk;

use super::{activation, data, guess, holder, of, post, with};
use crate::{
    load::{Turn, Work},
    number::mixed,
    place::Desks,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    LookUp,
    Activate,
    Verify,
    History,
    Reprint,
    Revoke,
}

const fn what(n: u64) -> What {
    match mixed(n) % 100 {
        0..50 => What::LookUp,
        50..72 => What::Activate,
        72..86 => What::Verify,
        86..94 => What::History,
        94..98 => What::Reprint,
        _ => What::Revoke,
    }
}

/// Cards that so many turns take, each of them activated once. Shares are drawn: 5 % more, and some, is enough.
pub(crate) fn cards_for(turns: f64) -> f64 {
    (turns * 0.22).mul_add(1.05, 50.0).ceil()
}

/// The mixture.
pub(crate) struct Mixed {
    desks: Desks,
    supervisor: Desk,
    cards: Arc<Vec<NewCard>>,
    name: String,
    /// The next card that was never activated.
    next: AtomicUsize,
    /// Activated and not reprinted; then reprinted and not revoked.
    active: Mutex<VecDeque<usize>>,
    reprinted: Mutex<VecDeque<usize>>,
    one_revocation: tokio::sync::Mutex<()>,
}

fn push(queue: &Mutex<VecDeque<usize>>, card: usize) {
    queue.lock().unwrap_or_else(PoisonError::into_inner).push_back(card);
}

fn pop(queue: &Mutex<VecDeque<usize>>) -> Option<usize> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
}

impl Mixed {
    /// Of cards that are registered, and none of them activated.
    pub(crate) fn new(desks: Desks, supervisor: Desk, cards: Arc<Vec<NewCard>>, name: String) -> Self {
        let (active, reprinted) = (Mutex::default(), Mutex::default());
        let (next, one_revocation) = (AtomicUsize::new(0), tokio::sync::Mutex::default());
        Self { desks, supervisor, cards, name, next, active, reprinted, one_revocation }
    }

    async fn look_up(&self, desk: &Desk, key: &str, n: u64) -> Result<(), String> {
        post(desk, "/v1/cards/lookup", key, &data(of(&self.cards, n)?)).await.map(drop)
    }

    /// A second operator agrees.
    async fn revoke(&self, desk: &Desk, key: &str, card: &NewCard) -> Result<(), String> {
        let _one = self.one_revocation.lock().await;
        let number = json!({ "team_number": card.team_number });
        let ask = json!({ "action": "revoke", "card": number, "reason": "lost" });
        let asked = post(desk, "/v1/approvals", &format!("{key}-ask"), &ask).await?;
        let asked: Approval = serde_json::from_value(asked).map_err(|e| e.to_string())?;
        let signature = self.supervisor.sign(Context::Approval, &asked.text)?;
        let path = format!("/v1/approvals/{}/sign", asked.id);
        let body = json!(SignApproval { signature });
        post(&self.supervisor, &path, &format!("{key}-sign"), &body).await?;
        let body = with(number, json!({ "approval": asked.id, "reason": "lost", "applicant": holder() }));
        post(desk, "/v1/revocations", key, &body).await.map(drop)
    }
}

impl Work for Mixed {
    async fn turn(&self, n: u64) -> Result<Turn, String> {
        let (desk, key) = (self.desks.get(n)?, format!("{}-{n}", self.name));
        let card = |index: usize| self.cards.get(index);
        match what(n) {
            What::Activate => {
                let index = self.next.fetch_add(1, Ordering::Relaxed);
                let Some(card) = card(index) else { return Ok(Turn::Over) };
                post(desk, "/v1/activations", &key, &activation(card, "citizen", n)).await?;
                push(&self.active, index);
            }
            What::Reprint => match pop(&self.active).and_then(|index| Some((index, card(index)?))) {
                Some((index, card)) => {
                    let contact: Value =
                        json!({ "channel": "email", "address": format!("again-{n}@example.it") });
                    let members =
                        json!({ "applicant": holder(), "reason": "lost_paper", "contact": contact });
                    post(desk, "/v1/reprints", &key, &with(data(card), members)).await?;
                    push(&self.reprinted, index);
                }
                None => self.look_up(desk, &key, n).await?,
            },
            What::Revoke => match pop(&self.reprinted).and_then(card) {
                Some(card) => self.revoke(desk, &key, card).await?,
                None => self.look_up(desk, &key, n).await?,
            },
            What::History => {
                post(desk, "/v1/history", &key, &data(of(&self.cards, n)?)).await?;
            }
            What::LookUp => self.look_up(desk, &key, n).await?,
            What::Verify => {
                post(desk, "/v1/verifications", &key, &guess(of(&self.cards, n)?)).await?;
            }
        }
        Ok(Turn::Done)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn the_shares_are_the_ones_that_are_written_down() {
        let mut seen = BTreeMap::new();
        for n in 0..100_000 {
            *seen.entry(what(n)).or_insert(0_i64) += 1;
        }
        for (kind, share) in [
            (What::LookUp, 50),
            (What::Activate, 22),
            (What::Verify, 14),
            (What::History, 8),
            (What::Reprint, 4),
            (What::Revoke, 2),
        ] {
            assert!((seen[&kind] - share * 1000).abs() < 500, "{kind:?}: {}", seen[&kind]);
        }
        assert!(cards_for(100_000.0) > f64::from(u32::try_from(seen[&What::Activate]).unwrap()));
        assert!(cards_for(20.0) > 20.0, "whatever is drawn");
    }
}
