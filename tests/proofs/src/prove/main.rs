//! `prove`: runs the proofs one after another and writes one report.
#![expect(clippy::print_stdout, reason = "the figures are what this program is for")]

mod arguments;
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
mod line;
mod list;
mod machine;
mod needs;
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

use std::{
    io::{self, ErrorKind, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use clap::Parser as _;
use indicatif::{ProgressBar, ProgressStyle};
use sigillo_proofs::{
    claim::Claim,
    report::{About, NotRun},
};

use crate::{arguments::Arguments, list::PROOFS, state::State};

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

/// Of bad options, as `sigillo` has it.
const USAGE: u8 = 64;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(e) => {
            // Help that nobody reads to its end is no failure; of a closed standard error nobody can be told.
            let _printed = e.print();
            return if e.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    if arguments.list {
        return match io::stdout().write_all(list::printed().as_bytes()) {
            Err(e) if e.kind() != ErrorKind::BrokenPipe => failed(&e.to_string(), ExitCode::FAILURE),
            Ok(()) | Err(_) => ExitCode::SUCCESS,
        };
    }
    if let Err(why) = arguments.check() {
        return failed(&why, ExitCode::from(USAGE));
    }
    match prove(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => failed(&why, ExitCode::FAILURE),
    }
}

/// Says why on standard error.
fn failed(why: &str, code: ExitCode) -> ExitCode {
    // If nobody can be told, the exit code is left.
    let _told = writeln!(io::stderr(), "prove: {why}");
    code
}

/// Whether everything that was asked for is shown.
fn prove(arguments: &Arguments) -> Result<bool, String> {
    let state = State::open(arguments)?;
    for proof in PROOFS {
        if !arguments.asks_for(proof.name) {
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
                    let mark = claim.mark();
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
        no_commit: state.no_commit().map(str::to_owned),
        date: machine::date(),
        machine: machine::machine(),
        kernel: machine::kernel(),
        against: arguments.against(),
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
    let not: Vec<_> =
        not.map(|claim| format!("{proof}: done before, {}: {}", claim.mark(), claim.claim)).collect();
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
            "p: done before, NOT SHOWN: b\np: done before, NOT SHOWN (the control was not refused): c"
        );
    }
}
