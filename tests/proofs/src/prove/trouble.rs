//! A disk in trouble under load: it is full, broken or slow, or hangs; and one that is read-only at a start. What was answered stays
//! true, what cannot be done is refused as unavailable or with a broken connection, and nothing panics.

use std::{collections::BTreeMap, fs, io::Write, path::Path, time::Duration};

use serde_json::Value;
use sigillo::{
    clock::{Clock, SystemClock},
    tls::Protocols,
};
use sigillo_proofs::{claim::Claim, disk::Mood};

use crate::{
    Run,
    ground::{Active, Ground, guess},
    power::{self, MIB, Told, check, under_load},
    rig::Rig,
};

/// How long a trouble lasts, under load.
const LASTS: Duration = Duration::from_millis(1500);
/// Answers before it begins.
const BEFORE: usize = 10;
/// So often it is asked whether the authority goes on, so far apart: half a minute.
const ASKED: (u32, Duration) = (300, Duration::from_millis(100));
/// A flush of the slow disk, in milliseconds.
const SLOW_MS: u64 = 400;
/// A flush of the disk that does not come back: longer than anybody waits.
const HANGS_MS: u64 = 3_600_000;
/// So often, in these steps, it is looked whether the authority gives the call up: four minutes, of the two that it has.
const GIVES_UP: (u32, Duration) = (2400, Duration::from_millis(100));

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    Full,
    Broken,
    ReadOnly,
    Slow,
    Hanging,
}

impl Trouble {
    const ALL: [Self; 5] = [Self::Full, Self::Broken, Self::ReadOnly, Self::Slow, Self::Hanging];

    /// In how many rounds: the last one takes minutes, and the short form has no time for it.
    const fn rounds(self, short: bool) -> u64 {
        match (self, short) {
            (Self::Hanging, true) => 0,
            (Self::Hanging, false) | (_, true) => 1,
            (_, false) => 10,
        }
    }

    const fn claim(self) -> &'static str {
        match self {
            Self::Full => "on a full disk nothing is half done, and it serves again once there is space",
            Self::Broken => {
                "on a disk whose writes fail nothing is acknowledged; what was before is there afterwards"
            }
            Self::ReadOnly => "a store that cannot be written to is refused at the start, with a sentence",
            Self::Slow => "on a disk whose flushes take 400 ms it answers late, and right",
            Self::Hanging => {
                "on a disk that does not come back the store is given up, who waits is told so, and the process ends with 75"
            }
        }
    }
}

/// Fills the file system at `directory` to its last block.
fn fill(directory: &Path) -> Result<(), String> {
    let file = directory.join("filler");
    let mut filler = fs::File::create(&file).map_err(|e| format!("{}: {e}", file.display()))?;
    for size in [1 << 20, 4096] {
        let piece = vec![1; size];
        for _ in 0..(u64::from(MIB) << 8) {
            if filler.write_all(&piece).is_err() {
                break; // it is full
            }
        }
    }
    Ok(())
}

/// The first panic that the authority's log tells of since its last start, on one line.
pub(crate) fn panicked(ground: &Ground) -> Result<Option<String>, String> {
    let log = ground.here.directory().join("logs/authority.log");
    let text = fs::read_to_string(&log).map_err(|e| format!("{}: {e}", log.display()))?;
    let panic: Vec<&str> = text.lines().skip_while(|line| !line.contains("panicked")).take(2).collect();
    Ok((!panic.is_empty()).then(|| panic.join(" ")))
}

fn counted(refused: &[String]) -> BTreeMap<&str, usize> {
    let mut counted = BTreeMap::new();
    for one in refused {
        let count: &mut usize = counted.entry(one.as_str()).or_default();
        *count = count.saturating_add(1);
    }
    counted
}

/// The store is read-only at a start.
fn read_only(ground: &mut Ground, rig: &Rig) -> Result<String, String> {
    let sigillo = ground.sigillo.clone();
    ground.here.kill("authority")?;
    rig.unmount()?;
    rig.mount(&["-o", "ro"])?;
    let refused = ground.here.start_authority(&sigillo).err();
    let panicked = panicked(ground)?;
    ground.here.kill("authority")?;
    rig.unmount()?;
    rig.mount(&[])?;
    ground.here.start_authority(&sigillo)?;
    match (panicked, refused.as_deref().and_then(|why| why.lines().last())) {
        (None, Some(why)) if why.contains("Read-only file system") => Ok(format!("refused: {why}")),
        (None, Some(why)) => Err(format!("it ended otherwise: {why}")),
        (Some(panic), _) => Err(format!("it panics: {panic}")),
        (None, None) => Err("it was started".into()),
    }
}

/// Whether the process serves again once the trouble is over. Where the trouble met sled itself the store has stopped, or stops
/// at the next call, and the process ends: it is to be started again. Anything else is wrong.
async fn goes_on(ground: &mut Ground, known: &Active, prefix: &str) -> Result<bool, String> {
    let desk = ground.desk(Protocols::Any)?;
    for n in 0..ASKED.0 {
        if ground.here.still_running("authority").is_err() {
            return Ok(false);
        }
        let body = guess(&known.team, &known.wrong(0, 1));
        if desk.post::<_, Value>("/v1/verifications", &format!("{prefix}-after-{n}"), &body).await.is_ok() {
            return Ok(true);
        }
        tokio::time::sleep(ASKED.1).await;
    }
    Err("the process neither serves nor ends".into())
}

/// One trouble; what came of it, or what must not be.
async fn meet(
    ground: &mut Ground,
    rig: &mut Rig,
    known: &Active,
    (trouble, round): (Trouble, u64),
    told: &mut Told,
) -> Result<String, String> {
    let store = ground.here.directory().join("authority/store");
    if trouble == Trouble::ReadOnly {
        return read_only(ground, rig);
    }
    let prefix = format!("{trouble:?}-{round}");
    let (new, stood) = under_load(ground, known, &prefix, BEFORE, |ground| {
        match trouble {
            Trouble::Full => fill(&store)?,
            Trouble::Broken => rig.behave(Mood::Failing),
            Trouble::Slow => rig.slow(SLOW_MS),
            Trouble::Hanging => {
                rig.slow(HANGS_MS);
                let stood = gives_up(ground);
                rig.slow(0);
                return stood;
            }
            Trouble::ReadOnly => {}
        }
        std::thread::sleep(LASTS);
        Ok(Duration::ZERO)
    })
    .await?;
    let late = if trouble == Trouble::Slow { Some(how_late(ground, known, &prefix).await?) } else { None };
    rig.slow(0);
    if trouble == Trouble::Full {
        fs::remove_file(store.join("filler")).map_err(|e| e.to_string())?;
        // Durably: a cut of the next trouble would bring it back.
        fs::File::open(&store).and_then(|store| store.sync_all()).map_err(|e| e.to_string())?;
    }
    let went_on = trouble != Trouble::Broken && goes_on(ground, known, &prefix).await?;
    let panicked = panicked(ground)?;
    let ended = ground.here.still_running("authority").err();
    if !went_on {
        ground.here.kill("authority")?;
        if trouble == Trouble::Broken {
            rig.power_on(round, 256)?;
        }
        let sigillo = ground.sigillo.clone();
        ground.here.start_authority(&sigillo)?;
    }
    let refusals = counted(&new.refused);
    let figure = format!(
        "{} answers, {refusals:?}; {}",
        new.answers(),
        if went_on { "the same process went on" } else { "started again" }
    );
    let figure = match late {
        Some(ms) => format!("{figure}; an answer took {ms} ms"),
        None => figure,
    };
    let figure = match (trouble, ended) {
        (Trouble::Hanging, Some(ended)) if ended.contains("exit status: 75") => {
            format!("{figure}; given up after {} s, exit code 75", stood.as_secs())
        }
        (Trouble::Hanging, ended) => return Err(format!("it did not end with 75: {ended:?}; {figure}")),
        (Trouble::Full | Trouble::Broken | Trouble::ReadOnly | Trouble::Slow, _) => figure,
    };
    let bad = refusals.keys().find(|what| !what.starts_with("503 ") && **what != "no answer");
    let bad = bad.map(ToString::to_string);
    told.add(new);
    match (panicked, bad) {
        (None, None) => Ok(figure),
        (None, Some(bad)) => Err(format!("answered {bad}: {figure}")),
        (Some(panic), _) => Err(format!("it panics: {panic}: {figure}")),
    }
}

/// How long it takes until the authority's log tells that the store is given up. The disk comes back then: before that nothing
/// could end the process.
fn gives_up(ground: &Ground) -> Result<Duration, String> {
    let log = ground.here.directory().join("logs/authority.log");
    for n in 0..GIVES_UP.0 {
        std::thread::sleep(GIVES_UP.1);
        let text = fs::read_to_string(&log).map_err(|e| format!("{}: {e}", log.display()))?;
        if text.contains("the store stands still") {
            return Ok(GIVES_UP.1.saturating_mul(n));
        }
    }
    Err("nobody notices that the disk does not come back".into())
}

/// How long an answer takes on a disk that is slow, in milliseconds.
async fn how_late(ground: &Ground, known: &Active, prefix: &str) -> Result<u128, String> {
    let (desk, clock) = (ground.desk(Protocols::Any)?, SystemClock::new());
    let began = clock.uptime();
    let body = guess(&known.team, &known.wrong(0, 1));
    match desk.post::<_, Value>("/v1/verifications", &format!("{prefix}-late"), &body).await {
        Ok(_) => Ok(clock.uptime().saturating_sub(began).as_millis()),
        Err(why) => Err(format!("no answer at all: {why}")),
    }
}

/// A filler that fills nothing, and a broken or slow disk that is none, would look good as well: full and broken refuse something,
/// an answer waits at least for one flush, and who waits for a disk that does not come back is answered.
fn took_hold(trouble: Trouble, figure: &str) -> bool {
    match trouble {
        Trouble::Full | Trouble::Broken => figure.contains("503 ") || figure.contains("no answer"),
        Trouble::ReadOnly => figure.starts_with("refused"),
        Trouble::Hanging => figure.contains("given up after") && figure.contains("503 "),
        Trouble::Slow => {
            let words = figure.rsplit_once("took ").and_then(|(_, late)| late.split_once(' '));
            words.and_then(|(ms, _)| ms.parse::<u64>().ok()).is_some_and(|ms| ms >= SLOW_MS)
        }
    }
}

async fn proof(run: &Run<'_>) -> Result<Vec<Claim>, String> {
    let rounds = |trouble: Trouble| trouble.rounds(run.arguments.short);
    let all = Trouble::ALL.into_iter().map(rounds).fold(0, u64::saturating_add);
    run.bar.set_length(all);
    let mut ground = Ground::new(run, "installation", power::cards_for(all)).await?;
    let known = ground.active(&ground.desk(Protocols::Any)?).await?;
    let mut rig = power::on_a_disk_of_its_own(run, &mut ground)?;
    let file = run.directory.join("log.ndjson");
    let mut ended: BTreeMap<usize, Result<String, String>> = BTreeMap::new();
    let mut held: BTreeMap<usize, bool> = BTreeMap::new();
    for round in 0..Trouble::ALL.into_iter().map(rounds).max().unwrap_or(0) {
        for (place, trouble) in Trouble::ALL.into_iter().enumerate().filter(|(_, one)| round < rounds(*one)) {
            run.bar.set_message(trouble.claim());
            let mut told = Told::default();
            let met = meet(&mut ground, &mut rig, &known, (trouble, round), &mut told).await;
            let met = match met {
                Ok(figure) => check(&ground, &told, &file).await.map(|()| figure),
                Err(why) => Err(why),
            };
            let hold = held.entry(place).or_insert(true);
            *hold = *hold && met.as_ref().is_ok_and(|figure| took_hold(trouble, figure));
            let before = ended.get(&place).is_some_and(Result::is_err);
            if !before {
                ended.insert(place, met);
            }
            run.bar.inc(1);
        }
    }
    power::put_away(&mut ground, rig)?;
    let claims = Trouble::ALL.into_iter().zip(ended.into_values().zip(held.into_values())).map(
        |(trouble, (met, control))| {
            let holds = met.is_ok();
            let figure = met.unwrap_or_else(|why| why);
            let bound = "every answer is true afterwards, what is refused is 503 or a broken connection, no panic, the log \
                         whole"
                .to_owned();
            run.claim(
                trouble.claim(),
                (format!("{figure} (last of {})", rounds(trouble)), bound),
                holds,
                Some(control),
            )
        },
    );
    Ok(claims.collect())
}

pub(crate) fn prove(run: &Run<'_>) -> Result<Vec<Claim>, String> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|e| e.to_string())?;
    runtime.block_on(proof(run))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_that_nobody_met_is_none() {
        let met = [
            (Trouble::Full, "9 answers, {\"503 storage_full\": 2}", "9 answers, {}"),
            (Trouble::Broken, "9 answers, {\"no answer\": 2}", "9 answers, {}"),
            (Trouble::ReadOnly, "refused: Read-only file system", ""),
            (Trouble::Slow, "an answer took 400 ms", "an answer took 399 ms"),
            (
                Trouble::Hanging,
                "{\"503 unavailable\": 8}; given up after 61 s, exit code 75",
                "{\"no answer\": 8}; given up after 61 s, exit code 75",
            ),
            (Trouble::Hanging, "{\"503 unavailable\": 8}; given up after 61 s", "{\"503 unavailable\": 8}"),
        ];
        for (trouble, held, not) in met {
            assert!(took_hold(trouble, held) && !took_hold(trouble, not), "{trouble:?}");
        }
    }
}
