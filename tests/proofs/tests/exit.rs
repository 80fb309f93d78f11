//! How `prove` ends, where it runs nothing.
#![expect(clippy::unwrap_used, reason = "a failed test panics")]

use std::process::{Command, Output, Stdio};

fn prove(words: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_prove"));
    command.args(words.split_whitespace()).stdin(Stdio::null());
    command
}

fn said(words: &str) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = prove(words).output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn bad_options_and_names_end_with_64_and_a_word_on_standard_error() {
    for words in
        ["--onyl fuzz", "--only fuz", "--tuples 100", "--only guess-limit --team 80380000306749700290"]
    {
        let (code, out, err) = said(words);
        assert_eq!((code, out.as_str(), err.is_empty()), (Some(64), "", false), "{words}: {err}");
    }
    let (code, _, err) = said("--only fuz");
    assert!(code == Some(64) && err.starts_with("prove: no proof \"fuz\""), "{err}");
}

#[test]
fn what_fails_says_so_on_standard_error() {
    let out = tempfile::tempdir().unwrap();
    let words = format!("--only fuzz --sigillo /not/there --out {}", out.path().display());
    let (code, out, err) = said(&words);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(err.starts_with("prove: /not/there: "), "{err}");
}

#[test]
fn a_list_that_nobody_reads_to_its_end_is_no_failure() {
    let (code, out, _) = said("--list");
    assert!(code == Some(0) && out.starts_with("guess-limit\n") && out.contains("Root: "), "{out}");
    assert_eq!(said("--help").0, Some(0));
    let (reads, writes) = std::io::pipe().unwrap();
    drop(reads);
    let Output { status, stderr, .. } =
        prove("--list").stdout(writes).stderr(Stdio::piped()).output().unwrap();
    assert_eq!((status.code(), String::from_utf8(stderr).unwrap().as_str()), (Some(0), ""));
}
