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
    fixture::{Activated, Api, Card, Installation, audit::Log, demo::STARTS, key},
    rounds::rounds,
};

const ROUNDS: usize = 6;
/// Callers at one time.
const CALLERS: usize = 8;
/// Answers before the kill, by round: any numbers, the same in every run. `make prove` goes through them again and again.
const ANSWERS: [usize; ROUNDS] = [3, 29, 11, 41, 17, 7];

/// In a long run the log, which grows with it, is read after every so many rounds.
const LOOK: usize = 25;

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

    /// Activates its cards, guessing at a known one in between, until the authority is gone. The kill comes when it comes: on
    /// a busy machine long after the answer that asked for it, and whoever has no cards left by then goes on guessing.
    async fn call(&self, cards: Vec<Card>, known: &Card) -> Told {
        let (mut told, mut cards) = (Told::default(), cards.into_iter());
        loop {
            if let Some(card) = cards.next() {
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
            }
            match self.desk.try_post("/v1/verifications", Some(&key()), &known.guess("12345678")).await {
                Ok(answer) => told.verifications.push(answer.ok()["verification"].as_str().unwrap().into()),
                Err(_) => return told,
            }
            self.answered();
        }
    }
}

/// Everything that was acknowledged is still so.
async fn check(home: &Installation, told: &Told) {
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
}

/// Exports the log under this name and has it verified.
fn whole_log(home: &Installation, export: &str) -> Log {
    home.sigillo_as("auditor", &["audit", "export"], &["--out", export]).ended(0);
    home.sigillo(&["audit", "verify", "--public-key", "authority/public/audit.pub.pem", export]).ended(0);
    Log::parse(&fs::read_to_string(home.path(export)).unwrap())
}

/// The log is whole, and has everything that callers were told. It only grows, so what a later look finds whole was so at each
/// round before it.
fn check_log(home: &Installation, told: &Told, export: &str) -> Log {
    let log = whole_log(home, export);
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
    log
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
        check(&home, &all).await;
        all.activations.clear();
        all.unanswered.clear();
        if round < ROUNDS || round % LOOK == 0 {
            check_log(&home, &all, &format!("round-{round}.ndjson"));
        }
    }
    assert!(all.verifications.len() >= rounds);
    let log = check_log(&home, &all, "whole.ndjson");
    let granted = log.of("verification.spent").filter(|event| event.is_granted()).count();
    assert_eq!(granted, 5, "no restart gives another try");
    assert_eq!(log.of("service.started").count(), STARTS + rounds + 1);
}

/// Guessers at one time, each with so many guesses at a card that takes five.
const GUESSERS: usize = 8;
const GUESSES: usize = 4;
const LIMIT: usize = 5;

/// Guesses in parallel until the authority is gone; answers the ids of what was decided.
async fn guess(
    desk: &Arc<Api>,
    card: &Card,
    answered: &Arc<AtomicUsize>,
    kill: &Arc<Notify>,
    enough: usize,
) -> Vec<String> {
    let mut guessers = JoinSet::new();
    for _ in 0..GUESSERS {
        let (desk, card, answered, kill) =
            (Arc::clone(desk), card.clone(), Arc::clone(answered), Arc::clone(kill));
        guessers.spawn(async move {
            let mut ids = Vec::new();
            for _ in 0..GUESSES {
                let answer = desk.try_post("/v1/verifications", Some(&key()), &card.guess("00000000")).await;
                let Ok(answer) = answer else { break };
                ids.push(answer.ok()["verification"].as_str().unwrap().to_owned());
                if answered.fetch_add(1, Ordering::SeqCst) + 1 >= enough {
                    kill.notify_one();
                }
            }
            ids
        });
    }
    if enough == 0 {
        kill.notify_one();
    }
    guessers.join_all().await.concat()
}

/// Each round guesses at a card of its own from many sides, is killed somewhere in it, and goes on guessing: five tries of
/// each card were ever granted, every answer that was given is in the log, and the log is whole.
#[tokio::test(flavor = "multi_thread")]
async fn killed_under_parallel_guessing_it_gives_no_try_back() {
    let mut home = Installation::serving().await;
    let rounds = rounds(ROUNDS);
    let (mut told, mut random, mut cards) = (Vec::new(), 2026_usize, Vec::new());
    for _ in 0..rounds {
        let desk = Arc::new(home.api("desk"));
        let active = home.activated(&desk).await;
        random = (random * 1_103_515_245 + 12_345) % (1 << 31);
        let enough = (random >> 8) % (GUESSERS * GUESSES / 2);
        let (answered, kill) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let guessing = {
            let (desk, card) = (Arc::clone(&desk), active.card.clone());
            let (answered, kill) = (Arc::clone(&answered), Arc::clone(&kill));
            tokio::spawn(async move { guess(&desk, &card, &answered, &kill, enough).await })
        };
        kill.notified().await;
        home.serve.as_mut().unwrap().kill();
        told.extend(guessing.await.unwrap());
        home.start().await;
        let desk = home.api("desk");
        for _ in 0..=LIMIT {
            let (outcome, id) = active.card.verify(&desk, "00000000").await;
            assert_eq!(outcome, "rejected");
            told.push(id);
        }
        assert_eq!(active.card.look_up(&desk).await["cip_tries_left"], 0);
        cards.push(active);
    }
    let log = whole_log(&home, "whole.ndjson");
    let decided: BTreeSet<_> = log.of("verification.decided").map(|e| e.text("verification")).collect();
    for id in &told {
        assert!(decided.contains(id.as_str()), "{id} was told and is not in the log");
    }
    let ids: BTreeMap<_, _> =
        log.of("card.activated").map(|event| (event.text("request"), event.text("card"))).collect();
    for active in &cards {
        let of_card = log.about(ids[active.request.as_str()]);
        let spent = of_card.filter(|event| event.text("kind") == "verification.spent");
        assert_eq!(spent.filter(|event| event.is_granted()).count(), LIMIT, "{}", active.card.team_number);
    }
    println!(
        "{rounds} kills, {} answers, all in the log; {LIMIT} tries of each card were granted",
        told.len()
    );
}
