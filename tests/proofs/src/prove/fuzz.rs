//! What strangers, files and cards may say: every fuzz target for a time, and one that must fail.

use std::{fs, path::Path, process::Command};

use serde::Deserialize;
use sigillo_proofs::claim::Claim;

use crate::{Run, child::run_child};

/// Fewer inputs show nothing. A policy set is some milliseconds' work.
const LEAST: u64 = 1_000;
const LEAST_IN_SHORT: u64 = 100;
/// The target that must fail.
const PLANTED: &str = "planted";

/// What `fuzz/run.sh` says of a target once its time is over.
#[derive(Debug, PartialEq, Eq, Deserialize)]
struct Total {
    target: String,
    executions: u64,
    /// Inputs that are kept, each of which has gone a way of its own.
    corpus: u64,
    finding: bool,
}

impl Total {
    const fn holds(&self, least: u64) -> bool {
        !self.finding && self.executions >= least
    }

    fn figure(&self) -> String {
        let Self { target: _, executions, corpus, finding } = self;
        let found = if *finding { "A FINDING" } else { "no finding" };
        format!("{executions} executions, corpus {corpus}, {found}")
    }
}

/// The totals among the lines of a run.
fn totals(lines: &[String]) -> Result<Vec<Total>, String> {
    let lines = lines.iter().filter(|line| line.starts_with('{'));
    lines.map(|line| serde_json::from_str(line).map_err(|e| format!("not a total: {e}: {line}"))).collect()
}

/// The targets that there are, but for the one that must fail: the programs of the package.
fn targets(manifest: &str) -> Vec<&str> {
    let programs = manifest.split("[[bin]]").skip(1);
    let names =
        programs.filter_map(|program| program.lines().find_map(|line| line.strip_prefix("name = \"")));
    names.filter_map(|name| name.strip_suffix('"')).filter(|name| *name != PLANTED).collect()
}

/// Runs the targets as `make fuzz` does. Ending with a finding is an answer too; ending without a word is none.
fn fuzz(run: &Run<'_>, name: &str, variables: &[(&str, &Path)]) -> Result<Vec<Total>, String> {
    let mut script = Command::new("sh");
    // Whoever calls may have named some of the targets for `make fuzz`.
    for variable in ["FUZZ_TARGETS", "FUZZ_KEPT", "FUZZ_SECONDS"] {
        script.env_remove(variable);
    }
    script.arg("fuzz/run.sh").envs(variables.iter().copied());
    let said = run_child(run, script, name)?;
    let totals = totals(&said.lines)?;
    if totals.is_empty() || said.succeeded == totals.iter().any(|total| total.finding) {
        return Err(format!("fuzz/run.sh did not come to its end: {} says why", said.err.display()));
    }
    Ok(totals)
}

/// One claim for each target.
pub(crate) fn prove(run: &Run<'_>) -> Result<Vec<Claim>, String> {
    let (seconds, least) = if run.arguments.short { ("10", LEAST_IN_SHORT) } else { ("600", LEAST) };
    // What it finds is no finding of this source: it has a place of its own.
    let kept = std::path::absolute(run.directory.join("planted")).map_err(|e| e.to_string())?;
    let variables =
        [("FUZZ_TARGETS", Path::new(PLANTED)), ("FUZZ_KEPT", &kept), ("FUZZ_SECONDS", Path::new("60"))];
    let planted = fuzz(run, "planted", &variables)?.iter().any(|total| total.finding);
    let claim = |total: &Total| {
        run.claim(
            format!(
                "whatever is said to `{}`, nothing panics, and what is written of what was taken is read again as the same",
                total.target
            ),
            (total.figure(), format!("no finding, at least {least} executions")),
            total.holds(least),
            Some(planted),
        )
    };
    let totals = fuzz(run, "targets", &[("FUZZ_SECONDS", Path::new(seconds))])?;
    let manifest = run.arguments.root.join("fuzz/Cargo.toml");
    let manifest = fs::read_to_string(&manifest).map_err(|e| format!("{}: {e}", manifest.display()))?;
    let run: Vec<_> = totals.iter().map(|total| total.target.as_str()).collect();
    if run.is_empty() || run != targets(&manifest) {
        return Err(format!("{} were run, of {}", run.join(", "), targets(&manifest).join(", ")));
    }
    Ok(totals.iter().map(claim).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_program_but_the_planted_one_is_a_target() {
        let manifest = include_str!("../../../../fuzz/Cargo.toml");
        let targets = targets(manifest);
        assert_eq!(targets.len() + 1, manifest.matches("[[bin]]").count());
        assert!(targets.contains(&"audit_file") && !targets.contains(&PLANTED), "{targets:?}");
    }

    #[test]
    fn totals_are_read_among_other_lines() {
        let lines = [
            "built",
            r#"{"target":"body","at":"2026-11-29T17:00:00Z","seconds":10,"executions":1000,"corpus":7,"finding":false}"#,
            r#"{"target":"record","at":"2026-11-29T17:00:10Z","seconds":10,"executions":999,"corpus":7,"finding":false}"#,
            r#"{"target":"planted","at":"2026-11-29T17:00:20Z","seconds":10,"executions":5000,"corpus":7,"finding":true}"#,
        ];
        let totals = totals(&lines.map(str::to_owned)).unwrap();
        assert_eq!(totals.iter().map(|total| total.holds(LEAST)).collect::<Vec<_>>(), [true, false, false]);
        assert_eq!(totals[0].figure(), "1000 executions, corpus 7, no finding");
        assert!(totals[2].figure().ends_with("A FINDING"));
        assert!(super::totals(&["{\"target\":1}".to_owned()]).is_err());
    }
}
