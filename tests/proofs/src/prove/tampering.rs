//! What is done to an audit log, and whether `sigillo audit verify` finds it, offline.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use sigillo::{domain::audit::Head, tls::Protocols};
use sigillo_proofs::claim::Claim;

use crate::{
    Run,
    ground::{Ground, guess, verify},
};

/// An export and the key that its checkpoint is signed with.
struct Log {
    lines: Vec<String>,
    /// The export of some events before.
    earlier: Vec<String>,
    key: PathBuf,
}

impl Log {
    /// A log of some length, from an installation of its own; its last checkpoint too.
    async fn of(run: &Run<'_>, name: &str) -> Result<Self, String> {
        let mut ground = Ground::new(run, name, 40).await?;
        let desk = ground.desk(Protocols::Any)?;
        let card = ground.active(&desk).await?;
        let mut exports: Vec<Vec<String>> = Vec::new();
        for n in 0..8 {
            let (key, body) = (format!("{name}-{n}"), guess(&card.team, &card.cip));
            desk.post_raw("/v1/verifications", &key, &body).await?;
            if n == 3 || n == 7 {
                let text = ground.export(&run.directory.join(format!("{name}-{n}.ndjson")))?;
                exports.push(text.lines().map(str::to_owned).collect());
            }
        }
        let key = run.directory.join(format!("{name}.pub.pem"));
        fs::copy(ground.audit_key(), &key).map_err(|e| e.to_string())?;
        ground.here.stop()?;
        let (lines, earlier) = (exports.pop().unwrap_or_default(), exports.pop().unwrap_or_default());
        if lines.len() < 20 || earlier.len() >= lines.len() {
            return Err(format!("exports of {} and {} lines", earlier.len(), lines.len()));
        }
        Ok(Self { lines, earlier, key })
    }

    fn events(&self) -> &[String] {
        self.lines.split_last().map_or(&[], |(_, events)| events)
    }

    fn checkpoint(lines: &[String]) -> String {
        lines.last().cloned().unwrap_or_default()
    }
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
        ("the second half is another node's", then(mixed(half), newest), false),
        (
            "the second half and the checkpoint are another node's",
            then(mixed(half), Log::checkpoint(&other.lines)),
            false,
        ),
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
    let check = |lines: &[String], witnesses: &[&Path]| {
        written(&file, lines)?;
        Ok::<_, String>(verify(&sigillo, &one.key, witnesses, &file))
    };
    // The control of all: what was not touched must pass, or a program that refuses everything would look good.
    let untouched = check(&one.lines, &[])?.is_ok() && check(&one.lines, &[&witness])?.is_ok();
    let deeds = deeds(&one, &other)?;
    run.bar.set_length(u64::try_from(deeds.len()).unwrap_or(1));
    let mut claims = Vec::new();
    for (deed, lines, by_witness) in deeds {
        let alone = check(&lines, &[])?;
        let witnessed = check(&lines, &[&witness])?;
        let found = if by_witness { &witnessed } else { &alone };
        // Only what needs the witness passes without one.
        let control = untouched && alone.is_ok() == by_witness;
        let figure = found.as_ref().map_or_else(|why| first_line(why), |_| "it holds".into());
        let bound = if by_witness { "refused with --witness (not without)" } else { "refused" };
        run.bar.inc(1);
        claims.push(run.claim(
            format!("found in the log: {deed}"),
            (figure, bound.into()),
            found.is_err(),
            Some(control),
        ));
    }
    Ok(claims)
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}
