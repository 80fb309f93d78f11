//! The limit on wrong guesses, from outside: storms of guesses over the public API, judged by the log.

use std::{fs, sync::Arc};

use serde_json::Value;
use sigillo::tls::Protocols::Any;
use sigillo_bench::desk::Desk;
use sigillo_proofs::{
    claim::Claim,
    guesses::{Counted, about, card_of, events, with_branch},
};

use crate::{
    Run,
    blows::{Blow, Scene},
    front_ends,
    ground::{self, Active, Ground},
    power,
    storm::{Told, ask, codes, loose},
    storms::{ON_A_DISK, STORMS, Storm},
};

/// Of the shipped templates.
const IN_A_ROW: u32 = 5;
const LIFETIME: usize = 100;
/// What a guess is answered that meets trouble.
const NOT_NOW: [&str; 3] = ["no answer", "unavailable", "outcome_unknown"];

/// Numbers without any meaning, the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or(0).checked_rem(bound).unwrap_or(0)
    }
}

/// What one storm left to judge.
struct Judged {
    name: String,
    counted: Counted,
    figure: String,
    /// What the callers saw contradicts the log.
    contradiction: Option<String>,
    /// A try of this card was taken out of the log: is it missed?
    forged: Counted,
    /// Guesses that met the blow, if the storm has one that they can meet.
    met: Option<usize>,
}

/// The storms, on an installation of its own or on the one that is named.
pub(crate) fn prove(run: &Run<'_>) -> Result<Vec<Claim>, String> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|e| e.to_string())?;
    let judged = if run.arguments.url.is_some() {
        runtime.block_on(elsewhere(run))?
    } else {
        runtime.block_on(here(run, &STORMS, false))?
    };
    Ok(judged.into_iter().map(|one| claim(run, one)).collect())
}

/// The storms on a store whose disk fails.
pub(crate) fn on_a_disk(run: &Run<'_>) -> Result<Vec<Claim>, String> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|e| e.to_string())?;
    let judged = runtime.block_on(here(run, &ON_A_DISK, true))?;
    Ok(judged.into_iter().map(|one| claim(run, one)).collect())
}

fn claim(run: &Run<'_>, judged: Judged) -> Claim {
    let Judged { name, counted, figure, contradiction, forged, met } = judged;
    // Two judges that must say no: one whose limit is lower than what was evaluated, one whose log lacks a granted try.
    let stricter = !counted.is_within(counted.longest_row.saturating_sub(1), LIFETIME);
    let control = counted.longest_row > 0 && stricter && !forged.is_within(IN_A_ROW, LIFETIME);
    let holds = counted.is_within(IN_A_ROW, LIFETIME) && contradiction.is_none() && met != Some(0);
    let met = met.map(|met| format!("; {met} guesses met what happened, in all rounds")).unwrap_or_default();
    let why = contradiction.map(|why| format!("; {why}")).unwrap_or_default();
    let figure = format!("{figure}{met}{why}");
    let bound = format!(
        "{IN_A_ROW} wrong guesses in a row, {LIFETIME} in a life; none evaluated without a spent try; no ticket twice"
    );
    run.claim(format!("wrong guesses evaluated: {name}"), (figure, bound), holds, Some(control))
}

/// Storms on an installation of its own, its store on a disk of its own if `on_a_disk`.
async fn here(run: &Run<'_>, storms: &[Storm], on_a_disk: bool) -> Result<Vec<Judged>, String> {
    let rounds = if run.arguments.short { 1 } else { 25 };
    let all = storms.len().saturating_mul(rounds);
    run.bar.set_length(u64::try_from(all).unwrap_or(1));
    let cards = u64::try_from(all.saturating_mul(2)).unwrap_or(0);
    let mut ground = Ground::new(run, "installation", cards).await?;
    let mut rig = if on_a_disk { Some(power::on_a_disk_of_its_own(run, &mut ground)?) } else { None };
    let mut random = Random(2026);
    let mut done = Vec::new();
    for round in 0..rounds {
        for storm in storms {
            run.bar.set_message(storm.name);
            let desk = ground.desk(Any)?;
            let card = ground.active(&desk).await?;
            // Early, so that it may be in time; late, so that it finds the card locked.
            let place = random.below(if round % 2 == 0 { 4 } else { storm.keys });
            let after = random.below(storm.keys / 2).saturating_add(1);
            let desks = front_ends::desks(&ground, storm)?;
            let codes = codes(&card, storm, place);
            let prefix = format!("storm-{round}-{}", done.len());
            let scene = Scene { ground: &mut ground, rig: rig.as_mut(), directory: &run.directory };
            let told = loose(storm, (&desks, Some(scene)), (&card, &codes), &prefix, after).await?;
            let desk = ground.desk(Any)?;
            let last = to_the_end(&desk, &card, &prefix).await?;
            let at = if storm.right { format!(", right code at {place}") } else { String::new() };
            done.push((format!("{}{at}, round {round}", storm.name), storm.blow, told, last));
            run.bar.inc(1);
        }
    }
    let log = events(&ground.export(&run.directory.join("log.ndjson"))?)?;
    match rig {
        Some(rig) => power::put_away(&mut ground, rig)?,
        None => ground.here.stop()?,
    }
    let judged = done.into_iter().map(|(name, blow, told, last)| {
        judge(&log, (name, blow), (&told, told.verifications.first()), &last)
    });
    worst_of(judged.collect::<Result<_, _>>()?, storms.len())
}

/// Of each storm the round that says most: one that does not hold, or else the longest row; with all that met the blow.
fn worst_of(all: Vec<Judged>, storms: usize) -> Result<Vec<Judged>, String> {
    let mut worst: Vec<Judged> = Vec::new();
    for (n, one) in all.into_iter().enumerate() {
        let weight = |j: &Judged| {
            (j.contradiction.is_some() || !j.counted.is_within(IN_A_ROW, LIFETIME), j.counted.longest_row)
        };
        let Some(before) = worst.get_mut(n.checked_rem(storms).unwrap_or(0)) else {
            worst.push(one);
            continue;
        };
        let met = before.met.zip(one.met).map(|(before, now)| before.saturating_add(now));
        if weight(&one) > weight(before) {
            *before = one;
        }
        before.met = met;
    }
    Ok(worst)
}

/// Wrong guesses until the card takes none, then the right code: what the last answer was.
async fn to_the_end(desk: &Desk, card: &Active, prefix: &str) -> Result<Vec<String>, String> {
    let mut outcomes = Vec::new();
    for n in 0..=IN_A_ROW {
        let code = if n == IN_A_ROW { card.cip.clone() } else { card.wrong(0, 1) };
        let (status, value) = ask(desk, &format!("{prefix}-end-{n}"), &card.team, &code).await?;
        let outcome = value.get("outcome").and_then(Value::as_str).unwrap_or_default();
        if status != 200 {
            return Err(format!("a guess after the storm was answered {status}: {value}"));
        }
        outcomes.push(outcome.to_owned());
    }
    Ok(outcomes)
}

/// `of_card` is an answer about the storm's card.
fn judge(
    log: &[Value],
    (name, blow): (String, Blow),
    (told, of_card): (&Told, Option<&String>),
    last: &[String],
) -> Result<Judged, String> {
    let nothing = || format!("{name}: nothing was answered but {}", told.refusals());
    let of_card = of_card.ok_or_else(nothing)?;
    let card = card_of(&told.branch, of_card).or_else(|_| card_of(log, of_card))?;
    // Of a log of hundreds of storms, what is about this one.
    let kept = &about(log, card);
    let log = &with_branch(&told.branch, kept)?;
    let counted = Counted::of(log, card)?;
    let met = match blow {
        Blow::Nothing | Blow::Stop => None,
        Blow::Kill | Blow::Token | Blow::Disk => {
            Some(told.others.iter().filter(|answer| NOT_NOW.contains(&answer.as_str())).count())
        }
        // Tries that only the branch which was lost tells of.
        Blow::Restore => Some(counted.granted.saturating_sub(Counted::of(kept, card)?.granted)),
    };
    let lost = told.verifications.iter().filter(|id| card_of(log, id) != Ok(card)).count();
    let contradiction = if lost > 0 {
        Some(format!("{lost} answers are not in the log"))
    } else if last.iter().any(|outcome| outcome != "rejected") {
        Some(format!("after the storm: {}", last.join(", ")))
    } else if told.accepted > 0 && counted.accepted == 0 {
        Some("an answer said accepted, the log does not".into())
    } else {
        None
    };
    let mut forged = log.to_vec();
    let granted = |e: &&mut Value| {
        e.get("card").and_then(Value::as_str) == Some(card)
            && e.get("kind").and_then(Value::as_str) == Some("verification.spent")
            && e.get("ticket").and_then(Value::as_str) != Some("0")
    };
    let decided =
        |request: &Value| log.iter().any(|e| e.get("request") == Some(request) && e.get("checks").is_some());
    if let Some(ticket) = forged
        .iter_mut()
        .filter(granted)
        .find(|e| e.get("request").is_some_and(decided))
        .and_then(|e| e.get_mut("ticket"))
    {
        *ticket = "0".into();
    }
    let forged = Counted::of(&forged, card)?;
    let figure = format!(
        "{} answers{}{}; {} asked for a try, {} granted, {} right, longest row of wrong ones {} of {IN_A_ROW}",
        told.verifications.len(),
        if told.others.is_empty() { "" } else { " and " },
        told.refusals(),
        counted.asked,
        counted.granted,
        counted.accepted,
        counted.longest_row,
    );
    Ok(Judged { name, counted, figure, contradiction, forged, met })
}

/// Against an authority that runs already: nothing is killed.
async fn elsewhere(run: &Run<'_>) -> Result<Vec<Judged>, String> {
    let arguments = run.arguments;
    let (Some(url), Some(home), Some(team)) = (&arguments.url, &arguments.home, &arguments.team) else {
        return Err("--url needs --home and --team".into());
    };
    let code = arguments.code.clone();
    let card = Active { team: team.clone(), cip: code.clone().unwrap_or_else(|| "00000000".into()) };
    let start = std::process::id();
    let clients = home.join("clients");
    let mut done = Vec::new();
    for (n, storm) in STORMS
        .iter()
        .filter(|s| s.blow == Blow::Nothing && s.front_ends == 1 && (code.is_some() || !s.right))
        .enumerate()
    {
        let desk = |p| Desk::new(&clients, ("desk", "operator"), url, p).map(Arc::new);
        let desks: Result<Vec<_>, _> = storm.clients.iter().map(|p| desk(*p)).collect();
        let codes = codes(&card, storm, storm.keys / 2);
        let prefix = format!("storm-{start}-{n}");
        let told = loose(storm, (&desks?, None), (&card, &codes), &prefix, usize::MAX).await?;
        let end = Desk::new(&clients, ("desk", "operator"), url, Any)?;
        let last = if code.is_some() { to_the_end(&end, &card, &prefix).await? } else { Vec::new() };
        done.push((storm.name.to_owned(), told, last));
    }
    let sigillo =
        fs::canonicalize(&arguments.sigillo).map_err(|e| format!("{}: {e}", arguments.sigillo.display()))?;
    let file = run.directory.join("log.ndjson");
    ground::export(&sigillo, home, url, &file)?;
    let log = events(&fs::read_to_string(&file).map_err(|e| e.to_string())?)?;
    // One card for all of them: limits of the operator may leave later storms without an answer.
    let of_card = done.iter().find_map(|(_, told, _)| told.verifications.first().cloned());
    let judged = done.into_iter();
    judged
        .map(|(name, told, last)| judge(&log, (name, Blow::Nothing), (&told, of_card.as_ref()), &last))
        .collect()
}
