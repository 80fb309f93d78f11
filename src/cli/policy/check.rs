//! `sigillo policy check`: whether a set is accepted, and how well its codes resist guessing.

use std::{io::Write, path::PathBuf};

use crate::{
    cli::Failure,
    domain::{
        limits::{Budget, Window},
        template::{CodeName, Holder, Template},
    },
    policy::{Action, Caller, Policy, Scope},
};

pub(super) const HELP: &str = "\
Examples:
  sigillo policy check policies
  sigillo policy check policies --json

For each template and code: the chance to guess the code before its tries are used up, for somebody with the paper,
with the message, and with neither. The C.I.P. has the template's tries in a life; a PIN or PUK has what its chip
gives it, so one guess is shown.

For each template with a C.I.P.: how many right guesses one operator is expected to have in an hour and in a day who
guesses at card after card, as far as limits.operator lets them (policies/README.md has the formula).

Warned of: a code that is guessed with a chance above guess.warn_above_ppm, and a caller that may ask for what needs an
operator, and may not forward one.

Exit codes: 0 accepted, even with warnings; 64 refused, with file, line and reason.";

/// Arguments of `policy check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Directory of the set.
    directory: PathBuf,
    /// Writes JSON.
    #[arg(long)]
    json: bool,
}

/// What somebody may hold, in the order of the report.
const HOLDERS: [Holder; 3] = [Holder::Paper, Holder::Message, Holder::Neither];

/// The windows of the report on insiders.
const WINDOWS: [Window; 2] = [Window::Hour, Window::Day];

/// A code of a template, and what somebody who has one of [`HOLDERS`] may hope for.
struct Guess {
    template: String,
    code: CodeName,
    tries: u32,
    /// The chance of at least one hit within the tries of one card.
    chance: [f64; 3],
    /// Right guesses across many cards, by window; for a C.I.P. only.
    across: Option<[[f64; 3]; 2]>,
}

impl Guess {
    fn of(template: &Template, code: CodeName, operator: &Budget) -> Option<Self> {
        let one = HOLDERS.map(|holder| Some(template.shape(code)?.guess_probability(holder)));
        let [Some(paper), Some(message), Some(neither)] = one else { return None };
        let one = [paper, message, neither];
        let is_cip = code == CodeName::Cip;
        let tries = if is_cip { template.tries().lifetime } else { 1 };
        Some(Self {
            template: template.id().to_string(),
            code,
            tries,
            chance: one.map(|p| (f64::from(tries) * p).min(1.0)),
            across: is_cip.then(|| WINDOWS.map(|window| one.map(|p| operator.right_guesses(window, p)))),
        })
    }

    fn is_over(&self, limit: f64) -> bool {
        self.chance.iter().any(|p| *p > limit)
    }

    fn json(&self, limit: f64) -> serde_json::Value {
        let by_holder = |[paper, message, neither]: [f64; 3]| serde_json::json!({ "paper": paper, "message": message, "neither": neither });
        let across = self
            .across
            .map(|[hour, day]| serde_json::json!({ "per_hour": by_holder(hour), "per_day": by_holder(day) }));
        let [paper, message, neither] = self.chance;
        serde_json::json!({
            "template": self.template, "code": self.code.text(), "tries": self.tries,
            "paper": paper, "message": message, "neither": neither,
            "warning": self.is_over(limit), "across_cards": across,
        })
    }
}

/// Callers whose every request for some action is refused, since it needs an operator.
fn without_operators(policy: &Policy) -> Vec<String> {
    let lacking = policy.callers().filter(|caller| !(caller.forwards_operators() || caller.is_direct()));
    let warning = |caller: &Caller| {
        let of_operators: Vec<_> =
            caller.actions().filter(|action| action.is_an_operators()).map(Action::text).collect();
        let (name, list) = (caller.name(), of_operators.join(", "));
        (!of_operators.is_empty()).then(|| {
            format!(
                "callers.toml: \"{name}\" may ask for {list}, which needs an operator, and may not forward one: add forwards_operators = true, or take these actions out"
            )
        })
    };
    lacking.filter_map(warning).collect()
}

pub(super) fn run(args: &Args, out: &mut impl Write) -> Result<(), Failure> {
    let policy = super::load(&args.directory)?;
    let expected = super::table::read(&args.directory, &policy)?.len();
    let limit = f64::from(policy.parameters().warn_above_ppm) / 1_000_000.0;
    let operator = policy.parameters().limits.of(Scope::Operator);
    let of_template =
        |template| CodeName::ALL.into_iter().filter_map(move |code| Guess::of(template, code, operator));
    let found: Vec<Guess> = policy.templates().flat_map(of_template).collect();
    let warnings = without_operators(&policy);
    let (operators, rules) = (policy.operators().len(), policy.rules().count());
    let sequence = policy.parameters().sequence;
    if args.json {
        let list: Vec<_> = found.iter().map(|guess| guess.json(limit)).collect();
        return super::line(
            out,
            serde_json::json!({
                "digest": &**policy.digest(), "sequence": sequence, "operators": operators, "rules": rules,
                "expected_decisions": expected, "warn_above": limit, "guesses": list, "warnings": warnings,
            }),
        );
    }
    super::line(out, format_args!("accepted: set {sequence}, {rules} rules, {operators} operators"))?;
    super::line(out, format_args!("digest {}", policy.digest()))?;
    for warning in warnings {
        super::line(out, format_args!("WARNING: {warning}"))?;
    }
    super::line(out, "chance to guess a code, with the paper, with the message, with neither:")?;
    for guess in &found {
        let Guess { template, code, tries, chance: [paper, message, neither], .. } = guess;
        let warning = if guess.is_over(limit) { "  WARNING: above guess.warn_above_ppm" } else { "" };
        let row = format!(
            "  {template:10} {code}  {tries:3} tries  {paper:.1e}  {message:.1e}  {neither:.1e}{warning}"
        );
        super::line(out, row)?;
    }
    super::line(out, "right guesses of one operator at card after card, in an hour and in a day, likewise:")?;
    for Guess { template, code, across, .. } in &found {
        let Some([hour, day]) = across else { continue };
        let of = |[paper, message, neither]: &[f64; 3]| format!("{paper:.1e}  {message:.1e}  {neither:.1e}");
        super::line(out, format_args!("  {template:10} {code}  hour {}  day {}", of(hour), of(day)))?;
    }
    Ok(())
}
