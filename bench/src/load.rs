//! Load in a closed loop (so many requests in flight, each followed by the next) or in an open one (so many a second,
//! whatever becomes of them; a latency counts from the moment at which the request should have been sent, so that a
//! stall is not hidden).

mod record;

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use sigillo::clock::{Clock, SystemClock};
use tokio::{sync::Notify, task::JoinSet};

use self::record::Recorder;
use crate::{
    meter::{self, Server},
    number::{count, float, per},
    run::{Run, Window},
};

/// What is asked for, again and again.
pub(crate) trait Work: Send + Sync + 'static {
    /// Does the `n`th of all.
    fn turn(&self, n: u64) -> impl Future<Output = Result<Turn, String>> + Send;
}

/// What became of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// It was done.
    Done,
    /// There is nothing left to do: the run ends here.
    Over,
}

/// Closed or open.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Pace {
    /// Requests in flight.
    Closed(usize),
    /// Requests a second.
    Open(f64),
}

/// How a run is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) pace: Pace,
    /// Time before anything counts.
    pub(crate) warm_up: Duration,
    /// Time that counts.
    pub(crate) time: Duration,
    /// Whether system calls are counted too, in two seconds more.
    pub(crate) calls: bool,
    /// The parts of that time.
    pub(crate) windows: Windows,
}

/// Every so long CPU and latencies of the time since are kept, for intervals.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Windows {
    /// Length of each but the last.
    pub(crate) each: Duration,
    /// Who is told when one has ended, with the time since the begin.
    pub(crate) tell: Option<fn(Duration, &Window)>,
}

impl Windows {
    /// Many, told to nobody.
    pub(crate) const SHORT: Self = Self { each: Duration::from_millis(500), tell: None };
}

/// An open loop that has so many requests waiting has lost its server.
const MOST_WAITING: usize = 20_000;
/// After so many errors a run is given up.
const MOST_ERRORS: u64 = 100;

struct Shared<W> {
    work: W,
    clock: SystemClock,
    turns: AtomicU64,
    /// Turns that ended, well or not.
    ended: AtomicU64,
    stop: AtomicBool,
    /// It stopped before its time: nothing is left to do, or too much went wrong.
    early: AtomicBool,
    /// Nothing is left to do.
    used_up: AtomicBool,
    /// Tells who waits that it has stopped.
    stopped: Notify,
    recorder: Mutex<Recorder>,
}

impl<W: Work> Shared<W> {
    fn recorder(&self) -> MutexGuard<'_, Recorder> {
        self.recorder.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn end_early(&self) {
        self.early.store(true, Ordering::Relaxed);
        self.end();
    }

    fn end(&self) {
        self.stop.store(true, Ordering::Relaxed);
        self.stopped.notify_one();
    }

    /// One turn, whose latency counts from `from`.
    async fn turn(&self, from: Duration) {
        let n = self.turns.fetch_add(1, Ordering::Relaxed);
        let done = self.work.turn(n).await;
        let to = self.clock.uptime();
        self.ended.fetch_add(1, Ordering::Relaxed);
        match done {
            Ok(Turn::Done) => self.recorder().done(from, to),
            Ok(Turn::Over) => {
                self.used_up.store(true, Ordering::Relaxed);
                self.end_early();
            }
            Err(why) => {
                if self.recorder().failed(why) >= MOST_ERRORS {
                    self.end_early();
                }
            }
        }
    }
}

/// Makes a run.
///
/// # Errors
/// A sentence, if it could not be made at all. Requests that were refused are counted.
pub(crate) async fn run<W: Work>(what: &str, work: W, plan: Plan, server: &Server) -> Result<Run, String> {
    let shared = Arc::new(Shared {
        work,
        clock: SystemClock::new(),
        turns: AtomicU64::new(0),
        ended: AtomicU64::new(0),
        stop: AtomicBool::new(false),
        early: AtomicBool::new(false),
        used_up: AtomicBool::new(false),
        stopped: Notify::new(),
        recorder: Mutex::new(Recorder::new(plan.pace)?),
    });
    let mut tasks = JoinSet::new();
    if !plan.warm_up.is_zero() {
        begin(&shared, plan.pace, &mut tasks)?;
        until(&shared, plan.warm_up).await;
        connected(&shared, plan.pace).await;
        if shared.used_up.load(Ordering::Relaxed) {
            joined(&mut tasks).await?;
            let warm_up = plan.warm_up.as_secs_f64();
            return Err(format!(
                "{what}: no card was left when the warm-up of {warm_up} s ended: take more cards"
            ));
        }
    }
    let (start, before) = (shared.clock.uptime(), server.read());
    let end = start.saturating_add(plan.time);
    let own_before = meter::cpu("self");
    shared.recorder().begin(start..end, server.cpu(), own_before);
    if plan.warm_up.is_zero() {
        begin(&shared, plan.pace, &mut tasks)?;
    }
    loop {
        until(&shared, plan.windows.each.min(end.saturating_sub(shared.clock.uptime()))).await;
        let is_over = shared.is_over();
        if is_over {
            // What is under way when nothing is left to begin belongs to it.
            joined(&mut tasks).await?;
        }
        let (at, own) = (shared.clock.uptime(), meter::cpu("self"));
        let window = shared.recorder().window(at, server.cpu(), own, server.resident());
        if let Some(tell) = plan.windows.tell {
            tell(at.saturating_sub(start), &window);
        }
        if is_over || shared.clock.uptime() >= end {
            break;
        }
    }
    let (after, own) = (server.read(), meter::cpu("self"));
    let seconds = shared.clock.uptime().min(end).saturating_sub(start).as_secs_f64();
    let resident = server.resident();
    let calls = if plan.calls { count_calls(&shared, server).await? } else { None };
    shared.end();
    // What is under way is waited for: an open loop counts it, and an error is one whenever it comes.
    joined(&mut tasks).await?;
    let mut run = shared.recorder().end().run(what, plan.pace, seconds);
    let requests = run.requests;
    run.server_us = meter::micros_each(before.cpu, after.cpu, requests);
    run.client_us = meter::micros_each(own_before, own, requests);
    run.courier_us = meter::micros_each(before.courier, after.courier, requests);
    run.hsm_calls = meter::each(before.hsm, after.hsm, requests);
    run.commits = meter::each(before.commits, after.commits, requests);
    run.written = meter::each(before.written, after.written, requests);
    run.resident_mib = resident;
    // A load without a time ends so by design.
    run.used_up = shared.used_up.load(Ordering::Relaxed) && plan.time != Duration::MAX;
    if let Some((calls, turns)) = calls {
        run.syncs = per(calls.syncs, turns);
        run.syscalls = per(calls.all, turns);
    }
    Ok(run)
}

/// Waits for the senders to end.
async fn joined(tasks: &mut JoinSet<()>) -> Result<(), String> {
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(|e| e.to_string())?;
    }
    Ok(())
}

/// Starts the senders.
fn begin<W: Work>(shared: &Arc<Shared<W>>, pace: Pace, tasks: &mut JoinSet<()>) -> Result<(), String> {
    match pace {
        Pace::Closed(in_flight) => {
            for _ in 0..in_flight.max(1) {
                let shared = Arc::clone(shared);
                tasks.spawn(async move {
                    while !shared.is_over() {
                        shared.turn(shared.clock.uptime()).await;
                    }
                });
            }
        }
        Pace::Open(per_second) if (0.01..=1e6).contains(&per_second) => {
            tasks.spawn(send_at(Arc::clone(shared), per_second));
        }
        Pace::Open(other) => {
            return Err(format!("a rate of {other} requests a second cannot be kept: 0.01 to 1,000,000"));
        }
    }
    Ok(())
}

/// System calls, in a time of its own behind the measured one, since to count them costs something; and about how many turns end in it.
/// `perf` takes a moment to begin and to end, in which turns end and no call is counted.
async fn count_calls<W: Work>(
    shared: &Arc<Shared<W>>,
    server: &Server,
) -> Result<Option<(meter::Calls, f64)>, String> {
    const TIME: Duration = Duration::from_secs(2);
    let Some(pid) = server.pid.filter(|_| !shared.is_over()) else { return Ok(None) };
    let (from, before) = (shared.clock.uptime(), shared.ended.load(Ordering::Relaxed));
    let calls =
        tokio::task::spawn_blocking(move || meter::calls(pid, TIME)).await.map_err(|e| e.to_string())?;
    let ended = shared.ended.load(Ordering::Relaxed).saturating_sub(before);
    let took = shared.clock.uptime().saturating_sub(from);
    let turns = per(float(ended) * TIME.as_secs_f64(), took.as_secs_f64());
    Ok(calls.filter(|_| !shared.is_over()).zip(turns))
}

/// Waits until as many turns have ended as there are senders in a closed loop, each of which opens a connection first; not for ever.
async fn connected<W: Work>(shared: &Shared<W>, pace: Pace) {
    const LOOKS: u32 = 600;
    let Pace::Closed(senders) = pace else { return };
    let senders = count(senders);
    for _ in 0..LOOKS {
        if shared.is_over() || shared.ended.load(Ordering::Relaxed) >= senders {
            return;
        }
        until(shared, Duration::from_millis(50)).await;
    }
}

/// Waits so long, or until nothing is left to do.
async fn until<W: Work>(shared: &Shared<W>, time: Duration) {
    if !shared.is_over() {
        tokio::select! {
            () = tokio::time::sleep(time) => {}
            () = shared.stopped.notified() => {}
        }
    }
}

/// The open loop: request `n` is due at `n / per_second`.
async fn send_at<W: Work>(shared: Arc<Shared<W>>, per_second: f64) {
    let start = shared.clock.uptime();
    let waiting = Arc::new(AtomicUsize::new(0));
    let mut sent = JoinSet::new();
    let mut n = 0_u32;
    loop {
        let due = start.saturating_add(Duration::from_secs_f64(f64::from(n) / per_second));
        // What was due in time is sent, however late: the sender may have stood still.
        let is_left =
            !shared.is_over() || (!shared.early.load(Ordering::Relaxed) && shared.recorder().counts(due));
        if !is_left {
            break;
        }
        let ahead = due.saturating_sub(shared.clock.uptime());
        if !ahead.is_zero() {
            tokio::time::sleep(ahead).await;
        }
        while sent.try_join_next().is_some() {}
        if waiting.fetch_add(1, Ordering::Relaxed) >= MOST_WAITING {
            let why = format!(
                "{MOST_WAITING} requests wait: the server does not keep up with {per_second:.0} a second"
            );
            shared.recorder().failed(why);
            shared.end_early();
            break;
        }
        let (shared, waiting) = (Arc::clone(&shared), Arc::clone(&waiting));
        sent.spawn(async move {
            shared.turn(due).await;
            waiting.fetch_sub(1, Ordering::Relaxed);
        });
        n = n.saturating_add(1);
    }
    while sent.join_next().await.is_some() {}
}

#[cfg(test)]
mod tests;
