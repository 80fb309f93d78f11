//! The measurements in their order. What is compared is measured in turns, close to each other in time.

mod cards;
mod verify;

use std::{sync::Arc, time::Duration};

use sigillo::api::cards::NewCard;

use super::{Arguments, own::Own, rows::Found};
use crate::{
    load::{Pace, Plan, Windows},
    number::{count, float},
    place::Place,
    run::Run,
};

/// Rounds of what is measured in turns.
const ROUNDS: usize = 2;

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
}
