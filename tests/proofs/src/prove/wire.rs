//! Whether the time of an answer tells what was guessed at: all classes of guesses, interleaved, over mutual TLS against one
//! installation; and whether they are equal in what can be counted.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use sigillo::tls::Protocols;
use sigillo_bench::installation::{INTERNAL, get};
use sigillo_proofs::{claim::Claim, statistics::Random};

use crate::{
    Run,
    field::{CLASSES, Field, Keys},
    ground::Ground,
    series,
};

/// Requests that are counted at one time, and how often: what happens beside them only adds, so the least counts.
const BLOCK: usize = 10;
const BLOCKS: usize = 2;
/// The process tells its counters once a second.
const UNTIL_TOLD: Duration = Duration::from_millis(1_300);

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
    let mut keys = Keys::new(0);
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
