//! `prove`: runs the proofs one after another and writes one report.
#![expect(clippy::print_stdout, reason = "the figures are what this program is for")]

mod awake;
mod blows;
mod calls;
mod child;
mod code;
mod cold;
mod damage;
mod field;
mod front_ends;
mod fuzz;
mod ground;
mod guess_limit;
mod letters;
#[path = "../../../support/limits.rs"]
mod limits;
mod line;
mod list;
mod pairs;
mod power;
mod process;
mod rig;
mod series;
mod state;
mod stock;
mod storm;
mod storms;
mod suites;
mod takeover;
mod tampering;
mod tap;
mod together;
mod trouble;
mod wire;
mod written;

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use sigillo_proofs::{
    claim::Claim,
    report::{About, NotRun},
};

use crate::{list::PROOFS, state::State};

/// Puts what Sigillo claims about itself to the proof, on this machine, and writes report.md and report.json.
#[derive(Debug, Parser)]
#[command(after_help = "\
Examples:
  make prove                                  every proof in full: about four hours on two cores
  make prove SHORT=1                          about 20 minutes, and for no decision: see below
  make prove ONLY='guess-limit guess-model'   one proof or several
  target/release/prove --list                 what there is and what is not covered: look here first
  target/release/prove --short --only guess-limit
  target/release/prove --only guess-limit --url https://127.0.0.1:8443 --home demo \\
      --team 80380000306749700290             a card of demo/cards.ndjson; what to lift first: --url

This program is built by `make deps` and `cargo build --release --locked --workspace --bins`. The proofs take the ports of a \
demonstration (8443 and others): none may run beside them.

The short form has fewer rounds and wider bounds, and leaves out the disk that does not come back, the API over p11-kit, 85 of 97 \
values of the token's module, and all tests but those of service and domain. It shows that the proofs run; for a decision take the \
full form.

A proof that is done on this commit with these programs is not run again: an interrupted run goes on where it was. Failures are \
remembered too: `--again --only NAME`. With changed files, without git, with another number of samples or another authority nothing \
is remembered. What --again repeats is told of in the report. Results are in target/proofs/<commit>, with the output of every child; \
report.md, report.json (the claims) and report-run.json (how the run was) are in target/proofs. A run with --url, --tuples, --pairs \
or --cards writes report-altered.md, report-altered.json and report-altered-run.json instead: it takes the place of no other report.

Exit codes, of the whole report, with what was done before: 0 every claim holds and every control failed as it must; 1 one did not, \
or a proof could not be run.")]
pub(crate) struct Arguments {
    /// The short form of each proof.
    #[arg(long)]
    short: bool,
    /// Only these proofs; may be given more than once.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Names the proofs and ends.
    #[arg(long)]
    list: bool,
    /// Runs proofs again that are done.
    #[arg(long)]
    again: bool,
    /// time-on-wire: so many tuples instead of 12,000, or 1,000 in short.
    #[arg(long, value_name = "NUMBER")]
    tuples: Option<usize>,
    /// time-of-pairs: so many pairs, in rounds of 45, instead of 40,000, or 450 in short.
    #[arg(long, value_name = "NUMBER")]
    pairs: Option<usize>,
    /// time-of-cold-caches: so many cards instead of 1,000,000, or 10,000 in short.
    #[arg(long, value_name = "NUMBER")]
    cards: Option<u64>,
    /// Root of the source.
    #[arg(long, default_value = ".")]
    root: PathBuf,
    /// Where results and report are written.
    #[arg(long, default_value = "target/proofs")]
    out: PathBuf,
    /// The program to prove.
    #[arg(long, default_value = "target/release/sigillo")]
    sigillo: PathBuf,
    /// guess-limit: an authority that runs already, instead of one of its own. A card is locked by this. `[limits.operator]` and
    /// `[limits.office]` of its `authority.toml` have to be lifted (of a demonstration: `demo --for-load --keep-running`): as shipped
    /// they refuse guesses before the card's tries are used up, and then nothing is shown.
    #[arg(long, requires_all = ["home", "team"], value_name = "URL")]
    url: Option<String>,
    /// guess-limit: directory with `clients`: ca.pem, and .pem and .key of desk, operator and auditor.
    #[arg(long, value_name = "DIR")]
    home: Option<PathBuf>,
    /// guess-limit: TEAM number of the card to guess at: one that is registered there, of a template with 5 wrong guesses in a row
    /// and 100 in a life, as shipped.
    #[arg(long, value_name = "NUMBER")]
    team: Option<String>,
    /// guess-limit: its C.I.P., if it is known: the right code is hidden among the wrong ones then.
    #[arg(long, value_name = "DIGITS")]
    code: Option<String>,
}

/// What a proof is run with.
pub(crate) struct Run<'a> {
    pub(crate) arguments: &'a Arguments,
    /// Says how far it has come.
    pub(crate) bar: &'a ProgressBar,
    /// For its own files; empty at its start.
    pub(crate) directory: PathBuf,
    pub(crate) proof: &'static str,
}

impl Run<'_> {
    /// A claim of this proof.
    pub(crate) fn claim(
        &self,
        claim: impl Into<String>,
        (figure, bound): (String, String),
        holds: bool,
        control: Option<bool>,
    ) -> Claim {
        Claim {
            proof: self.proof.into(),
            claim: claim.into(),
            figure,
            bound,
            holds,
            control_failed_as_it_must: control,
        }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.list {
        for proof in PROOFS {
            println!("{}\n    {}\n    Not covered: {}", proof.name, proof.what, proof.not_covered);
        }
        return ExitCode::SUCCESS;
    }
    match prove(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            println!("prove: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Whether everything that was asked for is shown.
fn prove(arguments: &Arguments) -> Result<bool, String> {
    let known: Vec<_> = PROOFS.iter().map(|proof| proof.name).collect();
    if let Some(other) = arguments.only.iter().find(|name| !known.contains(&name.as_str())) {
        return Err(format!("no proof {other:?}; there are {}", known.join(", ")));
    }
    let state = State::open(arguments)?;
    for proof in PROOFS {
        if !arguments.only.is_empty() && !arguments.only.iter().any(|name| name == proof.name) {
            continue;
        }
        if let Some(claims) = state.done(proof.name)? {
            if !arguments.again {
                println!("{}", done_before(proof.name, &claims));
                continue;
            }
            state.put_aside(proof.name)?;
        }
        let bar = ProgressBar::new(1).with_style(
            ProgressStyle::with_template("{prefix} {bar:20} {elapsed} {wide_msg}")
                .map_err(|e| e.to_string())?,
        );
        bar.set_prefix(proof.name);
        bar.enable_steady_tick(std::time::Duration::from_millis(500));
        let run = Run { arguments, bar: &bar, directory: state.directory_of(proof.name)?, proof: proof.name };
        let result = (proof.run)(&run);
        bar.finish_and_clear();
        match result {
            Ok(claims) => {
                for claim in &claims {
                    let mark = if claim.is_shown() { "shown" } else { "NOT SHOWN" };
                    println!(
                        "{}: {mark}: {} ({}; bound {})",
                        proof.name, claim.claim, claim.figure, claim.bound
                    );
                }
                state.keep(proof.name, &claims)?;
            }
            Err(why) => {
                println!("{}: could not be run: {why}", proof.name);
                state.not_run(proof.name, &why)?;
            }
        }
    }
    let mut claims = Vec::new();
    let (mut not_run, mut repeated) = (Vec::new(), Vec::new());
    for proof in PROOFS {
        repeated.extend(state.repeated(proof.name)?);
        match state.done(proof.name)? {
            Some(of_proof) => claims.extend(of_proof),
            None => not_run.push(NotRun { proof: proof.name, why: state.why_not(proof.name)? }),
        }
    }
    let about = About {
        commit: state.commit().into(),
        form: state.form().into(),
        machine: state::machine(),
        proofs: PROOFS.len(),
        not_run,
        repeated,
    };
    let altered = state.is_altered();
    let file = written::write(&arguments.out, altered, &about, &claims)?;
    println!("{}", written::said(&file, altered));
    Ok(about.is_good(&claims))
}

/// What is said of a proof that is not run again: what was not shown then is not shown now.
fn done_before(proof: &str, claims: &[Claim]) -> String {
    let not = claims.iter().filter(|claim| !claim.is_shown());
    let not: Vec<_> = not.map(|claim| format!("{proof}: done before, NOT SHOWN: {}", claim.claim)).collect();
    if not.is_empty() { format!("{proof}: done before on this commit") } else { not.join("\n") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_shown_is_said_again() {
        let claim = |claim: &str, holds, control_failed_as_it_must| Claim {
            proof: "p".into(),
            claim: claim.into(),
            figure: String::new(),
            bound: String::new(),
            holds,
            control_failed_as_it_must,
        };
        let (good, bad, blind) =
            (claim("a", true, None), claim("b", false, Some(true)), claim("c", true, Some(false)));
        assert_eq!(done_before("p", std::slice::from_ref(&good)), "p: done before on this commit");
        assert_eq!(
            done_before("p", &[good, bad, blind]),
            "p: done before, NOT SHOWN: b\np: done before, NOT SHOWN: c"
        );
    }
}
