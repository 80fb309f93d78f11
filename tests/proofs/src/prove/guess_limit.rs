//! The limit on wrong guesses, from outside: storms of guesses over the public API, judged by the log.

mod elsewhere;
mod judge;
mod missed;
mod reach;

use sigillo::tls::Protocols::Any;
use sigillo_bench::desk::Desk;
use sigillo_proofs::{answers::Answer, claim::Claim, guesses::events, statistics::Random};

use self::{
    judge::{Done, Judged, judge},
    missed::refused,
};
use crate::{
    Run,
    blows::{Blow, Scene},
    front_ends,
    ground::{Active, Ground},
    power,
    storm::{Moment, ask, codes, loose},
    storms::{ON_A_DISK, STORMS, Storm},
};

/// Of the shipped templates.
const IN_A_ROW: u32 = 5;
const LIFETIME: usize = 100;
/// Rounds of every storm, in full.
const ROUNDS: usize = 25;
/// Rounds in short of a storm whose blow must cut off a try: so many that one of them does. Of the others there is one.
const SHORT_ROUNDS: usize = 12;
/// Of so many rounds one has its blow after an answer, the others while tries are in flight.
const AFTER_AN_ANSWER: usize = 3;

/// The storms, on an installation of its own or on the one that is named.
pub(crate) fn prove(run: &Run<'_>) -> Result<Vec<Claim>, String> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|e| e.to_string())?;
    let judged = if run.arguments.url.is_some() {
        runtime.block_on(elsewhere::storms(run))?
    } else {
        runtime.block_on(here(run, &STORMS, false))?
    };
    Ok(judged.into_iter().map(|one| one.claim(run)).collect())
}

/// The storms on a store whose disk fails.
pub(crate) fn on_a_disk(run: &Run<'_>) -> Result<Vec<Claim>, String> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|e| e.to_string())?;
    let judged = runtime.block_on(here(run, &ON_A_DISK, true))?;
    Ok(judged.into_iter().map(|one| one.claim(run)).collect())
}

/// When the blow of this round falls: after an answer, or at a moment when tries are in flight.
fn moment(storm: &Storm, round: usize, random: &mut Random) -> Moment {
    let after = random.below(storm.keys / 2).saturating_add(1).min(storm.blow.before(storm.guesses));
    let ms = random.below(storm.blow.within_ms());
    // A backup of the middle needs a middle.
    let after_an_answer = storm.blow == Blow::Restore || round % AFTER_AN_ANSWER == AFTER_AN_ANSWER - 1;
    if after_an_answer { Moment::Answers(after) } else { Moment::Spent(ms) }
}

/// Storms on an installation of its own, its store on a disk of its own if `on_a_disk`.
async fn here(run: &Run<'_>, storms: &'static [Storm], on_a_disk: bool) -> Result<Vec<Judged>, String> {
    let rounds = |storm: &Storm| match run.arguments.short {
        false => ROUNDS,
        true if storm.blow.must_cut_off() => SHORT_ROUNDS,
        true => 1,
    };
    let each = (0..ROUNDS).flat_map(|round| storms.iter().map(move |storm| (round, storm)));
    let all: Vec<_> = each.filter(|(round, storm)| *round < rounds(storm)).collect();
    let count = u64::try_from(all.len()).unwrap_or(1);
    run.bar.set_length(count);
    let mut ground = Ground::new(run, "installation", count.saturating_mul(2)).await?;
    let mut rig = if on_a_disk { Some(power::on_a_disk_of_its_own(run, &mut ground)?) } else { None };
    let mut random = Random::new(2026);
    let mut done = Vec::new();
    for (round, storm) in all {
        run.bar.set_message(storm.name);
        let desk = ground.desk(Any)?;
        let card = ground.active(&desk).await?;
        // Early, so that it may be in time; late, so that it finds the card locked.
        let place = random.below(if round % 2 == 0 { 4 } else { storm.keys });
        let moment = moment(storm, round, &mut random);
        let desks = front_ends::desks(&ground, storm).await?;
        let codes = codes(&card, storm, place);
        let prefix = format!("storm-{round}-{}", done.len());
        let scene = Scene { ground: &mut ground, rig: rig.as_mut(), directory: &run.directory };
        let told = loose(storm, (&desks, Some(scene)), (&card, &codes), &prefix, moment).await?;
        let after = to_the_end(&ground.desk(Any)?, &card, &prefix).await?;
        let at = if storm.right { format!(", right code at {place}") } else { String::new() };
        let when = if storm.blow == Blow::Nothing { String::new() } else { format!(", blow after {moment}") };
        let name = format!("{}{at}{when}, round {round}", storm.name);
        done.push(Done { name, storm, told, after, alone: true, broken: None });
        run.bar.inc(1);
    }
    let log = events(&ground.export(&run.directory.join("log.ndjson"))?)?;
    match rig {
        Some(rig) => power::put_away(&mut ground, rig)?,
        None => ground.here.stop()?,
    }
    let mut all = Vec::new();
    for storm in storms {
        let rounds = done.iter().filter(|one| one.storm.name == storm.name);
        let rounds = rounds.map(|one| judge(&log, one)).collect::<Result<Vec<_>, _>>()?;
        all.extend(rounds.into_iter().reduce(Judged::beside));
    }
    Ok(all)
}

/// Wrong guesses until the card takes none, then the right code.
async fn to_the_end(desk: &Desk, card: &Active, prefix: &str) -> Result<Vec<Answer>, String> {
    let mut answers = Vec::new();
    for n in 0..=IN_A_ROW {
        let code = if n == IN_A_ROW { card.cip.clone() } else { card.wrong(0, 1) };
        let key = format!("{prefix}-end-{n}");
        let (status, value) = ask(desk, &key, &card.team, &code).await?;
        if status != 200 {
            return Err(format!("a guess after the storm was answered {}", refused(status, &value)));
        }
        answers.push(Answer::read(&key, code == card.cip, &value));
    }
    Ok(answers)
}
