//! Killed at moments that nobody chose: what was acknowledged is there, and the log is whole (I5, I9).

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde_json::Value;
use tokio::{sync::Notify, task::JoinSet};

use crate::{
    fixture::{Activated, Api, Card, Installation, audit::Log, key},
    rounds::rounds,
};

const ROUNDS: usize = 6;
/// Callers at one time.
const CALLERS: usize = 8;
/// Answers before the kill, by round: any numbers, the same in every run. `make prove` goes through them again and again.
const ANSWERS: [usize; ROUNDS] = [3, 29, 11, 41, 17, 7];

/// What a round's callers were told before the connection broke.
#[derive(Default)]
struct Told {
    activations: Vec<(Card, String, Value)>,
    /// Cards and keys of activations without an answer.
    unanswered: Vec<(Card, String)>,
    verifications: Vec<String>,
}

struct Round {
    desk: Api,
    answers: AtomicUsize,
    enough: usize,
    kill: Notify,
}

impl Round {
    fn answered(&self) {
        if self.answers.fetch_add(1, Ordering::SeqCst) + 1 == self.enough {
            self.kill.notify_one();
        }
    }

    /// Activates its cards, guessing at a known one in between, until the authority is gone.
    async fn call(&self, cards: Vec<Card>, known: &Card) -> Told {
        let mut told = Told::default();
        for card in cards {
            let once = key();
            let body = card.activation("titolare@esempio.it");
            match self.desk.try_post("/v1/activations", Some(&once), &body).await {
                Ok(answer) => told.activations.push((card, once, answer.ok())),
                Err(_) => {
                    told.unanswered.push((card, once));
                    return told;
                }
            }
            self.answered();
            match self.desk.try_post("/v1/verifications", Some(&key()), &known.guess("12345678")).await {
                Ok(answer) => told.verifications.push(answer.ok()["verification"].as_str().unwrap().into()),
                Err(_) => return told,
            }
            self.answered();
        }
        panic!("too few cards for this round")
    }
}

/// Everything that was acknowledged is still so.
async fn check(home: &Installation, told: &Told, round: usize) {
    let desk = home.api("desk");
    for (card, once, before) in &told.activations {
        assert_eq!(card.look_up(&desk).await["state"], "active");
        let body = card.activation("titolare@esempio.it");
        assert_eq!(desk.post("/v1/activations", Some(once), &body).await.ok(), *before);
    }
    for (card, once) in &told.unanswered {
        let again = desk.post("/v1/activations", Some(once), &card.activation("titolare@esempio.it")).await;
        let state = card.look_up(&desk).await["state"].clone();
        if again.status == 200 {
            assert_eq!(state, "active");
        } else {
            // Only the intent is durable: never tried again blindly. The operator looks the card up.
            again.problem(503, "outcome_unknown");
            assert_eq!(state, "registered");
        }
    }
    let export = format!("round-{round}.ndjson");
    home.sigillo_as("auditor", &["audit", "export"], &["--out", &export]).ended(0);
    let key = "authority/public/audit.pub.pem";
    home.sigillo(&["audit", "verify", "--public-key", key, &export]).ended(0);
    let log = Log::parse(&fs::read_to_string(home.path(&export)).unwrap());
    for (place, event) in (1..).zip(&log.0) {
        assert_eq!(event.seq(), place);
    }
    let decided: BTreeMap<_, _> =
        log.of("verification.decided").map(|e| (e.text("verification"), e.text("request"))).collect();
    let spent: BTreeSet<_> = log.of("verification.spent").map(|e| e.text("request")).collect();
    for verification in &told.verifications {
        assert!(decided.contains_key(verification.as_str()), "{verification} is not in the log");
    }
    for request in decided.values() {
        assert!(spent.contains(request), "decided without a spent try: {request}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_moment_it_keeps_what_it_said() {
    let mut home = Installation::serving().await;
    let known: Activated = home.activated(&home.api("desk")).await;
    let mut all = Told::default();
    let rounds = rounds(ROUNDS);
    for (round, enough) in ANSWERS.into_iter().cycle().take(rounds).enumerate() {
        let cards = home.cards(CALLERS * (enough + 1)).await;
        let (answers, kill) = (AtomicUsize::new(0), Notify::new());
        let state = Arc::new(Round { desk: home.api("desk"), answers, enough, kill });
        let mut callers = JoinSet::new();
        for cards in cards.chunks(enough + 1) {
            let (state, cards, known) = (Arc::clone(&state), cards.to_vec(), known.card.clone());
            callers.spawn(async move { state.call(cards, &known).await });
        }
        state.kill.notified().await;
        home.serve.as_mut().unwrap().kill();
        for told in callers.join_all().await {
            all.activations.extend(told.activations);
            all.unanswered.extend(told.unanswered);
            all.verifications.extend(told.verifications);
        }
        home.start().await;
        check(&home, &all, round).await;
        all.activations.clear();
        all.unanswered.clear();
    }
    assert!(all.verifications.len() >= rounds);
    let log = Log::read(&home.api("auditor")).await;
    let granted = log.of("verification.spent").filter(|event| event.is_granted()).count();
    assert_eq!(granted, 5, "no restart gives another try");
    assert_eq!(log.of("service.started").count(), rounds + 1);
}
