//! The handle that the rest of the program holds: workers behind one bounded queue, a deadline for each call, a probe
//! of the token, and a supervisor that brings a lost token back.
//!
//! Nothing here knows PKCS#11. A call that hangs in a module cannot be cancelled: its caller gets an answer at the
//! deadline, its worker is gone until the module returns; if it does not, the process has to end
//! ([`Hsm::given_up`]).

mod machine;
mod marks;
mod state;
mod supervisor;
mod worker;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crossbeam_channel::{Sender, TrySendError, bounded};
use tokio::sync::oneshot;

pub use machine::State;
pub use marks::MarkTurn;

use self::{
    machine::Event,
    state::Shared,
    supervisor::{Opener, Supervisor},
    worker::{Crew, Job, Stop},
};
use super::{Error, MacKey, OpenError, Source, Token, Uses};
use crate::secret::{Secret, SecretBytes};

/// Sizes and times of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolLimits {
    /// Calls that may wait for a worker; one more is [`Error::Busy`].
    pub queue: usize,
    /// Longest time from a call to its answer, waiting included.
    pub deadline: Duration,
    /// Time between two probes of the token.
    pub probe_every: Duration,
    /// A call that is inside the module for this long is given up, and the process with it.
    pub give_up: Duration,
}

/// Most random bytes in one call.
const MAX_RANDOM: usize = 1 << 20;

/// A token behind its queue. Clones share it.
#[derive(Clone, Debug)]
pub struct Hsm {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    jobs: Sender<Job>,
    probes: Sender<()>,
    shared: Arc<Shared>,
    deadline: Duration,
    /// Dropped to stop the threads.
    stop: Mutex<Option<Sender<Stop>>>,
    /// Ends when every thread has let go of its token.
    ended: Mutex<Option<oneshot::Receiver<Stop>>>,
}

/// For tokens that nobody can open again.
struct OpenedOnce;

impl Source for OpenedOnce {
    fn open(&mut self) -> Result<Vec<Box<dyn Token>>, OpenError> {
        Err(OpenError::Fatal(Error::Unavailable("it can be opened once only".into())))
    }
}

impl Hsm {
    /// As [`Hsm::supervised`], for a token that is not opened again once it is lost.
    ///
    /// # Errors
    /// As [`Hsm::supervised`].
    pub fn start(tokens: Vec<Box<dyn Token>>, limits: PoolLimits) -> Result<Self, Error> {
        Self::supervised(tokens, Box::new(OpenedOnce), limits)
    }

    /// Starts one thread per token, and a supervisor that opens the token anew from `source` when it is lost. The
    /// source is asked only when all workers have let go of theirs, from a thread of its own.
    ///
    /// # Errors
    /// [`Error::Bug`] without a token, [`Error::Unavailable`] if the system gives no thread.
    pub fn supervised(
        tokens: Vec<Box<dyn Token>>,
        source: Box<dyn Source>,
        limits: PoolLimits,
    ) -> Result<Self, Error> {
        if tokens.is_empty() {
            return Err(Error::Bug("a pool needs a token".into()));
        }
        let (jobs, waiting) = bounded(limits.queue);
        let (probes, asked) = bounded(tokens.len());
        let (stop, stopped) = bounded::<Stop>(0);
        let (wake, woken) = bounded(1);
        let shared = Arc::new(Shared::new(limits.give_up, wake));
        let supervisor = Supervisor {
            crew: Crew::start(tokens, &waiting, &asked, &shared)?,
            jobs: waiting,
            asked,
            probes: probes.clone(),
            opener: Opener::start(source)?,
            shared: Arc::clone(&shared),
            probe_every: limits.probe_every,
        };
        let (alive, ended) = oneshot::channel();
        std::thread::Builder::new()
            .name("hsm-supervisor".into())
            .spawn(move || {
                supervisor.run(&stopped, &woken);
                drop(alive);
            })
            .map_err(|error| Error::Unavailable(format!("no thread: {error}")))?;
        Ok(Self {
            inner: Arc::new(Inner {
                jobs,
                probes,
                shared,
                deadline: limits.deadline,
                stop: Mutex::new(Some(stop)),
                ended: Mutex::new(Some(ended)),
            }),
        })
    }

    /// One MAC.
    ///
    /// # Errors
    /// Those of every call: [`Error::Busy`] if the queue is full, [`Error::Unavailable`] if the token is down or
    /// the deadline passed (the call may or may not have been carried out), and what the token answered.
    pub async fn mac(&self, key: MacKey, message: SecretBytes) -> Result<Secret<32>, Error> {
        let shared = Arc::clone(&self.inner.shared);
        self.call(move |token| {
            shared.count(key);
            token.mac(key, message.expose())
        })
        .await
    }

    /// Several MACs in the order given, as one job on one worker; ends at the first error.
    pub async fn macs(&self, calls: Vec<(MacKey, SecretBytes)>) -> Result<Vec<Secret<32>>, Error> {
        self.macs_with(calls, |_| {}).await
    }

    /// As [`Hsm::macs`]. Each is entered in `accounts` by the worker right before it is sent: what is never sent, as in a
    /// call that is refused or that its caller gave up, is never entered, and the pool's count never runs ahead.
    pub async fn accounted_macs(
        &self,
        calls: Vec<(MacKey, SecretBytes)>,
        accounts: &Arc<Uses>,
    ) -> Result<Vec<Secret<32>>, Error> {
        let accounts = Arc::clone(accounts);
        self.macs_with(calls, move |key| {
            accounts.count(key);
        })
        .await
    }

    async fn macs_with(
        &self,
        calls: Vec<(MacKey, SecretBytes)>,
        before: impl Fn(MacKey) + Send + 'static,
    ) -> Result<Vec<Secret<32>>, Error> {
        let shared = Arc::clone(&self.inner.shared);
        self.call(move |token| {
            let mut macs = Vec::with_capacity(calls.len()); // no growth: it would leave copies of MACs behind
            for (key, message) in &calls {
                before(*key);
                shared.count(*key);
                macs.push(token.mac(*key, message.expose())?);
            }
            Ok(macs)
        })
        .await
    }

    /// `N` bytes of the token's generator.
    pub async fn random<const N: usize>(&self) -> Result<[u8; N], Error> {
        self.call(|token| {
            let mut out = [0; N];
            token.random(&mut out)?;
            Ok(out)
        })
        .await
    }

    /// `len` bytes of the token's generator, at most 2^20: salts in bulk are far cheaper than one by one.
    pub async fn random_vec(&self, len: usize) -> Result<Vec<u8>, Error> {
        if len > MAX_RANDOM {
            return Err(Error::Bug(format!("{len} random bytes in one call")));
        }
        self.call(move |token| {
            let mut out = vec![0; len];
            token.random(&mut out)?;
            Ok(out)
        })
        .await
    }

    /// Signature of a SHA-256 digest under the audit key, as [`Token::sign`].
    pub async fn sign(&self, digest: [u8; 32]) -> Result<[u8; 64], Error> {
        self.call(move |token| token.sign(&digest)).await
    }

    /// Opens a contact, as [`Token::open_contact`].
    pub async fn open_contact(&self, sealed: Vec<u8>) -> Result<SecretBytes, Error> {
        self.call(move |token| token.open_contact(&sealed)).await
    }

    /// What is known of the token now.
    pub fn state(&self) -> State {
        self.inner.shared.state()
    }

    /// To be called before a try is spent. Refuses while the token is lost, and while nothing has been heard of it
    /// since a deadline passed: a try spent then would be lost to the citizen.
    pub fn refuse_if_down(&self) -> Result<(), Error> {
        match (self.inner.shared.lost(), self.state()) {
            (Some(lost), _) => Err(lost),
            (None, State::Degraded | State::Down) => {
                Err(Error::Unavailable("the token has not answered in time".into()))
            }
            (None, State::Up) => Ok(()),
        }
    }

    /// How often the token was lost and came back since the start.
    pub fn recoveries(&self) -> u64 {
        self.inner.shared.recoveries()
    }

    /// How long the token was down before it came back last, from the moment that the loss was seen; zero if it was
    /// never lost. Whole milliseconds.
    pub fn last_recovery(&self) -> Duration {
        self.inner.shared.last_recovery()
    }

    /// Whether the module is given up: a call did not come back, and the process has to end.
    pub fn is_given_up(&self) -> bool {
        *self.inner.shared.given_up().borrow()
    }

    /// Ready when the module is given up.
    pub async fn given_up(&self) {
        let mut told = self.inner.shared.given_up();
        // The sender lives as long as this handle.
        if told.wait_for(|given_up| *given_up).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// MAC operations sent to the token since the start, per key, losses of the token notwithstanding: for metrics,
    /// and to be reconciled with the audit log.
    pub fn counts(&self) -> Vec<(MacKey, u64)> {
        self.inner.shared.counts()
    }

    /// Stops: calls still waiting get [`Error::Unavailable`], workers let go of their tokens. Waits for them until
    /// the deadline, no longer, since a hung module never returns; whether all have let go.
    pub async fn close(&self) -> bool {
        drop(self.inner.stop.lock().unwrap_or_else(PoisonError::into_inner).take());
        let ended = self.inner.ended.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(ended) = ended else { return true };
        let all = async {
            match ended.await {
                Ok(never) => match never {},
                Err(_ended) => {}
            }
        };
        let in_time = tokio::time::timeout(self.inner.deadline, all).await.is_ok();
        if !in_time {
            tracing::warn!("an HSM worker is still inside the module and is left there");
        }
        in_time
    }

    async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut dyn Token) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let shared = Arc::clone(&self.inner.shared);
        if let Some(lost) = shared.lost() {
            return Err(lost);
        }
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |token| {
            // The caller has gone, by deadline or by itself: nothing is sent to the token any more.
            if reply.is_closed() {
                return Ok(());
            }
            let result = shared.lost().map_or_else(|| work(token), Err);
            let fault = result.as_ref().err().cloned();
            // An answer that comes after the deadline has no reader, and is wiped here.
            drop(reply.send(result).err());
            fault.map_or(Ok(()), Err)
        });
        match self.inner.jobs.try_send(job) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => return Err(Error::Busy),
            Err(TrySendError::Disconnected(_)) => return Err(closed()),
        }
        match tokio::time::timeout(self.inner.deadline, answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(self.inner.shared.lost().unwrap_or_else(closed)),
            Err(_) => {
                let ms = self.inner.deadline.as_millis();
                if self.inner.shared.on(Event::Late, format_args!("a call had no answer within {ms} ms")) {
                    // Ask at once: a queue that was only long is back after one answer.
                    if self.inner.probes.try_send(()).is_err() {
                        tracing::debug!("an HSM probe is still waiting");
                    }
                }
                Err(Error::Unavailable(format!("no answer within {ms} ms")))
            }
        }
    }
}

fn closed() -> Error {
    Error::Unavailable("the HSM is closed".into())
}

#[cfg(test)]
mod tests;
