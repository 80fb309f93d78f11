//! Many guesses at one card at one time, with what happens in the middle of it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use rustix::process::Signal;
use serde_json::Value;
use sigillo::tls::Protocols;
use sigillo_bench::desk::Desk;
use tokio::{sync::Notify, task::JoinSet};

use crate::ground::{Active, Ground, guess};

/// What happens once some answers are there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blow {
    Nothing,
    /// SIGKILL, a new start, and every guess once more with its key.
    Kill,
    /// SIGSTOP for a second, then SIGCONT.
    Stop,
}

/// One storm.
pub(crate) struct Storm {
    pub(crate) name: &'static str,
    /// Clients, each with connections of its own.
    pub(crate) clients: &'static [Protocols],
    pub(crate) guesses: usize,
    /// Idempotency keys, and with each its guess: fewer than guesses are repetitions.
    pub(crate) keys: usize,
    /// Whether one of the keys has the right code.
    pub(crate) right: bool,
    pub(crate) blow: Blow,
}

/// What came back.
#[derive(Default)]
pub(crate) struct Told {
    /// Ids of the answers.
    pub(crate) verifications: Vec<String>,
    pub(crate) accepted: usize,
    /// Refusals by code, and calls without an answer.
    pub(crate) others: Vec<String>,
}

impl Told {
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

/// Lets it loose. `prefix` makes its keys new; `order` is the order in which the keys are sent.
pub(crate) async fn loose(
    storm: &Storm,
    (desks, ground): (&[Arc<Desk>], Option<&mut Ground>),
    (card, codes): (&Active, &[String]),
    prefix: &str,
    after: usize,
) -> Result<Told, String> {
    let (answers, enough) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let send = |running: &mut JoinSet<_>| {
        for n in 0..storm.guesses {
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
    send(&mut running);
    match (storm.blow, ground) {
        (Blow::Nothing, _) | (_, None) => {}
        (Blow::Kill, Some(ground)) => {
            enough.notified().await;
            ground.here.kill("authority")?;
            running.join_all().await.into_iter().for_each(|answer| told.take(answer));
            running = JoinSet::new();
            let sigillo = ground.sigillo.clone();
            ground.here.start_authority(&sigillo)?;
            send(&mut running);
        }
        (Blow::Stop, Some(ground)) => {
            enough.notified().await;
            ground.here.signal("authority", Signal::STOP)?;
            tokio::time::sleep(Duration::from_secs(1)).await;
            ground.here.signal("authority", Signal::CONT)?;
        }
    }
    running.join_all().await.into_iter().for_each(|answer| told.take(answer));
    Ok(told)
}
