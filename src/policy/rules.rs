//! `rules/*.cedar`: what operators may do, checked against the schema and against the names of the other files.
//!
//! A rule that could never decide is refused as far as its structure shows it (`rules/shadow.rs`). One set per action
//! is built at load, so that a decision looks at no rule of another action.

mod nesting;
mod shadow;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use cedar_policy::{
    ActionConstraint, Effect, EntityUid, Policy as Cedar, PolicyId, PolicySet, PrincipalConstraint, Schema,
    ValidationMode, Validator,
};
use miette::Diagnostic;

use super::{
    Action, Caller,
    files::{BadPolicy, File},
    operators::{Operators, Profile},
};

/// The schema that [`super::decide`] supplies entities for.
const SCHEMA: &str = include_str!("../../policies/rules/schema.cedarschema");
const SCHEMA_FILE: &str = "rules/schema.cedarschema";
/// Most rules of a set: a decision looks at all of its action.
const MOST: usize = 1000;

/// Stack on which rules are read, in bytes: a build with debug assertions needs some 6 MiB for the deepest ones.
const STACK: usize = 16 << 20;

/// Actions that an operator asks for; the others are decided by `callers.toml` alone.
pub const OPERATORS_ACTIONS: [Action; 17] = [
    Action::Activate,
    Action::Approve,
    Action::AskApproval,
    Action::ChangeContact,
    Action::LookUp,
    Action::ReadConsents,
    Action::ReadHistory,
    Action::ReadReports,
    Action::RecordConsents,
    Action::RenewCip,
    Action::Reprint,
    Action::RequestReader,
    Action::ResendDelivery,
    Action::Revoke,
    Action::StockReaders,
    Action::Unlock,
    Action::Verify,
];

/// A rule and where it is.
#[derive(Debug)]
pub struct Rule {
    /// Its `@id`.
    pub id: String,
    /// Its text, as written.
    pub text: String,
    actions: BTreeSet<Action>,
    /// What two rules that say the same have in common.
    body: Option<serde_json::Value>,
    cedar: Cedar,
    file: String,
    line: usize,
}

/// The rules of one action.
#[derive(Debug, Default)]
pub(super) struct OfAction {
    pub(super) set: PolicySet,
    permits: Vec<PrincipalConstraint>,
}

/// Every rule of a set.
#[derive(Debug)]
pub(super) struct Rules {
    all: Vec<Rule>,
    by_action: BTreeMap<Action, OfAction>,
}

fn bad(file: &File, line: Option<usize>, reason: impl Into<String>) -> BadPolicy {
    BadPolicy { file: file.path.clone(), line, reason: reason.into() }
}

/// What Cedar says of a fault, on one line, and where it is.
fn said(file: &File, e: &(impl Diagnostic + ?Sized), otherwise: Option<usize>) -> BadPolicy {
    let at = e.labels().and_then(|mut labels| labels.next()).map(|label| file.line_at(label.offset()));
    let mut reason = e.to_string();
    if let Some(help) = e.help() {
        reason = format!("{reason} ({help})");
    }
    bad(file, at.or(otherwise), reason.replace('\n', " "))
}

fn action_of(uid: &EntityUid) -> Option<Action> {
    let name = uid.id().unescaped();
    OPERATORS_ACTIONS.into_iter().find(|action| action.text() == name)
}

fn actions_of(rule: &Cedar) -> BTreeSet<Action> {
    match rule.action_constraint() {
        ActionConstraint::Any => OPERATORS_ACTIONS.into(),
        ActionConstraint::In(list) => list.iter().filter_map(action_of).collect(),
        ActionConstraint::Eq(one) => action_of(&one).into_iter().collect(),
    }
}

fn schema(files: &BTreeMap<String, File>) -> Result<Schema, BadPolicy> {
    let file = files.get(SCHEMA_FILE).ok_or_else(|| BadPolicy {
        file: SCHEMA_FILE.into(),
        line: None,
        reason: "missing: copy the shipped one".into(),
    })?;
    if file.text != SCHEMA {
        let same = file.text.lines().zip(SCHEMA.lines()).take_while(|(a, b)| a == b).count();
        let why = "not the schema that this version supplies: copy the shipped one";
        return Err(bad(file, Some(same.saturating_add(1)), why));
    }
    let (schema, _) = Schema::from_cedarschema_str(SCHEMA).map_err(|e| said(file, &e, None))?;
    Ok(schema)
}

/// The rules of one file, in its order.
fn rules_of(name: &str, file: &File) -> Result<Vec<Rule>, BadPolicy> {
    if let Some((at, why)) = nesting::too_deep(&file.text) {
        return Err(bad(file, Some(file.line_at(at)), why));
    }
    let set: PolicySet = file.text.parse().map_err(|e: cedar_policy::ParseErrors| said(file, &e, None))?;
    if let Some(template) = set.templates().next() {
        let line = template.to_cedar().lines().next().and_then(|first| file.text.find(first));
        return Err(bad(file, line.map(|at| file.line_at(at)), "a template with slots is not a rule"));
    }
    let mut policies: Vec<&Cedar> = set.policies().collect();
    // Cedar names them policy0, policy1 and so on, as they come.
    policies.sort_by_key(|policy| {
        let id = policy.id().to_string();
        id.trim_start_matches("policy").parse::<usize>().unwrap_or(usize::MAX)
    });
    let (mut rules, mut from) = (Vec::with_capacity(policies.len()), 0);
    for policy in policies {
        let text = policy.to_cedar().unwrap_or_default();
        let at =
            file.text.get(from..).and_then(|rest| rest.find(&text)).map_or(from, |n| from.saturating_add(n));
        from = at.saturating_add(text.len());
        let line = file.line_at(at);
        let id = policy.annotation("id").unwrap_or_default();
        let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        if !(1..=60).contains(&id.len()) || !id.bytes().all(good) {
            let why = "a rule needs an @id(\"...\") of 1 to 60 of a-z, 0-9 and _";
            return Err(bad(file, Some(line), why));
        }
        if let Some((other, _)) = policy.annotations().find(|(key, _)| *key != "id") {
            return Err(bad(file, Some(line), format!("rule {id}: unknown annotation @{other}")));
        }
        rules.push(Rule {
            id: id.to_owned(),
            text,
            actions: actions_of(policy),
            body: shadow::body(policy),
            cedar: policy.new_id(PolicyId::new(id)),
            file: name.to_owned(),
            line,
        });
    }
    Ok(rules)
}

/// Refuses names in a rule that no file lists.
fn check_names(rule: &Rule, file: &File, operators: &Operators, callers: &[Caller]) -> Result<(), BadPolicy> {
    for uid in rule.cedar.entity_literals() {
        let (kind, name) = (uid.type_name().to_string(), uid.id().unescaped().to_owned());
        let listed = match kind.as_str() {
            "Role" => operators.has_role(&name),
            "Office" => operators.regions_of(&name).is_some(),
            "Region" => operators.has_region(&name),
            "FrontEnd" => callers.iter().any(|caller| **caller.name() == *name),
            // The validator knows actions and states. Operators and cards are never named: they come and go.
            "Action" | "State" => true,
            _ => false,
        };
        if !listed {
            let written = format!("{kind}::\"{name}\"");
            let offset =
                file.text.lines().take(rule.line.saturating_sub(1)).map(|l| l.len().saturating_add(1));
            let start: usize = offset.sum();
            let found = file.text.get(start..).and_then(|rest| rest.find(&written));
            let line = found.map_or(rule.line, |n| file.line_at(start.saturating_add(n)));
            return Err(bad(file, Some(line), format!("rule {}: {written} is listed nowhere", rule.id)));
        }
    }
    Ok(())
}

impl Rule {
    /// File and line, for people.
    pub fn place(&self) -> String {
        format!("{} line {}", self.file, self.line)
    }
}

impl Rules {
    /// Reads and checks every rule, on a thread with a stack that the deepest expressions let through do not use up.
    pub(super) fn load(
        files: &BTreeMap<String, File>,
        operators: &Operators,
        operators_file: &File,
        callers: &[Caller],
    ) -> Result<Self, BadPolicy> {
        let failed = |reason: String| BadPolicy { file: "rules".into(), line: None, reason };
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name("policy-rules".into()).stack_size(STACK);
            let read = || Self::read(files, operators, operators_file, callers);
            let thread = thread.spawn_scoped(scope, read).map_err(|e| failed(format!("no thread: {e}")))?;
            thread.join().map_err(|_| failed("their reading broke off".into()))?
        })
    }

    fn read(
        files: &BTreeMap<String, File>,
        operators: &Operators,
        operators_file: &File,
        callers: &[Caller],
    ) -> Result<Self, BadPolicy> {
        let validator = Validator::new(schema(files)?);
        let mut all: Vec<Rule> = Vec::new();
        for (name, file) in
            files.iter().filter(|(name, _)| name.starts_with("rules/") && name.ends_with(".cedar"))
        {
            for rule in rules_of(name, file)? {
                if let Some(other) = all.iter().find(|other| other.id == rule.id) {
                    let why =
                        format!("rule {}: {} line {} has this @id too", rule.id, other.file, other.line);
                    return Err(bad(file, Some(rule.line), why));
                }
                let set = PolicySet::from_policies([rule.cedar.clone()])
                    .map_err(|e| bad(file, Some(rule.line), e.to_string()))?;
                // Names first: what Cedar says of an unknown one is less plain.
                check_names(&rule, file, operators, callers)?;
                let result = validator.validate(&set, ValidationMode::Strict);
                if let Some(e) = result.validation_errors().next() {
                    return Err(said(file, e, Some(rule.line)));
                }
                if let Some(e) = result.validation_warnings().next() {
                    return Err(said(file, e, Some(rule.line)));
                }
                if let Some((other, why)) = all.iter().find_map(|o| Some((o, shadow::between(o, &rule)?))) {
                    let at = format!("{} line {}", other.file, other.line);
                    let why = format!("rule {} and rule {} ({at}): {why}", rule.id, other.id);
                    return Err(bad(file, Some(rule.line), why));
                }
                all.push(rule);
                if all.len() > MOST {
                    return Err(bad(file, None, format!("more than {MOST} rules")));
                }
            }
        }
        for (role, offset) in operators.roles() {
            let named = |rule: &Rule| {
                let mut literals = rule.cedar.entity_literals().into_iter();
                literals.any(|uid| uid.type_name().to_string() == "Role" && uid.id().unescaped() == role)
            };
            if !all.iter().any(named) {
                let line = operators_file.line_at(offset);
                return Err(bad(operators_file, Some(line), format!("role \"{role}\": no rule names it")));
            }
        }
        let mut by_action = BTreeMap::new();
        for action in OPERATORS_ACTIONS {
            let of = || all.iter().filter(|rule| rule.actions.contains(&action));
            let set = PolicySet::from_policies(of().map(|rule| rule.cedar.clone()))
                .map_err(|e| BadPolicy { file: "rules".into(), line: None, reason: e.to_string() })?;
            let permits = of()
                .filter(|rule| rule.cedar.effect() == Effect::Permit)
                .map(|rule| rule.cedar.principal_constraint())
                .collect();
            by_action.insert(action, OfAction { set, permits });
        }
        Ok(Self { all, by_action })
    }

    /// Every rule, in the order of files and lines.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.all.iter()
    }

    /// Those of one action; nothing for an action that no operator asks for.
    pub(super) fn of(&self, action: Action) -> Option<&OfAction> {
        self.by_action.get(&action)
    }
}

impl OfAction {
    /// Whether some permit's principal is this operator: if not, no card changes the answer.
    pub(super) fn may_concern(&self, profile: &Arc<Profile>) -> bool {
        let is_in = |uid: &EntityUid| {
            let (kind, name) = (uid.type_name().to_string(), uid.id().unescaped());
            (kind == "Role" && profile.roles.contains(name)) || (kind == "Office" && profile.office == name)
        };
        self.permits.iter().any(|principal| match principal {
            PrincipalConstraint::Any | PrincipalConstraint::Is(_) => true,
            PrincipalConstraint::In(uid) | PrincipalConstraint::IsIn(_, uid) => is_in(uid),
            PrincipalConstraint::Eq(_) => false,
        })
    }
}
