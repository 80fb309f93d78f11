//! Verifications beside their ceilings and their peers.

use std::{path::Path, sync::Arc, thread::available_parallelism, time::Duration};

use sigillo::api::cards::NewCard;

use super::{Bench, ROUNDS};
use crate::{
    ceiling::{disk, hsm},
    load::{Pace, Plan},
    measure,
    number::{count, float, per},
    place::Place,
    report::{peers, rows::Http},
    run::Run,
};

const OPEN_WARM_UP: Duration = Duration::from_secs(3);

impl Bench<'_> {
    pub(super) fn macs(&mut self) -> Result<(), String> {
        let macs = hsm::measure(&self.own.at("authority/hsm.toml"), Duration::from_secs(2))?;
        println!("raw MACs: {:.0} /s in one thread, {:.2} us of CPU each", macs.per_second, macs.micros);
        (self.found.mac_us, self.found.mac_rate) = (Some(macs.micros), Some(macs.per_second));
        Ok(())
    }

    pub(super) async fn versions(&mut self) -> Result<(), String> {
        let same = [Arc::clone(&self.cards), Arc::clone(&self.cards)];
        self.found.http1 = self.in_turns(false, &same).await?;
        self.found.http2 = self.in_turns(true, &same).await?;
        Ok(())
    }

    /// The bare server and verifications, in turns; each round has its cards.
    pub(super) async fn in_turns(
        &mut self,
        http2: bool,
        cards: &[Arc<Vec<NewCard>>; ROUNDS],
    ) -> Result<Http, String> {
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
    pub(super) fn disk(&mut self) -> Result<(), String> {
        let of = |run: &Run| per(run.written?, run.commits?);
        let Some(batch) = self.runs.iter().rev().find_map(of) else { return Ok(()) };
        let batch = usize::try_from(Duration::from_secs_f64(batch.clamp(1.0, 1e9)).as_secs()).unwrap_or(1);
        let rate = disk::measure(&self.own.at("authority"), batch, Duration::from_secs(2))?;
        println!("raw disk: {rate:.0} durable appends of {batch} bytes a second");
        self.found.appends = Some(rate);
        Ok(())
    }

    /// Others, right beside our own verifications; the installation idles meanwhile.
    pub(super) fn peers(&mut self) -> Result<(), String> {
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

    pub(super) async fn open(&mut self) -> Result<(), String> {
        let Some(rate) = self.found.http2.verify_rate else { return Ok(()) };
        let place = Place { rate: Some(rate / 2.0), ..self.place(true) };
        let plan = self.plan(Pace::Open(rate / 2.0));
        // Behind the second in which connections and caches are made.
        let plan = Plan { warm_up: OPEN_WARM_UP, time: plan.time.saturating_mul(2), ..plan };
        let mut run = measure::verify(&place, &self.cards, plan).await?;
        // Another report has another rate, and is compared all the same.
        run.pace = "open loop, half of the closed loop's rate".into();
        let ms = |us: u64| Some(float(us) / 1e3);
        (self.found.open_p50, self.found.open_p99) = (ms(run.p50_us), ms(run.p99_us));
        self.found.open_errors = Some(float(run.errors));
        self.keep(run).map(drop)
    }

    /// With a slow HSM, where a module is given that makes it slow: in turns with the same settings without.
    pub(super) async fn delayed(&mut self) -> Result<(), String> {
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
