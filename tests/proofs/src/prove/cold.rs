//! As [`wire`](crate::wire), with cold caches: each card is met for the first time since a new start, in a store of many cards,
//! with nothing of its files in the system's memory and next to nothing in the store's own. That it is so is seen in what the
//! process has fetched from the disk during each answer.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rustix::fs::{Advice, fadvise};
use sigillo::tls::Protocols;
use sigillo_bench::desk::Desk;
use sigillo_proofs::{
    claim::Claim,
    statistics::{Random, median},
};

use crate::{
    Run,
    awake::Awake,
    damage::metric,
    field::{CLASSES, Field, Keys, ONCE},
    ground::{Active, Ground, edit},
    letters::{self, Asked, note},
    needs,
    series::{self, Bounds, Late, TICK},
};

/// Guesses at a spare card before the first that is measured: they open the connection, and load what is common to all.
const FIRST: usize = 8;
/// Guesses at it with the store's files in memory, which fetch nothing.
const WARM: usize = 50;
/// The first pass over all records reads the whole store: it has to be over before anything can be cold, or seen to be.
const PASS: (u32, Duration) = (1_200, Duration::from_secs(1));
/// So much of the answers of every class has to fetch something.
const COLD: f64 = 0.9;

/// How much it takes.
struct Size {
    cards: u64,
    /// Tuples, and so cards of each class: each is guessed at once, so that no tuple says what another has said.
    tuples: usize,
    /// Of the store's own cache, MiB: far less than the store, so that what the first pass has read is not kept.
    cache: usize,
    /// For the interval of the difference, microseconds.
    bound: f64,
    /// For that of the share of late answers, which are many where so much is fetched.
    late: Late,
}

const FULL: Size = Size {
    cards: 1_000_000,
    tuples: 1_200,
    cache: 16,
    bound: 100.0,
    late: Late { tick: TICK, bound: 0.08, planted: 10 },
};
/// So few tuples show that the proof runs and that caches are cold, not more.
const SHORT: Size = Size {
    cards: 10_000,
    tuples: 100,
    cache: 1,
    bound: 1_000.0,
    late: Late { tick: TICK, bound: 0.4, planted: 2 },
};

/// Does this with each file in a directory.
fn each_file(directory: &Path, act: &impl Fn(&fs::File) -> io::Result<()>) -> Result<(), String> {
    let told = |path: &Path, e: io::Error| format!("{}: {e}", path.display());
    for entry in fs::read_dir(directory).map_err(|e| told(directory, e))? {
        let path = entry.map_err(|e| told(directory, e))?.path();
        if path.is_dir() {
            each_file(&path, act)?;
        } else {
            fs::File::open(&path).and_then(|file| act(&file)).map_err(|e| told(&path, e))?;
        }
    }
    Ok(())
}

/// Takes what the system has of a file out of its memory.
fn forget(file: &fs::File) -> io::Result<()> {
    file.sync_all()?;
    Ok(fadvise(file, 0, None, Advice::DontNeed)?)
}

/// Puts all of a file into the system's memory.
fn load(mut file: &fs::File) -> io::Result<()> {
    io::copy(&mut file, &mut io::sink()).map(drop)
}

/// KiB that a process has had fetched from disks.
fn fetched(pid: u32) -> Result<f64, String> {
    let file = format!("/proc/{pid}/io");
    let text = fs::read_to_string(&file).map_err(|e| format!("{file}: {e}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("read_bytes: "));
    let bytes: Option<f64> = line.and_then(|number| number.parse().ok());
    bytes.map(|bytes| bytes / 1024.0).ok_or_else(|| format!("{file}: no read_bytes"))
}

/// An authority that has been started anew, and its first pass over the store is over.
struct Started {
    desk: Desk,
    pid: u32,
    store: PathBuf,
}

async fn start(ground: &mut Ground, spare: &Active, keys: &mut Keys) -> Result<Started, String> {
    let (sigillo, store) = (ground.sigillo.clone(), ground.here.directory().join("authority/store"));
    ground.here.kill("authority")?;
    each_file(&store, &forget)?;
    ground.here.start_authority(&sigillo)?;
    let (looks, apart) = PASS;
    let mut left = looks;
    while metric("sigillo_store_patrols_total").is_none_or(|passes| passes == "0") {
        left = left.checked_sub(1).ok_or("the first pass over the store does not end")?;
        ground.here.still_running("authority")?;
        tokio::time::sleep(apart).await;
    }
    let desk = ground.desk(Protocols::Http1)?;
    for _ in 0..FIRST {
        keys.ask(&desk, &spare.team, &spare.cip).await?;
    }
    let pid = ground.here.pid("authority").ok_or("the authority does not run")?;
    Ok(Started { desk, pid, store })
}

struct Measured {
    times: Vec<Vec<f64>>,
    shapes: BTreeSet<String>,
    /// By class, what was fetched during each answer.
    fetched: Vec<Vec<f64>>,
    /// The same with the files in memory.
    warm: Vec<f64>,
    letters: Claim,
}

async fn measure(run: &Run<'_>, size: &Size) -> Result<Measured, String> {
    let cache = |text: &str| text.replace("[store]", &format!("[store]\ncache_mib = {}", size.cache));
    let small = |home: &Path| edit(&home.join("authority/serve.toml"), cache);
    let mut ground = Ground::with(run, "installation", size.cards, small).await?;
    let many = Arc::new(ground.desk(Protocols::Any)?);
    run.bar.set_length(u64::try_from(size.tuples).unwrap_or(1));
    run.bar.set_message("cards of every class are made");
    let spare = ground.active(&many).await?;
    let mut field = Field::of(&mut ground, &many, (size.tuples, 0), ONCE).await?;
    let (mut keys, mut random, mut asked) = (Keys::new(), Random::new(2026), Asked::default());
    run.bar.set_message("a new start, and the first pass over the store");
    let Started { desk, pid, store } = start(&mut ground, &spare, &mut keys).await?;
    let (mut times, mut shapes, mut warm) = (Vec::new(), BTreeSet::new(), Vec::new());
    let mut of_classes = vec![Vec::new(); CLASSES.len()];
    each_file(&store, &load)?;
    for _ in 0..WARM {
        let before = fetched(pid)?;
        keys.ask(&desk, &spare.team, &spare.cip).await?;
        warm.push(fetched(pid)? - before);
    }
    run.bar.set_message("tuples");
    let awake = Awake::all()?;
    for _ in 0..size.tuples {
        let mut order: Vec<usize> = (0..CLASSES.len()).collect();
        random.shuffle(&mut order);
        let mut row = vec![0.0; CLASSES.len()];
        each_file(&store, &forget)?;
        for class in order {
            let before = fetched(pid)?;
            let answer = field.guess(class, &desk, &mut keys).await?;
            let more = fetched(pid)? - before;
            shapes.insert(answer.shape);
            note(&mut asked, class, answer.verification);
            if let (Some(time), Some(fetched)) = (row.get_mut(class), of_classes.get_mut(class)) {
                *time = answer.micros;
                fetched.push(more);
            }
        }
        times.push(row);
        run.bar.inc(1);
    }
    drop(awake);
    let letters = letters::claim(run, &ground, &asked)?;
    ground.here.stop()?;
    Ok(Measured { times, shapes, fetched: of_classes, warm, letters })
}

/// Of some answers, the share that fetched something, and the median of what they did, KiB.
fn coldness(fetched: &[f64]) -> (f64, f64) {
    let number = |n: usize| u32::try_from(n).map_or(f64::INFINITY, f64::from);
    let some = fetched.iter().filter(|more| **more > 0.0).count();
    (number(some) / number(fetched.len().max(1)), median(fetched))
}

/// Equal in form and time, though each answer needs what is on the disk.
pub(crate) fn prove(run: &Run<'_>) -> Result<Vec<Claim>, String> {
    needs::root("what an answer fetches from the disk is read in /proc/PID/io of the authority")?;
    let mut size = if run.arguments.short { SHORT } else { FULL };
    size.cards = run.arguments.cards.unwrap_or(size.cards);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|e| e.to_string())?;
    let measured = runtime.block_on(measure(run, &size))?;
    let shapes = measured.shapes.iter().map(String::as_str).collect::<Vec<_>>().join("; ");
    let is_cold = |(share, _): (f64, f64)| share >= COLD;
    let told = |(share, kib): (f64, f64)| format!("{:.1} %, {kib:.0} KiB in the median", 100.0 * share);
    let of_classes: Vec<_> = measured.fetched.iter().map(|fetched| coldness(fetched)).collect();
    let warm = coldness(&measured.warm);
    let each = CLASSES.iter().zip(&of_classes).map(|(name, cold)| format!("{name} {}", told(*cold)));
    let figure = format!(
        "{} cards registered, the store's own cache {} MiB; answers that fetched from the disk, and how much: {}; with the store's \
         files in memory {}; {shapes}",
        size.cards,
        size.cache,
        each.collect::<Vec<_>>().join("; "),
        told(warm)
    );
    let mut claims = vec![
        run.claim(
            "caches are cold: what answers need comes from the disk, and they have one form",
            (figure, format!("at least {:.0} % of every class; one form", 100.0 * COLD)),
            of_classes.iter().all(|cold| is_cold(*cold)) && measured.shapes.len() == 1,
            Some(!is_cold(warm)),
        ),
        measured.letters,
    ];
    let bounds = Bounds { time: size.bound, unit: "us", late: Some(size.late) };
    claims.extend(series::claims(run, (&CLASSES, &measured.times), &bounds));
    Ok(claims)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_fetches_is_counted() {
        assert!(fetched(std::process::id()).is_ok());
        assert!(fetched(u32::MAX).is_err());
        assert_eq!(coldness(&[0.0, 4.0, 0.0, 8.0]), (0.5, 2.0));
    }
}
