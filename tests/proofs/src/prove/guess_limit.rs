//! The limit on wrong guesses, from outside: storms of guesses over the public API, judged by the log.

use std::{fs, sync::Arc};

use serde_json::Value;
use sigillo::tls::Protocols::{Any, Http1, Http2};
use sigillo_bench::desk::Desk;
use sigillo_proofs::{
    claim::Claim,
    guesses::{Counted, card_of, events},
};

use crate::{
    Run,
    ground::{self, Active, Ground},
    storm::{Blow, Storm, ask, codes, loose},
};

/// Of the shipped templates.
const IN_A_ROW: u32 = 5;
const LIFETIME: usize = 100;

const STORMS: [Storm; 7] = [
    Storm {
        name: "one pool of HTTP/1.1 connections",
        clients: &[Http1],
        guesses: 64,
        keys: 64,
        right: false,
        blow: Blow::Nothing,
    },
    Storm {
        name: "streams of one HTTP/2 connection",
        clients: &[Http2],
        guesses: 64,
        keys: 64,
        right: false,
        blow: Blow::Nothing,
    },
    Storm {
        name: "six clients of both versions",
        clients: &[Http1, Http2, Http1, Http2, Any, Any],
        guesses: 192,
        keys: 192,
        right: false,
        blow: Blow::Nothing,
    },
    Storm {
        name: "the right code hidden among them",
        clients: &[Http1, Http2],
        guesses: 64,
        keys: 64,
        right: true,
        blow: Blow::Nothing,
    },
    Storm {
        name: "keys repeated four times",
        clients: &[Http1, Http2],
        guesses: 64,
        keys: 16,
        right: true,
        blow: Blow::Nothing,
    },
    Storm {
        name: "kill -9 in the middle, everything sent again",
        clients: &[Http1, Http2],
        guesses: 64,
        keys: 64,
        right: true,
        blow: Blow::Kill,
    },
    Storm {
        name: "SIGSTOP for a second in the middle",
        clients: &[Http1, Http2],
        guesses: 64,
        keys: 64,
        right: true,
        blow: Blow::Stop,
    },
];

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
}

/// The storms, on an installation of its own or on the one that is named.
pub(crate) fn prove(run: &Run<'_>) -> Result<Vec<Claim>, String> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|e| e.to_string())?;
    let judged = if run.arguments.url.is_some() {
        runtime.block_on(elsewhere(run))?
    } else {
        runtime.block_on(here(run))?
    };
    Ok(judged.into_iter().map(|one| claim(run, one)).collect())
}

fn claim(run: &Run<'_>, judged: Judged) -> Claim {
    let Judged { name, counted, figure, contradiction, forged } = judged;
    // Two judges that must say no: one whose limit is lower than what was evaluated, one whose log lacks a granted try.
    let stricter = !counted.is_within(counted.longest_row.saturating_sub(1), LIFETIME);
    let control = counted.longest_row > 0 && stricter && !forged.is_within(IN_A_ROW, LIFETIME);
    let holds = counted.is_within(IN_A_ROW, LIFETIME) && contradiction.is_none();
    let figure = match contradiction {
        Some(why) => format!("{figure}; {why}"),
        None => figure,
    };
    let bound = format!(
        "{IN_A_ROW} wrong guesses in a row, {LIFETIME} in a life; none evaluated without a spent try; no ticket twice"
    );
    run.claim(format!("wrong guesses evaluated: {name}"), (figure, bound), holds, Some(control))
}

async fn here(run: &Run<'_>) -> Result<Vec<Judged>, String> {
    let rounds = if run.arguments.short { 1 } else { 25 };
    let all = STORMS.len().saturating_mul(rounds);
    run.bar.set_length(u64::try_from(all).unwrap_or(1));
    let mut ground =
        Ground::new(run, "installation", u64::try_from(all.saturating_mul(2)).unwrap_or(0)).await?;
    let desk = ground.desk(Any)?;
    let mut random = Random(2026);
    let mut done = Vec::new();
    for round in 0..rounds {
        for storm in &STORMS {
            run.bar.set_message(storm.name);
            let card = ground.active(&desk).await?;
            // Early, so that it may be in time; late, so that it finds the card locked.
            let place = random.below(if round % 2 == 0 { 4 } else { storm.keys });
            let after = random.below(storm.keys / 2).saturating_add(1);
            let desks: Result<Vec<_>, _> =
                storm.clients.iter().map(|p| ground.desk(*p).map(Arc::new)).collect();
            let codes = codes(&card, storm, place);
            let prefix = format!("storm-{round}-{}", done.len());
            let told = loose(storm, (&desks?, Some(&mut ground)), (&card, &codes), &prefix, after).await?;
            let desk = ground.desk(Any)?;
            let last = to_the_end(&desk, &card, &prefix).await?;
            let at = if storm.right { format!(", right code at {place}") } else { String::new() };
            done.push((format!("{}{at}, round {round}", storm.name), told, last));
            run.bar.inc(1);
        }
    }
    let log = events(&ground.export(&run.directory.join("log.ndjson"))?)?;
    ground.here.stop()?;
    let judged = done.into_iter().map(|(name, told, last)| judge(&log, name, &told, &last));
    worst_of(judged.collect::<Result<_, _>>()?)
}

/// Of each storm the round that says most: one that does not hold, or else the longest row.
fn worst_of(all: Vec<Judged>) -> Result<Vec<Judged>, String> {
    let mut worst: Vec<Judged> = Vec::new();
    for (n, one) in all.into_iter().enumerate() {
        let weight = |j: &Judged| {
            (j.contradiction.is_some() || !j.counted.is_within(IN_A_ROW, LIFETIME), j.counted.longest_row)
        };
        match worst.get_mut(n.checked_rem(STORMS.len()).unwrap_or(0)) {
            Some(before) if weight(&one) > weight(before) => *before = one,
            Some(_) => {}
            None => worst.push(one),
        }
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

fn judge(log: &[Value], name: String, told: &crate::storm::Told, last: &[String]) -> Result<Judged, String> {
    let verification = told.verifications.first().ok_or_else(|| format!("{name}: nothing was answered"))?;
    let card = card_of(log, verification)?;
    let counted = Counted::of(log, card)?;
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
    let mut others = std::collections::BTreeMap::<&str, u32>::new();
    for other in &told.others {
        let count = others.entry(other).or_default();
        *count = count.saturating_add(1);
    }
    let others: Vec<_> = others.into_iter().map(|(what, count)| format!("{count} {what}")).collect();
    let figure = format!(
        "{} answers{}{}; {} asked for a try, {} granted, {} right, longest row of wrong ones {} of {IN_A_ROW}",
        told.verifications.len(),
        if others.is_empty() { "" } else { " and " },
        others.join(", "),
        counted.asked,
        counted.granted,
        counted.accepted,
        counted.longest_row,
    );
    Ok(Judged { name, counted, figure, contradiction, forged })
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
    for (n, storm) in
        STORMS.iter().filter(|s| s.blow == Blow::Nothing && (code.is_some() || !s.right)).enumerate()
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
    done.into_iter().map(|(name, told, last)| judge(&log, name, &told, &last)).collect()
}
