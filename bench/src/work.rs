//! What load consists of.

mod deliver;
mod mixed;
mod register;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use serde_json::{Value, json};
use sigillo::{
    api::cards::NewCard,
    clock::{Clock, SystemClock},
};
use sigillo_bench::desk::{Desk, Refused};

pub(crate) use self::{
    deliver::Deliver,
    mixed::{Mixed, cards_for},
    register::Register,
};
use crate::{
    load::{Turn, Work},
    place::Desks,
};

/// A name that no other run has, for idempotency keys.
pub(crate) fn fresh_name() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let (now, count) = (SystemClock::new().now_ms(), COUNT.fetch_add(1, Ordering::Relaxed));
    format!("bench-{now}-{}-{count}", std::process::id())
}

/// One of them all, by the turn.
fn of(cards: &[NewCard], n: u64) -> Result<&NewCard, String> {
    // 61 has no factor in common with powers of two: neighbours in time are none in the file.
    let index = usize::try_from(n.wrapping_mul(61)).ok().and_then(|n| n.checked_rem(cards.len()));
    index.and_then(|index| cards.get(index)).ok_or_else(|| "there is no card".into())
}

async fn post(desk: &Desk, path: &str, key: &str, body: &Value) -> Result<Value, String> {
    desk.post(path, key, body).await.map_err(|e| format!("POST {path}: {e}"))
}

/// The three data of a card.
fn data(card: &NewCard) -> Value {
    json!({ "tax_code": card.tax_code, "team_number": card.team_number, "expires_on": card.expires_on })
}

fn with(mut body: Value, members: Value) -> Value {
    if let (Value::Object(body), Value::Object(members)) = (&mut body, members) {
        body.extend(members);
    }
    body
}

/// The holder in person, with a document.
fn holder() -> Value {
    json!({ "is": "holder", "document": {
        "kind": "identity_card", "number": "CA12345AB", "issuer": "Comune di Roma", "issued_on": "2020-01-01",
        "expires_on": "2099-12-31",
    } })
}

fn activation(card: &NewCard, name: &str, n: u64) -> Value {
    let contact = json!({ "channel": "email", "address": format!("{name}-{n}@example.it") });
    with(data(card), json!({ "applicant": holder(), "contact": contact, "data_processing": true }))
}

/// Wrong guesses: the same work as right ones by design (`src/service/verify.rs`), on known cards and on unknown ones.
pub(crate) struct Verify {
    pub(crate) desks: Desks,
    pub(crate) cards: Arc<Vec<NewCard>>,
    pub(crate) name: String,
}

fn guess(card: &NewCard) -> Value {
    json!({ "team_number": card.team_number, "code": "00000000", "purpose": "revocation" })
}

impl Work for Verify {
    async fn turn(&self, n: u64) -> Result<Turn, String> {
        let body = guess(of(&self.cards, n)?);
        post(self.desks.get(n)?, "/v1/verifications", &format!("{}-{n}", self.name), &body).await?;
        Ok(Turn::Done)
    }
}

/// The hello server: the request of a verification, to nobody.
pub(crate) struct Hello(pub(crate) Verify);

impl Work for Hello {
    async fn turn(&self, n: u64) -> Result<Turn, String> {
        self.0.turn(n).await
    }
}

/// Activations of cards that are registered, each once.
pub(crate) struct Activate {
    pub(crate) desks: Desks,
    pub(crate) cards: Arc<Vec<NewCard>>,
    pub(crate) name: String,
}

impl Work for Activate {
    async fn turn(&self, n: u64) -> Result<Turn, String> {
        let Some(card) = usize::try_from(n).ok().and_then(|n| self.cards.get(n)) else {
            return Ok(Turn::Over);
        };
        let key = format!("{}-{n}", self.name);
        post(self.desks.get(n)?, "/v1/activations", &key, &activation(card, "citizen", n)).await?;
        Ok(Turn::Done)
    }
}

/// A new connection for each request, to a path that is not there.
pub(crate) struct Handshake {
    pub(crate) desks: Desks,
}

impl Work for Handshake {
    async fn turn(&self, n: u64) -> Result<Turn, String> {
        match self.desks.get(n)?.get::<Value>("/v1/nothing").await {
            // The hello server answers everything.
            Ok(_) => Ok(Turn::Done),
            Err(Refused::Problem(problem)) if problem.code == "no_such_path" => Ok(Turn::Done),
            Err(other) => Err(format!("GET /v1/nothing: {other}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_cards_differ() {
        assert_ne!(fresh_name(), fresh_name());
        let card = |n: usize| NewCard {
            tax_code: n.to_string(),
            team_number: String::new(),
            expires_on: String::new(),
            renews: None,
            replaces: None,
        };
        let cards: Vec<_> = (0..4096).map(card).collect();
        let seen: std::collections::BTreeSet<_> =
            (0..4096).map(|n| of(&cards, n).unwrap().tax_code.clone()).collect();
        assert_eq!(seen.len(), 4096, "each card once before one comes again");
        assert!(of(&[], 1).is_err());
        let body = activation(&cards[3], "citizen", 9);
        assert_eq!((body["tax_code"].as_str(), body["data_processing"].as_bool()), (Some("3"), Some(true)));
        // How the mail of a turn is found again.
        assert_eq!(body["contact"]["address"], "citizen-9@example.it");
    }
}
