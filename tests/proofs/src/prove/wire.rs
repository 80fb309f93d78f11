//! Whether the time of an answer tells what was guessed at: all classes of guesses, interleaved, over mutual TLS against one
//! installation; and whether they are equal in what can be counted.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use sigillo::{
    clock::{Clock, SystemClock},
    domain::{fictional, team::Region},
    tls::Protocols,
};
use sigillo_bench::{
    desk::Desk,
    installation::{INTERNAL, get},
};
use sigillo_proofs::{claim::Claim, statistics::Random};

use crate::{
    Run,
    ground::{Active, Ground, guess},
    series,
};

/// Wrong guesses at one card before another takes its place; its life has 100.
const USES: usize = 90;
/// Wrong guesses in a row before a right one, which is not measured.
const ROW: usize = 4;
/// Requests that are counted at one time, and how often: what happens beside them only adds, so the least counts.
const BLOCK: usize = 10;
const BLOCKS: usize = 2;
/// The process tells its counters once a second.
const UNTIL_TOLD: Duration = Duration::from_millis(1_300);
const CLASSES: [&str; 10] = [
    "wrong last digit",
    "right",
    "wrong first digit",
    "wrong length",
    "unknown card",
    "not active",
    "revoked",
    "tries used up",
    "second part never delivered",
    "wrong last digit again (A/A)",
];

/// Cards for one class of wrong guesses, each with tries left.
struct Pool {
    cards: Vec<Active>,
    used: usize,
}

impl Pool {
    async fn of(ground: &mut Ground, desk: &Desk, guesses: usize) -> Result<Self, String> {
        let mut cards = Vec::new();
        for _ in 0..guesses.div_ceil(USES) {
            cards.push(ground.active(desk).await?);
        }
        Ok(Self { cards, used: 0 })
    }

    /// A card that takes another guess: where its row is nearly used up, a right one is asked for first.
    async fn next(&mut self, desk: &Desk, keys: &mut Keys) -> Result<&Active, String> {
        let card = self.cards.get(self.used / USES).ok_or("too few cards in a pool")?;
        if self.used.is_multiple_of(ROW) && !self.used.is_multiple_of(USES) {
            keys.ask(desk, &card.team, &card.cip).await?;
        }
        self.used = self.used.saturating_add(1);
        Ok(card)
    }
}

/// One answer.
struct Answer {
    shape: String,
    micros: f64,
}

/// Makes idempotency keys of one length, and asks.
struct Keys {
    clock: SystemClock,
    next: u64,
}

impl Keys {
    async fn ask(&mut self, desk: &Desk, team: &str, code: &str) -> Result<Answer, String> {
        self.next = self.next.saturating_add(1);
        let (key, body) = (format!("wire-{:012}", self.next), guess(team, code));
        let from = self.clock.uptime();
        let (status, headers, body) = desk.post_raw("/v1/verifications", &key, &body).await?;
        let micros = self.clock.uptime().saturating_sub(from).as_secs_f64() * 1e6;
        let names: BTreeSet<_> = headers.keys().map(|name| name.as_str()).collect();
        let names: Vec<_> = names.into_iter().collect();
        Ok(Answer { shape: format!("{status}, {} bytes, {}", body.len(), names.join(" ")), micros })
    }
}

/// Who is guessed at.
struct Field {
    right: Active,
    pools: [Pool; 4],
    unknown: Vec<String>,
    idle: Vec<String>,
    revoked: Active,
    locked: Active,
    undelivered: String,
}

impl Field {
    async fn of(ground: &mut Ground, desk: &Desk, guesses: usize) -> Result<Self, String> {
        let mut pool = Vec::new();
        for _ in 0..4 {
            pool.push(Pool::of(ground, desk, guesses).await?);
        }
        let pools = <[Pool; 4]>::try_from(pool).map_err(|_| "four pools")?;
        let (right, revoked, locked) =
            (ground.active(desk).await?, ground.active(desk).await?, ground.active(desk).await?);
        ground.revoke(desk, &revoked).await?;
        let mut keys = Keys { clock: SystemClock::new(), next: 900_000_000_000 };
        for _ in 0..6 {
            keys.ask(desk, &locked.team, &locked.wrong(0, 1)).await?;
        }
        ground.here.kill("courier")?;
        let undelivered = ground.activate(desk).await?.0.team_number;
        let mut idle = Vec::new();
        for _ in 0..guesses.div_ceil(ROW) {
            idle.push(ground.card()?.team_number);
        }
        let regions: Vec<Region> = Region::KNOWN.iter().map(|(region, _)| *region).collect();
        // Another seed than the installation's: no such card was ever registered.
        let unknown = fictional::cards(7, 4096, &regions).map(|card| card.team_number.as_str().to_owned());
        Ok(Self { right, pools, unknown: unknown.collect(), idle, revoked, locked, undelivered })
    }

    /// The `turn`th guess of a class.
    async fn guess(
        &mut self,
        class: usize,
        turn: usize,
        desk: &Desk,
        keys: &mut Keys,
    ) -> Result<Answer, String> {
        let of = |list: &[String], index: usize| list.get(index).cloned().ok_or("too few cards");
        let [last, first, length, again] = &mut self.pools;
        let (team, code) = match class {
            1 => (self.right.team.clone(), self.right.cip.clone()),
            2 => of_card(first.next(desk, keys).await?, |card| card.wrong(0, 1)),
            3 => of_card(length.next(desk, keys).await?, |card| format!("{}0", card.cip)),
            4 => (
                of(&self.unknown, turn.checked_rem(self.unknown.len()).unwrap_or(0))?,
                self.right.cip.clone(),
            ),
            5 => (of(&self.idle, turn / ROW)?, self.right.cip.clone()),
            6 => (self.revoked.team.clone(), self.revoked.cip.clone()),
            7 => (self.locked.team.clone(), self.locked.cip.clone()),
            8 => (self.undelivered.clone(), self.right.cip.clone()),
            9 => of_card(again.next(desk, keys).await?, last_digit),
            _ => of_card(last.next(desk, keys).await?, last_digit),
        };
        keys.ask(desk, &team, &code).await
    }
}

fn last_digit(card: &Active) -> String {
    card.wrong(card.cip.len().saturating_sub(1), 1)
}

fn of_card(card: &Active, code: impl Fn(&Active) -> String) -> (String, String) {
    (card.team.clone(), code(card))
}

/// Counters of the process that a verification moves. Units of the store are not among them: checkpoints are units too.
async fn counters() -> Result<BTreeMap<String, f64>, String> {
    tokio::time::sleep(UNTIL_TOLD).await;
    let text = get(INTERNAL, "/metrics").map_err(|e| e.to_string())?;
    let wanted = [
        "sigillo_hsm_operations_total{key=\"index\"}",
        "sigillo_hsm_operations_total{key=\"verify\"}",
        "sigillo_hsm_operations_total{key=\"print\"}",
    ];
    let value = |line: &str| {
        let (name, value) = line.rsplit_once(' ')?;
        wanted.contains(&name).then(|| Some((name.to_owned(), value.parse().ok()?)))?
    };
    Ok(text.lines().filter_map(value).collect())
}

/// What was measured.
struct Measured {
    /// By tuple, by class, microseconds.
    times: Vec<Vec<f64>>,
    shapes: Vec<BTreeSet<String>>,
    work: Vec<String>,
}

async fn measure(run: &Run<'_>, tuples: usize) -> Result<Measured, String> {
    let guesses = tuples.saturating_add(BLOCK * BLOCKS + 20);
    let cards = guesses.saturating_mul(2).saturating_add(100);
    let mut ground = Ground::new(run, "installation", u64::try_from(cards).unwrap_or(0)).await?;
    let desk = ground.desk(Protocols::Http1)?;
    run.bar.set_message("cards of every class are made");
    let mut field = Field::of(&mut ground, &desk, guesses).await?;
    let mut keys = Keys { clock: SystemClock::new(), next: 0 };
    let (mut times, mut shapes) = (Vec::new(), vec![BTreeSet::new(); CLASSES.len()]);
    let (mut turns, mut random) = (vec![0_usize; CLASSES.len()], Random::new(2026));
    run.bar.set_length(u64::try_from(tuples).unwrap_or(1));
    for tuple in 0..tuples.saturating_add(5) {
        let mut order: Vec<usize> = (0..CLASSES.len()).collect();
        random.shuffle(&mut order);
        let mut row = vec![0.0; CLASSES.len()];
        for class in order {
            let turn = turns.get_mut(class).ok_or("a class")?;
            let answer = field.guess(class, *turn, &desk, &mut keys).await?;
            *turn = turn.saturating_add(1);
            if let (Some(time), Some(shapes)) = (row.get_mut(class), shapes.get_mut(class)) {
                *time = answer.micros;
                shapes.insert(answer.shape);
            }
        }
        // The first ones open the connection and fill caches.
        if tuple >= 5 {
            times.push(row);
            run.bar.inc(1);
        }
    }
    let mut work = Vec::new();
    for (class, turn) in turns.iter_mut().enumerate() {
        let mut least: BTreeMap<String, f64> = BTreeMap::new();
        for _ in 0..BLOCKS {
            let before = counters().await?;
            for _ in 0..BLOCK {
                // Those that are right in between would be counted too: of a pool, only what fits a row.
                field.guess_alone(class, *turn, &desk, &mut keys).await?;
                *turn = turn.saturating_add(1);
            }
            for (name, after) in counters().await? {
                let more = after - before.get(&name).copied().unwrap_or(0.0);
                let entry = least.entry(name).or_insert(more);
                *entry = entry.min(more);
            }
        }
        work.push(least.iter().map(|(name, n)| format!("{name} {n}")).collect::<Vec<_>>().join(", "));
    }
    ground.here.stop()?;
    Ok(Measured { times, shapes, work })
}

impl Field {
    /// As [`Field::guess`], without the right guesses that give a pool's card its tries back.
    async fn guess_alone(
        &mut self,
        class: usize,
        turn: usize,
        desk: &Desk,
        keys: &mut Keys,
    ) -> Result<(), String> {
        let pool = match class {
            0 => 0,
            2 => 1,
            3 => 2,
            9 => 3,
            _ => return self.guess(class, turn, desk, keys).await.map(drop),
        };
        let card = self.pools.get(pool).and_then(|pool| pool.cards.last()).ok_or("an empty pool")?;
        let code = match class {
            2 => card.wrong(0, 1),
            3 => format!("{}0", card.cip),
            _ => last_digit(card),
        };
        keys.ask(desk, &card.team, &code).await.map(drop)
    }
}

/// Equal in what is counted, and in time.
pub(crate) fn prove(run: &Run<'_>) -> Result<Vec<Claim>, String> {
    let (tuples, bound) = if run.arguments.short { (1_000, 50.0) } else { (10_000, 10.0) };
    let tuples = run.arguments.tuples.unwrap_or(tuples);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|e| e.to_string())?;
    let measured = runtime.block_on(measure(run, tuples))?;
    let mut claims = Vec::new();
    let shapes: BTreeSet<_> = measured.shapes.iter().flatten().collect();
    let shape = shapes.iter().map(|shape| shape.as_str()).collect::<Vec<_>>().join("; ");
    claims.push(run.claim(
        "status, names of headers and length of the body are the same in every class",
        (shape, "one form".into()),
        shapes.len() == 1,
        None,
    ));
    let work: BTreeSet<_> = measured.work.iter().collect();
    let figure = work.iter().map(|work| work.as_str()).collect::<Vec<_>>().join("; ");
    claims.push(run.claim(
        format!("{BLOCK} guesses of each class call the token equally often (units of the store: tests/service/shape.rs)"),
        (figure, "one count".into()),
        work.len() == 1,
        None,
    ));
    claims.extend(series::claims(run, (&CLASSES, &measured.times), bound, "us"));
    Ok(claims)
}
