//! What those who guessed were told, and whether it is true: they know which code was the card's, the log does not.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::guesses::{DECIDED, SPENT, text};

/// An answer to a guess.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Idempotency key of the guess.
    pub key: String,
    /// Whether the code that was presented is the card's.
    pub right: bool,
    /// As it was told: `accepted` or `rejected`.
    pub outcome: String,
    /// Id of the verification.
    pub verification: String,
}

impl Answer {
    /// From the body of an answer. What it lacks is empty, and is found in no log.
    pub fn read(key: &str, right: bool, body: &Value) -> Self {
        let member = |name| text(body, name).to_owned();
        Self { key: key.to_owned(), right, outcome: member("outcome"), verification: member("verification") }
    }

    /// Whether the code was accepted.
    pub fn is_accepted(&self) -> bool {
        self.outcome == "accepted"
    }
}

/// The first of these answers that contradicts what the guesser knows, or the log: one that is not in it, or is another there;
/// a wrong code that was accepted; the right code of an active `card` that was given a try, and rejected all the same.
pub fn untrue(log: &[Value], card: &str, answers: &[Answer]) -> Option<String> {
    let about = |kind: &'static str| {
        log.iter().filter(move |event| text(event, "kind") == kind && text(event, "card") == card)
    };
    let decided: BTreeMap<_, _> = about(DECIDED).map(|event| (text(event, "verification"), event)).collect();
    let is_granted = |event: &&Value| text(event, "ticket").parse::<u64>().is_ok_and(|ticket| ticket > 0);
    let granted: BTreeSet<_> = about(SPENT).filter(is_granted).map(|event| text(event, "request")).collect();
    let is_known = |answer: &&Answer| decided.contains_key(answer.verification.as_str());
    let lost = answers.iter().filter(|answer| !is_known(answer)).count();
    if lost > 0 {
        return Some(format!("{lost} answers are not in the log"));
    }
    answers.iter().find_map(|answer| {
        let Answer { key, right, outcome, verification } = answer;
        let event = decided.get(verification.as_str())?;
        let (checks, logged) = (text(event, "checks"), text(event, "outcome"));
        if outcome != logged {
            Some(format!("{key} was answered {outcome}, the log says {logged}"))
        } else if answer.is_accepted() && !right {
            Some(format!("the wrong code of {key} was accepted (checks {checks})"))
        } else if !answer.is_accepted() && *right && granted.contains(text(event, "request")) {
            Some(format!("the right code of {key} was given a try and rejected (checks {checks})"))
        } else {
            None
        }
    })
}

/// A key that was answered in two ways: its guess was looked at twice.
pub fn changed(answers: &[Answer]) -> Option<String> {
    let mut first: BTreeMap<&str, &Answer> = BTreeMap::new();
    let other = answers.iter().find(|answer| *first.entry(&answer.key).or_insert(answer) != *answer);
    other.map(|answer| format!("{} was answered in two ways", answer.key))
}

/// What the log calls accepted and nobody was told.
pub fn untold(log: &[Value], card: &str, answers: &[Answer]) -> Option<String> {
    let told: BTreeSet<_> = answers
        .iter()
        .filter(|answer| answer.is_accepted())
        .map(|answer| answer.verification.as_str())
        .collect();
    let is_untold = |event: &&Value| {
        text(event, "kind") == DECIDED
            && text(event, "card") == card
            && text(event, "outcome") == "accepted"
            && !told.contains(text(event, "verification"))
    };
    let count = log.iter().filter(is_untold).count();
    (count > 0).then(|| format!("{count} accepted in the log, which nobody was told"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer(key: &str, right: bool, outcome: &str) -> Answer {
        Answer::read(key, right, &json!({ "outcome": outcome, "verification": format!("v-{key}") }))
    }

    /// Of a guess with this key.
    fn logged(key: &str, ticket: u32, outcome: &str) -> [Value; 2] {
        [
            json!({ "kind": SPENT, "card": "c", "request": key, "ticket": format!("{ticket:010}") }),
            json!({ "kind": DECIDED, "card": "c", "request": key, "outcome": outcome, "checks": "KAFS",
                "verification": format!("v-{key}") }),
        ]
    }

    #[test]
    fn what_is_so_is_true() {
        let log =
            [logged("1", 1, "rejected"), logged("2", 2, "accepted"), logged("3", 0, "rejected")].concat();
        // The third is right too, and had no try.
        let answers =
            [answer("1", false, "rejected"), answer("2", true, "accepted"), answer("3", true, "rejected")];
        assert_eq!(untrue(&log, "c", &answers), None);
        assert_eq!(untold(&log, "c", &answers), None);
        assert_eq!(changed(&[answers.as_slice(), &answers].concat()), None);
    }

    #[test]
    fn two_answers_that_were_exchanged_are_seen_though_the_log_agrees() {
        let log = [logged("1", 1, "accepted"), logged("2", 2, "rejected")].concat();
        let wrong = [answer("1", false, "accepted")];
        let right = [answer("2", true, "rejected")];
        assert!(untrue(&log, "c", &wrong).is_some_and(|why| why.contains("the wrong code of 1")));
        assert!(untrue(&log, "c", &right).is_some_and(|why| why.contains("the right code of 2")));
    }

    #[test]
    fn an_answer_that_the_log_does_not_have_is_seen() {
        let log = [logged("1", 1, "rejected"), logged("2", 2, "accepted")].concat();
        let untrue = |answers: &[Answer]| untrue(&log, "c", answers).unwrap_or_default();
        assert!(untrue(&[answer("3", false, "rejected")]).contains("1 answers are not"));
        assert!(untrue(&[answer("1", true, "accepted")]).contains("the log says rejected"));
        assert!(super::untrue(&log, "other", &[answer("1", false, "rejected")]).is_some());
        assert!(untold(&log, "c", &[answer("1", false, "rejected")]).is_some());
        let unreadable = Answer::read("1", false, &json!({ "outcome": 1 }));
        assert!(untrue(&[unreadable]).contains("not in the log"));
    }

    #[test]
    fn a_key_has_one_answer() {
        let other = Answer { verification: "v-9".into(), ..answer("1", false, "rejected") };
        assert!(changed(&[answer("1", false, "rejected"), other]).is_some());
    }
}
