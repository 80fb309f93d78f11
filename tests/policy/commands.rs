//! `sigillo policy check`, `explain`, `test` and `diff`, run on sets in files.

use std::{
    path::Path,
    process::{Command, Output},
};

use super::{copy, edit};

fn sigillo(arguments: &[&str], sets: &[&Path]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sigillo"));
    let Output { status, stdout, stderr } =
        command.arg("policy").arg(arguments[0]).args(sets).args(&arguments[1..]).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

const EXPECTED: &str = "rules/expected.toml";

#[test]
fn the_shipped_table_holds_and_a_wrong_row_is_named_by_its_line() {
    let set = copy();
    let (code, said, _) = sigillo(&["test"], &[set.path()]);
    assert_eq!((code, &*said), (0, "39 decisions, 0 not as expected\n"));
    edit(set.path(), EXPECTED, "allowed = false\nrules = []", "allowed = true\nrules = []");
    let (code, said, _) = sigillo(&["test"], &[set.path()]);
    assert_eq!(code, 1);
    let text = std::fs::read_to_string(set.path().join(EXPECTED)).unwrap();
    let row = text[..text.find("allowed = true\nrules = []").unwrap()].rfind("[[decision]]").unwrap();
    let line = text[..row].matches('\n').count() + 1;
    assert!(
        said.starts_with(&format!("line {line}: expected \"allowed by no rule\", is \"not allowed: no rule")),
        "{said}"
    );
    for (from, to, reason) in [
        ("\"counter_operator\"", "\"boss\"", "there is no role \"boss\""),
        ("\"example-office\"", "\"moon\"", "there is no office \"moon\""),
        ("\"desk\"", "\"kiosk\"", "there is no caller \"kiosk\""),
        ("\"activate\"", "\"lock\"", "no action of operators"),
        ("\"registered\"", "\"lost\"", "a state is"),
        ("T10:00", "T24:00", "a moment is written"),
        ("[\"counter_acts_in_own_regions\"]", "[\"other\"]", "there is no rule \"other\""),
        ("card_region = \"120\"\n", "", "every action but read_reports, stock_readers and verify has both"),
        ("allowed = true", "allow = true", "unknown field"),
    ] {
        let set = copy();
        edit(set.path(), EXPECTED, from, to);
        let (code, _, said) = sigillo(&["test"], &[set.path()]);
        assert!(code == 64 && said.contains(reason) && said.contains("expected.toml, line "), "{said}");
    }
}

#[test]
fn check_refuses_with_file_and_line_and_warns_of_codes_that_can_be_guessed() {
    let set = copy();
    let (code, said, _) = sigillo(&["check"], &[set.path()]);
    assert_eq!(code, 0, "{said}");
    assert!(
        said.starts_with("accepted: set 1, 11 rules, 0 operators\n") && !said.contains("WARNING"),
        "{said}"
    );
    // The C.I.P. of 4 and 4 digits, with 100 guesses in a life: one in a hundred with either part.
    let figures =
        serde_json::from_str::<serde_json::Value>(&sigillo(&["check", "--json"], &[set.path()]).1).unwrap();
    let cip =
        figures["guesses"].as_array().unwrap().iter().find(|g| g["template"] == "IT/1" && g["code"] == "CIP");
    let cip = cip.unwrap();
    assert_eq!((&cip["tries"], &cip["paper"], &cip["neither"]), (&100.into(), &0.01.into(), &1e-6.into()));
    // Card after card: 15 wrong guesses in an hour and 40 in a day, one of which is right in 10,000 with the paper.
    let across = |window: &str, holder: &str| cip["across_cards"][window][holder].as_f64().unwrap();
    let expected = [
        ("per_hour", "paper", 15.0 / 9999.0),
        ("per_day", "message", 40.0 / 9999.0),
        ("per_day", "neither", 4e-7),
    ];
    for (window, holder, number) in expected {
        let is = across(window, holder);
        assert!((is / number - 1.0).abs() < 1e-6, "{window} {holder}: {is}");
    }
    let line =
        "in a day, likewise:\n  IT-010/1   CIP  hour 1.5e-3  1.5e-3  1.5e-7  day 4.0e-3  4.0e-3  4.0e-7\n";
    assert!(said.contains(line), "{said}");
    edit(set.path(), "authority.toml", "warn_above_ppm = 10000", "warn_above_ppm = 9999");
    let (code, said, _) = sigillo(&["check"], &[set.path()]);
    assert!(code == 0 && said.contains("WARNING"), "{said}");
    edit(set.path(), "rules/operators.cedar", "Role::\"supervisor\"", "Role::\"boss\"");
    let (code, _, said) = sigillo(&["check"], &[set.path()]);
    assert!(
        code == 64 && said.contains("operators.cedar, line ") && said.contains("Role::\"boss\""),
        "{said}"
    );
}

#[test]
fn check_warns_of_a_caller_that_needs_operators_and_may_not_forward_any() {
    let set = copy();
    edit(set.path(), "callers.toml", "forwards_operators = true", "forwards_operators = false");
    let (code, said, _) = sigillo(&["check"], &[set.path()]);
    let warnings: Vec<_> = said.lines().filter(|line| line.starts_with("WARNING: callers.toml: ")).collect();
    let [warning] = &warnings[..] else { panic!("{said}") };
    assert!(
        code == 0
            && warning
                .contains("\"desk\" may ask for activate, approve, ask_approval, change_contact, look_up, "),
        "{said}"
    );
    assert!(!warning.contains("read_delivery"), "takes no operator: {said}");
    let said = sigillo(&["check", "--json"], &[set.path()]).1;
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["warnings"], serde_json::json!([warning["WARNING: ".len()..]]));
}

/// Whoever reads the first lines only is not told of it, and whether all went well is said all the same.
#[test]
fn a_reader_who_goes_away_is_no_error() {
    let set = copy();
    let unread = |arguments: &[&str]| {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = Command::new(env!("CARGO_BIN_EXE_sigillo"));
        let done = command.args(arguments).stdout(writer).output().unwrap();
        (done.status.code().unwrap(), String::from_utf8(done.stderr).unwrap())
    };
    let directory = set.path().to_str().unwrap();
    assert_eq!(unread(&["policy", "check", directory]), (0, String::new()));
    assert_eq!(unread(&["policy", "--help"]), (0, String::new()));
    edit(set.path(), EXPECTED, "allowed = false\nrules = []", "allowed = true\nrules = []");
    let wrong = "sigillo: decisions are not as expected\n".to_owned();
    assert_eq!(unread(&["policy", "test", directory]), (1, wrong));
}

#[test]
fn diff_says_what_changes_key_by_key_and_rule_by_rule() {
    let (old, new) = (copy(), copy());
    let unchanged = "parameters: 0 changed\nrules: 0 changed\noperators: 0 changed\ndecisions: 0 changed\n";
    assert_eq!(sigillo(&["diff"], &[old.path(), new.path()]).1, unchanged);
    edit(new.path(), "authority.toml", "tick_ms = 20", "tick_ms = 30");
    let condition = "principal.regions.contains(resource.region)";
    edit(new.path(), "rules/operators.cedar", condition, &format!("{condition} && context.minute > 480"));
    edit(
        new.path(),
        "rules/operators.cedar",
        "Action::\"reprint\", Action::\"request_reader\"",
        "Action::\"request_reader\"",
    );
    edit(new.path(), "rules/operators.cedar", "supervisor_looks_everywhere", "supervisor_looks");
    edit(
        new.path(),
        EXPECTED,
        "\"counter_acts_in_own_regions\", \"supervisor_looks_everywhere\"",
        "\"counter_acts_in_own_regions\", \"supervisor_looks\"",
    );
    edit(new.path(), EXPECTED, "[\"supervisor_looks_everywhere\"]", "[\"supervisor_looks\"]");
    let who = "\n[[operator]]\ntax_code = \"RSSMRA80A01H501U\"\noffice = \"example-office\"\n\
               roles = [\"supervisor\"]\nvalid_from = \"2026-01-01\"\nvalid_to = \"2026-12-31\"\n";
    let file = new.path().join("operators.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text + who).unwrap();
    let (code, said, _) = sigillo(&["diff"], &[old.path(), new.path()]);
    assert_eq!(code, 0);
    for line in [
        "parameters: 1 changed\n- authority.toml.verification.tick_ms: 20\n+ authority.toml.verification.tick_ms: 30\n",
        "rules: 3 changed\n- counter_acts_in_own_regions: ",
        "\n+ supervisor_looks: ",
        "\n- supervisor_looks_everywhere: ",
        "operators: 1 changed\n+ RSSMRA80A01H501U: office example-office; roles supervisor; regions 120; from 2026-01-01 to \
         2026-12-31 inclusive\n",
        "decisions: 2 changed\n- expected.toml line ",
    ] {
        assert!(said.contains(line), "{line:?} in\n{said}");
    }
}

/// Whoever signs sees every file that counts, and what an office may do now beside what it might before.
#[test]
fn diff_leaves_out_no_file_and_asks_each_set_about_its_own_offices() {
    let (old, new) = (copy(), copy());
    for (set, tries) in [(&old, "in_a_row = 5"), (&new, "in_a_row = 50")] {
        std::fs::create_dir(set.path().join("templates/region")).unwrap();
        let text = std::fs::read_to_string(set.path().join("templates/default.toml")).unwrap();
        let text = text.replacen("IT/1", "XX/1", 1);
        assert!(text.contains("in_a_row = 5"), "{text}");
        std::fs::write(set.path().join("templates/region/xx.toml"), text.replacen("in_a_row = 5", tries, 1))
            .unwrap();
    }
    let (code, said, error) = sigillo(&["diff"], &[old.path(), new.path()]);
    assert_eq!(code, 0, "{error}");
    assert!(said.contains("+ templates/region/xx.toml") && said.contains("in_a_row: 50\n"), "{said}");

    let (old, new) = (copy(), copy());
    edit(old.path(), "operators.toml", "\"120\"", "\"042\"");
    let (code, said, error) = sigillo(&["diff"], &[old.path(), new.path()]);
    assert_eq!(code, 0, "{error}");
    assert!(!said.contains("decisions: 0 changed"), "the office works for another region: {said}");
}

/// Forbidden, not evaluated and not allowed are three things to mend.
#[test]
fn explain_says_whether_a_rule_forbids_fails_or_none_allows() {
    let set = copy();
    let file = set.path().join("operators.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let who = "\n[[operator]]\ntax_code = \"RSSMRA80A01H501U\"\noffice = \"example-office\"\n\
               roles = [\"counter_operator\"]\nvalid_from = \"2026-01-01\"\nvalid_to = \"2026-12-31\"\n";
    std::fs::write(&file, text + who).unwrap();
    let ask = |action: &str, more: &[&str]| {
        let who = ["explain", "--operator", "RSSMRA80A01H501U", "--action", action, "--front-end", "desk"];
        let card = ["--card-region", "120", "--card-state", "active", "--at", "2026-03-02T10:00"];
        let card = if action == "verify" { &card[4..] } else { &card[..] };
        sigillo(&[&who[..], card, more].concat(), &[set.path()])
    };
    let (code, said, _) = ask("revoke", &["--proof", "approval"]);
    assert!(code == 0 && said.starts_with("allowed by counter_acts_in_own_regions\n"), "{said}");
    let (code, said, _) = ask("revoke", &[]);
    let forbidden = "not allowed: forbidden by no_revocation_without_cip_or_approval\n\
                     no_revocation_without_cip_or_approval, rules/operators.cedar line ";
    assert!(code == 1 && said.starts_with(forbidden), "{said}");
    let (code, said, _) = ask("approve", &[]);
    assert_eq!((code, &*said), (1, "not allowed: no rule allows it\n"));

    edit(
        set.path(),
        "rules/operators.cedar",
        "@id(\"counter_verifies\")",
        "@id(\"often\")\nforbid (principal, action == \
        Action::\"verify\", resource) when { context.date * 9223372036854775807 == 1 };\n\n@id(\"counter_verifies\")",
    );
    let (code, said, _) = ask("verify", &[]);
    let failed = "not allowed: rule often could not be evaluated: integer overflow";
    assert!(code == 1 && said.starts_with(failed), "{said}");
    let said: serde_json::Value = serde_json::from_str(&ask("verify", &["--json"]).1).unwrap();
    assert!(said["reason"].as_str().unwrap().starts_with(&failed["not allowed: ".len()..]), "{said}");
    let (code, said, _) = sigillo(&["test"], &[set.path()]);
    assert!(code == 1 && said.contains("is \"not allowed: rule often could not be evaluated"), "{said}");
}

#[test]
fn explain_says_why_there_is_no_decision() {
    let set = copy();
    let ask = |action: &str, front_end: &str, card: &[&str]| {
        let who = ["explain", "--operator", "RSSMRA80A01H501U", "--action", action, "--front-end", front_end];
        sigillo(&[&who[..], card].concat(), &[set.path()])
    };
    let (code, said, _) = ask("verify", "desk", &[]);
    assert_eq!((code, &*said), (1, "not allowed: operators.toml does not list the operator on this day\n"));
    let (code, said, _) = ask("verify", "bureau", &["--json"]);
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, &said["allowed"]), (1, &false.into()));
    assert_eq!(said["reason"], "callers.toml does not give the front end this action");
    assert_eq!(ask("verify", "kiosk", &[]).0, 64);
    edit(set.path(), "callers.toml", "forwards_operators = true", "forwards_operators = false");
    let said = ask("verify", "desk", &[]).1;
    assert!(said.contains("does not let the front end forward operators"), "{said}");
    assert_eq!(ask("revoke", "desk", &[]).0, 64, "without a card");
    assert_eq!(ask("lock", "desk", &[]).0, 64);
    let card = ["--card-region", "120", "--card-state", "active"];
    assert_eq!(
        ask("reprint", "desk", &[&card[..], &["--proof", "approval"]].concat()).0,
        64,
        "no revocation"
    );
    assert_eq!(ask("revoke", "desk", &[&card[..], &["--proof", "paper"]].concat()).0, 64);
}

/// What a history or a report asks for is put to the rules, and only there.
#[test]
fn explain_asks_for_operators_and_all_offices() {
    let set = copy();
    let file = set.path().join("operators.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let who = "\n[[operator]]\ntax_code = \"RSSMRA80A01H501U\"\noffice = \"example-office\"\n\
               roles = [\"supervisor\"]\nvalid_from = \"2026-01-01\"\nvalid_to = \"2026-12-31\"\n";
    std::fs::write(&file, text + who).unwrap();
    let ask = |action: &str, more: &[&str]| {
        let who = ["explain", "--operator", "RSSMRA80A01H501U", "--action", action, "--front-end", "desk"];
        let at = ["--at", "2026-03-02T10:00"];
        sigillo(&[&who[..], &at, more].concat(), &[set.path()])
    };
    let card = ["--card-region", "120", "--card-state", "active"];
    for (action, more, expected) in [
        ("read_reports", &["--operators"][..], "allowed by supervisor_reads_reports\n"),
        ("read_reports", &["--all-offices"], "allowed by supervisor_reads_reports\n"),
        ("read_reports", &["--operators", "--all-offices"], "not allowed: no rule allows it\n"),
        ("read_history", &[&card[..], &["--operators"]].concat(), "allowed by supervisor_reads_history"),
    ] {
        let (code, said, error) = ask(action, more);
        assert_eq!(code, i32::from(!expected.starts_with("allowed")), "{error}");
        assert!(said.starts_with(expected), "{action} {more:?}: {said}");
    }
    for (action, more, reason) in [
        ("look_up", &["--operators"][..], "only histories and reports ask for more"),
        ("read_history", &["--all-offices"], "only a report is about offices"),
    ] {
        let (code, _, said) = ask(action, &[&card[..], more].concat());
        assert!(code == 64 && said.contains(reason), "{said}");
    }
    edit(
        set.path(),
        EXPECTED,
        "card_state = \"registered\"\n",
        "card_state = \"registered\"\noperators = true\n",
    );
    let (code, _, said) = sigillo(&["test"], &[set.path()]);
    assert!(code == 64 && said.contains("only histories and reports ask for more"), "{said}");
}
