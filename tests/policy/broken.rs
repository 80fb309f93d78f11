//! Broken policy sets: what is done to the shipped set, and how it must be refused. For the loader, and for a service
//! that runs on meanwhile.

use std::{
    fs,
    path::{Path, PathBuf},
};

pub(crate) const RULES: &str = "rules/operators.cedar";
pub(crate) const OPERATORS: &str = "operators.toml";
pub(crate) const WHO: &str = "RSSMRA80A01H501U";

/// One way to break the shipped set.
pub(crate) struct Broken {
    /// The file at fault.
    pub(crate) file: &'static str,
    /// What is written at its end.
    text: String,
    /// Stands in the line at fault, at its last place in the file.
    mark: String,
    /// What must be said of it.
    pub(crate) reason: &'static str,
}

impl Broken {
    /// Breaks the set in this directory; answers the file and the line that must be named.
    pub(crate) fn put(&self, set: &Path) -> (PathBuf, usize) {
        let file = set.join(self.file);
        let text = fs::read_to_string(&file).unwrap() + &self.text;
        fs::write(&file, &text).unwrap();
        let offset = text.rfind(&self.mark).unwrap_or_else(|| panic!("{} has no {:?}", self.file, self.mark));
        (file, text[..offset].matches('\n').count() + 1)
    }
}

fn operator(tax_code: &str, office: &str, roles: &str, from: &str, to: &str) -> String {
    format!(
        "[[operator]]\ntax_code = \"{tax_code}\"\noffice = \"{office}\"\nroles = [{roles}]\nvalid_from = \"{from}\"\nvalid_to = \"{to}\"\n"
    )
}

pub(crate) fn usual() -> String {
    operator(WHO, "example-office", "\"counter_operator\"", "2026-01-01", "2026-12-31")
}

/// Rules that are refused.
pub(crate) fn rules() -> Vec<Broken> {
    let role = "principal in Role::\"counter_operator\"";
    let on = |action: &str| format!("action == Action::\"{action}\"");
    // Appended rule, the mark whose line is at fault, the reason.
    let table = [
        ("permit (principal, action, resource".to_owned(), "permit (principal, action, resource", ""),
        (
            format!("@id(\"x\")permit ({role}, {}, resource)\nwhen {{ context.approved }};", on("reprint")),
            "context.approved",
            "approved",
        ),
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
            format!("@id(\"x\")permit ({role}, {}, resource);", on("revoke")).replace("== Action::\"revoke\"", "in [Action::\"activate\", Action::\"ask_approval\", Action::\"change_contact\", Action::\"look_up\", Action::\"read_consents\", Action::\"record_consents\", Action::\"renew_cip\", Action::\"reprint\", Action::\"request_reader\", Action::\"resend_delivery\", Action::\"revoke\", Action::\"unlock\"]"),
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
    ];
    let broken = |(rule, mark, reason): (String, &str, _)| {
        let text = format!("\n{rule}\n");
        Broken { file: RULES, text, mark: mark.to_owned(), reason }
    };
    table.into_iter().map(broken).collect()
}

/// Lists of operators that are refused.
pub(crate) fn operators() -> Vec<Broken> {
    let counter = "\"counter_operator\"";
    let (from, to) = ("2026-01-01", "2026-12-31");
    let table = [
        (
            operator("RSSMRA80A01H501A", "example-office", counter, from, to),
            "RSSMRA80A01H501A\"",
            "check character",
        ),
        (operator("RSSMRA", "example-office", counter, from, to), "\"RSSMRA\"", "16 characters"),
        (usual() + &usual(), "tax_code = \"RSSMRA80A01H501U\"", "this operator is listed before"),
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
    ];
    let broken = |(text, mark, reason): (String, &str, _)| Broken {
        file: OPERATORS,
        text,
        mark: mark.to_owned(),
        reason,
    };
    table.into_iter().map(broken).collect()
}
