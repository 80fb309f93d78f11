//! How many guesses at a C.I.P. were really evaluated, from the audit log alone.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::BufRead,
};

use serde_json::Value;

/// Events of an export, without its checkpoints.
///
/// # Errors
/// A sentence with the line.
pub fn events(export: &str) -> Result<Vec<Value>, String> {
    let mut events = Vec::new();
    for (number, line) in (1_u64..).zip(export.lines()) {
        let mut line: Value = serde_json::from_str(line).map_err(|e| format!("line {number}: {e}"))?;
        if let Some(event) = line.get_mut("event") {
            events.push(event.take());
        }
    }
    Ok(events)
}

/// The events about this card, and those of recoveries, in their order.
pub fn about(events: &[Value], card: &str) -> Vec<Value> {
    let is = |event: &&Value| text(event, "card") == card || text(event, "kind") == RECOVERED;
    events.iter().filter(is).cloned().collect()
}

/// What was evaluated over a restore: the events of the branch that it lost, then those of the log from the recovery on that
/// ended this branch. Without a lost branch, the log.
///
/// # Errors
/// The log does not tell of the recovery.
pub fn with_branch(lost: &[Value], log: &[Value]) -> Result<Vec<Value>, String> {
    if lost.is_empty() {
        return Ok(log.to_vec());
    }
    let recovered = |event: &&Value| text(event, "kind") == RECOVERED;
    let before = lost.iter().filter(recovered).count();
    let mut places = (0..).zip(log).filter(|(_, event)| recovered(event)).map(|(place, _)| place);
    let from: usize = places.nth(before).ok_or("no recovery after the branch that was lost")?;
    Ok(lost.iter().chain(log.iter().skip(from)).cloned().collect())
}

/// A member of an event, empty if it is missing or no text.
pub(crate) fn text<'a>(event: &'a Value, name: &str) -> &'a str {
    event.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// The requests that ended in these verifications.
pub fn requests_of<'a>(events: &'a [Value], verifications: &BTreeSet<&str>) -> BTreeSet<&'a str> {
    let is = |event: &&Value| {
        text(event, "kind") == DECIDED && verifications.contains(text(event, "verification"))
    };
    events.iter().filter(is).map(|event| text(event, "request")).collect()
}

/// The events of requests that are among these, or that are not.
pub fn of_requests(events: &[Value], requests: &BTreeSet<&str>, among: bool) -> Vec<Value> {
    events.iter().filter(|event| requests.contains(text(event, "request")) == among).cloned().collect()
}

/// The card that a verification was about.
///
/// # Errors
/// The log has no such verification.
pub fn card_of<'a>(events: &'a [Value], verification: &str) -> Result<&'a str, String> {
    let found = events
        .iter()
        .find(|event| text(event, "kind") == DECIDED && text(event, "verification") == verification);
    found
        .map(|event| text(event, "card"))
        .ok_or_else(|| format!("verification {verification} is not in the log"))
}

pub(crate) const SPENT: &str = "verification.spent";
pub(crate) const DECIDED: &str = "verification.decided";
const RECOVERED: &str = "store.recovered";

/// Why each verification of an export was answered as it was: its letters.
///
/// # Errors
/// A sentence.
pub fn checks(export: impl BufRead) -> Result<BTreeMap<String, String>, String> {
    let mut checks = BTreeMap::new();
    for line in export.lines() {
        let line = line.map_err(|e| format!("the export: {e}"))?;
        if line.contains(DECIDED) {
            for event in events(&line)?.iter().filter(|event| text(event, "kind") == DECIDED) {
                checks.insert(text(event, "verification").into(), text(event, "checks").into());
            }
        }
    }
    Ok(checks)
}

/// What the log says about one card.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Requests that asked for a try.
    pub asked: usize,
    /// Tries that were granted. Each may have been evaluated, whether an outcome is in the log or not.
    pub granted: usize,
    /// Of them, those whose requests have no outcome: they were cut off after the try was spent.
    pub cut: usize,
    /// Of them, those that were right.
    pub accepted: usize,
    /// The longest row of granted tries, in the order of their tickets, without a right one among them.
    pub longest_row: u32,
    /// Evaluated without a try that was granted before, in the log, to the same request.
    pub without_try: usize,
    /// Tickets that were granted twice.
    pub repeated: usize,
}

impl Counted {
    /// Counts the events about `card`.
    ///
    /// # Errors
    /// A sentence, if an event cannot be read.
    pub fn of(events: &[Value], card: &str) -> Result<Self, String> {
        let mut counted = Self::default();
        let mut tickets: BTreeMap<u64, &str> = BTreeMap::new();
        let (mut granted, mut accepted, mut decided) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for event in events.iter().filter(|event| text(event, "card") == card) {
            let request = text(event, "request");
            match text(event, "kind") {
                SPENT => {
                    let ticket = text(event, "ticket").parse::<u64>();
                    let ticket = ticket.map_err(|_| format!("request {request}: no ticket"))?;
                    counted.asked = counted.asked.saturating_add(1);
                    if ticket > 0 {
                        counted.granted = counted.granted.saturating_add(1);
                        granted.insert(request);
                        if tickets.insert(ticket, request).is_some() {
                            counted.repeated = counted.repeated.saturating_add(1);
                        }
                    }
                }
                DECIDED => {
                    decided.insert(request);
                    // The letter T: the decision counted a granted try.
                    let evaluated =
                        text(event, "checks").contains('T') || text(event, "outcome") == "accepted";
                    if evaluated && !granted.contains(request) {
                        counted.without_try = counted.without_try.saturating_add(1);
                    }
                    if text(event, "outcome") == "accepted" {
                        accepted.insert(request);
                    }
                }
                _ => {}
            }
        }
        counted.accepted = accepted.len();
        counted.cut = granted.difference(&decided).count();
        let mut row = 0_u32;
        for request in tickets.values() {
            row = if accepted.contains(request) { 0 } else { row.saturating_add(1) };
            counted.longest_row = counted.longest_row.max(row);
        }
        Ok(counted)
    }

    /// Wrong guesses that may have been evaluated.
    pub const fn wrong(&self) -> usize {
        self.granted.saturating_sub(self.accepted)
    }

    /// Whether the policy's limits were kept.
    pub fn is_within(&self, in_a_row: u32, lifetime: usize) -> bool {
        self.longest_row <= in_a_row
            && self.wrong() <= lifetime
            && self.without_try == 0
            && self.repeated == 0
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spent(request: u32, ticket: u32) -> Value {
        json!({ "kind": SPENT, "card": "c", "request": request.to_string(), "ticket": ticket.to_string() })
    }

    fn decided(request: u32, outcome: &str, checks: &str) -> Value {
        json!({ "kind": DECIDED, "card": "c", "request": request.to_string(), "outcome": outcome, "checks": checks,
            "verification": format!("v{request}") })
    }

    fn wrong(request: u32, ticket: u32) -> [Value; 2] {
        [spent(request, ticket), decided(request, "rejected", if ticket > 0 { "KAFST-" } else { "KAFS--" })]
    }

    #[test]
    fn a_row_is_of_tickets_and_ends_at_a_right_one() {
        let mut log = [wrong(1, 1), wrong(2, 2), wrong(3, 4), wrong(4, 5), wrong(5, 0)].concat();
        log.extend([spent(6, 3), decided(6, "accepted", "KAFSTM")]);
        log.push(json!({ "kind": SPENT, "card": "other", "request": "7", "ticket": "1" }));
        let counted = Counted::of(&log, "c").unwrap();
        assert_eq!((counted.asked, counted.granted, counted.accepted, counted.longest_row), (6, 5, 1, 2));
        assert!(counted.is_within(2, 4) && !counted.is_within(1, 4) && !counted.is_within(2, 3));
        assert_eq!(card_of(&log, "v3"), Ok("c"));
        assert!(card_of(&log, "v9").is_err());
    }

    #[test]
    fn what_was_never_decided_counts_and_what_was_never_spent_is_found() {
        let counted = Counted::of(&[spent(1, 1), spent(2, 2)], "c").unwrap();
        assert_eq!((counted.longest_row, counted.wrong()), (2, 2), "killed before the outcome");
        assert_eq!(counted.cut, 2);
        // One that was decided, and one that had no try, are not cut off.
        let log = [wrong(1, 1).to_vec(), vec![spent(2, 2), spent(3, 0)]].concat();
        assert_eq!(Counted::of(&log, "c").unwrap().cut, 1);
        for log in [
            vec![decided(1, "rejected", "KAFST-")],
            vec![spent(1, 0), decided(1, "rejected", "KAFST-")],
            vec![decided(1, "rejected", "KAFST-"), spent(1, 1)],
            [wrong(1, 1), wrong(2, 1)].concat(),
        ] {
            assert!(!Counted::of(&log, "c").unwrap().is_within(5, 100), "{log:?}");
        }
        assert!(Counted::of(&[json!({ "kind": SPENT, "card": "c" })], "c").is_err());
    }

    #[test]
    fn what_came_after_a_storm_is_told_apart() {
        let log = [wrong(1, 1), wrong(2, 2), wrong(3, 3)].concat();
        let after = requests_of(&log, &BTreeSet::from(["v2", "v3", "v9"]));
        let granted = |among| Counted::of(&of_requests(&log, &after, among), "c").unwrap().granted;
        assert_eq!((granted(true), granted(false)), (2, 1));
    }

    #[test]
    fn guesses_of_a_lost_branch_count_with_those_after_its_recovery() {
        let recovered = json!({ "kind": RECOVERED });
        // The second recovery ends the branch in which the tries 2 and 3 were; a third one comes later.
        let first = [vec![recovered.clone()], wrong(1, 1).to_vec()].concat();
        let lost = [first.clone(), wrong(2, 2).to_vec(), wrong(3, 3).to_vec()].concat();
        let log = [first.clone(), vec![recovered.clone()], wrong(4, 0).to_vec(), vec![recovered]].concat();
        let counted = |events: &[Value]| Counted::of(events, "c").unwrap();
        let whole = counted(&with_branch(&lost, &log).unwrap());
        assert_eq!((whole.asked, whole.granted, whole.longest_row), (4, 3, 3));
        assert_eq!(counted(&with_branch(&[], &log).unwrap()).granted, 1);
        assert!(with_branch(&lost, &first).is_err(), "no second recovery");
        // Events of others change nothing.
        let other = json!({ "kind": SPENT, "card": "other", "request": "7", "ticket": "1" });
        let other = std::slice::from_ref(&other);
        let among = |events: &[Value]| about(&[other, events, other].concat(), "c");
        assert_eq!(with_branch(&among(&lost), &among(&log)), with_branch(&lost, &log));
    }

    #[test]
    fn an_export_is_read() {
        let export = "{\"hash\":\"00\",\"event\":{\"kind\":\"a\"}}\n{\"checkpoint\":\"text\"}\n";
        assert_eq!(events(export).unwrap(), [json!({ "kind": "a" })]);
        assert!(events("x").is_err());
        let line = |event: Value| json!({ "hash": "00", "event": event }).to_string();
        let said = json!({ "kind": "a", "said": DECIDED, "verification": "v3", "checks": "KAFSTM" });
        let log = [line(spent(1, 0)), line(decided(1, "rejected", "KAFS--")), line(said)].join("\n");
        let found = checks(log.as_bytes()).unwrap();
        assert_eq!(found, BTreeMap::from([("v1".into(), "KAFS--".into())]));
        assert!(checks(format!("{log}\n{DECIDED}").as_bytes()).is_err());
    }
}
