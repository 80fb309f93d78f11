//! What is done to an audit log, and whether `sigillo audit verify` finds it, offline.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};
use sigillo::{domain::audit::Head, tls::Protocols};
use sigillo_proofs::claim::Claim;

use crate::{
    Run,
    ground::{Active, Ground, guess, verify},
    takeover::{By, taken_over},
};

/// An export with a replacement of the audit key in its middle, and what else there is of that log.
struct Log {
    lines: Vec<String>,
    /// The export of some events before, after the replacement.
    earlier: Vec<String>,
    /// What a copy of store and token from before the replacement went on to, with the former key.
    branch: Vec<String>,
    /// Public halves of the former key and of the new one.
    keys: [PathBuf; 2],
}

impl Log {
    /// A log of some length, from an installation of its own; its last checkpoint too.
    async fn of(run: &Run<'_>, name: &str) -> Result<Self, String> {
        let mut ground = Ground::new(run, name, 40).await?;
        let card = ground.active(&ground.desk(Protocols::Any)?).await?;
        let at = |part: &str| run.directory.join(format!("{name}-{part}"));
        guesses(&ground, &card, "first", 2).await?;
        let places = ["store", "tokens"].map(|part| {
            let here = ground.here.directory().join("authority").join(part);
            (here, at(&format!("{part}-of-before")))
        });
        ground.here.kill("authority")?;
        for (here, before) in &places {
            copy_all(here, before)?;
        }
        let keys = [at("former.pub.pem"), at("new.pub.pem")];
        let [former, new] = &keys;
        fs::copy(ground.audit_key(), former).map_err(|e| e.to_string())?;
        let mut replace = Command::new(&ground.sigillo);
        replace.args(["audit", "replace-key", "--config"]);
        replace.arg(ground.here.directory().join("authority/serve.toml"));
        let replaced = replace.arg("--out").arg(new).output().map_err(|e| e.to_string())?;
        if !replaced.status.success() {
            return Err(String::from_utf8_lossy(&replaced.stderr).into_owned());
        }
        let mut exports: Vec<Vec<String>> = Vec::new();
        ground.here.start_authority(&ground.sigillo)?;
        for part in ["second", "third"] {
            guesses(&ground, &card, part, 4).await?;
            exports.push(lines(&ground, &at(&format!("{part}.ndjson")))?);
        }
        let (newest, earlier) = (exports.pop().unwrap_or_default(), exports.pop().unwrap_or_default());
        ground.here.kill("authority")?;
        for (here, before) in &places {
            fs::remove_dir_all(here).map_err(|e| e.to_string())?;
            copy_all(before, here)?;
        }
        ground.here.start_authority(&ground.sigillo)?;
        guesses(&ground, &card, "branch", 3).await?;
        let branch = lines(&ground, &at("branch.ndjson"))?;
        ground.here.stop()?;
        if newest.len() < 20 || earlier.len() >= newest.len() || branch.len() >= newest.len() {
            let lengths = [newest.len(), earlier.len(), branch.len()];
            return Err(format!("exports of {lengths:?} lines"));
        }
        Ok(Self { lines: newest, earlier, branch, keys })
    }

    fn events(&self) -> &[String] {
        self.lines.split_last().map_or(&[], |(_, events)| events)
    }

    fn checkpoint(lines: &[String]) -> String {
        lines.last().cloned().unwrap_or_default()
    }

    /// Where the audit key is replaced, and by which text.
    fn handover(&self) -> Result<(usize, String), String> {
        let place = self.lines.iter().position(|line| line.contains("\"audit.key_replaced\""));
        let place = place.ok_or("the audit key is not replaced")?;
        let line: Value =
            serde_json::from_str(self.lines.get(place).ok_or("no line")?).map_err(|e| e.to_string())?;
        let text = line.pointer("/event/handover").and_then(Value::as_str).ok_or("no handover")?;
        Ok((place, Value::from(text).to_string()))
    }
}

/// So many guesses at a card.
async fn guesses(ground: &Ground, card: &Active, name: &str, count: usize) -> Result<(), String> {
    let desk = ground.desk(Protocols::Any)?;
    for n in 0..count {
        desk.post_raw("/v1/verifications", &format!("{name}-{n}"), &guess(&card.team, &card.cip)).await?;
    }
    Ok(())
}

fn lines(ground: &Ground, to: &Path) -> Result<Vec<String>, String> {
    Ok(ground.export(to)?.lines().map(str::to_owned).collect())
}

fn copy_all(from: &Path, to: &Path) -> Result<(), String> {
    let told = |e: std::io::Error| format!("{}: {e}", from.display());
    fs::create_dir_all(to).map_err(told)?;
    for entry in fs::read_dir(from).map_err(told)? {
        let entry = entry.map_err(told)?;
        let (here, there) = (entry.path(), to.join(entry.file_name()));
        if here.is_dir() {
            copy_all(&here, &there)?;
        } else {
            fs::copy(&here, &there).map_err(told)?;
        }
    }
    Ok(())
}

/// The chain computed anew over changed events, as somebody would who has the store and no key.
fn chained(lines: &[String]) -> Result<Vec<String>, String> {
    let mut head = Head::EMPTY;
    let mut chained = Vec::new();
    for line in lines {
        let at = line.find("\"event\":").ok_or("no event")?.saturating_add(8);
        let event = line.get(at..line.len().saturating_sub(1)).ok_or("no event")?;
        head = head.next(event.as_bytes()).ok_or("too many events")?;
        chained.push(format!("{{\"hash\":\"{}\",\"event\":{event}}}", hex::encode(head.hash)));
    }
    Ok(chained)
}

fn edited(line: &str) -> String {
    line.replacen("\"outcome\":\"accepted\"", "\"outcome\":\"rejected\"", 1)
}

/// What was done, the lines after it, and whether a checkpoint that was kept elsewhere is needed to see it.
type Deed = (&'static str, Vec<String>, bool);

fn deeds(one: &Log, other: &Log) -> Result<Vec<Deed>, String> {
    let events = one.events();
    let half = events.len() / 2;
    let (first, _) = events.split_at(half);
    let middle = events.get(half).ok_or("an empty log")?;
    let place = events.iter().position(|line| edited(line) != *line).ok_or("nothing was accepted")?;
    let with = |change: &dyn Fn(&mut Vec<String>)| {
        let mut lines = one.lines.clone();
        change(&mut lines);
        lines
    };
    let edit = |lines: &mut Vec<String>| {
        if let Some(line) = lines.get_mut(place) {
            *line = edited(line);
        }
    };
    let then = |mut lines: Vec<String>, checkpoint: String| {
        lines.push(checkpoint);
        lines
    };
    let newest = Log::checkpoint(&one.lines);
    let mut rewritten = events.to_vec();
    edit(&mut rewritten);
    let forged = newest.replacen("recoveries 0", "recoveries 1", 1);
    if forged == newest {
        return Err("the checkpoint has another form".into());
    }
    let (place_of_handover, handover) = one.handover()?;
    let (_, others) = other.handover()?;
    let handed = |from: &str, to: &str| {
        let mut lines = events.to_vec();
        let line = lines.get_mut(place_of_handover).ok_or("no handover")?;
        let changed = line.replacen(from, to, 1);
        if changed == *line {
            return Err("the handover has another form".to_owned());
        }
        *line = changed;
        Ok(then(chained(&lines)?, newest.clone()))
    };
    let names = |text: &str| {
        let to = text.split_once("\\nto ").and_then(|(_, rest)| rest.split_once("\\n"));
        to.map(|(key, _)| key.to_owned()).ok_or("a handover names no key")
    };
    let taken = |by| taken_over((events, &newest), (place_of_handover, &handover), by, chained);
    let ended = one.branch.len().saturating_sub(1);
    let mixed = |from: usize| {
        events.iter().take(from).chain(other.events().iter().skip(from)).cloned().collect::<Vec<_>>()
    };
    Ok(vec![
        ("an event is deleted in the middle", with(&|lines| drop(lines.remove(half))), false),
        ("the first event is deleted", with(&|lines| drop(lines.remove(0))), false),
        ("an event is edited", with(&edit), false),
        ("an event is edited and the chain computed anew", then(chained(&rewritten)?, newest.clone()), false),
        ("two events change places", with(&|lines| lines.swap(half, half.saturating_add(1))), false),
        ("an event is repeated", with(&|lines| lines.insert(half, middle.clone())), false),
        ("the end is cut off, the checkpoint stays", then(first.to_vec(), newest.clone()), false),
        ("the end is cut off with its checkpoint", first.to_vec(), false),
        ("the log is cut back to an older checkpoint", one.earlier.clone(), true),
        (
            "an older checkpoint replaces the last one",
            then(events.to_vec(), Log::checkpoint(&one.earlier)),
            false,
        ),
        ("the last checkpoint is removed", events.to_vec(), false),
        ("the last checkpoint is changed", then(events.to_vec(), forged), false),
        (
            "another node's checkpoint replaces the last one",
            then(events.to_vec(), Log::checkpoint(&other.lines)),
            false,
        ),
        ("another node's log is shown for this one", other.lines.clone(), false),
        ("the second half is another node's", then(mixed(half), newest.clone()), false),
        (
            "the second half and the checkpoint are another node's",
            then(mixed(half), Log::checkpoint(&other.lines)),
            false,
        ),
        (
            "the handover to the new key is deleted",
            with(&|lines| drop(lines.remove(place_of_handover))),
            false,
        ),
        (
            "the handover is made another event, and the chain computed anew",
            handed("\"audit.key_replaced\"", "\"audit.read\"")?,
            false,
        ),
        (
            "the handover names another key, and the chain is computed anew",
            handed(&names(&handover)?, &names(&others)?)?,
            false,
        ),
        (
            "another node's handover stands for this one, and the chain is computed anew",
            handed(&handover, &others)?,
            false,
        ),
        (
            "it is handed over to a key of one's own, which signs for the former key and the end",
            taken(By::Own)?,
            false,
        ),
        (
            "it is handed over to a key of one's own, with the former key's signature of the true handover",
            taken(By::Copied)?,
            false,
        ),
        (
            "what a copy of the former key signed later stands in its place",
            then(events.iter().take(ended).cloned().collect(), Log::checkpoint(&one.branch)),
            false,
        ),
        ("the log that a copy of the former key went on with is shown", one.branch.clone(), true),
    ])
}

fn written(path: &Path, lines: &[String]) -> Result<(), String> {
    fs::write(path, lines.join("\n") + "\n").map_err(|e| format!("{}: {e}", path.display()))
}

/// Every deed is found; untouched, the same log holds.
pub(crate) fn prove(run: &Run<'_>) -> Result<Vec<Claim>, String> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|e| e.to_string())?;
    let (one, other) = runtime
        .block_on(async { Ok::<_, String>((Log::of(run, "one").await?, Log::of(run, "other").await?)) })?;
    let sigillo = fs::canonicalize(&run.arguments.sigillo).map_err(|e| e.to_string())?;
    let (file, witness) = (run.directory.join("log.ndjson"), run.directory.join("witness.json"));
    let checkpoint: Value = serde_json::from_str(&Log::checkpoint(&one.lines)).map_err(|e| e.to_string())?;
    let text = checkpoint.get("checkpoint").and_then(Value::as_str).ok_or("no checkpoint")?;
    fs::write(&witness, json!({ "checkpoint": text }).to_string()).map_err(|e| e.to_string())?;
    // Under the former key and under the new one.
    let check = |lines: &[String], witnesses: &[&Path]| {
        written(&file, lines)?;
        let [former, new] = &one.keys;
        Ok::<_, String>([former, new].map(|key| verify(&sigillo, key, witnesses, &file)))
    };
    // The control of all: what was not touched must pass, or a program that refuses everything would look good.
    let holds = |all: &[Result<String, String>; 2]| all.iter().all(Result::is_ok);
    let untouched = holds(&check(&one.lines, &[])?) && holds(&check(&one.lines, &[&witness])?);
    let deeds = deeds(&one, &other)?;
    run.bar.set_length(u64::try_from(deeds.len()).unwrap_or(1));
    let mut claims = Vec::new();
    for (deed, lines, by_witness) in deeds {
        let alone = check(&lines, &[])?;
        let witnessed = check(&lines, &[&witness])?;
        let found = if by_witness { &witnessed } else { &alone };
        // Only what needs the witness passes without one, under one of the keys.
        let control = untouched && alone.iter().any(Result::is_ok) == by_witness;
        let [figure, _] = found
            .each_ref()
            .map(|said| said.as_ref().map_or_else(|why| first_line(why), |_| "it holds".into()));
        let bound = if by_witness { "refused with --witness (not without)" } else { "refused" };
        run.bar.inc(1);
        claims.push(run.claim(
            format!("found in the log: {deed}"),
            (figure, bound.into()),
            found.iter().all(Result::is_err),
            Some(control),
        ));
    }
    Ok(claims)
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}
