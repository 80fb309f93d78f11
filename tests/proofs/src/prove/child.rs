//! Proofs that are programs of their own: existing tests, run as children, their figures read from what they print.

use std::{
    fs::File,
    io::{BufRead, BufReader, Write},
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
}

impl Said {
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
pub(crate) fn read(lines: Vec<String>, succeeded: bool) -> Result<Said, String> {
    let mut said = Said { passed: 0, failed: 0, claims: Vec::new(), lines: Vec::new(), succeeded };
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
    run_child(run, command, arguments.iter().find(|word| !word.starts_with('-')).copied().unwrap_or("all"))
}

/// Runs a child to its end; its whole output is kept beside the result.
pub(crate) fn run_child(run: &Run<'_>, mut command: Command, name: &str) -> Result<Said, String> {
    let file = |kind: &str| run.directory.join(format!("{name}.{kind}"));
    let told = |e: std::io::Error| format!("{name}: {e}");
    let log = File::create(file("err")).map_err(told)?;
    command.current_dir(&run.arguments.root).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
    let mut child = command.spawn().map_err(told)?;
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
    read(lines, status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_from_what_tests_print() {
        let lines = [
            "test crash::a ... 6 kills, 40 answers, all in the log",
            "ok",
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured",
            r#"test b ... claim {"proof":"p","claim":"c","figure":"1","bound":"2","holds":true,"control_failed_as_it_must":true}"#,
            "test result: FAILED. 3 passed; 2 failed; 0 ignored",
        ];
        let said = read(lines.map(str::to_owned).to_vec(), false).unwrap();
        assert_eq!((said.passed, said.failed, said.claims.len()), (15, 2, 1));
        assert_eq!(said.with(&["kills"]), "6 kills, 40 answers, all in the log");
        assert!(read(vec!["claim {".into()], true).is_err());
    }
}
