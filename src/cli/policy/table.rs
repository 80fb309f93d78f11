//! `sigillo policy test`: the officer's own table of decisions, `rules/expected.toml`.

use std::{
    collections::BTreeSet,
    io::Write,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use toml::Spanned;

use crate::{
    cli::{Failure, toml_file},
    domain::team::Region,
    policy::{Action, Asks, CardFacts, Decision, Policy, Profile, Proof, Question},
};

pub(super) const HELP: &str = "\
Examples:
  sigillo policy test policies
  sigillo policy test policies --json

Exit codes: 0 every decision is as expected; 1 some are not; 64 the set or the table is refused.";

/// The table's place in a set.
pub(super) const FILE: &str = "rules/expected.toml";

/// Arguments of `policy test`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Directory of the set.
    directory: PathBuf,
    /// Writes JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    decision: Vec<Spanned<Row>>,
}

/// An operator by what rules look at, an action, a card, and what is expected.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    roles: BTreeSet<String>,
    office: String,
    action: String,
    front_end: String,
    at: String,
    card_region: Option<String>,
    card_state: Option<String>,
    proof: Option<String>,
    #[serde(default)]
    operators: bool,
    #[serde(default)]
    all_offices: bool,
    allowed: bool,
    rules: Vec<String>,
}

impl Row {
    const fn asks(&self) -> Asks {
        Asks { operators: self.operators, all_offices: self.all_offices }
    }
}

/// A row that can be asked.
pub(super) struct Expected {
    /// Line of the table.
    pub(super) line: usize,
    action: Action,
    row: Row,
    card: Option<(Region, String)>,
    proof: Proof,
    at: crate::domain::date::Moment,
}

impl Expected {
    /// What a set decides, for its own office of that name; nobody is allowed anything in one that it does not have.
    pub(super) fn decide(&self, policy: &Policy) -> Decision {
        let Some(regions) = policy.operators().regions_of(&self.row.office) else {
            return Decision::by(false, Vec::new());
        };
        let (office, roles, regions) = (self.row.office.clone(), self.row.roles.clone(), regions.clone());
        policy.decide(&Question {
            action: self.action,
            operator: &Profile { office, roles, regions },
            front_end: &self.row.front_end,
            card: self.card.as_ref().map(|(region, state)| CardFacts { region: *region, state }),
            proof: self.proof,
            asks: self.row.asks(),
            at: self.at,
        })
    }

    fn holds(&self, decision: &Decision) -> bool {
        let mut rules = self.row.rules.clone();
        rules.sort();
        decision.allowed == self.row.allowed && decision.rules == rules
    }
}

/// The table of a set, each row checked against the set's names.
pub(super) fn read(directory: &Path, policy: &Policy) -> Result<Vec<Expected>, Failure> {
    let file = directory.join(FILE);
    let table: Table = toml_file::read(&file).map_err(Failure::config)?;
    let text = std::fs::read_to_string(&file).map_err(Failure::config)?;
    let mut rows = Vec::with_capacity(table.decision.len());
    for spanned in table.decision {
        let before = text.bytes().take(spanned.span().start);
        let line = before.filter(|b| *b == b'\n').count().saturating_add(1);
        let expected = check(spanned.into_inner(), line, policy);
        rows.push(expected.map_err(|e| Failure::config(format!("{}, line {line}: {e}", file.display())))?);
    }
    Ok(rows)
}

fn check(row: Row, line: usize, policy: &Policy) -> Result<Expected, String> {
    let action = super::action(&row.action)?;
    if policy.operators().regions_of(&row.office).is_none() {
        return Err(format!("there is no office \"{}\"", row.office));
    }
    if let Some(role) = row.roles.iter().find(|role| !policy.operators().has_role(role)) {
        return Err(format!("there is no role \"{role}\""));
    }
    if policy.caller_named(&row.front_end).is_none() {
        return Err(format!("there is no caller \"{}\"", row.front_end));
    }
    let card = match (&row.card_region, &row.card_state) {
        (Some(region), Some(state)) if action.is_on_a_card() => {
            Some((super::region(region)?, super::state(state)?))
        }
        (None, None) if !action.is_on_a_card() => None,
        (Some(_) | None, Some(_) | None) => {
            return Err(
                "card_region and card_state: every action but read_reports, stock_readers and verify has both".into()
            );
        }
    };
    super::check_asks(action, row.asks()).map_err(|e| format!("operators, all_offices: {e}"))?;
    let proof = match &row.proof {
        None => Proof::None,
        Some(text) => {
            let proof = super::proof(text)?;
            if !action.proofs().contains(&proof) {
                return Err(format!("proof: no {text} is named for {}", action.text()));
            }
            proof
        }
    };
    if let Some(rule) = row.rules.iter().find(|id| !policy.rules().any(|rule| rule.id == **id)) {
        return Err(format!("there is no rule \"{rule}\""));
    }
    Ok(Expected { line, action, card, proof, at: super::moment(&row.at)?, row })
}

pub(super) fn run(args: &Args, out: &mut impl Write) -> Result<(), Failure> {
    let policy = super::load(&args.directory)?;
    let rows = read(&args.directory, &policy)?;
    let failed: Vec<_> = rows
        .iter()
        .map(|row| (row, row.decide(&policy)))
        .filter(|(row, decision)| !row.holds(decision))
        .collect();
    if args.json {
        let list: Vec<_> = failed
            .iter()
            .map(|(row, is)| {
                serde_json::json!({
                    "line": row.line, "allowed": is.allowed, "rules": is.rules, "failed": is.failed,
                })
            })
            .collect();
        super::line(out, serde_json::json!({"decisions": rows.len(), "failed": list}))?;
    } else {
        for (row, is) in &failed {
            let expected = Decision::by(row.row.allowed, row.row.rules.clone());
            super::line(out, format_args!("line {}: expected \"{expected}\", is \"{is}\"", row.line))?;
        }
        super::line(out, format_args!("{} decisions, {} not as expected", rows.len(), failed.len()))?;
    }
    if failed.is_empty() { Ok(()) } else { Err(Failure::failed("decisions are not as expected")) }
}
