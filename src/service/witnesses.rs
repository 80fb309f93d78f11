//! Witnesses: the newest checkpoint goes to each of them too, beside the token and never in its way (I13).
//!
//! Only the newest is told, one at a time, so that no older one comes after a newer one. A witness that takes nothing stops
//! spending as a token does, and one that cannot be read stops the start.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{
    Error, Service,
    marks::{MOST_BEHIND, MOST_FAILING},
};
use crate::{
    domain::checkpoint::Checkpoint,
    witness::{Fault, Witness},
};

/// For so long a start waits for a witness.
const START: Duration = Duration::from_secs(10);
/// For so long an end waits for the witnesses.
const END: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(25);
/// Pause after a failure.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// The witnesses, and the newest checkpoint for them.
#[derive(Default)]
pub(super) struct Witnesses {
    all: Vec<Kept>,
    newest: Mutex<Option<Offer>>,
}

#[derive(Clone)]
struct Offer {
    seq: u64,
    text: String,
}

struct Kept {
    witness: Arc<dyn Witness>,
    /// Held while it is told of one.
    turn: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Event of the checkpoint that it keeps.
    seq: u64,
    /// Text that it keeps.
    text: String,
    /// Time of the first checkpoint that it has not taken since the last one that it has.
    waiting: Option<Duration>,
    /// Time of the first checkpoint after the one that it is being told of.
    later: Option<Duration>,
    /// It may have a call of `keep` before it that nobody has had an answer to, and carry that out late.
    doubtful: bool,
}

/// How far a witness is behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Behind {
    /// Kind of the witness.
    pub witness: &'static str,
    /// Events that no checkpoint with it vouches for.
    pub events: u64,
    /// For how long a checkpoint has waited for it; zero if it has the newest.
    pub waiting: Duration,
}

impl Behind {
    /// Whether nothing is spent until it takes a checkpoint.
    fn is_too_far(&self) -> bool {
        self.waiting > MOST_FAILING || self.events > MOST_BEHIND
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Has it keep a text. After a call that nobody has had an answer to, what it keeps then is read once: where that call
/// was carried out late, the text is given again.
async fn keep(witness: &dyn Witness, text: &str, doubtful: bool) -> Result<(), Fault> {
    witness.keep(text.to_owned()).await?;
    if doubtful && witness.read().await?.as_deref() != Some(text) {
        witness.keep(text.to_owned()).await?;
    }
    Ok(())
}

impl Witnesses {
    pub(super) fn new(all: Vec<Arc<dyn Witness>>) -> Self {
        let kept = |witness| Kept { witness, turn: tokio::sync::Mutex::default(), state: Mutex::default() };
        Self { all: all.into_iter().map(kept).collect(), newest: Mutex::default() }
    }

    /// What each keeps, with its kind; an error for the first that does not say.
    pub(super) async fn read(&self) -> Result<Vec<(&'static str, Option<String>)>, Error> {
        let mut texts = Vec::new();
        for kept in &self.all {
            let name = kept.witness.name();
            let said = tokio::time::timeout(START, kept.witness.read()).await;
            let text = match said {
                Ok(Ok(text)) => text,
                Ok(Err(fault)) => return Err(Error::Witness(format!("the witness ({name}): {fault}"))),
                Err(_) => return Err(Error::Witness(format!("the witness ({name}) gives no answer"))),
            };
            texts.push((name, text));
        }
        Ok(texts)
    }

    /// A checkpoint that is in the token: newer ones replace it until a witness has time for it.
    pub(super) fn offer(&self, seq: u64, text: &str, at: Duration) {
        if self.all.is_empty() {
            return;
        }
        let mut newest = lock(&self.newest);
        if newest.as_ref().is_some_and(|known| known.seq > seq || known.text == text) {
            return;
        }
        *newest = Some(Offer { seq, text: text.to_owned() });
        for kept in &self.all {
            let mut state = lock(&kept.state);
            state.waiting.get_or_insert(at);
            state.later.get_or_insert(at);
        }
    }

    /// Tells a witness of the newest, if it does not have it. `Ok` means that it has what was the newest.
    async fn tell(&self, kept: &Kept) -> Result<(), Error> {
        let _turn = kept.turn.lock().await;
        let Some((offer, doubtful)) = self.next_for(kept) else { return Ok(()) };
        let told = keep(&*kept.witness, &offer.text, doubtful).await;
        told.map_err(|fault| Error::Witness(format!("the witness ({}): {fault}", kept.witness.name())))?;
        let mut state = lock(&kept.state);
        let waiting = state.later.take();
        *state = State { seq: offer.seq, text: offer.text, waiting, later: None, doubtful: false };
        drop(state);
        Ok(())
    }

    /// What a witness is to be told now, and whether an earlier call may still come after it. From here on this one is
    /// doubtful too, until there is an answer: also where nobody waits for one any more.
    fn next_for(&self, kept: &Kept) -> Option<(Offer, bool)> {
        // In this order everywhere.
        let newest = lock(&self.newest);
        let offer = newest.clone()?;
        let mut state = lock(&kept.state);
        if state.text == offer.text {
            return None;
        }
        state.later = None;
        Some((offer, std::mem::replace(&mut state.doubtful, true)))
    }

    fn behind(&self, kept: &Kept, seq: u64, now: Duration) -> Behind {
        let state = lock(&kept.state);
        Behind {
            witness: kept.witness.name(),
            events: seq.saturating_sub(state.seq),
            waiting: state.waiting.map_or(Duration::ZERO, |since| now.saturating_sub(since)),
        }
    }
}

impl Service {
    /// The checkpoints of the witnesses. One that has none is refused unless the log is new: otherwise to remove
    /// what it keeps would be a way back.
    pub(super) async fn witnessed(&self, is_new: bool) -> Result<Vec<Checkpoint>, Error> {
        let mut all = Vec::new();
        for (name, text) in self.witnesses.read().await? {
            let Some(text) = text else {
                if is_new {
                    continue;
                }
                return Err(Error::Witness(format!(
                    "the witness ({name}) keeps no checkpoint, and the log is not new: put its newest checkpoint there"
                )));
            };
            let found = self.marks.open(&text).map_err(|error| {
                Error::Witness(format!(
                    "what the witness ({name}) keeps was not signed by the audit key: {error}"
                ))
            })?;
            all.push(found);
        }
        Ok(all)
    }

    /// Tells every witness of the newest checkpoint, now.
    pub async fn tell_witnesses(&self) -> Result<(), Error> {
        for kept in &self.witnesses.all {
            self.witnesses.tell(kept).await?;
        }
        Ok(())
    }

    /// Every witness takes a checkpoint of where a start stands, in its time. After the policy set is in force, which a
    /// checkpoint names.
    pub(super) async fn start_witnesses(&self) -> Result<(), Error> {
        if self.witnesses.all.is_empty() {
            return Ok(());
        }
        self.checkpoint().await?;
        let told = tokio::time::timeout(START, self.tell_witnesses()).await;
        told.unwrap_or_else(|_| Err(Error::Witness("a witness takes no checkpoint".into())))
    }

    /// The last checkpoint for the witnesses, at the end. One that does not take it has an older one, and says so.
    pub async fn end_witnesses(&self) {
        match tokio::time::timeout(END, self.tell_witnesses()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!("the last checkpoint is not with every witness: {error}"),
            Err(_) => tracing::warn!("the last checkpoint is not with every witness: no answer"),
        }
    }

    /// Runs until `stop`: each witness is told of the newest checkpoint, and waits for no other.
    pub async fn inform_witnesses(&self, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        let mut all: Vec<_> = self.witnesses.all.iter().map(|kept| Box::pin(self.inform(kept))).collect();
        // Polled by hand: all of them at every wake, none of which ends.
        let forever = std::future::poll_fn(|context| {
            for one in &mut all {
                match one.as_mut().poll(context) {
                    std::task::Poll::Ready(never) => match never {},
                    std::task::Poll::Pending => {}
                }
            }
            std::task::Poll::<()>::Pending
        });
        tokio::select! {
            () = &mut stop => {}
            () = forever => {}
        }
    }

    async fn inform(&self, kept: &Kept) -> std::convert::Infallible {
        let mut failed = false;
        loop {
            let since = lock(&kept.state).waiting;
            let pause = match self.witnesses.tell(kept).await {
                Ok(()) => {
                    let waited =
                        since.map_or(Duration::ZERO, |since| self.clock.uptime().saturating_sub(since));
                    if std::mem::take(&mut failed) || waited > MOST_FAILING {
                        let witness = kept.witness.name();
                        tracing::info!(witness, ?waited, "the witness takes checkpoints again");
                    }
                    LOOK_EVERY
                }
                Err(error) => {
                    tracing::error!("{error}");
                    failed = true;
                    AGAIN_AFTER
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// A witness that does not know enough of what must not be given back.
    pub(super) fn unwitnessed(&self) -> Option<Behind> {
        self.behind_witnesses().find(Behind::is_too_far)
    }

    /// How far each witness is behind.
    pub fn behind_witnesses(&self) -> impl Iterator<Item = Behind> {
        let (seq, now) = (self.store.head().seq, self.clock.uptime());
        self.witnesses.all.iter().map(move |kept| self.witnesses.behind(kept, seq, now))
    }
}
