//! The threads that own tokens.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    thread::JoinHandle,
    time::Duration,
};

use crossbeam_channel::{Receiver, Sender, bounded, select_biased};

use super::{machine::Event, state::Shared};
use crate::hsm::{Error, Token};

/// Nothing is ever sent: the end of the channel is the message.
pub(super) type Stop = Infallible;

/// A call: answers its caller itself, and tells the worker what went wrong.
pub(super) type Job = Box<dyn FnOnce(&mut dyn Token) -> Result<(), Error> + Send>;

/// The workers of one opening of the token.
pub(super) struct Crew {
    /// Dropped to tell them to let go.
    stop: Option<Sender<Stop>>,
    members: Vec<Member>,
}

struct Member {
    thread: JoinHandle<()>,
    inside: Arc<Inside>,
}

/// Since when a worker is inside the module: milliseconds of the pool's uptime plus one, 0 while it is not.
#[derive(Default)]
struct Inside(AtomicU64);

impl Inside {
    fn enter(&self, now: Duration) {
        let ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        self.0.store(ms.saturating_add(1), SeqCst);
    }

    fn leave(&self) {
        self.0.store(0, SeqCst);
    }

    fn since(&self) -> Option<Duration> {
        self.0.load(SeqCst).checked_sub(1).map(Duration::from_millis)
    }
}

impl Crew {
    /// Starts one thread per token. On an error every token has been let go of.
    pub(super) fn start(
        tokens: Vec<Box<dyn Token>>,
        jobs: &Receiver<Job>,
        probes: &Receiver<()>,
        shared: &Arc<Shared>,
    ) -> Result<Self, Error> {
        let (stop, stopped) = bounded::<Stop>(0);
        let mut crew = Self { stop: Some(stop), members: Vec::new() };
        let started = crew.enlist(tokens, &stopped, jobs, probes, shared);
        if started.is_err() {
            crew.dismiss();
            crew.wait();
        }
        started.map(|()| crew)
    }

    fn enlist(
        &mut self,
        tokens: Vec<Box<dyn Token>>,
        stopped: &Receiver<Stop>,
        jobs: &Receiver<Job>,
        probes: &Receiver<()>,
        shared: &Arc<Shared>,
    ) -> Result<(), Error> {
        for token in tokens {
            let inside = Arc::<Inside>::default();
            let worker = Worker {
                token,
                jobs: jobs.clone(),
                probes: probes.clone(),
                stop: stopped.clone(),
                shared: Arc::clone(shared),
                inside: Arc::clone(&inside),
            };
            let thread = std::thread::Builder::new()
                .name("hsm-worker".into())
                .spawn(move || worker.run())
                .map_err(|error| Error::Unavailable(format!("no thread: {error}")))?;
            self.members.push(Member { thread, inside });
        }
        Ok(())
    }

    /// Since when the call that is longest inside the module is there.
    pub(super) fn longest_inside(&self) -> Option<Duration> {
        self.members.iter().filter_map(|member| member.inside.since()).min()
    }

    /// Tells the workers to let go of their tokens after the call in hand.
    pub(super) fn dismiss(&mut self) {
        self.stop = None;
    }

    /// Whether a worker has ended that was not told to.
    pub(super) fn has_lost_a_member(&self) -> bool {
        self.stop.is_some() && self.members.iter().any(|member| member.thread.is_finished())
    }

    /// Whether every worker has let go, the threads and all that the module keeps for them included.
    pub(super) fn is_gone(&mut self) -> bool {
        if !self.members.iter().all(|member| member.thread.is_finished()) {
            return false;
        }
        self.wait();
        true
    }

    /// Waits for the workers, for as long as the module keeps one.
    pub(super) fn wait(&mut self) {
        for member in self.members.drain(..) {
            if member.thread.join().is_err() {
                tracing::error!("an HSM worker panicked");
            }
        }
    }
}

struct Worker {
    token: Box<dyn Token>,
    jobs: Receiver<Job>,
    probes: Receiver<()>,
    stop: Receiver<Stop>,
    shared: Arc<Shared>,
    inside: Arc<Inside>,
}

impl Worker {
    /// Works until told to stop. Probes go before calls: under load the probe is what notices a lost token, since
    /// session copies go on working.
    fn run(mut self) {
        loop {
            select_biased! {
                recv(self.stop) -> _ => break,
                recv(self.probes) -> asked => match asked {
                    Ok(()) => self.probe(),
                    Err(_) => break,
                },
                recv(self.jobs) -> job => match job {
                    Ok(job) => self.work(job),
                    // No handle is left, so the supervisor is about to say stop.
                    Err(_) => match self.stop.recv() {
                        Ok(never) => match never {},
                        Err(_told) => break,
                    },
                },
            }
        }
        // To let go of the last token closes the module, which may hang as any call.
        self.inside.enter(self.shared.uptime());
        drop(self.token);
        self.inside.leave();
    }

    fn work(&mut self, job: Job) {
        self.inside.enter(self.shared.uptime());
        let done = job(self.token.as_mut());
        self.inside.leave();
        match done {
            Err(Error::Unavailable(_) | Error::WrongKey(_)) => self.look(|token| token.examine()),
            Ok(()) | Err(Error::Bug(_) | Error::Busy) => {}
        }
    }

    fn probe(&mut self) {
        self.look(|token| token.probe());
    }

    /// Asks for the token. What failed is repeated once, on the session that replaced the failed one.
    fn look(&mut self, ask: impl Fn(&mut dyn Token) -> Result<(), Error>) {
        self.inside.enter(self.shared.uptime());
        let token = self.token.as_mut();
        let found = ask(token).or_else(|_| ask(token));
        self.inside.leave();
        match found {
            Ok(()) => self.shared.on(Event::Good, ""),
            Err(error) => self.shared.on(Event::Lost, error),
        };
    }
}
