//! What a storm left is judged: the log, held against what each guesser presented and was told.

use std::collections::BTreeSet;

use serde_json::Value;
use sigillo_proofs::{
    answers::{Answer, changed, untold, untrue},
    claim::Claim,
    guesses::{Counted, about, card_of, of_requests, requests_of, with_branch},
};

use super::{
    IN_A_ROW, LIFETIME,
    missed::{LIMITS, TOO_MANY, missed},
};
use crate::{Run, blows::Blow, storm::Told, storms::Storm};

/// What happened in one storm, and after it.
pub(super) struct Done {
    pub(super) name: String,
    pub(super) storm: &'static Storm,
    pub(super) told: Told,
    /// The guesses after it, if there were any: none of them is right to be accepted.
    pub(super) after: Vec<Answer>,
    /// Whether nobody else guesses at the card, and no limit of an operator is met.
    pub(super) alone: bool,
    /// Why it was not brought to its end.
    pub(super) broken: Option<String>,
}

/// What one storm left to judge.
pub(super) struct Judged {
    pub(super) name: String,
    /// Everything about the card.
    pub(super) counted: Counted,
    /// The storm without what came after it.
    pub(super) own: Counted,
    figure: String,
    /// What the callers saw contradicts the log, or what they know.
    contradiction: Option<String>,
    /// Whether every judge says no to what was forged: a log without a try, a log with one twice, a wrong code that was accepted.
    control: bool,
    /// Tries that met the blow, if the storm has one that they can meet, and how; over all rounds, so many at least.
    met: Option<(usize, &'static str)>,
    least: usize,
}

impl Judged {
    pub(super) fn holds(&self) -> bool {
        self.contradiction.is_none() && self.counted.is_within(IN_A_ROW, LIFETIME)
    }

    pub(super) fn claim(self, run: &Run<'_>) -> Claim {
        let holds = self.holds() && self.met.is_none_or(|(met, _)| met >= self.least);
        let Self { name, figure, contradiction, control, met, least, .. } = self;
        let wanted = if least > 0 { format!(", at least {least}") } else { String::new() };
        let met = met.map(|(met, what)| format!("; {met} {what}, in all rounds{wanted}")).unwrap_or_default();
        let why = contradiction.map(|why| format!("; {why}")).unwrap_or_default();
        let bound = format!(
            "{IN_A_ROW} wrong guesses in a row, {LIFETIME} in a life; none evaluated without a spent try; no ticket twice; no \
             wrong code accepted, no right one with a try rejected"
        );
        let figure = format!("{figure}{met}{why}");
        run.claim(format!("wrong guesses evaluated: {name}"), (figure, bound), holds, Some(control))
    }

    /// Of two rounds the one that says more: that does not hold, or had more tries cut off, or has the longer row; with the tries
    /// of both that met the blow.
    pub(super) fn beside(self, other: Self) -> Self {
        let weight = |one: &Self| (!one.holds(), one.own.cut, one.own.longest_row);
        let met = self.met.zip(other.met).map(|((one, what), (two, _))| (one.saturating_add(two), what));
        let says_more = if weight(&other) > weight(&self) { other } else { self };
        Self { met, ..says_more }
    }

    /// Adds this to the figure.
    pub(super) fn add(&mut self, text: &str) {
        self.figure.push_str(text);
    }

    /// A storm that no guess of got through: nothing is shown.
    fn nothing(done: &Done) -> Self {
        let why = format!("none of {} guesses was answered, but {}", done.told.sent, done.told.refused());
        Self {
            name: done.name.clone(),
            counted: Counted::default(),
            own: Counted::default(),
            figure: why,
            contradiction: Some(if is_limited(&done.told) { LIMITS } else { "a storm that was none" }.into()),
            control: false,
            met: None,
            least: 0,
        }
    }
}

/// Judges one storm by the log of all.
pub(super) fn judge(log: &[Value], done: &Done) -> Result<Judged, String> {
    let Done { name, storm, told, after, alone, broken } = done;
    let Some(of_card) = told.answers.first() else { return Ok(Judged::nothing(done)) };
    let in_branch = card_of(&told.branch, &of_card.verification);
    let Ok(card) = in_branch.or_else(|_| card_of(log, &of_card.verification)) else {
        return Err(format!("{name}: verification {} is not in the log", of_card.verification));
    };
    // Of a log of hundreds of storms, what is about this one.
    let kept = &about(log, card);
    let log = &with_branch(&told.branch, kept)?;
    let counted = Counted::of(log, card)?;
    let own = Counted::of(&own(log, done), card)?;
    let lost = counted.granted.saturating_sub(Counted::of(kept, card)?.granted);
    let (met, least) = match storm.blow {
        Blow::Nothing | Blow::Stop => (None, 0),
        Blow::Kill | Blow::Token | Blow::Disk => (
            Some((own.cut, "tries cut off after they were spent, without an outcome")),
            usize::from(storm.blow.must_cut_off()),
        ),
        Blow::Restore => (Some((lost, "tries of which only the lost branch tells")), 1),
    };
    let answers = [told.answers.as_slice(), after].concat();
    let contradiction = missed(log, &told.verifications())
        .filter(|_| !alone)
        .map(|why| if is_limited(told) { format!("{why}; {LIMITS}") } else { why.to_owned() })
        .or_else(|| broken.clone())
        .or_else(|| unanswered(done))
        .or_else(|| untrue(log, card, &answers))
        // What a restore loses is looked at once more.
        .or_else(|| changed(&told.answers).filter(|_| storm.blow != Blow::Restore))
        .or_else(|| untold(log, card, &answers).filter(|_| *alone))
        .or_else(|| once_more(done, &own))
        .or_else(|| not_at_the_end(after))
        .or_else(|| (own.granted == 0).then(|| "no try was granted to the storm itself".into()));
    let figure = format!(
        "{} of {} guesses answered{}{}; {} asked for a try, {} granted, {} right, longest row of wrong ones {}; of the card in all, \
         before and after too, {} granted, longest row {} of {IN_A_ROW}",
        told.answers.len(),
        told.sent,
        if told.refusals.is_empty() { "" } else { ", " },
        told.refused(),
        own.asked,
        own.granted,
        own.accepted,
        own.longest_row,
        counted.granted,
        counted.longest_row,
    );
    let stricter = !counted.is_within(counted.longest_row.saturating_sub(1), LIFETIME);
    // Of a card that others have used up, the log shows their guesses, and nothing of these.
    let control = own.granted > 0
        && counted.longest_row > 0
        && stricter
        && forged(log, card)?.iter().all(|forged| !forged.is_within(IN_A_ROW, LIFETIME))
        && exchanged(log, card, &told.answers);
    Ok(Judged { name: name.clone(), counted, own, figure, contradiction, control, met, least })
}

/// Whether another limit than that of the card was met.
fn is_limited(told: &Told) -> bool {
    told.refusals.iter().any(|refusal| refusal.what == TOO_MANY)
}

/// The events of the storm itself: without the guesses after it; of a card that others guess at too, only what it was answered.
fn own(log: &[Value], done: &Done) -> Vec<Value> {
    if done.alone {
        let after = done.after.iter().map(|answer| answer.verification.as_str()).collect();
        of_requests(log, &requests_of(log, &after), false)
    } else {
        of_requests(log, &requests_of(log, &done.told.verifications()), true)
    }
}

/// Guesses that should have been answered and were not.
fn unanswered(done: &Done) -> Option<String> {
    let Done { storm, told, alone, .. } = done;
    // What a blow meets is sent once more.
    let times = if matches!(storm.blow, Blow::Nothing | Blow::Stop) { 1 } else { 2 };
    if told.sent != storm.guesses.saturating_mul(times) {
        return Some(format!("{} guesses were sent, not {} {times} times", told.sent, storm.guesses));
    }
    // Whether a guess was decided that was cut off is known to nobody.
    let settling: &[&str] = if storm.blow.cuts_off() { &["outcome_unknown"] } else { &[] };
    let is_allowed = |what: &str| {
        settling.contains(&what)
            || (what == "in_progress" && told.keys.len() < storm.guesses)
            || (what == TOO_MANY && !alone)
    };
    if storm.blow == Blow::Token && told.refusals.iter().all(|refusal| refusal.in_calm) {
        return Some("no guess met the loss of the token".into());
    }
    let refused = told.refusals.iter().find(|refusal| refusal.in_calm && !is_allowed(&refusal.what));
    if let Some(refusal) = refused {
        return Some(format!("a guess was answered {} with nothing in its way", refusal.what));
    }
    let settled = told.settled(settling);
    (*alone && settled != told.keys.len())
        .then(|| format!("{settled} of {} keys were answered", told.keys.len()))
}

/// A key that asked for a try twice. After a restore those do whose guesses were lost.
fn once_more(done: &Done, own: &Counted) -> Option<String> {
    let keys = done.told.keys.len();
    (own.asked > keys && done.storm.blow != Blow::Restore)
        .then(|| format!("{} asked for a try, with {keys} keys", own.asked))
}

/// The guesses after the storm did not find the card locked at their end.
fn not_at_the_end(after: &[Answer]) -> Option<String> {
    let outcomes: Vec<_> = after.iter().map(|answer| answer.outcome.as_str()).collect();
    outcomes
        .iter()
        .any(|outcome| *outcome != "rejected")
        .then(|| format!("after the storm: {}", outcomes.join(", ")))
}

/// Is the event a granted try of the card?
fn is_granted(event: &Value, card: &str) -> bool {
    let is = |name: &str, value: &str| event.get(name).and_then(Value::as_str) == Some(value);
    let ticket = event.get("ticket").and_then(Value::as_str).and_then(|ticket| ticket.parse::<u64>().ok());
    is("card", card) && is("kind", "verification.spent") && ticket.is_some_and(|ticket| ticket > 0)
}

/// Logs that must not be within the limits: a granted try was granted to another request too; one that was decided was never
/// granted, if there is one: all may have been cut off.
fn forged(log: &[Value], card: &str) -> Result<Vec<Counted>, String> {
    let mut twice = log.to_vec();
    twice.extend(log.iter().find(|event| is_granted(event, card)).cloned().map(|mut again| {
        if let Some(request) = again.get_mut("request") {
            *request = "another".into();
        }
        again
    }));
    let mut logs = vec![twice];
    let decided: BTreeSet<_> =
        log.iter().filter(|e| e.get("checks").is_some()).filter_map(|e| e.get("request")?.as_str()).collect();
    let is_decided =
        |event: &Value| event.get("request").and_then(Value::as_str).is_some_and(|r| decided.contains(r));
    let mut without = log.to_vec();
    let granted = without.iter_mut().find(|event| is_granted(event, card) && is_decided(event));
    if let Some(ticket) = granted.and_then(|event| event.get_mut("ticket")) {
        *ticket = "0".into();
        logs.push(without);
    }
    logs.iter().map(|log| Counted::of(log, card)).collect()
}

/// Whether a wrong code that was accepted, by answer and log alike, would be seen; true if there was none to try it with.
fn exchanged(log: &[Value], card: &str, answers: &[Answer]) -> bool {
    let Some(wrong) = answers.iter().find(|answer| !answer.right && !answer.is_accepted()) else {
        return true;
    };
    let accepted = Answer { outcome: "accepted".into(), ..wrong.clone() };
    let mut log = log.to_vec();
    let is =
        |event: &&mut Value| event.get("verification").and_then(Value::as_str) == Some(&wrong.verification);
    if let Some(outcome) = log.iter_mut().find(is).and_then(|event| event.get_mut("outcome")) {
        *outcome = "accepted".into();
    }
    untrue(&log, card, &[accepted]).is_some_and(|why| why.contains("wrong code"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{storm::Refusal, storms::STORMS};

    /// The first storm, of which so many guesses were answered and the others refused by this code.
    fn done(answered: usize, what: &str, alone: bool) -> Done {
        let storm = &STORMS[0];
        let keys: Vec<_> = (0..storm.keys).map(|key| key.to_string()).collect();
        let answer = |key: &String| Answer {
            key: key.clone(),
            right: false,
            outcome: "rejected".into(),
            verification: format!("v-{key}"),
        };
        let refusal = |key: &String| Refusal { key: key.clone(), what: what.into(), in_calm: true };
        let told = Told {
            sent: storm.guesses,
            answers: keys.iter().take(answered).map(answer).collect(),
            refusals: keys.iter().skip(answered).map(refusal).collect(),
            keys: keys.into_iter().collect(),
            branch: Vec::new(),
        };
        Done { name: "a storm".into(), storm, told, after: Vec::new(), alone, broken: None }
    }

    #[test]
    fn a_storm_of_which_guesses_were_refused_is_not_shown() {
        assert_eq!(unanswered(&done(64, "", true)), None);
        for what in ["no answer", "unavailable", "too_many_requests", "in_progress", "outcome_unknown"] {
            assert!(unanswered(&done(63, what, true)).is_some(), "{what}");
        }
        // Only where limits of an operator are met.
        assert_eq!(unanswered(&done(1, "too_many_requests", false)), None);
        assert!(unanswered(&done(1, "unavailable", false)).is_some());
        let mut fewer = done(64, "", true);
        fewer.told.sent = 63;
        assert!(unanswered(&fewer).is_some());
        let mut unheard = done(64, "", true);
        unheard.told.answers.truncate(63);
        assert!(unanswered(&unheard).is_some());
    }

    #[test]
    fn a_storm_at_an_unknown_card_of_others_is_not_shown() {
        let one = done(64, "", false);
        let log = |letters: [&str; 2]| {
            let event = |n: usize| {
                let (granted, id) = (n < 5, format!("r-{n}"));
                let (ticket, checks) = if granted { (n + 1, letters[0]) } else { (0, letters[1]) };
                let about = json!({ "kind": "verification.spent", "card": "c", "request": id, "ticket": ticket.to_string() });
                let decided = json!({ "kind": "verification.decided", "card": "c", "request": id, "outcome": "rejected",
                    "verification": format!("v-{n}"), "checks": checks });
                [about, decided]
            };
            (0..64).flat_map(event).collect::<Vec<_>>()
        };
        let shown = |letters| {
            let judged = judge(&log(letters), &one).unwrap();
            (judged.holds(), judged.control)
        };
        assert_eq!(shown(["KAFST-", "KAFS--"]), (true, true));
        assert_eq!(shown(["----T-", "------"]), (false, true), "a stand-in");
        assert!(!shown(["KAFST-", "KAFST-"]).0, "no limit");
    }

    #[test]
    fn a_storm_at_a_card_that_has_no_try_left_is_not_shown() {
        let event = |n: usize, ticket: usize, verification: &str| {
            let (id, checks) = (format!("r-{n}"), if ticket > 0 { "KAFST-" } else { "KAFS--" });
            let about = json!({ "kind": "verification.spent", "card": "c", "request": id, "ticket": ticket.to_string() });
            let decided = json!({ "kind": "verification.decided", "card": "c", "request": id, "outcome": "rejected",
                "verification": verification, "checks": checks });
            [about, decided]
        };
        // Another storm has used its tries up.
        let before = (0..5).flat_map(|n| event(n, n + 1, &format!("w-{n}")));
        let log: Vec<_> = before.chain((0..64).flat_map(|n| event(n + 5, 0, &format!("v-{n}")))).collect();
        let judged = judge(&log, &done(64, "", false)).unwrap();
        assert!(!judged.holds() && !judged.control);
        let why = judged.contradiction.unwrap_or_default();
        assert!(why.contains("to the storm itself"), "{why}");
    }

    #[test]
    fn a_storm_that_met_the_limits_of_operators_first_says_what_to_lift() {
        let event = |n: usize| {
            let about = json!({ "kind": "verification.spent", "card": "c", "request": format!("r-{n}"), "ticket": (n + 1).to_string() });
            let decided = json!({ "kind": "verification.decided", "card": "c", "request": format!("r-{n}"), "outcome": "rejected",
                "verification": format!("v-{n}"), "checks": "KAFST-" });
            [about, decided]
        };
        let log: Vec<_> = (0..5).flat_map(event).collect();
        let why = |what| judge(&log, &done(5, what, false)).unwrap().contradiction.unwrap_or_default();
        assert!(why("too_many_requests").ends_with(LIMITS), "{}", why("too_many_requests"));
        assert!(why("unavailable").contains("lack of a try") && !why("unavailable").contains(LIMITS));
    }

    #[test]
    fn a_storm_without_an_answer_is_not_shown_whatever_the_log_says() {
        let judged = judge(&[], &done(0, "too_many_requests", false)).unwrap();
        assert!(!judged.holds() && !judged.control);
        assert!(judged.figure.contains("64 too_many_requests"), "{}", judged.figure);
        assert_eq!(judged.contradiction.as_deref(), Some(LIMITS));
        let judged = judge(&[], &done(0, "unavailable", false)).unwrap();
        assert_eq!(judged.contradiction.as_deref(), Some("a storm that was none"));
    }
}
