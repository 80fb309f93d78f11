//! The measurements in their order. What is compared is measured in turns, close to each other in time.

use std::{sync::Arc, time::Duration};

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
    number::{float, per},
    place::Place,
    run::Run,
    soak,
    work::cards_for,
};

/// Rounds of what is measured in turns.
const ROUNDS: u32 = 2;
/// More activations than any machine makes in a second, and more deliveries.
const MOST_ACTIVATIONS: u64 = 5000;
const MOST_DELIVERIES: u64 = 2000;
/// Deliveries under way: some of the courier's leases.
const DELIVERIES_IN_FLIGHT: usize = 128;

struct Bench<'a> {
    arguments: &'a Arguments,
    own: Own,
    runs: &'a mut Vec<Run>,
    cards: Arc<Vec<NewCard>>,
    /// Cards in the store.
    registered: u64,
    /// Number of the first card that was never activated.
    unused: u64,
}

/// Measures everything, into `found` and `runs` as far as it gets.
pub(super) async fn all(arguments: &Arguments, found: &mut Found, runs: &mut Vec<Run>) -> Result<(), String> {
    if arguments.cards == 0 || arguments.grow < arguments.cards {
        return Err("--cards must be at least 1, and --grow not below it".into());
    }
    println!("An installation is made, with {} cards", arguments.cards);
    let own = Own::start(arguments)?;
    let cards = Arc::new(own.cards(0, arguments.cards));
    let mut bench = Bench { arguments, own, runs, cards, registered: arguments.cards, unused: 0 };
    bench.register().await?;
    bench.own.import(0, arguments.cards).await?;
    let macs = hsm::measure(&bench.own.at("authority/hsm.toml"), Duration::from_secs(2))?;
    println!("raw MACs: {:.0} /s in one thread, {:.2} us of CPU each", macs.per_second, macs.micros);
    (found.mac_us, found.mac_rate) = (Some(macs.micros), Some(macs.per_second));
    found.http1 = bench.in_turns(false).await?;
    found.http2 = bench.in_turns(true).await?;
    bench.disk(found)?;
    bench.peers(found)?;
    bench.open(found).await?;
    bench.delayed(found).await?;
    bench.grow(found).await?;
    bench.deliver(found).await?;
    bench.activate(found).await?;
    bench.soak(found).await?;
    println!("the audit log is exported and verified");
    let said = bench.own.audit();
    found.audit = Some(if said.is_ok() { 1.0 } else { 0.0 });
    println!("  {}", said.unwrap_or_else(|why| why));
    bench.own.end()
}

impl Bench<'_> {
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

    fn keep(&mut self, run: Run) -> Result<Run, String> {
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

    /// The bare server and verifications, in turns.
    async fn in_turns(&mut self, http2: bool) -> Result<Http, String> {
        let (place, tls) = (self.place(http2), self.own.at("authority/tls"));
        let (mut hello, mut verify) = (Vec::new(), Vec::new());
        for round in 1..=ROUNDS {
            hello.push(measure::hello(&place, &tls, self.closed(self.arguments.in_flight)).await?);
            let calls = round == ROUNDS;
            verify.push(
                measure::verify(&place, &self.cards, Plan { calls, ..self.closed(self.arguments.in_flight) })
                    .await?,
            );
        }
        let mut kept = [Vec::new(), Vec::new()];
        for (runs, kept) in [hello, verify].into_iter().zip(&mut kept) {
            for mut run in runs {
                // What is measured again on the grown store is not the same.
                run.what += &format!(", {} cards", self.registered);
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
        })
    }

    /// Appends as long as what a commit writes.
    fn disk(&self, found: &mut Found) -> Result<(), String> {
        let of = |run: &Run| per(run.written?, run.commits?);
        let Some(batch) = self.runs.iter().rev().find_map(of) else { return Ok(()) };
        let batch = usize::try_from(Duration::from_secs_f64(batch.clamp(1.0, 1e9)).as_secs()).unwrap_or(1);
        let rate = disk::measure(&self.own.at("authority"), batch, Duration::from_secs(2))?;
        println!("raw disk: {rate:.0} durable appends of {batch} bytes a second");
        found.appends = Some(rate);
        Ok(())
    }

    /// Others, right beside our own verifications; the installation idles meanwhile.
    fn peers(&self, found: &mut Found) -> Result<(), String> {
        let Some(directory) = &self.arguments.peers else { return Ok(()) };
        println!("privacyIDEA is measured (and installed, the first time)");
        let peer = peers::measure(&self.arguments.peer_script, directory, self.arguments.seconds.max(5))?;
        println!(
            "  {} {}: {:.1} /s, {:.0} us of CPU each",
            peer.peer, peer.version, peer.per_second, peer.cpu_us
        );
        found.peer = Some(peer);
        Ok(())
    }

    async fn open(&mut self, found: &mut Found) -> Result<(), String> {
        let Some(rate) = found.http2.verify_rate else { return Ok(()) };
        let place = Place { rate: Some(rate / 2.0), ..self.place(true) };
        let plan = self.plan(Pace::Open(rate / 2.0));
        let plan = Plan { time: plan.time.saturating_mul(2), ..plan };
        let run = measure::verify(&place, &self.cards, plan).await?;
        let ms = |us: u64| Some(float(us) / 1e3);
        (found.open_p50, found.open_p99) = (ms(run.p50_us), ms(run.p99_us));
        found.open_errors = Some(float(run.errors));
        println!("{run}");
        self.runs.push(run);
        Ok(())
    }

    /// With a slow HSM, where a module is given that makes it slow.
    async fn delayed(&mut self, found: &mut Found) -> Result<(), String> {
        let Some(module) = &self.arguments.delaying_module else { return Ok(()) };
        let module = std::fs::canonicalize(module).map_err(|e| format!("{}: {e}", module.display()))?;
        let file = self.own.at("authority/hsm.toml");
        let before = std::fs::read_to_string(&file).map_err(|e| e.to_string())?;
        self.own.change_hsm(None, &[])?;
        self.own.restart()?;
        let mut run =
            measure::verify(&self.place(true), &self.cards, self.closed(self.arguments.in_flight)).await?;
        run.what.push_str(", 32 workers");
        found.undelayed = Some(self.keep(run)?.per_second);
        self.own.change_hsm(Some(&module), &self.arguments.delaying_environment)?;
        self.own.restart()?;
        println!("with {} before the token:", module.display());
        let mut run =
            measure::verify(&self.place(true), &self.cards, self.closed(self.arguments.in_flight)).await?;
        run.what.push_str(", slow HSM");
        found.delayed = Some(self.keep(run)?.per_second);
        std::fs::write(&file, before).map_err(|e| e.to_string())?;
        self.own.restart().map(drop)
    }

    /// Cost of a verification on a store of more cards; start-up.
    async fn grow(&mut self, found: &mut Found) -> Result<(), String> {
        let (from, to) = (self.arguments.cards, self.arguments.grow);
        let cost = |http: Http| per(http.verify_us?, http.hello_us?);
        let before = cost(found.http2);
        if to > from {
            println!("{} cards more are registered", to.saturating_sub(from));
            let done = self.own.import(from, to).await?;
            println!("{done}");
            self.registered = to;
            (found.imported, found.bytes_per_card) = (done.per_second(), done.stored_each());
            self.runs.push(done.run);
        }
        found.start = Some(self.own.restart()?);
        if to > from {
            let few = std::mem::replace(&mut self.cards, Arc::new(self.own.cards(0, to)));
            let after = cost(self.in_turns(true).await?);
            self.cards = few;
            found.growth = after.zip(before).and_then(|(after, before)| per(after, before));
            found.grown = Some((from, to));
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
    async fn deliver(&mut self, found: &mut Found) -> Result<(), String> {
        let cards = self.fresh(self.arguments.seconds.saturating_mul(MOST_DELIVERIES));
        let (courier, plan) = (self.own.courier(DELIVERIES_IN_FLIGHT), self.closed(DELIVERIES_IN_FLIGHT));
        let run = courier::measure(&courier, cards, plan).await?;
        let run = self.keep(run)?;
        (found.deliveries, found.delivery_us, found.courier_us) =
            (Some(run.per_second), run.server_us, run.courier_us);
        Ok(())
    }

    async fn activate(&mut self, found: &mut Found) -> Result<(), String> {
        let cards = Arc::new(self.fresh(self.arguments.seconds.saturating_mul(MOST_ACTIVATIONS)));
        let run = measure::activate(&self.place(true), &cards, self.closed(self.arguments.in_flight)).await?;
        let run = self.keep(run)?;
        (found.activations, found.activation_calls) = (Some(run.per_second), run.hsm_calls);
        Ok(())
    }

    async fn soak(&mut self, found: &mut Found) -> Result<(), String> {
        let time = Duration::from_secs(self.arguments.soak.max(4));
        let place = Place { rate: Some(soak::RATE), ..self.place(true) };
        let plan = Plan { time, ..self.plan(Pace::Open(soak::RATE)) };
        let turns = soak::RATE * time.saturating_add(plan.warm_up).as_secs_f64();
        let wanted = Duration::try_from_secs_f64(cards_for(turns)).map_err(|e| e.to_string())?.as_secs();
        let cards = Arc::new(self.fresh(wanted));
        let run = measure::mixed(&place, &cards, plan).await?;
        println!("{run}");
        (found.soak, found.soak_rate) = (Some(run.seconds), Some(run.per_second));
        found.soak_errors = Some(float(run.errors));
        found.soak_memory = run.memory_growth();
        self.runs.push(run);
        Ok(())
    }
}

fn mean(runs: &[Run], figure: impl Fn(&Run) -> Option<f64>) -> Option<f64> {
    let figures = runs.iter().map(figure).collect::<Option<Vec<f64>>>()?;
    per(figures.iter().sum(), float(crate::number::count(figures.len())))
}
