//! Operators and rules: each broken set is refused with file, line and reason, and decisions are as the rules say.

use std::{fs, path::Path, sync::Arc};

use sigillo::{
    domain::{
        date::{CivilDate, Moment},
        tax_code::TaxCode,
    },
    policy::{CardFacts, Policy, Refused, act},
};

use super::{copy, edit};

const RULES: &str = "rules/operators.cedar";
const SCHEMA: &str = "rules/schema.cedarschema";
const OPERATORS: &str = "operators.toml";
const WHO: &str = "RSSMRA80A01H501U";

fn append(set: &Path, file: &str, text: &str) {
    let before = fs::read_to_string(set.join(file)).unwrap();
    fs::write(set.join(file), before + text).unwrap();
}

fn operator(tax_code: &str, office: &str, roles: &str, from: &str, to: &str) -> String {
    format!(
        "[[operator]]\ntax_code = \"{tax_code}\"\noffice = \"{office}\"\nroles = [{roles}]\nvalid_from = \"{from}\"\nvalid_to = \"{to}\"\n"
    )
}

fn usual() -> String {
    operator(WHO, "example-office", "\"counter_operator\"", "2026-01-01", "2026-12-31")
}

/// What is refused: the file, the line that `mark` is in after the change, and the reason.
fn refused(set: &Path, file: &str, mark: &str, reason: &str) {
    let text = fs::read_to_string(set.join(file)).unwrap();
    let offset = text.rfind(mark).unwrap_or_else(|| panic!("{file} has no {mark:?}"));
    let line = text[..offset].matches('\n').count() + 1;
    let said = Policy::load(set).expect_err(reason);
    assert!(said.reason.contains(reason), "{said} should say {reason:?}");
    assert_eq!((said.file.as_path(), said.line), (set.join(file).as_path(), Some(line)), "{said}");
}

#[test]
fn each_broken_rule_is_refused_with_file_line_and_reason() {
    let role = "principal in Role::\"counter_operator\"";
    let on = |action: &str| format!("action == Action::\"{action}\"");
    // Appended rule, the mark whose line is at fault, the reason.
    for (rule, mark, reason) in [
        ("permit (principal, action, resource".to_owned(), "permit (principal, action, resource", ""),
        (
            format!("permit (\n{role}, {}, resource)\nwhen {{ context.minute > 3 }};", on("revoke")),
            "permit (\n",
            "a rule needs an @id",
        ),
        (
            format!("@id(\"\")permit ({role}, {}, resource) when {{ context.minute > 3 }};", on("revoke")),
            "@id(\"\")",
            "a rule needs an @id",
        ),
        (
            format!("@id(\"A b\")permit ({role}, {}, resource) when {{ context.minute > 3 }};", on("revoke")),
            "@id(\"A b\")",
            "a rule needs an @id",
        ),
        (
            format!("@id(\"counter_verifies\")forbid ({role}, {}, resource) when {{ context.minute > 3 }};", on("revoke")),
            "@id(\"counter_verifies\")forbid",
            "has this @id too",
        ),
        (
            format!("@id(\"x\")@note(\"y\")forbid ({role}, {}, resource) when {{ context.minute > 3 }};", on("revoke")),
            "@note",
            "unknown annotation @note",
        ),
        (
            "@id(\"x\")forbid (principal in Role::\"boss\", action, resource);".into(),
            "Role::\"boss\"",
            "Role::\"boss\" is listed nowhere",
        ),
        (
            "@id(\"x\")forbid (principal in Office::\"moon\", action, resource);".into(),
            "Office::\"moon\"",
            "Office::\"moon\" is listed nowhere",
        ),
        (
            format!("@id(\"x\")\nforbid (principal, {}, resource)\nwhen {{\nresource.region == Region::\"999\" }};", on("revoke")),
            "Region::\"999\"",
            "Region::\"999\" is listed nowhere",
        ),
        (
            "@id(\"x\")forbid (principal, action, resource)\nwhen { context.front_end == FrontEnd::\"kiosk\" };".into(),
            "FrontEnd::\"kiosk\"",
            "FrontEnd::\"kiosk\" is listed nowhere",
        ),
        (
            format!("@id(\"x\")forbid (principal == Operator::\"{WHO}\", action, resource);"),
            "Operator::",
            "is listed nowhere",
        ),
        (
            format!("@id(\"x\")forbid (principal, {}, resource == Card::\"1\");", on("revoke")),
            "Card::",
            "is listed nowhere",
        ),
        (
            format!("@id(\"x\")forbid (principal, {}, resource)\nwhen {{ resource.state == State::\"lost\" }};", on("revoke")),
            "State::\"lost\"",
            "lost",
        ),
        (
            format!("@id(\"x\")permit ({role}, {}, resource)\nwhen {{ resource.state == State::\"active\" }};", on("verify")),
            "resource.state == State::\"active\"",
            "state",
        ),
        (
            format!("@id(\"x\")forbid ({role}, {}, resource)\nwhen {{ resource.region == Region::\"120\" }};", on("verify")),
            "resource.region == ",
            "region",
        ),
        (
            "@id(\"x\")forbid (principal, action, resource)\nwhen { resource.state == State::\"held\" };".into(),
            "resource.state == State::\"held\"",
            "state",
        ),
        (
            format!("@id(\"x\")forbid (principal, {}, resource)\nwhen {{ resource.holder == 3 }};", on("revoke")),
            "resource.holder",
            "holder",
        ),
        (
            format!("@id(\"x\")forbid (principal, {}, resource)\nwhen {{ principal.name == \"x\" }};", on("revoke")),
            "principal.name",
            "name",
        ),
        (
            format!("@id(\"x\")forbid (principal, {}, resource)\nwhen {{ context.moon }};", on("revoke")),
            "context.moon",
            "moon",
        ),
        (
            format!("@id(\"x\")forbid (principal, {}, resource)\nwhen {{ context.minute == \"noon\" }};", on("revoke")),
            "context.minute == \"noon\"",
            "",
        ),
        (
            format!("@id(\"x\")forbid (principal, {}, resource)\nwhen {{ context.minute }};", on("revoke")),
            "context.minute }",
            "",
        ),
        (
            "@id(\"x\")forbid (principal, action == Action::\"unlock\", resource);".into(),
            "@id(\"x\")",
            "unlock",
        ),
        (
            "@id(\"x\")forbid (principal, action == Action::\"backup\", resource);".into(),
            "@id(\"x\")",
            "backup",
        ),
        (
            format!("@id(\"x\")permit ({role}, {}, resource) when {{ false }};", on("revoke")),
            "@id(\"x\")",
            "",
        ),
        (
            format!("@id(\"x\")permit ({role}, {}, resource is Presented);", on("revoke")),
            "@id(\"x\")",
            "",
        ),
        (
            format!("@id(\"x\")permit ({role}, {}, resource);", on("verify")),
            "@id(\"x\")",
            "x says nothing more than counter_verifies",
        ),
        (
            format!("@id(\"x\")permit ({role}, {}, resource) when {{ context.minute > 480 }};", on("verify")),
            "@id(\"x\")",
            "x never decides: counter_verifies always does before it",
        ),
        (
            format!("@id(\"x\")permit ({role}, {}, resource) when {{ principal.regions.contains(resource.region) }};", on("revoke")),
            "@id(\"x\")",
            "says nothing more than counter_acts_in_own_regions",
        ),
        (
            format!("@id(\"x\")permit ({role}, {}, resource);", on("revoke")).replace("== Action::\"revoke\"", "in [Action::\"activate\", Action::\"look_up\", Action::\"reprint\", Action::\"revoke\"]"),
            "@id(\"x\")",
            "counter_acts_in_own_regions never decides",
        ),
        (
            format!("@id(\"x\")forbid (principal, {}, resource);", on("verify")),
            "@id(\"x\")",
            "counter_verifies never decides: x forbids all of it",
        ),
        (
            format!("@id(\"x\")forbid (principal in Role::\"supervisor\", {}, resource);", on("look_up")),
            "@id(\"x\")",
            "supervisor_looks_everywhere never decides: x forbids all of it",
        ),
        (
            "@id(\"x\")forbid (principal, action == Action::\"reprint\", resource)\nwhen { resource.state == State::\"held\" };\n\
             @id(\"y\")forbid (principal, action, resource)\nwhen { context.minute > 3 };\n\
             @id(\"z\")forbid (principal, action == Action::\"reprint\", resource)\nwhen { resource.state == State::\"held\" };"
                .into(),
            "@id(\"z\")",
            "z says nothing more than x",
        ),
        (
            "@id(\"x\")permit (principal == ?principal, action, resource);".into(),
            "@id(\"x\")",
            "a template with slots is not a rule",
        ),
    ] {
        let set = copy();
        append(set.path(), RULES, &format!("\n{rule}\n"));
        refused(set.path(), RULES, mark, reason);
    }
}

#[test]
fn each_broken_list_of_operators_is_refused_with_file_line_and_reason() {
    let counter = "\"counter_operator\"";
    let (from, to) = ("2026-01-01", "2026-12-31");
    for (text, mark, reason) in [
        (
            operator("RSSMRA80A01H501A", "example-office", counter, from, to),
            "RSSMRA80A01H501A\"",
            "check character",
        ),
        (operator("RSSMRA", "example-office", counter, from, to), "\"RSSMRA\"", "16 characters"),
        (usual() + &usual(), &*format!("tax_code = \"{WHO}\""), "this operator is listed before"),
        (operator(WHO, "moon", counter, from, to), "office = \"moon\"", "there is no office \"moon\""),
        (
            operator(WHO, "example-office", "\"boss\"", from, to),
            "roles = [\"boss\"]",
            "there is no role \"boss\"",
        ),
        (operator(WHO, "example-office", "", from, to), "roles = []", "at least one role"),
        (
            operator(WHO, "example-office", &format!("{counter}, {counter}"), from, to),
            "roles = [\"counter_operator\", \"counter",
            "is given twice",
        ),
        (
            operator(WHO, "example-office", counter, to, from),
            "valid_to = \"2026-01-01\"",
            "valid_to is before valid_from",
        ),
        (
            operator(WHO, "example-office", counter, "2026-02-30", to),
            "valid_from = \"2026-02",
            "a date is a day",
        ),
        (operator(WHO, "example-office", counter, from, "never"), "valid_to = \"never\"", "a date is a day"),
        (usual() + "regions = [\"030\"]\n", "regions = [\"030\"]", "does not work for region \"030\""),
        (usual() + "regions = []\n", "regions = []", "at least one region"),
        (usual() + "regions = [\"120\", \"120\"]\n", "regions = [\"120\", \"120\"]", "is given twice"),
        (usual() + "admin = true\n", "admin = true", "unknown field"),
        (usual().replace("valid_to = \"2026-12-31\"\n", ""), "[[operator]]", "missing field `valid_to`"),
        ("[[office]]\nname = \"Big Office\"\nregions = [\"120\"]\n".into(), "name = \"Big", "a name is"),
        (
            "[[office]]\nname = \"o\"\nregions = [\"999\"]\n".into(),
            "regions = [\"999\"]",
            "there is no region \"999\"",
        ),
        ("[[office]]\nname = \"o\"\nregions = [\"12\"]\n".into(), "regions = [\"12\"]", "not three digits"),
        (
            "[[office]]\nname = \"example-office\"\nregions = [\"120\"]\n".into(),
            "name = \"example-office\"",
            "office \"example-office\" is given twice",
        ),
    ] {
        let set = copy();
        append(set.path(), OPERATORS, &text);
        refused(set.path(), OPERATORS, mark, reason);
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
        assert_eq!((said.file, &*said.reason), (set.path().join(file), "missing"));
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
    permit.on_card(card("120", "active")).unwrap();
    assert_eq!(permit.on_card(card("030", "active")).unwrap_err(), Refused::Rules("no rule".into()));
    let by_rule = Refused::Rules("no_held_cards".into());
    assert_eq!(permit.on_card(card("120", "held")).unwrap_err(), by_rule);
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
    permit.on_card(CardFacts { region: "120".parse().unwrap(), state: "active" }).unwrap();
}
