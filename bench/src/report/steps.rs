//! The measurements in their order. What is compared is measured in turns, close to each other in time.

use std::{path::Path, sync::Arc, thread::available_parallelism, time::Duration};

use sigillo::api::cards::NewCard;

use super::{
    Arguments,
    own::Own,
    peers,
    rows::{Found, Http},
};
use crate::{
    ceiling::{disk, hsm},
    courier,
    load::{Pace, Plan, Windows},
    measure,
    number::{count, float, per},
    place::Place,
    run::Run,
    soak,
    work::cards_for,
};

/// Rounds of what is measured in turns.
const ROUNDS: usize = 2;
/// A mixture that lasts longer tells how it goes.
const LONG: Duration = Duration::from_secs(120);
/// Cards of a grown store that are asked about, evenly of all: no round asks about one twice.
const SOME: u64 = 150_000;
/// More activations than any machine makes in a second, and more deliveries.
const MOST_ACTIVATIONS: u64 = 5000;
const MOST_DELIVERIES: u64 = 2000;
/// Deliveries under way: some of the courier's leases.
const DELIVERIES_IN_FLIGHT: usize = 128;

struct Bench<'a> {
    arguments: &'a Arguments,
    own: Own,
    found: &'a mut Found,
    runs: &'a mut Vec<Run>,
    /// What could not be measured, and why.
    missed: Vec<String>,
    cards: Arc<Vec<NewCard>>,
    /// Cards in the store.
    registered: u64,
    /// Number of the first card that was never activated.
    unused: u64,
}

/// Measures everything, into `found` and `runs`, and answers what could not be measured. What one step misses the others do not.
///
/// # Errors
/// There is no installation to measure, or what is measured cannot be written.
pub(super) async fn all(
    arguments: &Arguments,
    found: &mut Found,
    runs: &mut Vec<Run>,
) -> Result<Vec<String>, String> {
    if arguments.cards == 0 || arguments.grow < arguments.cards {
        return Err("--cards must be at least 1, and --grow not below it".into());
    }
    println!("An installation is made, with {} cards", arguments.cards);
    let own = Own::start(arguments)?;
    let cards = Arc::new(own.cards(0, arguments.cards));
    found.cache_mib = Some(float(arguments.cache_mib));
    found.in_flight = Some(float(count(arguments.in_flight)));
    let (missed, registered) = (Vec::new(), arguments.cards);
    let mut bench = Bench { arguments, own, found, runs, missed, cards, registered, unused: 0 };
    bench.register().await?;
    bench.own.import(0, arguments.cards).await?;
    let done = bench.macs();
    bench.noted("raw MACs", done)?;
    let done = bench.versions().await;
    bench.noted("verifications", done)?;
    let done = bench.disk();
    bench.noted("raw disk", done)?;
    let done = bench.peers();
    bench.noted("peers", done)?;
    let done = bench.open().await;
    bench.noted("open loop", done)?;
    let done = bench.delayed().await;
    bench.noted("slow HSM", done)?;
    let done = bench.grow().await;
    bench.noted("more cards", done)?;
    let done = bench.deliver().await;
    bench.noted("deliveries", done)?;
    let done = bench.activate().await;
    bench.noted("activations", done)?;
    let done = bench.soak().await;
    bench.noted("mixture", done)?;
    let done = bench.audit();
    bench.noted("audit log", done)?;
    let done = bench.own.end();
    bench.noted("the processes at the end", done)?;
    let Bench { own, missed, .. } = bench;
    if missed.is_empty() {
        own.remove()?;
    }
    Ok(missed)
}

impl Bench<'_> {
    /// Keeps what a step has measured, and why it did not get further.
    fn noted(&mut self, step: &str, done: Result<(), String>) -> Result<(), String> {
        if let Err(why) = done {
            println!("NOT measured, {step}: {why}");
            self.missed.push(format!("{step}: {why}"));
        }
        super::save(self.arguments, self.found, self.runs)
    }

    fn place(&self, http2: bool) -> Place {
        self.own.place(self.arguments.in_flight, http2)
    }

    fn plan(&self, pace: Pace) -> Plan {
        let time = Duration::from_secs(self.arguments.seconds.max(1));
        Plan { pace, warm_up: Duration::from_secs(1), time, calls: false, windows: Windows::SHORT }
    }

    fn closed(&self, in_flight: usize) -> Plan {
        self.plan(Pace::Closed(in_flight))
    }

    /// A run of before and of now is compared by its name: what it was made on belongs to it.
    fn keep(&mut self, mut run: Run) -> Result<Run, String> {
        run.what += &format!(", {} cards", self.registered);
        println!("{run}");
        self.runs.push(run.clone());
        run.without_errors()
    }

    async fn register(&self) -> Result<(), String> {
        for who in ["operator", "supervisor"] {
            let desk = self.place(false).desk(who)?;
            desk.register_operator(who).await.map_err(|e| format!("the {who}'s card: {e}"))?;
        }
        Ok(())
    }

    fn macs(&mut self) -> Result<(), String> {
        let macs = hsm::measure(&self.own.at("authority/hsm.toml"), Duration::from_secs(2))?;
        println!("raw MACs: {:.0} /s in one thread, {:.2} us of CPU each", macs.per_second, macs.micros);
        (self.found.mac_us, self.found.mac_rate) = (Some(macs.micros), Some(macs.per_second));
        Ok(())
    }

    async fn versions(&mut self) -> Result<(), String> {
        let same = [Arc::clone(&self.cards), Arc::clone(&self.cards)];
        self.found.http1 = self.in_turns(false, &same).await?;
        self.found.http2 = self.in_turns(true, &same).await?;
        Ok(())
    }

    /// The bare server and verifications, in turns; each round has its cards.
    async fn in_turns(&mut self, http2: bool, cards: &[Arc<Vec<NewCard>>; ROUNDS]) -> Result<Http, String> {
        let (place, tls) = (self.place(http2), self.own.at("authority/tls"));
        let (mut hello, mut verify) = (Vec::new(), Vec::new());
        for (round, cards) in cards.iter().enumerate() {
            hello.push(measure::hello(&place, &tls, self.closed(self.arguments.in_flight)).await?);
            let calls = round.saturating_add(1) == ROUNDS;
            verify.push(
                measure::verify(&place, cards, Plan { calls, ..self.closed(self.arguments.in_flight) })
                    .await?,
            );
        }
        let mut kept = [Vec::new(), Vec::new()];
        for (runs, kept) in [hello, verify].into_iter().zip(&mut kept) {
            for run in runs {
                kept.push(self.keep(run)?);
            }
        }
        let [hello, verify] = kept;
        let last = |figure: fn(&Run) -> Option<f64>| verify.iter().rev().find_map(figure);
        Ok(Http {
            hello_us: mean(&hello, |run| run.server_us),
            hello_rate: mean(&hello, |run| Some(run.per_second)),
            verify_us: mean(&verify, |run| run.server_us),
            verify_rate: mean(&verify, |run| Some(run.per_second)),
            calls: mean(&verify, |run| run.hsm_calls),
            commits: mean(&verify, |run| run.commits),
            syncs: last(|run| run.syncs),
            busy: mean(&verify, busy),
        })
    }

    /// Appends as long as what a commit writes.
    fn disk(&mut self) -> Result<(), String> {
        let of = |run: &Run| per(run.written?, run.commits?);
        let Some(batch) = self.runs.iter().rev().find_map(of) else { return Ok(()) };
        let batch = usize::try_from(Duration::from_secs_f64(batch.clamp(1.0, 1e9)).as_secs()).unwrap_or(1);
        let rate = disk::measure(&self.own.at("authority"), batch, Duration::from_secs(2))?;
        println!("raw disk: {rate:.0} durable appends of {batch} bytes a second");
        self.found.appends = Some(rate);
        Ok(())
    }

    /// Others, right beside our own verifications; the installation idles meanwhile.
    fn peers(&mut self) -> Result<(), String> {
        let Some(directory) = &self.arguments.peers else { return Ok(()) };
        println!("privacyIDEA is measured (and installed, the first time)");
        let peer = peers::measure(&self.arguments.peer_script, directory, self.arguments.seconds.max(5))?;
        println!(
            "  {} {}: {:.1} /s, {:.0} us of CPU each",
            peer.peer, peer.version, peer.per_second, peer.cpu_us
        );
        self.found.peer = Some(peer);
        Ok(())
    }

    async fn open(&mut self) -> Result<(), String> {
        let Some(rate) = self.found.http2.verify_rate else { return Ok(()) };
        let place = Place { rate: Some(rate / 2.0), ..self.place(true) };
        let plan = self.plan(Pace::Open(rate / 2.0));
        let plan = Plan { time: plan.time.saturating_mul(2), ..plan };
        let run = measure::verify(&place, &self.cards, plan).await?;
        let ms = |us: u64| Some(float(us) / 1e3);
        (self.found.open_p50, self.found.open_p99) = (ms(run.p50_us), ms(run.p99_us));
        self.found.open_errors = Some(float(run.errors));
        self.keep(run).map(drop)
    }

    /// With a slow HSM, where a module is given that makes it slow: in turns with the same settings without.
    async fn delayed(&mut self) -> Result<(), String> {
        let Some(module) = &self.arguments.delaying_module else { return Ok(()) };
        let module = std::fs::canonicalize(module).map_err(|e| format!("{}: {e}", module.display()))?;
        let file = self.own.at("authority/hsm.toml");
        let before = std::fs::read_to_string(&file).map_err(|e| e.to_string())?;
        let done = self.in_turns_with_a_slow_hsm(&module, &before).await;
        std::fs::write(&file, before).map_err(|e| e.to_string())?;
        self.own.restart()?;
        done
    }

    async fn in_turns_with_a_slow_hsm(&mut self, module: &Path, own: &str) -> Result<(), String> {
        let file = self.own.at("authority/hsm.toml");
        let (mut undelayed, mut delayed) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            for (slow, runs) in [(false, &mut undelayed), (true, &mut delayed)] {
                std::fs::write(&file, own).map_err(|e| e.to_string())?;
                let environment: &[String] = if slow { &self.arguments.delaying_environment } else { &[] };
                self.own.change_hsm(slow.then_some(module), environment)?;
                self.own.restart()?;
                let plan = self.closed(self.arguments.in_flight);
                let mut run = measure::verify(&self.place(true), &self.cards, plan).await?;
                run.what.push_str(if slow { ", slow HSM" } else { ", 32 workers" });
                runs.push(self.keep(run)?);
            }
        }
        self.found.undelayed = mean(&undelayed, |run| Some(run.per_second));
        self.found.delayed = mean(&delayed, |run| Some(run.per_second));
        Ok(())
    }

    /// Cost of a verification on a store of more cards; start-up.
    async fn grow(&mut self) -> Result<(), String> {
        let (from, to) = (self.arguments.cards, self.arguments.grow);
        let cost = |http: Http| per(http.verify_us?, http.hello_us?);
        let before = cost(self.found.http2);
        if to > from {
            println!("{} cards more are registered", to.saturating_sub(from));
            let done = self.own.import(from, to).await?;
            println!("{done}");
            self.registered = to;
            (self.found.imported, self.found.bytes_per_card) = (done.per_second(), done.stored_each());
            self.runs.push(done.run);
        }
        let (start, again) = self.own.restart_twice()?;
        (self.found.start, self.found.start_again) = (Some(start), Some(again));
        if to > from {
            let mut first = self.own.some(to, SOME);
            let second = first.split_off(first.len() / 2);
            let after = self.in_turns(true, &[first, second].map(Arc::new)).await?;
            self.found.grown_us = after.verify_us;
            self.found.growth = cost(after).zip(before).and_then(|(after, before)| per(after, before));
            self.found.grown = Some((from, to));
        }
        Ok(())
    }

    /// Cards that were never activated: so many, or half of those that are left.
    fn fresh(&mut self, wanted: u64) -> Vec<NewCard> {
        let left = self.arguments.grow.saturating_sub(self.unused);
        let from = self.unused;
        self.unused = from.saturating_add(wanted.min(left / 2));
        self.own.cards(from, self.unused)
    }

    /// Before the activations, whose deliveries the courier has to do for a while.
    async fn deliver(&mut self) -> Result<(), String> {
        let cards = self.fresh(self.arguments.seconds.saturating_mul(MOST_DELIVERIES));
        let (courier, plan) = (self.own.courier(DELIVERIES_IN_FLIGHT), self.closed(DELIVERIES_IN_FLIGHT));
        let run = courier::measure(&courier, cards, plan).await?;
        let run = self.keep(run)?;
        (self.found.deliveries, self.found.delivery_us, self.found.courier_us) =
            (Some(run.per_second), run.server_us, run.courier_us);
        Ok(())
    }

    async fn activate(&mut self) -> Result<(), String> {
        let cards = Arc::new(self.fresh(self.arguments.seconds.saturating_mul(MOST_ACTIVATIONS)));
        let run = measure::activate(&self.place(true), &cards, self.closed(self.arguments.in_flight)).await?;
        let run = self.keep(run)?;
        (self.found.activations, self.found.activation_calls) = (Some(run.per_second), run.hsm_calls);
        Ok(())
    }

    async fn soak(&mut self) -> Result<(), String> {
        let time = Duration::from_secs(self.arguments.soak.max(4));
        let place = Place { rate: Some(soak::RATE), ..self.place(true) };
        let windows = if time > LONG { soak::parts(time) } else { Windows::SHORT };
        let plan = Plan { time, windows, ..self.plan(Pace::Open(soak::RATE)) };
        let turns = soak::RATE * time.saturating_add(plan.warm_up).as_secs_f64();
        let wanted = Duration::try_from_secs_f64(cards_for(turns)).map_err(|e| e.to_string())?.as_secs();
        let cards = Arc::new(self.fresh(wanted));
        let run = measure::mixed(&place, &cards, plan).await?;
        (self.found.soak, self.found.soak_rate) = (Some(run.seconds), Some(run.per_second));
        self.found.soak_errors = Some(float(run.errors));
        (self.found.soak_memory, self.found.soak_leak) = (run.memory_growth(), run.memory_each());
        self.keep(run).map(drop)
    }

    /// A log that cannot be exported is not one that does not verify.
    fn audit(&mut self) -> Result<(), String> {
        println!("the audit log is exported and verified");
        let said = self.own.audit()?;
        self.found.audit = Some(if said.is_ok() { 1.0 } else { 0.0 });
        println!("  {}", said.unwrap_or_else(|why| why));
        Ok(())
    }
}

/// Processors busy with server and load, of all.
fn busy(run: &Run) -> Option<f64> {
    let all = float(count(available_parallelism().ok()?.get()));
    per((run.server_us? + run.client_us?) / 1e6 * run.per_second, all)
}

fn mean(runs: &[Run], figure: impl Fn(&Run) -> Option<f64>) -> Option<f64> {
    let figures = runs.iter().map(figure).collect::<Option<Vec<f64>>>()?;
    per(figures.iter().sum(), float(count(figures.len())))
}
