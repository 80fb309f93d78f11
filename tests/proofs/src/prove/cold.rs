//! As [`wire`](crate::wire), with cold caches: each card is met for the first time since a new start, in a store of many cards,
//! of whose files the system has nothing in memory.

use std::{collections::BTreeSet, fs, path::Path};

use rustix::fs::{Advice, fadvise};
use sigillo::tls::Protocols;
use sigillo_bench::desk::Desk;
use sigillo_proofs::{claim::Claim, statistics::Random};

use crate::{
    Run,
    field::{CLASSES, Keys},
    ground::{Active, Ground},
    series,
    spread::Spread,
};

/// New starts. A card takes one wrong guess after each, and no more in a row than it has tries.
const STARTS: usize = 5;
/// Guesses at a spare card before the first that is measured: they open the connection, and load what is common to all.
const FIRST: usize = 8;

/// How much it takes.
struct Size {
    cards: u64,
    /// Cards of each class, and so tuples after each start.
    each: usize,
    /// For the interval of the difference, microseconds.
    bound: f64,
}

const FULL: Size = Size { cards: 1_000_000, each: 400, bound: 50.0 };
/// So few cards are in memory again when the first pass over them has ended: this shows that the proof runs, not more.
const SHORT: Size = Size { cards: 10_000, each: 20, bound: 1_000.0 };

/// Takes what the system has of these files out of its memory.
fn forget(directory: &Path) -> Result<(), String> {
    let told = |path: &Path, e: std::io::Error| format!("{}: {e}", path.display());
    for entry in fs::read_dir(directory).map_err(|e| told(directory, e))? {
        let path = entry.map_err(|e| told(directory, e))?.path();
        if path.is_dir() {
            forget(&path)?;
            continue;
        }
        let file = fs::File::open(&path).map_err(|e| told(&path, e))?;
        file.sync_all().map_err(|e| told(&path, e))?;
        fadvise(&file, 0, None, Advice::DontNeed).map_err(|e| told(&path, e.into()))?;
    }
    Ok(())
}

/// Bytes that a process has had fetched from disks.
fn fetched(pid: u32) -> Result<u64, String> {
    let file = format!("/proc/{pid}/io");
    let text = fs::read_to_string(&file).map_err(|e| format!("{file}: {e}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("read_bytes: "));
    line.and_then(|number| number.parse().ok()).ok_or_else(|| format!("{file}: no read_bytes"))
}

/// A new start of the authority, with nothing in memory.
async fn start(ground: &mut Ground, spare: &Active, keys: &mut Keys) -> Result<Desk, String> {
    let sigillo = ground.sigillo.clone();
    ground.here.kill("authority")?;
    forget(&ground.here.directory().join("authority/store"))?;
    ground.here.start_authority(&sigillo)?;
    let desk = ground.desk(Protocols::Http1)?;
    for _ in 0..FIRST {
        keys.ask(&desk, &spare.team, &spare.cip).await?;
    }
    Ok(desk)
}

struct Measured {
    times: Vec<Vec<f64>>,
    shapes: BTreeSet<String>,
    /// Fetched from the disk while it was guessed, in MiB.
    fetched: f64,
}

async fn measure(run: &Run<'_>, size: &Size) -> Result<Measured, String> {
    let mut ground = Ground::new(run, "installation", size.cards).await?;
    let desk = ground.desk(Protocols::Any)?;
    run.bar.set_length(u64::try_from(size.each.saturating_mul(STARTS)).unwrap_or(1));
    run.bar.set_message("cards of every class are made");
    let spare = ground.active(&desk).await?;
    let mut keys = Keys::new(0);
    let spread = Spread::of(&mut ground, &desk, (size.each, STARTS), &mut keys).await?;
    let mut measured = Measured { times: Vec::new(), shapes: BTreeSet::new(), fetched: 0.0 };
    let mut random = Random::new(2026);
    for turn in 0..STARTS {
        run.bar.set_message(format!("start {} of {STARTS}", turn.saturating_add(1)));
        let desk = start(&mut ground, &spare, &mut keys).await?;
        let pid = ground.here.pid("authority").ok_or("the authority does not run")?;
        let before = fetched(pid)?;
        for place in 0..size.each {
            let mut order: Vec<usize> = (0..CLASSES.len()).collect();
            random.shuffle(&mut order);
            let mut row = vec![0.0; CLASSES.len()];
            for class in order {
                let (team, code) = spread.guess(class, (turn, place))?;
                let answer = keys.ask(&desk, &team, &code).await?;
                measured.shapes.insert(answer.shape);
                if let Some(time) = row.get_mut(class) {
                    *time = answer.micros;
                }
            }
            measured.times.push(row);
            run.bar.inc(1);
        }
        let more = u32::try_from(fetched(pid)?.saturating_sub(before) >> 10).unwrap_or(u32::MAX);
        measured.fetched += f64::from(more) / 1024.0;
    }
    ground.here.stop()?;
    Ok(measured)
}

/// Equal in form and time, though each answer needs what is on the disk.
pub(crate) fn prove(run: &Run<'_>) -> Result<Vec<Claim>, String> {
    let mut size = if run.arguments.short { SHORT } else { FULL };
    size.cards = run.arguments.cards.unwrap_or(size.cards);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|e| e.to_string())?;
    let measured = runtime.block_on(measure(run, &size))?;
    let shapes = measured.shapes.iter().map(String::as_str).collect::<Vec<_>>().join("; ");
    let figure = format!(
        "{} cards registered, {STARTS} starts, {:.1} MiB fetched from the disk meanwhile; {shapes}",
        size.cards, measured.fetched
    );
    let mut claims = vec![run.claim(
        "caches are cold: what answers need comes from the disk, and they have one form",
        (figure, if run.arguments.short { "one form" } else { "some fetched; one form" }.into()),
        (run.arguments.short || measured.fetched > 0.0) && measured.shapes.len() == 1,
        None,
    )];
    claims.extend(series::claims(run, (&CLASSES, &measured.times), size.bound, "us"));
    Ok(claims)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_fetches_is_counted() {
        assert!(fetched(std::process::id()).is_ok());
        assert!(fetched(u32::MAX).is_err());
    }
}
