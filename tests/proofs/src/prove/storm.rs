//! Many guesses at one card at one time, with what happens in the middle of it.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde_json::Value;
use sigillo_bench::desk::Desk;
use sigillo_proofs::guesses::{about, card_of};
use tokio::{sync::Notify, task::JoinSet};

use crate::{
    blows::{Blow, Scene},
    ground::{Active, guess},
    storms::Storm,
};

/// What came back.
#[derive(Default)]
pub(crate) struct Told {
    /// Ids of the answers.
    pub(crate) verifications: Vec<String>,
    pub(crate) accepted: usize,
    /// Refusals by code, and calls without an answer.
    pub(crate) others: Vec<String>,
    /// Events about the card in a branch of the log that a restore has lost, and its recoveries.
    pub(crate) branch: Vec<Value>,
}

impl Told {
    /// How often which refusal came.
    pub(crate) fn refusals(&self) -> String {
        let mut counted = BTreeMap::<&str, u32>::new();
        for other in &self.others {
            let count = counted.entry(other).or_default();
            *count = count.saturating_add(1);
        }
        let counted: Vec<_> = counted.into_iter().map(|(what, count)| format!("{count} {what}")).collect();
        counted.join(", ")
    }

    fn take(&mut self, answer: Result<(u16, Value), String>) {
        let member = |value: &Value, name: &str| {
            value.get(name).and_then(Value::as_str).unwrap_or("unreadable").to_owned()
        };
        match answer {
            Ok((200, value)) => {
                self.accepted =
                    self.accepted.saturating_add(usize::from(member(&value, "outcome") == "accepted"));
                self.verifications.push(member(&value, "verification"));
            }
            Ok((_, value)) => self.others.push(member(&value, "code")),
            Err(_) => self.others.push("no answer".into()),
        }
    }
}

/// One guess.
pub(crate) async fn ask(desk: &Desk, key: &str, team: &str, code: &str) -> Result<(u16, Value), String> {
    let (status, _, body) = desk.post_raw("/v1/verifications", key, &guess(team, code)).await?;
    serde_json::from_slice(&body).map(|value| (status.as_u16(), value)).map_err(|e| e.to_string())
}

/// The guess of each key; the right one, if it is among them, at `place`.
pub(crate) fn codes(card: &Active, storm: &Storm, place: usize) -> Vec<String> {
    let wrong = |key: usize| {
        let by = u8::try_from(key % 9).unwrap_or(0).saturating_add(1);
        card.wrong(key.checked_rem(card.cip.len()).unwrap_or(0), by)
    };
    let right = |key: usize| storm.right && key == place;
    (0..storm.keys).map(|key| if right(key) { card.cip.clone() } else { wrong(key) }).collect()
}

/// Lets it loose. `prefix` makes its keys new; after so many answers its blow falls.
pub(crate) async fn loose(
    storm: &Storm,
    (desks, scene): (&[Arc<Desk>], Option<Scene<'_>>),
    (card, codes): (&Active, &[String]),
    prefix: &str,
    after: usize,
) -> Result<Told, String> {
    let before = storm.blow.before(storm.guesses);
    let after = after.min(before);
    let (answers, enough) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let send = |running: &mut JoinSet<_>, which: Range<usize>| {
        for n in which {
            let which = n.checked_rem(storm.keys).unwrap_or(0);
            let desk = desks.get(n.checked_rem(desks.len()).unwrap_or(0)).map(Arc::clone);
            let code = codes.get(which).cloned().unwrap_or_default();
            let (key, team) = (format!("{prefix}-{which}"), card.team.clone());
            let (answers, enough) = (Arc::clone(&answers), Arc::clone(&enough));
            running.spawn(async move {
                let answer = match desk {
                    Some(desk) => ask(&desk, &key, &team, &code).await,
                    None => Err("no client".into()),
                };
                if answers.fetch_add(1, Ordering::SeqCst).saturating_add(1) == after {
                    enough.notify_one();
                }
                answer
            });
        }
    };
    let mut told = Told::default();
    let mut running = JoinSet::new();
    send(&mut running, 0..before);
    if let Some(mut scene) = scene
        && storm.blow != Blow::Nothing
    {
        enough.notified().await;
        scene.strike(storm.blow).await?;
        send(&mut running, before..storm.guesses);
        scene.take_effect(storm.blow).await?;
        running.join_all().await.into_iter().for_each(|answer| told.take(answer));
        running = JoinSet::new();
        let branch = scene.mend(storm.blow, u64::try_from(after).unwrap_or(0)).await?;
        if let Some(verification) = told.verifications.first() {
            told.branch =
                card_of(&branch, verification).map_or_else(|_| Vec::new(), |card| about(&branch, card));
        }
        if storm.blow != Blow::Stop {
            send(&mut running, 0..storm.guesses);
        }
    }
    running.join_all().await.into_iter().for_each(|answer| told.take(answer));
    Ok(told)
}
