//! Storms against an authority that runs already: nothing is killed, and each has a card of its own.

use std::{fs, path::Path, sync::Arc};

use sigillo::tls::Protocols::Any;
use sigillo_bench::desk::Desk;
use sigillo_proofs::guesses::events;

use super::{
    judge::{Done, Judged, judge},
    missed::refused,
    reach::is_there,
    to_the_end,
};
use crate::{
    Run,
    arguments::{Arguments, last_digits},
    blows::Blow,
    ground::{self, Active},
    storm::{Moment, ask, codes, loose},
    storms::{STORMS, Storm},
};

/// Who guesses: the front end, and the operator that it forwards.
const CALLER: (&str, &str) = ("desk", "operator");
/// What wrong codes are made of where the right one is not known: it is not presented itself.
const NO_CODE: &str = "00000000";

/// The storms that can be let loose on somebody else's authority.
fn possible() -> impl Iterator<Item = &'static Storm> {
    STORMS.iter().filter(|storm| storm.blow == Blow::Nothing && storm.front_ends == 1)
}

/// Which storm meets which card.
pub(super) struct Plan {
    pub(super) storms: Vec<(&'static Storm, Active)>,
    /// Whether the cards' codes are known.
    known: bool,
    /// Storms that are not run: they have no card, or need one whose code is known.
    left_out: Vec<&'static str>,
}

impl Plan {
    /// One card for each storm, in their order. That they are well formed has been looked at before.
    ///
    /// # Errors
    /// More cards than storms.
    pub(super) fn of(arguments: &Arguments) -> Result<Self, String> {
        let Arguments { team: teams, code: known, .. } = arguments;
        let are_known = !known.is_empty();
        let (can, without): (Vec<_>, Vec<_>) = possible().partition(|storm| are_known || !storm.right);
        if teams.len() > can.len() {
            let hint = if are_known { "" } else { "; more with --code" };
            return Err(format!(
                "{} cards for {} storms, each of which takes one{hint}",
                teams.len(),
                can.len()
            ));
        }
        let card = |(n, team): (usize, &String)| Active {
            team: team.clone(),
            cip: known.get(n).cloned().unwrap_or_else(|| NO_CODE.into()),
        };
        let storms: Vec<_> = can.iter().copied().zip(teams.iter().enumerate().map(card)).collect();
        let left_out = can.iter().skip(storms.len()).chain(&without).map(|storm| storm.name).collect();
        Ok(Self { storms, known: are_known, left_out })
    }

    /// What the figure says of the storms that are left out.
    fn left_out(&self) -> String {
        if self.left_out.is_empty() {
            return String::new();
        }
        let names: Vec<_> = self.left_out.iter().map(|name| format!("\"{name}\"")).collect();
        let each = if self.known { "each takes a card" } else { "each takes a card, some with its --code" };
        format!("; not run, {each}: {}", names.join(", "))
    }
}

/// Presents the code that is said to be the card's. A right one costs no try: it gives back what wrong ones before it took.
async fn present(desk: &Desk, key: &str, card: &Active) -> Result<(), String> {
    let (status, value) = ask(desk, key, &card.team, &card.cip).await?;
    if status != 200 {
        return Err(format!("the --code was answered {}", refused(status, &value)));
    }
    let accepted = value.get("outcome").and_then(serde_json::Value::as_str) == Some("accepted");
    accepted.then_some(()).ok_or_else(|| {
        let end = last_digits(&card.team);
        format!("--code is not the C.I.P. of this card (that ending in {end}), or the card has no try left")
    })
}

/// All storms that have a card.
pub(super) async fn storms(run: &Run<'_>) -> Result<Vec<Judged>, String> {
    let arguments = run.arguments;
    let (Some(url), Some(home)) = (&arguments.url, &arguments.home) else {
        return Err("--url needs --home and --team".into());
    };
    let plan = Plan::of(arguments)?;
    let (start, clients) = (std::process::id(), home.join("clients"));
    let desk = |protocols| Desk::new(&clients, CALLER, url, protocols);
    is_there(&desk(Any)?, url).await?;
    if plan.known {
        for (n, (_, card)) in plan.storms.iter().enumerate() {
            present(&desk(Any)?, &format!("storm-{start}-{n}-first"), card).await?;
        }
    }
    let mut done = Vec::new();
    for (n, (storm, card)) in plan.storms.iter().enumerate() {
        let desks: Result<Vec<_>, _> = storm.clients.iter().map(|p| desk(*p).map(Arc::new)).collect();
        let codes = codes(card, storm, storm.keys / 2);
        let prefix = format!("storm-{start}-{n}");
        let told =
            loose(storm, (&desks?, None), (card, &codes), &prefix, Moment::Answers(usize::MAX)).await?;
        let after = if plan.known { to_the_end(&desk(Any)?, card, &prefix).await } else { Ok(Vec::new()) };
        let (after, broken) = after.map_or_else(|why| (Vec::new(), Some(why)), |after| (after, None));
        done.push(Done { name: storm.name.to_owned(), storm, told, after, alone: false, broken });
    }
    let log = log(&arguments.sigillo, (home, url), &run.directory)?;
    let mut judged = done.iter().map(|done| judge(&log, done)).collect::<Result<Vec<_>, _>>()?;
    if let Some(last) = judged.last_mut() {
        last.add(&plan.left_out());
    }
    Ok(judged)
}

/// The log as the auditor exports it.
fn log(
    sigillo: &Path,
    (home, url): (&Path, &str),
    directory: &Path,
) -> Result<Vec<serde_json::Value>, String> {
    let sigillo = fs::canonicalize(sigillo).map_err(|e| format!("{}: {e}", sigillo.display()))?;
    let file = directory.join("log.ndjson");
    ground::export(&sigillo, home, url, &file)?;
    events(&fs::read_to_string(&file).map_err(|e| e.to_string())?)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    const TEAMS: [&str; 6] = ["1", "2", "3", "4", "5", "6"];

    /// The plan for so many cards, with their codes or without.
    fn plan(cards: usize, known: bool) -> Result<Plan, String> {
        let mut words = vec!["prove", "--only", "guess-limit", "--url", "u", "--home", "h"];
        for team in TEAMS.iter().take(cards) {
            words.extend(["--team", team]);
            words.extend(known.then_some(["--code", "12345678"]).into_iter().flatten());
        }
        Plan::of(&Arguments::try_parse_from(words).unwrap())
    }

    #[test]
    fn each_storm_has_a_card_of_its_own_and_the_others_are_named() {
        let five = plan(5, true).unwrap();
        let mut teams: Vec<_> = five.storms.iter().map(|(_, card)| card.team.as_str()).collect();
        teams.dedup();
        assert_eq!((teams.len(), five.storms.len(), five.left_out()), (5, 5, String::new()));
        assert!(five.storms.iter().all(|(_, card)| card.cip == "12345678"));
        let one = plan(1, true).unwrap();
        assert_eq!(one.storms.len(), 1);
        assert_eq!(one.left_out().matches('"').count(), 8, "{}", one.left_out());
        let three = plan(3, false).unwrap();
        assert!(three.storms.iter().all(|(storm, card)| !storm.right && card.cip == NO_CODE));
        assert_eq!(three.left_out().matches('"').count(), 4, "{}", three.left_out());
        for (cards, known) in [(6, true), (4, false)] {
            assert!(plan(cards, known).is_err(), "{cards} cards, known: {known}");
        }
    }
}
