//! Whether guesses at a card of others met it, and its own limit: an unknown card and a limit of the operator look as good from
//! outside.

use std::collections::BTreeSet;

use serde_json::Value;

/// What a caller is told whom the limits of operators and offices refuse, which come before the card's own.
pub(super) const LIMITS: &str = "the limits of operators and offices come before that of the card: lift [limits.operator] and \
    [limits.office] in the authority.toml of its policies (of a demonstration: `demo --for-load --keep-running`)";

/// Why a guess that no storm needs was not taken.
pub(super) fn refused(status: u16, problem: &Value) -> String {
    match problem.get("code").and_then(Value::as_str) {
        Some(code) if code == TOO_MANY => format!("{status} {code}: {LIMITS}"),
        _ => format!("{status}: {problem}"),
    }
}

/// The code of a refusal by such a limit.
pub(super) const TOO_MANY: &str = "too_many_requests";

/// Why these answers show nothing about the limit of a card: one was about an unknown one, or no guess was refused for lack of a try.
pub(super) fn missed(log: &[Value], verifications: &BTreeSet<&str>) -> Option<&'static str> {
    let is_one = |event: &&Value| {
        event.get("verification").and_then(Value::as_str).is_some_and(|id| verifications.contains(id))
    };
    let checks = |event| Value::get(event, "checks").and_then(Value::as_str);
    let checks: Vec<&str> = log.iter().filter(is_one).filter_map(checks).collect();
    // The letters: K for a known card, T for a try that was granted.
    if checks.iter().any(|checks| !checks.contains('K')) {
        return Some("the authority does not know a card with this TEAM number: a stand-in was guessed at");
    }
    checks
        .iter()
        .all(|checks| checks.contains('T'))
        .then_some("no guess was refused for lack of a try: the card's own limit was not met")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn log(checks: &[&str]) -> Vec<Value> {
        let decided = |(n, checks): (usize, &&str)| json!({ "kind": "verification.decided", "verification": format!("v{n}"), "checks": checks });
        checks.iter().enumerate().map(decided).collect()
    }

    #[test]
    fn who_is_refused_by_another_limit_is_told_what_to_lift() {
        assert!(refused(429, &json!({ "code": "too_many_requests" })).contains("[limits.operator]"));
        assert!(!refused(503, &json!({ "code": "unavailable" })).contains("[limits.operator]"));
    }

    #[test]
    fn only_a_card_whose_tries_end_shows_its_limit() {
        let all = BTreeSet::from(["v0", "v1", "v2"]);
        let missed = |checks: &[&str]| missed(&log(checks), &all).unwrap_or_default();
        assert_eq!(missed(&["KAFST-", "KAFST-", "KAFS--"]), "");
        assert!(missed(&["----T-", "----T-", "------"]).contains("does not know"));
        assert!(missed(&["KAFST-", "------", "KAFS--"]).contains("does not know"));
        for checks in [&["KAFST-", "KAFST-", "KAFSTM"][..], &[], &["KAFST-", "KAFST-", "KAFST-", "KAFS--"]] {
            // The last of four is another's guess.
            assert!(missed(checks).contains("lack of a try"), "{checks:?}");
        }
    }
}
