//! Counts with `valgrind --tool=callgrind`: two processes a case, with few turns and with many.

use std::{
    collections::BTreeMap,
    fs,
    process::{Command, Stdio},
};

use sigillo_bench::{
    installation::run,
    instructions::{Baseline, Counted, Recorded, collected, each, table},
};

use crate::{
    Instructions,
    cases::{CASES, Case, Count},
    place::{Place, make},
};

/// Turns that both processes do: what is lazy has been done by then.
const FEW: u64 = 10;

const PROFILE: &str = if cfg!(debug_assertions) { "debug" } else { "release" };

/// Counts, prints, compares or records.
pub(crate) fn all(arguments: &Instructions) -> Result<(), String> {
    let file = &arguments.baseline;
    let fault = |e: &dyn std::fmt::Display| format!("{}: {e}", file.display());
    let mut baseline = match fs::read_to_string(file) {
        Ok(text) => Baseline::read(&text).map_err(|e| fault(&e))?,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Baseline::default(),
        Err(e) => return Err(fault(&e)),
    };
    let valgrind = run(Command::new("valgrind").arg("--version"))
        .map_err(|e| format!("valgrind: {e} (make bench-micro installs it)"))?;
    let place = make()?;
    let wanted = |case: &&Case| arguments.only.as_ref().is_none_or(|only| case.name.contains(only));
    let mut counted = Vec::new();
    for case in CASES.iter().filter(wanted) {
        let Some(Count { turns, tolerance }) = case.counted else { continue };
        let few = total(&place, case, FEW)?;
        let many = total(&place, case, FEW.saturating_add(turns))?;
        let each = each(few, many).ok_or_else(|| format!("{}: more turns cost less", case.name))?;
        counted.push(Counted { name: case.name, each, tolerance });
    }
    if counted.is_empty() {
        return Err("no case that is counted has such a name".into());
    }
    if arguments.record {
        let turns: BTreeMap<_, _> = counted.iter().map(|now| (now.name.to_owned(), now.each)).collect();
        let rustc = run(Command::new("rustc").arg("--version"))?;
        let recorded = Recorded { rustc, valgrind, machine: std::env::consts::ARCH.into(), turns };
        baseline.0.insert(PROFILE.into(), recorded);
        fs::write(file, baseline.text()).map_err(|e| fault(&e))?;
    }
    println!("{}", table(PROFILE, &counted, baseline.0.get(PROFILE))?);
    Ok(())
}

/// Turns and instructions of a process.
fn total(place: &Place, case: &Case, turns: u64) -> Result<(u64, u64), String> {
    let own = std::env::current_exe().map_err(|e| e.to_string())?;
    let mut valgrind = place.command("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(own);
    valgrind.args(["case", case.name, &turns.to_string()]).stdin(Stdio::null());
    let done = valgrind.output().map_err(|e| format!("valgrind: {e}"))?;
    let (said, why) = (String::from_utf8_lossy(&done.stderr), String::from_utf8_lossy(&done.stdout));
    let total = collected(&said).filter(|_| done.status.success());
    let total = total.ok_or_else(|| format!("{}: {} {}{said}", case.name, done.status, why))?;
    Ok((turns, total))
}
