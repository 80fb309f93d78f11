//! `sigillo policy`: what security officers do with a policy set.

pub mod activate;
pub mod check;
pub mod diff;
pub mod explain;
pub mod sign;
pub mod table;

use std::{io::Write, path::Path};

use super::Failure;
use crate::{
    domain::{
        date::{CivilDate, Moment},
        team::Region,
    },
    policy::{Action, Asks, OPERATORS_ACTIONS, Policy, Proof},
};

/// `sigillo policy ...`
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Put a signed policy set in the place of the one that `serve` reads.
    #[command(after_help = activate::HELP)]
    Activate(activate::Args),
    /// Check a set as `serve` does, and say how likely a guess of each code is.
    #[command(after_help = check::HELP)]
    Check(check::Args),
    /// Say what a new set changes: parameters, rules, operators, and decisions of the new set's table.
    #[command(after_help = diff::HELP)]
    Diff(diff::Args),
    /// Say which rule decides what an operator asks for.
    #[command(after_help = explain::HELP)]
    Explain(explain::Args),
    /// Sign a policy set, as an officer.
    #[command(after_help = sign::HELP)]
    Sign(sign::Args),
    /// Compare what the rules decide with what `rules/expected.toml` expects.
    #[command(after_help = table::HELP)]
    Test(table::Args),
}

/// Runs the command and writes its report to `out`.
pub fn run(command: &Command, out: &mut impl Write) -> Result<(), Failure> {
    match command {
        Command::Activate(args) => activate::run(args, out),
        Command::Check(args) => check::run(args, out),
        Command::Diff(args) => diff::run(args, out),
        Command::Explain(args) => explain::run(args, out),
        Command::Sign(args) => sign::run(args, out),
        Command::Test(args) => table::run(args, out),
    }
}

fn load(directory: &Path) -> Result<Policy, Failure> {
    Policy::load(directory).map_err(Failure::config)
}

fn line(out: &mut impl Write, text: impl std::fmt::Display) -> Result<(), Failure> {
    writeln!(out, "{text}").map_err(Failure::failed)
}

/// One of the actions that operators ask for.
fn action(text: &str) -> Result<Action, String> {
    OPERATORS_ACTIONS.into_iter().find(|action| action.text() == text).ok_or_else(|| {
        let known: Vec<_> = OPERATORS_ACTIONS.iter().map(|action| action.text()).collect();
        format!(
            "no action of operators (the others are decided by callers.toml alone); there are {}",
            known.join(", ")
        )
    })
}

fn region(text: &str) -> Result<Region, String> {
    let region: Region = text.parse().map_err(|e: crate::domain::team::BadNumber| e.to_string())?;
    if region.name().is_none() {
        return Err(format!("no such region; there are {}", Region::codes()));
    }
    Ok(region)
}

/// What a request names beside the card.
fn proof(text: &str) -> Result<Proof, String> {
    match text {
        "approval" => Ok(Proof::Approval),
        "verification" => Ok(Proof::Verification),
        _ => Err("a proof is verification or approval".into()),
    }
}

/// Refuses what this action does not ask for.
fn check_asks(action: Action, asks: Asks) -> Result<(), &'static str> {
    if asks.operators && !matches!(action, Action::ReadHistory | Action::ReadReports) {
        return Err("only histories and reports ask for more");
    }
    if asks.all_offices && action != Action::ReadReports {
        return Err("only a report is about offices");
    }
    Ok(())
}

/// The state of a card as rules see it.
fn state(text: &str) -> Result<String, String> {
    if ["registered", "active", "held", "revoked"].contains(&text) {
        Ok(text.to_owned())
    } else {
        Err("a state is registered, active, held or revoked".into())
    }
}

/// A moment in Italy, `YYYY-MM-DDTHH:MM`.
fn moment(text: &str) -> Result<Moment, String> {
    let bad = || "a moment is written YYYY-MM-DDTHH:MM, in Italy".to_owned();
    let (date, time) = text.split_once('T').ok_or_else(bad)?;
    let date: CivilDate = date.parse().map_err(|_| bad())?;
    let (hour, minute) = time.split_once(':').ok_or_else(bad)?;
    let number = |text: &str, below: i64| match text.parse::<u8>().map(i64::from) {
        Ok(n) if text.len() == 2 && n < below => Ok(n),
        Ok(_) | Err(_) => Err(bad()),
    };
    let minute = number(hour, 24)?.saturating_mul(60).saturating_add(number(minute, 60)?);
    Ok(Moment { date, minute, weekday: date.weekday() })
}
