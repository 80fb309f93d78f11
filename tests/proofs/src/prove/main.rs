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

use std::{fs, path::PathBuf, process::ExitCode};

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use sigillo_proofs::{
    claim::Claim,
    report::{self, About},
};

use crate::{list::PROOFS, state::State};

/// Puts what Sigillo claims about itself to the proof, on this machine, and writes report.md and report.json.
#[derive(Debug, Parser)]
#[command(after_help = "\
Examples:
  make prove                                  every proof in full: hours
  make prove SHORT=1                          every proof, with fewer rounds
  target/release/prove --list                 what there is, and what each does not cover
  target/release/prove --short --only guess-limit
  target/release/prove --only guess-limit --url https://127.0.0.1:8443 --home demo --team 80380001200000000015

A proof that is done on this commit with these programs is not run again: an interrupted run goes on where it was. With changed
files, another number of samples or another authority nothing is remembered. What --again repeats is told of in the report. Results
are in target/proofs/<commit>, with the output of every child.

Exit codes: 0 every claim holds and every control failed as it must; 1 one did not, or a proof could not be run.")]
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
    /// guess-limit: an authority that runs already, instead of one of its own. A card is locked by this. Limits of the operator in
    /// `authority.toml` may refuse most guesses before its tries do.
    #[arg(long, requires_all = ["home", "team"], value_name = "URL")]
    url: Option<String>,
    /// guess-limit: directory with `clients`: ca.pem, and .pem and .key of desk, operator and auditor.
    #[arg(long, value_name = "DIR")]
    home: Option<PathBuf>,
    /// guess-limit: TEAM number of the card to guess at.
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
    let mut good = true;
    for proof in PROOFS {
        if !arguments.only.is_empty() && !arguments.only.iter().any(|name| name == proof.name) {
            continue;
        }
        if state.done(proof.name)?.is_some() {
            if !arguments.again {
                println!("{}: done before on this commit", proof.name);
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
                good = false;
            }
        }
    }
    let mut claims = Vec::new();
    let (mut missing, mut repeated) = (Vec::new(), Vec::new());
    for proof in PROOFS {
        repeated.extend(state.repeated(proof.name)?);
        match state.done(proof.name)? {
            Some(of_proof) => claims.extend(of_proof),
            None => missing.push(proof.name),
        }
    }
    let about = About {
        commit: state.commit().into(),
        form: state.form().into(),
        machine: state::machine(),
        missing,
        repeated,
    };
    for (name, text) in
        [("report.md", report::markdown(&about, &claims)), ("report.json", report::json(&claims)?)]
    {
        let file = arguments.out.join(name);
        fs::write(&file, text).map_err(|e| format!("{}: {e}", file.display()))?;
    }
    println!("The report is {}.", arguments.out.join("report.md").display());
    Ok(good && claims.iter().all(Claim::is_shown))
}
