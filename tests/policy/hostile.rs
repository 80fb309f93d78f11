//! What somebody may put into a policy directory who has no officer's key: refused with its reason, and nothing waits,
//! overflows or is shown as something else.

use std::{fmt::Write as _, fs, os::unix::fs::symlink, path::Path};

use sigillo::policy::Policy;

use super::{broken::RULES, copy};

fn refused(set: &Path, file: &str, reason: &str) {
    let said = Policy::load(set).unwrap_err().to_string();
    assert!(said.contains(reason), "{said:?} should say {reason:?}");
    let at = if file.is_empty() { set.to_owned() } else { set.join(file) };
    assert!(said.contains(&format!("policy {}", at.display())), "{said:?} should name {}", at.display());
}

#[test]
fn links_and_pipes_in_a_set_are_refused_and_the_set_itself_may_be_reached_by_a_link() {
    let elsewhere = copy();
    for file in ["authority.toml", "templates", "courier", "templates/notes.md"] {
        let set = copy();
        let (at, kept) = (set.path().join(file), elsewhere.path().join(file));
        match fs::symlink_metadata(&at) {
            Ok(about) if about.is_dir() => fs::remove_dir_all(&at).unwrap(),
            Ok(_) => fs::remove_file(&at).unwrap(),
            Err(_) => {}
        }
        symlink(kept, &at).unwrap();
        refused(set.path(), file, "a symbolic link");
    }
    for file in ["notes.md", "rules/pipe.cedar", "courier-pipe"] {
        let set = copy();
        let mode = rustix::fs::Mode::RWXU;
        rustix::fs::mkfifoat(rustix::fs::CWD, set.path().join(file), mode).unwrap();
        refused(set.path(), file, "not a regular file");
    }
    let by_link = elsewhere.path().join("..").join(format!("sigillo-set-{}", std::process::id()));
    symlink(elsewhere.path(), &by_link).unwrap();
    let loaded = Policy::load(&by_link);
    fs::remove_file(&by_link).unwrap();
    assert_eq!(loaded.unwrap().digest(), Policy::load(elsewhere.path()).unwrap().digest());
}

#[test]
fn a_set_has_limits_of_number_length_and_depth() {
    let set = copy();
    for n in 0..1000 {
        fs::write(set.path().join(format!("{n}.md")), "").unwrap();
    }
    refused(set.path(), "", "more than 1000 files and directories");

    let set = copy();
    let long = |n: usize| "x".repeat(n << 20);
    fs::write(set.path().join("long.md"), long(4)).unwrap();
    Policy::load(set.path()).unwrap();
    fs::write(set.path().join("long.md"), long(4) + "x").unwrap();
    refused(set.path(), "long.md", "longer than 4194304 bytes");
    fs::remove_file(set.path().join("long.md")).unwrap();
    // The list of a whole country's operators is longer.
    let operators = fs::read_to_string(set.path().join("operators.toml")).unwrap();
    let padded = |n: usize| operators.clone() + &format!("# {}\n", "x".repeat(1000)).repeat(n);
    fs::write(set.path().join("operators.toml"), padded(20_000)).unwrap();
    Policy::load(set.path()).unwrap();
    fs::write(set.path().join("operators.toml"), padded(34_000)).unwrap();
    refused(set.path(), "operators.toml", "longer than 33554432 bytes");
    fs::write(set.path().join("operators.toml"), operators).unwrap();
    for n in 0..12 {
        fs::write(set.path().join(format!("{n}.md")), long(4)).unwrap();
    }
    refused(set.path(), "", "more than 50331648 bytes in all");

    let set = copy();
    let deep = set.path().join("templates/1/2/3");
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("notes.md"), "four directories deep").unwrap();
    Policy::load(set.path()).unwrap();
    fs::create_dir(deep.join("4")).unwrap();
    refused(set.path(), "templates/1/2/3/4", "more than 4 directories deep");
}

#[test]
fn what_is_not_shown_as_it_is_is_refused_with_its_line() {
    for (file, text) in [
        (RULES, "\n// allowed \u{202e}\n"),
        (RULES, "\n// \u{2066}\n"),
        (RULES, "\n// a\rpermit(principal, action, resource);\n"),
        (RULES, "\n// \u{1b}[2K\n"),
        (RULES, "\n// \u{9b}\n"),
        (RULES, "\n// \u{2028}permit\n"),
        ("operators.toml", "\n# \u{200f}\n"),
        ("templates/trento.toml", "\n# \u{200e}\n"),
        ("callers.toml", "\n# a\rb\n"),
    ] {
        let set = copy();
        let old = fs::read_to_string(set.path().join(file)).unwrap();
        let lines = old.matches('\n').count();
        fs::write(set.path().join(file), old + text).unwrap();
        refused(set.path(), file, &format!("line {}: the character U+", lines + 2));
    }
    let set = copy();
    let (file, text) = (set.path().join(RULES), fs::read_to_string(set.path().join(RULES)).unwrap());
    fs::write(file, text.replace('\n', "\r\n") + "\t// perché è così\r\n").unwrap();
    Policy::load(set.path()).unwrap();
    fs::write(set.path().join("a\u{202e}.md"), "").unwrap();
    let said = Policy::load(set.path()).unwrap_err().to_string();
    assert!(said.contains("a\\u{202e}.md") && said.contains("not shown"), "{said}");
}

/// A rule with this condition.
fn rule(id: &str, condition: &str) -> String {
    format!("@id(\"{id}\")\nforbid (principal, action, resource) when {{ {condition} }};\n")
}

/// As a thread of the service has it.
fn on_two_mebibytes(work: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().stack_size(2 << 20).spawn(work).unwrap().join().unwrap();
}

#[test]
fn expressions_that_would_use_up_the_stack_are_refused_before_cedar_reads_them() {
    let many = 100_000;
    for (condition, reason) in [
        (format!("{}true{}", "(".repeat(many), ")".repeat(many)), "more than 32 brackets"),
        (format!("{}[]{}", "[".repeat(many), "]".repeat(many)), "more than 32 brackets"),
        ("if true then false else ".repeat(many) + "true", "more than 32 brackets or ifs"),
        ("(//)\n".repeat(many), "more than 32 brackets"),
        ("1 == 1".to_owned() + &"+1".repeat(many), "more than 200 operators"),
        ("true".to_owned() + &" && true".repeat(many), "more than 200 operators"),
        ("context".to_owned() + &".a".repeat(many), "more than 200 operators"),
        ("true } ".to_owned() + &"when { true } ".repeat(many) + "when { true", "more than 200 operators"),
    ] {
        on_two_mebibytes(move || {
            let set = copy();
            fs::write(set.path().join("rules/deep.cedar"), rule("deep", &condition)).unwrap();
            refused(set.path(), "rules/deep.cedar", reason);
        });
    }
}

#[test]
fn the_deepest_expressions_that_are_let_through_fit_on_the_stack() {
    let nest = |open: &str, inner: &str, close: &str, n: usize| open.repeat(n) + inner + &close.repeat(n);
    let mut conditions = vec![
        nest("(", "true", ")", 29),
        nest("[", "1", "]", 29) + " == []",
        nest("{\"a\": ", "1", "}", 29) + " == {}",
        "if true then false else ".repeat(30) + "true",
        nest("if (", "true", ") then true else false", 15),
        nest("[].contains(", "1", ")", 29),
        "1".to_owned() + &"+1".repeat(190) + " == 1",
        "true".to_owned() + &" && true".repeat(95),
        "context".to_owned() + &".a".repeat(190),
        "true } ".to_owned() + &"when { true } ".repeat(190) + "when { true",
        "context".to_owned() + &"[\"a\"]".repeat(190),
    ];
    let mut mixed = String::new();
    for _ in 0..15 {
        write!(mixed, "1{} == (if ", "+1".repeat(9)).unwrap();
    }
    conditions.push(mixed + "true" + &" then 1 else 2)".repeat(15));
    for condition in conditions {
        on_two_mebibytes(move || {
            let set = copy();
            fs::write(set.path().join("rules/deep.cedar"), rule("deep", &condition)).unwrap();
            // Accepted or refused by Cedar: it has come back.
            if let Err(e) = Policy::load(set.path()) {
                let said = e.to_string();
                assert!(!said.contains("more than"), "{said}");
            }
        });
    }
}
