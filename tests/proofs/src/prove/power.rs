//! Power cuts under load: a disk loses what it was not told to flush, and what the authority said stays true.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::Value;
use sigillo::{
    api::{cards::NewCard, codes::HandedOut},
    tls::Protocols,
};
use sigillo_bench::desk::{Desk, Refused};
use sigillo_proofs::{
    claim::Claim,
    disk::{Mood, scatter},
    guesses::{Counted, card_of, events},
};
use tokio::task::JoinSet;

use crate::{
    Run,
    ground::{Active, Ground, activation, guess},
    rig::Rig,
};

/// Callers at one time.
const CALLERS: usize = 8;
/// Activations of one caller in one round, at most.
const EACH: usize = 12;
/// Guesses of one caller that is through with its activations, at most, and the pause before each: a trouble that comes late still
/// meets somebody, and one that never comes is not waited for.
const MORE: (usize, Duration) = (400, Duration::from_millis(50));
/// Size of the disk, in MiB.
pub(crate) const MIB: u32 = 768;
/// Wrong guesses in a row that a C.I.P. takes, as shipped.
const LIMIT: u32 = 5;
/// Wrong guesses in its life.
const LIFETIME: usize = 100;
/// How many of 256 unflushed blocks a cut keeps, by round.
const KEPT: [u16; 4] = [0, 77, 179, 256];
/// Cuts of the control, at most: it ends with the first that is noticed.
const CONTROLS: u64 = 12;

/// What callers were told.
#[derive(Default)]
pub(crate) struct Told {
    activated: Vec<(String, NewCard, HandedOut)>,
    verifications: Vec<String>,
    /// Refusals as status and code, and calls without an answer.
    pub(crate) refused: Vec<String>,
}

impl Told {
    pub(crate) fn answers(&self) -> usize {
        self.activated.len().saturating_add(self.verifications.len())
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.activated.extend(other.activated);
        self.verifications.extend(other.verifications);
        self.refused.extend(other.refused);
    }

    /// What a guess was answered; whether it was.
    fn guessed(&mut self, answer: Result<Value, Refused>) -> bool {
        match answer {
            Ok(value) => {
                let id = value.get("verification").and_then(Value::as_str).unwrap_or("an answer without id");
                self.verifications.push(id.to_owned());
                true
            }
            Err(refused) => {
                self.refuse(&refused);
                false
            }
        }
    }

    fn refuse(&mut self, refused: &Refused) {
        self.refused.push(match refused {
            Refused::Broken(_) => "no answer".into(),
            Refused::Problem(problem) => format!("{} {}", problem.status, problem.code),
        });
    }
}

/// Activates cards and guesses at a known one, then guesses only, until it is told to stop. What is refused promises nothing.
async fn call(
    desk: Arc<Desk>,
    cards: Vec<NewCard>,
    known: Active,
    prefix: String,
    (answers, over): (Arc<AtomicUsize>, Arc<AtomicBool>),
) -> Told {
    let (mut told, wrong) = (Told::default(), guess(&known.team, &known.wrong(0, 1)));
    for (n, card) in cards.into_iter().enumerate() {
        if over.load(Ordering::SeqCst) {
            break;
        }
        let key = format!("{prefix}-{n}");
        let body = activation(&card, &format!("{key}@example.it"));
        match desk.post("/v1/activations", &key, &body).await {
            Ok(paper) => {
                told.activated.push((key.clone(), card, paper));
                answers.fetch_add(1, Ordering::SeqCst);
            }
            Err(refused) => told.refuse(&refused),
        }
        if told.guessed(desk.post("/v1/verifications", &format!("{key}-g"), &wrong).await) {
            answers.fetch_add(1, Ordering::SeqCst);
        }
    }
    for n in 0..MORE.0 {
        if over.load(Ordering::SeqCst) {
            break;
        }
        tokio::time::sleep(MORE.1).await;
        if told.guessed(desk.post("/v1/verifications", &format!("{prefix}-more-{n}"), &wrong).await) {
            answers.fetch_add(1, Ordering::SeqCst);
        }
    }
    told
}

/// Load until `act` is through; answers what callers were told before and meanwhile.
pub(crate) async fn under_load<T>(
    ground: &mut Ground,
    known: &Active,
    prefix: &str,
    enough: usize,
    act: impl FnOnce(&mut Ground) -> Result<T, String>,
) -> Result<(Told, T), String> {
    let (answers, over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let desk = Arc::new(ground.desk(Protocols::Any)?);
        let cards = (0..EACH).map(|_| ground.card()).collect::<Result<Vec<_>, _>>()?;
        let shared = (Arc::clone(&answers), Arc::clone(&over));
        callers.spawn(call(desk, cards, known.clone(), format!("{prefix}-{caller}"), shared));
    }
    // Callers that are through have let go of what is shared.
    while answers.load(Ordering::SeqCst) < enough && Arc::strong_count(&over) > 1 {
        tokio::time::sleep(Duration::from_micros(300)).await;
    }
    let acted = act(ground)?;
    over.store(true, Ordering::SeqCst);
    let mut told = Told::default();
    callers.join_all().await.into_iter().for_each(|one| told.add(one));
    Ok((told, acted))
}

/// Everything that was said is still so, the log is whole, and no try was given back.
pub(crate) async fn check(ground: &Ground, told: &Told, file: &Path) -> Result<(), String> {
    repeat(ground, told).await?;
    read(ground, told, file)
}

/// Every activation is answered as before.
async fn repeat(ground: &Ground, told: &Told) -> Result<(), String> {
    let desk = ground.desk(Protocols::Any)?;
    for (key, card, before) in &told.activated {
        let body = activation(card, &format!("{key}@example.it"));
        let again: HandedOut =
            desk.post("/v1/activations", key, &body).await.map_err(|e| format!("activation {key}: {e}"))?;
        let parts =
            |paper: &HandedOut| (paper.first_parts.clone(), paper.control.clone(), paper.delivery.clone());
        if parts(&again) != parts(before) {
            return Err(format!("activation {key} is another one now"));
        }
    }
    Ok(())
}

/// Every verification is in the log, which is whole, and tells of no try too many.
fn read(ground: &Ground, told: &Told, file: &Path) -> Result<(), String> {
    let log = events(&ground.export(file)?)?;
    fs::remove_file(file).map_err(|e| format!("{}: {e}", file.display()))?;
    let mut cards = BTreeSet::new();
    for verification in &told.verifications {
        cards.insert(card_of(&log, verification)?);
    }
    for card in cards {
        let counted = Counted::of(&log, card)?;
        if !counted.is_within(LIMIT, LIFETIME) {
            return Err(format!("tries: {counted:?}"));
        }
    }
    Ok(())
}

/// What a cut left behind.
struct After {
    told: Told,
    /// Blocks that were in the disk's cache.
    volatile: usize,
    /// Whether the authority wanted its store back.
    started: Result<(), String>,
}

/// The disk fails from a moment on, the authority is killed, and the power comes back. The guesses of each cut are at a card that
/// has all its tries.
async fn cut(ground: &mut Ground, rig: &mut Rig, round: u64) -> Result<After, String> {
    let known = ground.active(&ground.desk(Protocols::Any)?).await?;
    let enough = usize::try_from(scatter(round) % 64).unwrap_or(0).saturating_add(1);
    let prefix = format!("cut-{round}");
    // As long as disks take: else hardly any cut would fall between a write and its flush.
    rig.slow(scatter(round ^ 0xd15c) % 12);
    let (told, ()) = under_load(ground, &known, &prefix, enough, |ground| {
        rig.behave(Mood::Failing);
        ground.here.kill("authority")
    })
    .await?;
    rig.slow(0);
    let kept = KEPT.get(usize::try_from(round % 4).unwrap_or(0)).copied().unwrap_or(0);
    let cut = rig.power_on(scatter(round ^ 0x5161_1110), kept)?;
    let sigillo = ground.sigillo.clone();
    let started = ground.here.start_authority(&sigillo);
    Ok(After { told, volatile: cut.volatile, started })
}

/// A lying disk must be noticed, or nothing would be: by the authority or by the questions, not by a rig that fails.
async fn control(ground: &mut Ground, rig: &mut Rig, file: &Path) -> Result<Option<String>, String> {
    for round in 0..CONTROLS {
        rig.behave(Mood::Lying);
        // Rounds of which nothing is kept.
        let after = cut(ground, rig, (1 << 20) | (round << 2)).await?;
        let noticed = match after.started {
            Err(why) => Some(why),
            Ok(()) => check(ground, &after.told, file).await.err(),
        };
        if let Some(why) = noticed {
            return Ok(Some(why));
        }
    }
    Ok(None)
}

/// Cards for so many times of load; some of an installation's are of regions with other templates.
pub(crate) fn cards_for(times: u64) -> u64 {
    let each = CALLERS.saturating_mul(EACH).saturating_mul(13) / 10;
    times.saturating_add(1).saturating_mul(u64::try_from(each).unwrap_or(u64::MAX))
}

/// Moves the authority's store to a disk of its own.
pub(crate) fn on_a_disk_of_its_own(run: &Run<'_>, ground: &mut Ground) -> Result<Rig, String> {
    ground.here.kill("authority")?;
    let (scratch, store) = (run.directory.join("disk"), ground.here.directory().join("authority/store"));
    fs::create_dir_all(&scratch).map_err(|e| e.to_string())?;
    let rig = Rig::new(&scratch, &store, MIB)?;
    let sigillo = ground.sigillo.clone();
    ground.here.start_authority(&sigillo)?;
    Ok(rig)
}

/// Ends the authority, then takes the disk away that it has files on.
pub(crate) fn put_away(ground: &mut Ground, rig: Rig) -> Result<(), String> {
    if ground.here.pid("authority").is_some() {
        ground.here.kill("authority")?;
    }
    drop(rig);
    Ok(())
}

async fn proof(run: &Run<'_>) -> Result<Claim, String> {
    let cuts: u64 = if run.arguments.short { 8 } else { 300 };
    run.bar.set_length(cuts);
    let mut ground = Ground::new(run, "installation", cards_for(cuts.saturating_add(CONTROLS))).await?;
    let mut rig = on_a_disk_of_its_own(run, &mut ground)?;
    let file = run.directory.join("log.ndjson");
    let (mut all, mut answers, mut volatile) = (Told::default(), 0_usize, 0_usize);
    let mut loss = None;
    for round in 0..cuts {
        run.bar.set_message(format!("{answers} answers, none lost"));
        let After { told, volatile: lost, started } = cut(&mut ground, &mut rig, round).await?;
        answers = answers.saturating_add(told.answers());
        volatile = volatile.saturating_add(lost);
        let one = match started {
            Ok(()) => repeat(&ground, &told).await,
            Err(why) => Err(why),
        };
        all.add(told);
        // The log, and once more what was said before former cuts, now and then: both grow.
        let one = match one {
            Ok(()) if round % 4 == 3 || round.saturating_add(1) == cuts => {
                check(&ground, &std::mem::take(&mut all), &file).await
            }
            other => other,
        };
        if let Err(why) = one {
            loss = Some(format!("cut {round}: {why}"));
            break;
        }
        run.bar.inc(1);
    }
    let flushes = rig.flushes();
    let noticed = match loss {
        Some(_) => None,
        None => control(&mut ground, &mut rig, &file).await?,
    };
    let figure = match &loss {
        Some(why) => why.clone(),
        None => format!(
            "{cuts} cuts, {answers} answers before them, all still true; {volatile} blocks were in the cache, {flushes} flushes; \
             a disk that lies about its flushes was noticed: {}",
            noticed.as_deref().unwrap_or("no").lines().last().unwrap_or_default()
        ),
    };
    let bound = format!(
        "0 answers lost, at most {LIMIT} wrong guesses in a row evaluated, the log whole, each start by itself"
    );
    let held = loss.is_none() && answers > 0;
    put_away(&mut ground, rig)?;
    Ok(run.claim(
        "after a power cut at any moment everything that was answered is there",
        (figure, bound),
        held,
        Some(noticed.is_some()),
    ))
}

pub(crate) fn prove(run: &Run<'_>) -> Result<Vec<Claim>, String> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|e| e.to_string())?;
    runtime.block_on(proof(run)).map(|claim| vec![claim])
}
