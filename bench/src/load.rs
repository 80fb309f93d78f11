//! Closed loop: so many requests in flight, each followed by the next.

use std::{fmt, path::Path, sync::Arc, time::Duration};

use serde_json::{Value, json};
use sigillo::{
    clock::{Clock, SystemClock},
    domain::{fictional, team::Region},
    tls::Protocols,
};
use sigillo_bench::desk::{Desk, Refused};
use tokio::task::JoinSet;

/// A load on one authority.
pub(crate) struct Load {
    desk: Arc<Desk>,
    clock: Arc<SystemClock>,
    in_flight: usize,
    time: Duration,
}

/// What was measured.
#[derive(Debug, Clone)]
pub(crate) struct Figures {
    took: Vec<Duration>,
    time: Duration,
}

impl Figures {
    /// Requests a second.
    #[expect(clippy::as_conversions, reason = "a count far below 2^53")]
    pub(crate) fn rate(&self) -> f64 {
        self.took.len() as f64 / self.time.as_secs_f64()
    }

    fn quantile(&self, of_thousand: usize) -> Duration {
        let index = self.took.len().saturating_mul(of_thousand).checked_div(1000).unwrap_or(0);
        self.took.get(index.min(self.took.len().saturating_sub(1))).copied().unwrap_or_default()
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (p50, p99) = (self.quantile(500).as_secs_f64() * 1e3, self.quantile(990).as_secs_f64() * 1e3);
        write!(
            f,
            "{:>8.0} /s   p50 {p50:.1} ms   p99 {p99:.1} ms   ({} requests)",
            self.rate(),
            self.took.len()
        )
    }
}

impl Load {
    /// A load by the demonstration's desk.
    pub(crate) fn new(
        clients: &Path,
        url: &str,
        protocols: Protocols,
        in_flight: usize,
        time: Duration,
    ) -> Result<Self, String> {
        let desk = Arc::new(Desk::new(clients, ("desk", "operator"), url, protocols)?);
        Ok(Self { desk, clock: Arc::new(SystemClock::new()), in_flight: in_flight.max(1), time })
    }

    /// The ceiling: a path that is not there, which is answered as shortly as a verification and does nothing.
    pub(crate) async fn pages(&self) -> Result<Figures, String> {
        self.run(|desk, _, _| async move {
            match desk.get::<Value>("/v1/nothing").await {
                Err(Refused::Problem(problem)) if problem.code == "no_such_path" => Ok(()),
                Err(other) => Err(other.to_string()),
                Ok(_) => Err("there is something".into()),
            }
        })
        .await
    }

    /// Wrong guesses at cards that do not exist: by design the same work as at cards that do.
    pub(crate) async fn verifications(&self) -> Result<Figures, String> {
        let regions: Vec<Region> = Region::KNOWN.iter().map(|(region, _)| *region).collect();
        let numbers: Arc<Vec<String>> = Arc::new(
            fictional::cards(7, 4096, &regions).map(|card| card.team_number.as_str().to_owned()).collect(),
        );
        let start = self.clock.uptime().as_nanos();
        self.run(move |desk, worker, turn| {
            let numbers = Arc::clone(&numbers);
            async move {
                let index =
                    worker.wrapping_mul(61).wrapping_add(turn).checked_rem(numbers.len()).unwrap_or(0);
                let number = numbers.get(index).ok_or("no card")?;
                let key = format!("bench-{start}-{}-{worker}-{turn}", std::process::id());
                let body = json!({ "team_number": number, "code": "00000000", "purpose": "revocation" });
                desk.post::<_, Value>("/v1/verifications", &key, &body)
                    .await
                    .map(|_| ())
                    .map_err(|e| e.to_string())
            }
        })
        .await
    }

    async fn run<F, W>(&self, work: F) -> Result<Figures, String>
    where
        F: Fn(Arc<Desk>, usize, usize) -> W + Clone + Send + Sync + 'static,
        W: Future<Output = Result<(), String>> + Send,
    {
        let start = self.clock.uptime();
        let end = start.saturating_add(self.time);
        let mut running = JoinSet::new();
        for worker in 0..self.in_flight {
            let (desk, clock, work) = (Arc::clone(&self.desk), Arc::clone(&self.clock), work.clone());
            running.spawn(async move {
                let mut took = Vec::new();
                let mut turn = 0_usize;
                loop {
                    let from = clock.uptime();
                    if from >= end {
                        return Ok::<_, String>(took);
                    }
                    work(Arc::clone(&desk), worker, turn).await?;
                    took.push(clock.uptime().saturating_sub(from));
                    turn = turn.saturating_add(1);
                }
            });
        }
        let mut took = Vec::new();
        while let Some(done) = running.join_next().await {
            took.extend(done.map_err(|e| e.to_string())??);
        }
        let time = self.clock.uptime().saturating_sub(start);
        took.sort_unstable();
        Ok(Figures { took, time })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_and_rate() {
        let took = (1..=100).map(Duration::from_millis).collect();
        let figures = Figures { took, time: Duration::from_secs(2) };
        assert_eq!(figures.quantile(500), Duration::from_millis(51));
        assert_eq!(figures.quantile(990), Duration::from_millis(100));
        assert_eq!(figures.quantile(1000), Duration::from_millis(100));
        assert!((figures.rate() - 50.0).abs() < 1e-9);
        let none = Figures { took: Vec::new(), time: Duration::from_secs(1) };
        assert_eq!(none.quantile(500), Duration::ZERO);
    }
}
