//! Operators and rules: each broken set is refused with file, line and reason, and decisions are as the rules say.

use std::{fs, path::Path, sync::Arc};

use sigillo::{
    domain::{
        date::{CivilDate, Moment},
        tax_code::TaxCode,
    },
    policy::{Action, CardFacts, Policy, Proof, Refused, act},
};

use super::{
    broken::{self, OPERATORS, RULES, WHO, usual},
    copy, edit,
};

const SCHEMA: &str = "rules/schema.cedarschema";

fn append(set: &Path, file: &str, text: &str) {
    let before = fs::read_to_string(set.join(file)).unwrap();
    fs::write(set.join(file), before + text).unwrap();
}

/// What is refused: the file, the line that `mark` is in after the change, and the reason.
fn refused(set: &Path, file: &str, mark: &str, reason: &str) {
    let text = fs::read_to_string(set.join(file)).unwrap();
    let offset = text.rfind(mark).unwrap_or_else(|| panic!("{file} has no {mark:?}"));
    refused_at(set, &set.join(file), text[..offset].matches('\n').count() + 1, reason);
}

fn refused_at(set: &Path, file: &Path, line: usize, reason: &str) {
    let said = Policy::load(set).expect_err(reason);
    assert!(said.reason.contains(reason), "{said} should say {reason:?}");
    assert_eq!((said.file.as_path(), said.line), (file, Some(line)), "{said}");
}

#[test]
fn each_broken_rule_is_refused_with_file_line_and_reason() {
    for broken in broken::rules() {
        let set = copy();
        let (file, line) = broken.put(set.path());
        refused_at(set.path(), &file, line, broken.reason);
    }
}

#[test]
fn each_broken_list_of_operators_is_refused_with_file_line_and_reason() {
    for broken in broken::operators() {
        let set = copy();
        let (file, line) = broken.put(set.path());
        refused_at(set.path(), &file, line, broken.reason);
    }
    for (to, reason) in [
        ("\"supervisor\", \"clerk\"", "role \"clerk\": no rule names it"),
        ("\"supervisor\", \"supervisor\"", "is given twice"),
        ("\"supervisor\", \"Clerk\"", "a name is"),
    ] {
        let set = copy();
        edit(set.path(), OPERATORS, "\"supervisor\"", to);
        refused(set.path(), OPERATORS, "roles = [\"counter_operator\", \"sup", reason);
    }
}

#[test]
fn another_schema_and_missing_files_are_refused() {
    let set = copy();
    edit(set.path(), SCHEMA, "entity Presented;", "entity Presented { state: State };");
    refused(set.path(), SCHEMA, "entity Presented {", "not the schema that this version supplies");
    for file in [SCHEMA, OPERATORS] {
        let set = copy();
        fs::remove_file(set.path().join(file)).unwrap();
        let said = Policy::load(set.path()).unwrap_err();
        assert_eq!(
            (said.file, &*said.reason),
            (set.path().join(file), "missing: every set has this file; the shipped one is an example")
        );
    }
    let set = copy();
    fs::write(set.path().join("rules/notes.txt"), "x").unwrap();
    assert!(Policy::load(set.path()).unwrap_err().reason.contains("not a file of a policy set"));
}

fn at(text: &str, minute: i64) -> Moment {
    let date: CivilDate = text.parse().unwrap();
    Moment { date, minute, weekday: date.weekday() }
}

fn who() -> TaxCode {
    WHO.parse().unwrap()
}

#[test]
fn operators_are_refused_by_list_by_date_and_by_rule_and_the_rule_is_named() {
    let set = copy();
    append(set.path(), OPERATORS, &usual());
    append(
        set.path(),
        RULES,
        "@id(\"no_held_cards\")forbid (principal, action == Action::\"reprint\", resource) when { resource.state == State::\"held\" };\n\
         @id(\"no_nights\")forbid (principal, action == Action::\"verify\", resource) when { context.minute < 360 };\n",
    );
    let policy = Arc::new(Policy::load(set.path()).unwrap());
    let desk = policy.caller_named("desk").unwrap();
    let day = at("2026-06-01", 600);
    let why = |refused: Result<_, Refused>| refused.map(|_: ()| ()).unwrap_err();
    let verify = |who: Option<&TaxCode>, at| policy.permit::<act::Verify>(desk, who, at).map(|_| ());
    verify(Some(&who()), day).unwrap();
    assert_eq!(why(verify(None, day)), Refused::OperatorMissing);
    assert_eq!(why(verify(Some(&other()), day)), Refused::UnknownOperator);
    assert_eq!(why(verify(Some(&who()), at("2025-12-31", 600))), Refused::UnknownOperator);
    verify(Some(&who()), at("2026-12-31", 600)).unwrap();
    assert_eq!(why(verify(Some(&who()), at("2027-01-01", 600))), Refused::UnknownOperator);
    // What was decided a minute ago is decided anew.
    assert_eq!(why(verify(Some(&who()), at("2026-06-01", 10))), Refused::Rules("no_nights".into()));
    verify(Some(&who()), day).unwrap();

    let permit = policy.permit::<act::Reprint>(desk, Some(&who()), day).unwrap();
    let card = |region: &str, state: &'static str| CardFacts { region: region.parse().unwrap(), state };
    permit.on_card(card("120", "active"), Proof::None).unwrap();
    assert_eq!(
        permit.on_card(card("030", "active"), Proof::None).unwrap_err(),
        Refused::Rules("no rule".into())
    );
    let by_rule = Refused::Rules("no_held_cards".into());
    assert_eq!(permit.on_card(card("120", "held"), Proof::None).unwrap_err(), by_rule);
}

#[test]
fn a_revocation_needs_the_cip_or_an_approval_whoever_asks() {
    let set = copy();
    append(set.path(), OPERATORS, &usual());
    let policy = Arc::new(Policy::load(set.path()).unwrap());
    let desk = policy.caller_named("desk").unwrap();
    let day = at("2026-06-01", 600);
    let permit = policy.permit::<act::Revoke>(desk, Some(&who()), day).unwrap();
    let card = CardFacts { region: "120".parse().unwrap(), state: "active" };
    permit.on_card(card, Proof::Verification).unwrap();
    permit.on_card(card, Proof::Approval).unwrap();
    let by_rule = Refused::Rules("no_revocation_without_cip_or_approval".into());
    assert_eq!(permit.on_card(card, Proof::None).unwrap_err(), by_rule);
    let asks = policy.permit::<act::AskApproval>(desk, Some(&who()), day).unwrap();
    asks.on_card(card, Proof::None).unwrap();
    asks.once_approved(Action::Revoke, card).unwrap();
    assert_eq!(policy.permit::<act::Approve>(desk, Some(&who()), day).unwrap_err().rule(), "no rule");

    // A set without approvals: nobody is asked for one either.
    let no_approvals = "@id(\"cip_only\")forbid (principal, action == Action::\"revoke\", resource) when { context.approved };\n";
    append(set.path(), RULES, no_approvals);
    let policy = Arc::new(Policy::load(set.path()).unwrap());
    let asks = policy.permit::<act::AskApproval>(desk, Some(&who()), day).unwrap();
    assert_eq!(asks.once_approved(Action::Revoke, card).unwrap_err().rule(), "cip_only");
}

/// A provisional C.F. of eleven digits, which nobody listed.
fn other() -> TaxCode {
    "00000000000".parse().unwrap()
}

#[test]
fn a_role_without_a_rule_for_an_action_is_refused_before_any_card() {
    let set = copy();
    append(set.path(), OPERATORS, &usual().replace("counter_operator", "supervisor"));
    let policy = Arc::new(Policy::load(set.path()).unwrap());
    let desk = policy.caller_named("desk").unwrap();
    let day = at("2026-06-01", 600);
    let refused = policy.permit::<act::Revoke>(desk, Some(&who()), day).unwrap_err();
    assert_eq!(refused, Refused::Rules("no rule".into()));
    policy.permit::<act::LookUp>(desk, Some(&who()), day).unwrap();
    let bureau = policy.caller_named("bureau").unwrap();
    policy.permit::<act::Register>(bureau, None, day).unwrap();
    assert_eq!(policy.permit::<act::LookUp>(bureau, Some(&who()), day).unwrap_err(), Refused::Caller);
}

#[test]
fn a_rule_that_fails_lets_nothing_through() {
    let set = copy();
    append(set.path(), OPERATORS, &usual());
    let overflow = "@id(\"overflow\")forbid (principal, action == Action::\"verify\", resource)\n\
                    when { context.date * 9223372036854775807 == 1 };\n";
    append(set.path(), RULES, overflow);
    let policy = Arc::new(Policy::load(set.path()).unwrap());
    let desk = policy.caller_named("desk").unwrap();
    let day = at("2026-06-01", 600);
    let refused = policy.permit::<act::Verify>(desk, Some(&who()), day).unwrap_err();
    assert_eq!(refused, Refused::Rules("no rule".into()));
    let permit = policy.permit::<act::Reprint>(desk, Some(&who()), day).unwrap();
    permit.on_card(CardFacts { region: "120".parse().unwrap(), state: "active" }, Proof::None).unwrap();
}
