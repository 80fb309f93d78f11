//! `sigillo policy check`: whether a set is accepted, and how well its codes resist guessing.

use std::{io::Write, path::PathBuf};

use crate::{
    cli::Failure,
    domain::template::{CodeName, Part, Template},
};

pub(super) const HELP: &str = "\
Examples:
  sigillo policy check policies
  sigillo policy check policies --json

For each template and code: the chance to guess the code before its tries are used up, for somebody with the paper,
with the message, and with neither. The C.I.P. has the template's tries in a life; a PIN or PUK has what its chip
gives it, so one guess is shown.

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

/// A code of a template, and how many guesses one needs at most, by what one holds.
struct Guess {
    template: String,
    code: CodeName,
    tries: u32,
    paper: f64,
    message: f64,
    neither: f64,
}

/// The chance of at least one hit: distinct guesses among all codes of so many digits.
fn chance(tries: u32, digits: u8) -> f64 {
    (f64::from(tries) / 10_f64.powi(i32::from(digits))).min(1.0)
}

fn guesses(template: &Template) -> Vec<Guess> {
    let of = |code: CodeName| {
        let shape = template.shape(code)?;
        let (first, second) = (shape.length(Part::First), shape.length(Part::Second));
        let tries = if code == CodeName::Cip { template.tries().lifetime } else { 1 };
        Some(Guess {
            template: template.id().to_string(),
            code,
            tries,
            paper: chance(tries, second),
            message: chance(tries, first),
            neither: chance(tries, first.saturating_add(second)),
        })
    };
    CodeName::ALL.into_iter().filter_map(of).collect()
}

pub(super) fn run(args: &Args, out: &mut impl Write) -> Result<(), Failure> {
    let policy = super::load(&args.directory)?;
    let expected = super::table::read(&args.directory, &policy)?.len();
    let limit = f64::from(policy.parameters().warn_above_ppm) / 1_000_000.0;
    let found: Vec<Guess> = policy.templates().flat_map(guesses).collect();
    let is_over = |guess: &Guess| [guess.paper, guess.message, guess.neither].iter().any(|p| *p > limit);
    if args.json {
        let list: Vec<_> = found
            .iter()
            .map(|guess| {
                serde_json::json!({
                    "template": guess.template, "code": guess.code.text(), "tries": guess.tries,
                    "paper": guess.paper, "message": guess.message, "neither": guess.neither,
                    "warning": is_over(guess),
                })
            })
            .collect();
        return super::line(
            out,
            serde_json::json!({
                "digest": &**policy.digest(), "sequence": policy.parameters().sequence,
                "operators": policy.operators().len(), "rules": policy.rules().count(),
                "expected_decisions": expected, "warn_above": limit, "guesses": list,
            }),
        );
    }
    let (operators, rules) = (policy.operators().len(), policy.rules().count());
    let sequence = policy.parameters().sequence;
    super::line(out, format_args!("accepted: set {sequence}, {rules} rules, {operators} operators"))?;
    super::line(out, format_args!("digest {}", policy.digest()))?;
    super::line(out, "chance to guess a code, with the paper, with the message, with neither:")?;
    for guess in &found {
        let Guess { template, code, tries, paper, message, neither } = guess;
        let warning = if is_over(guess) { "  WARNING: above guess.warn_above_ppm" } else { "" };
        let row = format!(
            "  {template:10} {code}  {tries:3} tries  {paper:.1e}  {message:.1e}  {neither:.1e}{warning}"
        );
        super::line(out, row)?;
    }
    Ok(())
}
