//! The thread that asks for probes, and that brings a lost token back: workers let go, the token is opened again,
//! new workers begin. What comes next the [`super::machine`] decides.
//!
//! It never calls the module itself, so that it can say when a call does not come back. The openings have a thread of
//! their own.

use std::{sync::Arc, time::Duration};

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded, select_biased};

use super::{
    machine::{Event, Phase},
    state::Shared,
    worker::{Crew, Job, Stop},
};
use crate::hsm::{Error, OpenError, Source, Token};

/// How often it looks while workers leave or the token is opened.
const CLOSE_LOOK: Duration = Duration::from_millis(10);
/// How often it looks otherwise, at least.
const LOOK: Duration = Duration::from_millis(250);

type Opened = Result<Vec<Box<dyn Token>>, OpenError>;

/// What the supervisor owns.
pub(super) struct Supervisor {
    pub(super) crew: Crew,
    pub(super) jobs: Receiver<Job>,
    pub(super) asked: Receiver<()>,
    pub(super) probes: Sender<()>,
    pub(super) opener: Opener,
    pub(super) shared: Arc<Shared>,
    pub(super) probe_every: Duration,
}

/// The thread that opens the token when asked.
pub(super) struct Opener {
    orders: Sender<()>,
    results: Receiver<Opened>,
    at_work: bool,
}

impl Opener {
    /// Starts the thread.
    pub(super) fn start(mut source: Box<dyn Source>) -> Result<Self, Error> {
        let (orders, ordered) = bounded(1);
        let (done, results) = bounded(1);
        std::thread::Builder::new()
            .name("hsm-open".into())
            .spawn(move || {
                for () in ordered {
                    if done.send(source.open()).is_err() {
                        break;
                    }
                }
            })
            .map_err(|error| Error::Unavailable(format!("no thread: {error}")))?;
        Ok(Self { orders, results, at_work: false })
    }

    /// Orders an opening if none is under way; its result, once.
    fn open(&mut self) -> Option<Opened> {
        let gone = || Some(Err(OpenError::Fatal(Error::Bug("the thread that opens the token ended".into()))));
        if !self.at_work {
            self.at_work = self.orders.try_send(()).is_ok();
            return if self.at_work { None } else { gone() };
        }
        match self.results.try_recv() {
            Ok(result) => {
                self.at_work = false;
                Some(result)
            }
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => gone(),
        }
    }
}

impl Supervisor {
    /// Runs until `stop` ends, then until the workers have let go.
    pub(super) fn run(mut self, stop: &Receiver<Stop>, woken: &Receiver<()>) {
        let mut asked_at = self.shared.uptime();
        let mut asked = false;
        loop {
            self.step();
            let now = self.shared.uptime();
            if now.saturating_sub(asked_at) >= self.probe_every {
                asked_at = now;
                asked = self.ask_for_probe(asked);
            }
            let nap = match self.shared.phase() {
                Phase::Leaving { .. } | Phase::Opening { .. } => CLOSE_LOOK,
                Phase::Up { .. }
                | Phase::Degraded { .. }
                | Phase::Waiting { .. }
                | Phase::Refused
                | Phase::GivenUp => LOOK,
            };
            let nap = nap.min(self.probe_every);
            select_biased! {
                recv(stop) -> _ => break,
                recv(woken) -> _ => {}
                default(nap) => {}
            }
        }
        self.crew.dismiss();
        self.refuse_waiting();
        drop(self.jobs);
        self.crew.wait();
    }

    fn step(&mut self) {
        let inside = self.crew.longest_inside();
        let why = "a call is still inside the module after pool.give_up_ms, and cannot be cancelled";
        self.shared.on(Event::Tick(inside), if inside.is_some() { why } else { "" });
        match self.shared.phase() {
            Phase::Up { .. } | Phase::Degraded { .. } => {
                if self.crew.has_lost_a_member() {
                    self.shared.on(Event::Lost, "a worker thread ended");
                }
            }
            Phase::Leaving { .. } => {
                self.crew.dismiss();
                self.refuse_waiting();
                if self.crew.is_gone() {
                    self.shared.on(Event::Gone, "");
                }
            }
            Phase::Opening { .. } => {
                self.refuse_waiting();
                if let Some(opened) = self.opener.open() {
                    self.opened(opened);
                }
            }
            Phase::Waiting { .. } | Phase::Refused | Phase::GivenUp => self.refuse_waiting(),
        }
    }

    fn opened(&mut self, opened: Opened) {
        let crew = opened.and_then(|tokens| {
            Crew::start(tokens, &self.jobs, &self.asked, &self.shared).map_err(OpenError::Again)
        });
        match crew {
            Ok(crew) => {
                self.crew = crew;
                self.shared.on(Event::Opened, "");
            }
            Err(OpenError::Again(error)) => {
                self.shared.on(Event::NotOpened, error);
            }
            Err(OpenError::Fatal(error)) => {
                self.shared.on(Event::Refused, error);
            }
        }
    }

    /// Whoever waits for a lost token is told so now, not at the deadline.
    fn refuse_waiting(&self) {
        for job in self.jobs.try_iter() {
            drop(job);
        }
    }

    /// Asks for a probe, and says so if the last one was not answered. Whether one is asked for now.
    fn ask_for_probe(&self, asked: bool) -> bool {
        match self.shared.phase() {
            Phase::Up { .. } | Phase::Degraded { .. } => {}
            Phase::Leaving { .. }
            | Phase::Waiting { .. }
            | Phase::Opening { .. }
            | Phase::Refused
            | Phase::GivenUp => return false,
        }
        if asked && !self.shared.take_answered() {
            let ms = self.probe_every.as_millis();
            self.shared.on(Event::Late, format_args!("a probe was not answered within {ms} ms"));
        }
        // A full channel means that no worker is free to probe, which the next tick will see.
        if self.probes.try_send(()).is_err() {
            tracing::debug!("an HSM probe is still waiting");
        }
        true
    }
}
