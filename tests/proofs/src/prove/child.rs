//! Proofs that are programs of their own: existing tests, run as children, their figures read from what they print.

use std::{
    fs::File,
    io::{BufRead, BufReader, ErrorKind, Write},
    path::PathBuf,
    process::{Command, Stdio},
};

use sigillo_proofs::claim::Claim;

use crate::Run;

/// What a child said.
pub(crate) struct Said {
    /// Tests that passed.
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    /// Claims that it made itself.
    pub(crate) claims: Vec<Claim>,
    /// Everything on its standard output.
    pub(crate) lines: Vec<String>,
    pub(crate) succeeded: bool,
    /// File with everything on its standard error.
    pub(crate) err: PathBuf,
}

impl Said {
    /// The files with everything that it said.
    pub(crate) fn output(&self) -> String {
        format!("{} and {}", self.err.display(), self.err.with_extension("out").display())
    }

    /// The lines with one of these words, trimmed, joined.
    pub(crate) fn with(&self, words: &[&str]) -> String {
        let lines = self.lines.iter().filter(|line| words.iter().any(|word| line.contains(word)));
        // The harness prints a test's name before what the test prints.
        let text = |line: &String| {
            line.split_once(" ... ").map_or(line.as_str(), |(_, text)| text).trim().to_owned()
        };
        lines.map(text).collect::<Vec<_>>().join("; ")
    }
}

/// Reads what a child printed.
pub(crate) fn read(lines: Vec<String>, succeeded: bool, err: PathBuf) -> Result<Said, String> {
    let mut said = Said { passed: 0, failed: 0, claims: Vec::new(), lines: Vec::new(), succeeded, err };
    for line in &lines {
        said.claims.extend(Claim::from_line(line)?);
        if let Some(result) = line.strip_prefix("test result: ") {
            let count = |word: &str| -> u64 {
                let before = result.split_once(word).map_or("", |(before, _)| before);
                before.rsplit([' ', '.', ';']).next().and_then(|text| text.parse().ok()).unwrap_or(0)
            };
            said.passed = said.passed.saturating_add(count(" passed"));
            said.failed = said.failed.saturating_add(count(" failed"));
        }
    }
    said.lines = lines;
    Ok(said)
}

/// `cargo test` of this source, optimised, with these arguments and variables.
pub(crate) fn cargo_test(
    run: &Run<'_>,
    arguments: &[&str],
    variables: &[(&str, &str)],
) -> Result<Said, String> {
    cargo_test_as(run, "proving", arguments, variables)
}

/// The same with the options of a release, whole-program optimisation among them: what the compiler makes of a comparison is what is
/// asked there. Linking takes minutes.
pub(crate) fn cargo_test_as_released(
    run: &Run<'_>,
    arguments: &[&str],
    variables: &[(&str, &str)],
) -> Result<Said, String> {
    cargo_test_as(run, "release", arguments, variables)
}

fn cargo_test_as(
    run: &Run<'_>,
    profile: &str,
    arguments: &[&str],
    variables: &[(&str, &str)],
) -> Result<Said, String> {
    let mut command = Command::new("cargo");
    command.args(["test", "--profile", profile, "--locked"]).args(arguments).envs(variables.iter().copied());
    run_child(run, command, &named(arguments))
}

/// What the output of these tests is kept as: several calls of one proof must not write over each other's.
fn named(arguments: &[&str]) -> String {
    let words = arguments.iter().filter(|word| !word.starts_with('-')).map(|word| word.trim_end_matches(':'));
    let named = words.collect::<Vec<_>>().join("-");
    if named.is_empty() { "all".into() } else { named }
}

/// Runs a child to its end; its whole output is kept beside the result.
pub(crate) fn run_child(run: &Run<'_>, mut command: Command, name: &str) -> Result<Said, String> {
    let file = |kind: &str| run.directory.join(format!("{name}.{kind}"));
    let told = |e: std::io::Error| format!("{name}: {e}");
    let err = file("err");
    let log = File::create(&err).map_err(told)?;
    command.current_dir(&run.arguments.root).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child = command.spawn().map_err(|e| not_started(&program, name, &e))?;
    let mut out = File::create(file("out")).map_err(told)?;
    let mut lines = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines() {
            let line = line.map_err(told)?;
            writeln!(out, "{line}").map_err(told)?;
            run.bar.set_message(line.clone());
            lines.push(line);
        }
    }
    let status = child.wait().map_err(told)?;
    read(lines, status.success(), err)
}

/// A child that could not be started: its program, and what it was for.
fn not_started(program: &str, name: &str, e: &std::io::Error) -> String {
    let hint = if e.kind() == ErrorKind::NotFound { "; is it installed, and in PATH?" } else { "" };
    format!("{program} ({name}): {e}{hint}")
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use indicatif::ProgressBar;

    use super::*;
    use crate::arguments::Arguments;

    #[test]
    fn each_call_of_a_proof_has_output_of_its_own() {
        assert_eq!(
            named(&["-p", "sigillo", "--test", "api", "crash::", "--", "--nocapture"]),
            "sigillo-api-crash"
        );
        assert_eq!(named(&["-p", "sigillo", "--test", "store", "kill::"]), "sigillo-store-kill");
        assert_eq!(named(&["--workspace"]), "all");
    }

    #[test]
    fn figures_are_read_from_what_tests_print() {
        let lines = [
            "test crash::a ... 6 kills, 40 answers, all in the log",
            "ok",
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured",
            r#"test b ... claim {"proof":"p","claim":"c","figure":"1","bound":"2","holds":true,"control_failed_as_it_must":true}"#,
            "test result: FAILED. 3 passed; 2 failed; 0 ignored",
        ];
        let said = read(lines.map(str::to_owned).to_vec(), false, PathBuf::new()).unwrap();
        assert_eq!((said.passed, said.failed, said.claims.len()), (15, 2, 1));
        assert_eq!(said.with(&["kills"]), "6 kills, 40 answers, all in the log");
        assert!(read(vec!["claim {".into()], true, PathBuf::new()).is_err());
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let why = std::io::Error::from(ErrorKind::NotFound);
        let why = not_started("cargo", "service", &why);
        assert!(why.starts_with("cargo (service): ") && why.contains("in PATH?"), "{why}");
        let why = not_started("cargo", "service", &std::io::Error::from(ErrorKind::PermissionDenied));
        assert!(!why.contains("PATH"), "{why}");
    }

    #[test]
    fn what_a_child_says_of_its_failure_is_kept_in_a_file_that_is_named() {
        let (arguments, bar) = (Arguments::try_parse_from(["prove"]).unwrap(), ProgressBar::hidden());
        let directory = tempfile::tempdir().unwrap();
        let run = Run { arguments: &arguments, bar: &bar, directory: directory.path().into(), proof: "p" };
        let mut fails = Command::new("sh");
        fails.args(["-c", "echo said; echo why >&2; exit 1"]);
        let said = run_child(&run, fails, "fails").unwrap();
        assert!(!said.succeeded && said.lines == ["said"]);
        assert_eq!(std::fs::read_to_string(&said.err).unwrap(), "why\n");
        let out = directory.path().join("fails.out");
        assert_eq!(std::fs::read_to_string(&out).unwrap(), "said\n");
        assert_eq!(said.output(), format!("{} and {}", said.err.display(), out.display()));
    }
}
