//! Many guesses at one card at one time, with what happens in the middle of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::Value;
use sigillo_bench::desk::Desk;
use sigillo_proofs::{
    answers::Answer,
    guesses::{about, card_of},
};
use tokio::{sync::Notify, task::JoinSet};

use crate::{
    blows::{Blow, Scene},
    ground::{Active, guess},
    storms::Storm,
};

/// A guess that was not answered.
pub(crate) struct Refusal {
    /// With its front end.
    pub(crate) key: String,
    /// Code of the refusal, or `no answer`.
    pub(crate) what: String,
    /// Nothing was in its way: there was no blow, or what was struck had been mended before.
    pub(crate) in_calm: bool,
}

/// What came back.
#[derive(Default)]
pub(crate) struct Told {
    /// Guesses that were sent.
    pub(crate) sent: usize,
    /// Idempotency keys of their own: two front ends that use the same key do not mean the same request.
    pub(crate) keys: BTreeSet<String>,
    pub(crate) answers: Vec<Answer>,
    pub(crate) refusals: Vec<Refusal>,
    /// Events about the card in a branch of the log that a restore has lost, and its recoveries.
    pub(crate) branch: Vec<Value>,
}

/// Of one guess: its key with its front end, whether its code is the card's, and what came back.
type Returned = (String, bool, Result<(u16, Value), String>);

impl Told {
    /// How often which refusal came.
    pub(crate) fn refused(&self) -> String {
        let mut counted = BTreeMap::<&str, u32>::new();
        for refusal in &self.refusals {
            let count = counted.entry(&refusal.what).or_default();
            *count = count.saturating_add(1);
        }
        let counted: Vec<_> = counted.into_iter().map(|(what, count)| format!("{count} {what}")).collect();
        counted.join(", ")
    }

    /// Keys that were answered, or else refused by one of these codes with nothing in their way.
    pub(crate) fn settled(&self, by: &[&str]) -> usize {
        let is = |refusal: &&Refusal| refusal.in_calm && by.contains(&refusal.what.as_str());
        let refused = self.refusals.iter().filter(is).map(|refusal| refusal.key.as_str());
        let answered = self.answers.iter().map(|answer| answer.key.as_str());
        answered.chain(refused).collect::<BTreeSet<_>>().len()
    }

    /// Ids of the answers.
    pub(crate) fn verifications(&self) -> BTreeSet<&str> {
        self.answers.iter().map(|answer| answer.verification.as_str()).collect()
    }

    async fn take(&mut self, running: JoinSet<Returned>, in_calm: bool) {
        for (key, right, came) in running.join_all().await {
            let what = match came {
                Ok((200, body)) => {
                    self.answers.push(Answer::read(&key, right, &body));
                    continue;
                }
                Ok((_, body)) => body.get("code").and_then(Value::as_str).unwrap_or("unreadable").to_owned(),
                Err(_) => "no answer".to_owned(),
            };
            self.refusals.push(Refusal { key, what, in_calm });
        }
    }
}

/// When a blow falls.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Moment {
    /// After so many answers. The first of them leaves on a tick, when the tries are spent and most are decided.
    Answers(usize),
    /// So many milliseconds after the store was first written: tries are in flight, spent and not yet decided.
    Spent(usize),
}

impl std::fmt::Display for Moment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Answers(count) => write!(f, "{count} answers"),
            Self::Spent(ms) => write!(f, "the first try and {ms} ms"),
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

/// Lets it loose. `prefix` makes its keys new; its blow falls at this moment.
pub(crate) async fn loose(
    storm: &Storm,
    (desks, mut scene): (&[Arc<Desk>], Option<Scene<'_>>),
    (card, codes): (&Active, &[String]),
    prefix: &str,
    moment: Moment,
) -> Result<Told, String> {
    let before = storm.blow.before(storm.guesses);
    let (Moment::Answers(number) | Moment::Spent(number)) = moment;
    let after = number.min(before);
    let (answers, enough) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let (mut told, mut sent, mut keys) = (Told::default(), 0_usize, BTreeSet::new());
    let mut send = |running: &mut JoinSet<Returned>, which: Range<usize>| {
        for n in which {
            sent = sent.saturating_add(1);
            let which = n.checked_rem(storm.keys).unwrap_or(0);
            let desk = desks.get(n.checked_rem(desks.len()).unwrap_or(0)).map(Arc::clone);
            let code = codes.get(which).cloned().unwrap_or_default();
            let (key, team, right) = (format!("{prefix}-{which}"), card.team.clone(), code == card.cip);
            let front_end = n.checked_rem(desks.len()).and_then(|desk| desk.checked_rem(storm.front_ends));
            let named = format!("{key} of front end {}", front_end.unwrap_or(0));
            keys.insert(named.clone());
            let (answers, enough) = (Arc::clone(&answers), Arc::clone(&enough));
            running.spawn(async move {
                let answer = match desk {
                    Some(desk) => ask(&desk, &key, &team, &code).await,
                    None => Err("no client".into()),
                };
                if answers.fetch_add(1, Ordering::SeqCst).saturating_add(1) == after {
                    enough.notify_one();
                }
                (named, right, answer)
            });
        }
    };
    let mut running = JoinSet::new();
    let written = scene.as_mut().map(|scene| scene.prepare(storm.blow)).transpose()?;
    send(&mut running, 0..before);
    if let (Some(mut scene), Some(written)) = (scene, written)
        && storm.blow != Blow::Nothing
    {
        match moment {
            Moment::Answers(_) => enough.notified().await,
            Moment::Spent(ms) => {
                scene.until_written(written)?;
                tokio::time::sleep(Duration::from_millis(u64::try_from(ms).unwrap_or(0))).await;
            }
        }
        scene.strike(storm.blow).await?;
        send(&mut running, before..storm.guesses);
        scene.take_effect(storm.blow).await?;
        told.take(running, storm.blow == Blow::Stop).await;
        running = JoinSet::new();
        let branch = scene.mend(storm.blow, u64::try_from(number).unwrap_or(0)).await?;
        if let Some(answer) = told.answers.first() {
            told.branch = card_of(&branch, &answer.verification)
                .map_or_else(|_| Vec::new(), |card| about(&branch, card));
        }
        if storm.blow != Blow::Stop {
            send(&mut running, 0..storm.guesses);
        }
    }
    told.take(running, true).await;
    Ok(Told { sent, keys, ..told })
}
