//! Rules that can never decide because of another, as far as their structure shows it.
//!
//! Found: a second rule with the same effect, scope and conditions; a permit within the scope of a permit without
//! conditions, and a forbid within that of such a forbid; a permit within the scope of a forbid without conditions.
//! Conditions are compared as written, never solved: `>= 1` and `> 0` are two conditions here.

use cedar_policy::{Effect, Policy as Cedar, PrincipalConstraint, ResourceConstraint};

use super::Rule;

/// Whether whatever `inner` admits, `outer` admits.
fn principal_covers(outer: &PrincipalConstraint, inner: &PrincipalConstraint) -> bool {
    match outer {
        // The schema has one type of principal.
        PrincipalConstraint::Any | PrincipalConstraint::Is(_) => true,
        PrincipalConstraint::In(all) | PrincipalConstraint::IsIn(_, all) => match inner {
            PrincipalConstraint::In(some)
            | PrincipalConstraint::IsIn(_, some)
            | PrincipalConstraint::Eq(some) => some == all,
            PrincipalConstraint::Any | PrincipalConstraint::Is(_) => false,
        },
        PrincipalConstraint::Eq(one) => *inner == PrincipalConstraint::Eq(one.clone()),
    }
}

/// Whether an unconditional rule on `outer` always applies with one on `inner`. Cards are in nothing.
fn resource_covers(outer: &ResourceConstraint, inner: &ResourceConstraint) -> bool {
    *outer == ResourceConstraint::Any || outer == inner
}

fn covers(outer: &Rule, inner: &Rule) -> bool {
    !outer.cedar.has_non_scope_constraint()
        && outer.actions.is_superset(&inner.actions)
        && principal_covers(&outer.cedar.principal_constraint(), &inner.cedar.principal_constraint())
        && resource_covers(&outer.cedar.resource_constraint(), &inner.cedar.resource_constraint())
}

/// Effect, scope and conditions, without what the rule is called.
pub(super) fn body(rule: &Cedar) -> Option<serde_json::Value> {
    let mut json = rule.to_json().ok()?;
    json.as_object_mut()?.remove("annotations");
    json.as_object_mut()?.remove("action");
    Some(json)
}

/// Why one of two rules never decides; nothing where both may.
pub(super) fn between(earlier: &Rule, later: &Rule) -> Option<String> {
    if earlier.body.is_some() && earlier.body == later.body {
        if earlier.actions.is_superset(&later.actions) {
            return Some(format!("{} says nothing more than {}", later.id, earlier.id));
        }
        if later.actions.is_superset(&earlier.actions) {
            return Some(format!("{} says nothing more than {}", earlier.id, later.id));
        }
    }
    for (outer, inner) in [(earlier, later), (later, earlier)] {
        if !covers(outer, inner) {
            continue;
        }
        return match (outer.cedar.effect(), inner.cedar.effect()) {
            (Effect::Permit, Effect::Permit) | (Effect::Forbid, Effect::Forbid) => {
                Some(format!("{} never decides: {} always does before it", inner.id, outer.id))
            }
            (Effect::Forbid, Effect::Permit) => {
                Some(format!("{} never decides: {} forbids all of it", inner.id, outer.id))
            }
            (Effect::Permit, Effect::Forbid) => continue,
        };
    }
    None
}
