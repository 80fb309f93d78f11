//! However 64 wrong guesses arrive, five are granted, and then even the right code is refused (I4).

use std::sync::Arc;

use sigillo::tls::Protocols;
use tokio::task::JoinSet;

use crate::fixture::{Api, Installation, audit::Log, cards::wrong, key};

const GUESSES: usize = 64;
const LIMIT: usize = 5;

/// Guesses over these callers in turn, with so many idempotency keys: a repeated key repeats its guess.
async fn five_are_granted(home: &Installation, callers: Vec<Arc<Api>>, keys: usize) {
    let desk = home.api("desk");
    let active = home.activated(&desk).await;
    let cip = active.cip(home).await;
    // The code is right, and a success leaves no debt.
    assert_eq!(active.card.verify(&desk, &cip).await.0, "accepted");

    let keys: Vec<String> = (0..keys).map(|_| key()).collect();
    let mut guesses = JoinSet::new();
    for n in 0..GUESSES {
        let (api, which) = (Arc::clone(&callers[n % callers.len()]), n % keys.len());
        let (once, body) = (keys[which].clone(), active.card.guess(&wrong(&cip, which)));
        guesses.spawn(async move { api.post("/v1/verifications", Some(&once), &body).await });
    }
    let mut rejected = 0;
    for answer in guesses.join_all().await {
        if answer.status == 200 {
            assert_eq!(answer.json()["outcome"], "rejected");
            rejected += 1;
        } else {
            // Repeated while the first was still on its way.
            answer.problem(409, "in_progress");
        }
    }
    assert!(rejected >= keys.len(), "{rejected}");

    assert_eq!(active.card.verify(&desk, &cip).await.0, "rejected");
    let found = active.card.look_up(&desk).await;
    assert_eq!((found["state"].as_str(), found["cip_tries_left"].as_u64()), (Some("active"), Some(0)));

    let log = Log::read(&home.api("auditor")).await;
    let activation = log.0.iter().find(|event| event.text("request") == active.request).unwrap();
    let of_card: Vec<_> = log.about(activation.text("card")).collect();
    let spent: Vec<_> = of_card.iter().filter(|event| event.text("kind") == "verification.spent").collect();
    assert_eq!(spent.len(), 1 + keys.len() + 1, "a repeated key spends nothing");
    assert!(spent[0].is_granted());
    assert_eq!(spent[1..].iter().filter(|event| event.is_granted()).count(), LIMIT);
    let mut tickets: Vec<_> =
        spent.iter().filter(|event| event.is_granted()).map(|event| event.text("ticket")).collect();
    tickets.dedup();
    assert_eq!(tickets.len(), 1 + LIMIT, "every granted try has a ticket of its own");
    let decided = of_card.iter().filter(|event| event.text("kind") == "verification.decided");
    let outcomes: Vec<_> = decided.map(|event| event.text("outcome")).collect();
    assert_eq!(outcomes.len(), spent.len());
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == "accepted").count(), 1);
}

fn over(home: &Installation, clients: usize, protocols: Protocols, concurrent: usize) -> Vec<Arc<Api>> {
    (0..clients).map(|_| Arc::new(home.api_with("desk", protocols, concurrent))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn over_one_pool_of_http1_connections() {
    let home = Installation::shared().await;
    five_are_granted(&home, over(&home, 1, Protocols::Http1, GUESSES), GUESSES).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_two_clients_with_two_connections_each() {
    let home = Installation::shared().await;
    five_are_granted(&home, over(&home, 2, Protocols::Http1, 2), GUESSES).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_streams_of_one_http2_connection() {
    let home = Installation::shared().await;
    five_are_granted(&home, over(&home, 1, Protocols::Http2, GUESSES), GUESSES).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_idempotency_keys_repeated_over_both_versions() {
    let home = Installation::shared().await;
    let mut callers = over(&home, 1, Protocols::Http2, GUESSES);
    callers.extend(over(&home, 2, Protocols::Http1, 8));
    five_are_granted(&home, callers, GUESSES / 4).await;
}
