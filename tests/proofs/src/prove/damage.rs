//! Damaged store files: found at the start, by the first pass over all records or when they are read, with a sentence, and nothing
//! that was said is untrue afterwards.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use sigillo::tls::Protocols;
use sigillo_bench::installation::{INTERNAL, get, run};
use sigillo_proofs::{claim::Claim, disk::scatter, report::times};

use crate::{
    Run,
    ground::Ground,
    power::{check, under_load},
    trouble::panicked,
};

/// What is done to one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Harm {
    Bit,
    Zeroes,
    Cut,
    Noise,
    Gone,
}

impl std::fmt::Display for Harm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Bit => "a bit turned",
            Self::Zeroes => "zeroes written",
            Self::Cut => "cut short",
            Self::Noise => "noise written",
            Self::Gone => "file gone",
        })
    }
}

const HARMS: [Harm; 5] = [Harm::Bit, Harm::Zeroes, Harm::Cut, Harm::Noise, Harm::Gone];
/// Answers before the store is put aside.
const ANSWERS: usize = 40;
/// How often and how far apart it is asked whether all records were looked at.
const LOOKS: (u32, Duration) = (600, Duration::from_millis(50));
/// In so much time what the authority shows of itself is of now.
const REFRESHED: Duration = Duration::from_secs(2);
/// What the authority says of records that were lost or changed.
const FOUND: &str = "do not add up";

/// Every file of a directory and below, with its size.
fn files(directory: &Path, found: &mut Vec<(PathBuf, u64)>) -> std::io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let kind = entry.metadata()?;
        if kind.is_dir() {
            files(&entry.path(), found)?;
        } else if kind.len() > 0 {
            found.push((entry.path(), kind.len()));
        }
    }
    found.sort();
    Ok(())
}

/// Does something to a file of the store; says what. Larger files are met more often.
fn harm(store: &Path, round: u64) -> Result<(Harm, String), String> {
    let mut all = Vec::new();
    files(store, &mut all).map_err(|e| e.to_string())?;
    let total: u64 = all.iter().map(|(_, size)| size).sum();
    let mut place = scatter(round).checked_rem(total).ok_or("an empty store")?;
    // Every fourth time any file, however small.
    if round.is_multiple_of(4) {
        let which = scatter(round ^ 0xf11e).checked_rem(u64::try_from(all.len()).unwrap_or(1)).unwrap_or(0);
        place = all.iter().take(usize::try_from(which).unwrap_or(0)).map(|(_, size)| size).sum();
    }
    let mut found = None;
    for (path, size) in all {
        if place < size {
            found = Some((path, size));
            break;
        }
        place = place.saturating_sub(size);
    }
    let (path, size) = found.ok_or("no file")?;
    let kind = HARMS.get(usize::try_from(round % 5).unwrap_or(0)).copied().unwrap_or(Harm::Bit);
    let told = |e: std::io::Error| format!("{}: {e}", path.display());
    let file = File::options().read(true).write(true).open(&path).map_err(told)?;
    match kind {
        Harm::Bit => {
            let mut byte = [0];
            file.read_exact_at(&mut byte, place).map_err(told)?;
            let bit = 1_u8 << (scatter(round ^ 0xb17) % 8);
            file.write_all_at(&byte.map(|byte| byte ^ bit), place).map_err(told)?;
        }
        Harm::Zeroes | Harm::Noise => {
            let length = usize::try_from(size.saturating_sub(place).min(512)).unwrap_or(0);
            let of = |n: usize| match kind {
                Harm::Noise => scatter(round ^ u64::try_from(n).unwrap_or(0)).to_le_bytes()[0],
                Harm::Bit | Harm::Zeroes | Harm::Cut | Harm::Gone => 0,
            };
            let bytes: Vec<u8> = (0..length).map(of).collect();
            file.write_all_at(&bytes, place).map_err(told)?;
        }
        Harm::Cut => file.set_len(place).map_err(told)?,
        Harm::Gone => fs::remove_file(&path).map_err(told)?,
    }
    let name = path.strip_prefix(store).unwrap_or(&path).display().to_string();
    Ok((kind, format!("{kind} at {place} of {size} bytes of {name}")))
}

/// Puts a copy of `from` in the place of `to`.
fn put_back(from: &Path, to: &Path) -> Result<(), String> {
    fs::remove_dir_all(to).map_err(|e| format!("{}: {e}", to.display()))?;
    run(Command::new("cp").arg("-a").arg(from).arg(to)).map(drop)
}

/// A gauge or counter of the authority, as it is shown now.
pub(crate) fn metric(name: &str) -> Option<String> {
    let metrics = get(INTERNAL, "/metrics").unwrap_or_default();
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map(str::to_owned)
}

/// Waits until the token vouches for all that was answered: a store whose whole end is gone is known by it alone.
fn marked() -> Result<(), String> {
    let (looks, apart) = LOOKS;
    // What is shown may be older than the last answer.
    std::thread::sleep(REFRESHED);
    for _ in 0..looks {
        if metric("sigillo_checkpoint_behind_events").as_deref() == Some("0") {
            return Ok(());
        }
        std::thread::sleep(apart);
    }
    Err("the token has no checkpoint of the last event".into())
}

/// Waits until all records of the store were looked at once; or the process has ended, and with which words.
fn patrolled(ground: &mut Ground) -> Result<Option<String>, String> {
    let (looks, apart) = LOOKS;
    for _ in 0..looks {
        if let Err(ended) = ground.here.still_running("authority") {
            return Ok(Some(ended));
        }
        if metric("sigillo_store_patrols_total").is_some_and(|passes| passes != "0") {
            return Ok(None);
        }
        std::thread::sleep(apart);
    }
    Err("no pass over the store has ended".into())
}

/// Whether an authority that ended did so by itself and said why. Anything else, a signal above all, is no refusal.
fn is_sentence(why: &str) -> bool {
    why.contains("(exit status: 1)") && why.lines().last().is_some_and(|last| last.starts_with("sigillo: "))
}

/// Waits for the end of an authority that met damage while it was read, and answers its last words.
fn last_words(ground: &mut Ground) -> Option<String> {
    let (looks, apart) = LOOKS;
    for _ in 0..looks {
        if let Err(ended) = ground.here.still_running("authority") {
            return Some(ended);
        }
        std::thread::sleep(apart);
    }
    None
}

/// How an authority ended that did not want this store; one that was found damaged is refused once more.
fn refused(
    ground: &mut Ground,
    why: &str,
    (sigillo, what): (&Path, &str),
    findings: &mut Vec<String>,
) -> Result<&'static str, String> {
    if !is_sentence(why) {
        findings.push(format!("{what}: no refusal: {why}"));
        return Ok("ENDED WITHOUT A WORD");
    }
    if !why.contains(FOUND) {
        return Ok("refused at the start");
    }
    // Its log is that of the next start from now on.
    if let Some(panic) = panicked(ground)? {
        findings.push(format!("{what}: it panics: {panic}"));
    }
    ground.here.kill("authority")?;
    match ground.here.start_authority(sigillo) {
        Err(again) if again.contains(FOUND) && is_sentence(&again) => {}
        again => findings.push(format!("{what}: found by the patrol, and then: {again:?}")),
    }
    Ok("found by the patrol")
}

/// How often what was done to a file ended how.
fn in_words(ended: &BTreeMap<(Harm, &str), u32>) -> String {
    let each = ended.iter().map(|((harm, seen), n)| format!("{harm}: {seen} {}", times(*n)));
    each.collect::<Vec<_>>().join(", ")
}

async fn proof(run: &Run<'_>) -> Result<Claim, String> {
    let rounds: u64 = if run.arguments.short { 15 } else { 300 };
    run.bar.set_length(rounds);
    let mut ground = Ground::new(run, "installation", 200).await?;
    let known = ground.active(&ground.desk(Protocols::Any)?).await?;
    let (told, ()) = under_load(&mut ground, &known, "before", ANSWERS, |_| Ok(())).await?;
    marked()?;
    // The courier would tell the authority of a store that went back.
    ground.here.kill("courier")?;
    ground.here.kill("authority")?;
    let home = ground.here.directory().join("authority");
    let kept = run.directory.join("kept");
    fs::create_dir_all(&kept).map_err(|e| e.to_string())?;
    let places = ["store", "tokens"];
    for name in places {
        self::run(Command::new("cp").arg("-a").arg(home.join(name)).arg(kept.join(name)))?;
    }
    let (sigillo, file) = (ground.sigillo.clone(), run.directory.join("log.ndjson"));
    let (mut ended, mut findings): (BTreeMap<(Harm, &str), u32>, Vec<String>) = Default::default();
    // What is refused undamaged would be refused damaged for the same reason.
    ground.here.start_authority(&sigillo).map_err(|why| format!("undamaged: {why}"))?;
    if let Some(why) = patrolled(&mut ground)? {
        return Err(format!("undamaged: {why}"));
    }
    check(&ground, &told, &file).await.map_err(|why| format!("undamaged: {why}"))?;
    ground.here.kill("authority")?;
    for round in 0..rounds {
        // The token is that of the store: a start writes a mark there.
        for name in places {
            put_back(&kept.join(name), &home.join(name))?;
        }
        let (harm, what) = harm(&home.join("store"), round)?;
        run.bar.set_message(what.clone());
        let started = ground.here.start_authority(&sigillo);
        let seen = match started {
            Ok(()) => match patrolled(&mut ground)? {
                Some(why) => refused(&mut ground, &why, (&sigillo, &what), &mut findings)?,
                None => match check(&ground, &told, &file).await {
                    Ok(()) => "nothing was lost",
                    // A refusal with a sentence, after which it ends; what must not be is another answer.
                    Err(why) => match last_words(&mut ground) {
                        Some(ended) if is_sentence(&ended) => "found when it was read",
                        ended => {
                            findings
                                .push(format!("{what}: {why}; {}", ended.as_deref().unwrap_or("it goes on")));
                            "FOUND BY NOBODY"
                        }
                    },
                },
            },
            Err(why) if why.contains("not ready") => {
                findings.push(format!("{what}: neither started nor refused"));
                "NOT READY"
            }
            Err(why) => refused(&mut ground, &why, (&sigillo, &what), &mut findings)?,
        };
        if let Some(panic) = panicked(&ground)? {
            findings.push(format!("{what}: it panics: {panic}"));
        }
        if file.exists() {
            fs::remove_file(&file).map_err(|e| e.to_string())?;
        }
        ground.here.kill("authority")?;
        let count = ended.entry((harm, seen)).or_default();
        *count = count.saturating_add(1);
        run.bar.inc(1);
    }
    let counts = in_words(&ended);
    let found = ["refused at the start", "found by the patrol"];
    let found: u32 = ended.iter().filter(|((_, seen), _)| found.contains(seen)).map(|(_, n)| n).sum();
    fs::write(run.directory.join("findings.txt"), findings.join("\n")).map_err(|e| e.to_string())?;
    let figure = match findings.first() {
        Some(why) => format!("{why}; {counts}"),
        None => counts,
    };
    let bound = "each is refused with a sentence, or changes nothing of what was said; no panic".to_owned();
    let claim = "a damaged file of the store is noticed before anything untrue is said";
    Ok(run.claim(claim, (figure, bound), findings.is_empty(), Some(found > 0)))
}

/// The way back from a damaged store is a backup or an empty store, and a recovery: `tests/api/recover.rs` walks it.
pub(crate) fn prove(run: &Run<'_>) -> Result<Vec<Claim>, String> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|e| e.to_string())?;
    let claim = runtime.block_on(proof(run));
    claim.map(|claim| vec![claim])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_is_told_in_words() {
        let ended = BTreeMap::from([
            ((Harm::Bit, "refused at the start"), 1),
            ((Harm::Gone, "found by the patrol"), 3),
        ]);
        assert_eq!(
            in_words(&ended),
            "a bit turned: refused at the start once, file gone: found by the patrol 3 times"
        );
    }
}
