//! The report: for people as Markdown, for programs as JSON; and beside its claims how the run was that made it.

use serde::Serialize;

use crate::claim::Claim;

/// What is said above the table.
#[derive(Debug, Serialize)]
pub struct About {
    /// Commit that was proved; with `-changed` if the files differ from it.
    pub commit: String,
    /// What git said, if it knows no commit.
    pub no_commit: Option<String>,
    /// `short` or `full`, and what it was altered by.
    pub form: String,
    /// Day in Italy on which this report was written.
    pub date: String,
    /// Machine: processors and memory.
    pub machine: String,
    /// Name and version of its kernel.
    pub kernel: String,
    /// An authority that is not of this source, and cards there, if it was run against one.
    pub against: Option<String>,
    /// How many proofs the list has.
    pub proofs: usize,
    /// Those of them that have no result.
    pub not_run: Vec<NotRun>,
    /// Proofs that were run more than once.
    pub repeated: Vec<Repeated>,
}

impl About {
    /// Whether everything that was asked for, in this run or in one before it, could be run and is shown.
    pub fn is_good(&self, claims: &[Claim]) -> bool {
        self.not_run.iter().all(|one| one.why.is_none()) && claims.iter().all(Claim::is_shown)
    }
}

/// What the list says of a proof.
#[derive(Clone, Copy, Debug)]
pub struct Described {
    /// Its name.
    pub proof: &'static str,
    /// What it does.
    pub what: &'static str,
    /// What it does not show.
    pub not_covered: &'static str,
}

/// A proof without a result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NotRun {
    /// Its name.
    pub proof: &'static str,
    /// What kept it from being run when it was tried; nothing if nobody asked for it.
    pub why: Option<String>,
}

/// A proof that was run again on one commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Repeated {
    /// Its name.
    pub proof: &'static str,
    /// Runs with a result before the one that counts.
    pub before: usize,
    /// Of them, those in which a claim was not shown.
    pub not_shown: usize,
}

/// So often, in words.
pub fn times(number: impl Into<u64>) -> String {
    match number.into() {
        1 => "once".into(),
        number => format!("{number} times"),
    }
}

/// The report as Markdown, with what the list says of each proof.
pub fn markdown(about: &About, list: &[Described], claims: &[Claim]) -> String {
    let shown = claims.iter().filter(|claim| claim.is_shown()).count();
    let About { commit, form, date, machine, kernel, .. } = about;
    let (form, altered) =
        form.split_once(", ").map_or((form.as_str(), String::new()), |(form, by)| (form, format!(", {by}")));
    let mut text = format!(
        "# Proofs\n\nCommit {commit}, {form} form{altered}, written on {date}, on {machine}, {kernel}. {shown} of {} claims of the \
         proofs that were run are shown; {} of {} proofs were not run.\n",
        claims.len(),
        about.not_run.len(),
        about.proofs,
    );
    if let Some(why) = &about.no_commit {
        let why = why.split_whitespace().collect::<Vec<_>>().join(" ");
        text.push_str(&format!("\n**The commit is not known, and nothing is remembered: {why}**\n"));
    }
    if let Some(against) = &about.against {
        text.push_str(&format!(
            "\n**Against {against}; the commit is that of `prove`, that of the authority is not known.**\n"
        ));
    }
    if form == "short" {
        text.push_str("\n**Short form: shows that the proofs run; for no decision.**\n");
    }
    let unasked: Vec<_> = about.not_run.iter().filter(|one| one.why.is_none()).map(|one| one.proof).collect();
    if !unasked.is_empty() {
        text.push_str(&format!("\n**Not run: {}.**\n", unasked.join(", ")));
    }
    for NotRun { proof, why } in &about.not_run {
        if let Some(why) = why {
            text.push_str(&format!("\n**{proof} could not be run: {}**\n", why.trim()));
        }
    }
    for Repeated { proof, before, not_shown } in &about.repeated {
        text.push_str(&format!(
            "\n**{proof} was run {} before this result; in {not_shown} of these runs a claim was not shown.**\n",
            times(u64::try_from(*before).unwrap_or(u64::MAX))
        ));
    }
    let mut proof = "";
    for claim in claims {
        if claim.proof != proof {
            proof = &claim.proof;
            text.push_str(&format!("\n## {proof}\n"));
            if let Some(Described { what, not_covered, .. }) = list.iter().find(|one| one.proof == proof) {
                text.push_str(&format!("\n{what}\n\nNot covered: {not_covered}\n"));
            }
            text.push_str(
                "\n| claim | figure | bound | holds | the control is right |\n| --- | --- | --- | --- | --- |\n",
            );
        }
        let control = match claim.control_failed_as_it_must {
            None => "none of its own",
            Some(true) => "yes",
            Some(false) => "**NO**",
        };
        let holds = if claim.holds { "yes" } else { "**NO**" };
        let cells = [&claim.claim, &claim.figure, &claim.bound].map(|cell| cell.replace('|', "\\|"));
        text.push_str(&format!("| {} | {holds} | {control} |\n", cells.join(" | ")));
    }
    text
}

/// The report as JSON: a list of claims.
///
/// # Errors
/// A sentence.
pub fn json(claims: &[Claim]) -> Result<String, String> {
    serde_json::to_string_pretty(claims).map(|text| text + "\n").map_err(|e| e.to_string())
}

/// How the run was, as JSON. [`json`] stays a list of claims, so this is a file of its own.
///
/// # Errors
/// A sentence.
pub fn run_json(about: &About) -> Result<String, String> {
    serde_json::to_string_pretty(about).map(|text| text + "\n").map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(proof: &str, holds: bool, control: Option<bool>) -> Claim {
        Claim {
            proof: proof.into(),
            claim: "a | b".into(),
            figure: "1".into(),
            bound: "2".into(),
            holds,
            control_failed_as_it_must: control,
        }
    }

    #[test]
    fn every_claim_is_in_it_and_what_fails_is_seen() {
        let claims =
            [claim("one", true, None), claim("one", false, Some(true)), claim("two", true, Some(false))];
        let about = About {
            commit: "abc".into(),
            no_commit: None,
            form: "short".into(),
            date: "2026-11-30".into(),
            machine: "2 processors".into(),
            kernel: "Linux 6.1".into(),
            against: None,
            proofs: 4,
            not_run: vec![
                NotRun { proof: "three", why: None },
                NotRun { proof: "four", why: Some("no /dev/fuse".into()) },
            ],
            repeated: vec![Repeated { proof: "two", before: 3, not_shown: 1 }],
        };
        let list = [Described { proof: "one", what: "Looks.", not_covered: "the rest." }];
        let text = markdown(&about, &list, &claims);
        assert!(
            text.contains("Commit abc, short form, written on 2026-11-30, on 2 processors, Linux 6.1."),
            "{text}"
        );
        assert!(text.contains("**Short form: shows that the proofs run; for no decision.**"), "{text}");
        assert!(text.contains("## one\n\nLooks.\n\nNot covered: the rest.\n\n| claim | figure"), "{text}");
        assert!(text.contains("| holds | the control is right |"), "{text}");
        let head = "1 of 3 claims of the proofs that were run are shown; 2 of 4 proofs were not run.";
        assert!(text.contains(head) && text.contains("**Not run: three.**"), "{text}");
        assert!(text.contains("**four could not be run: no /dev/fuse**"), "{text}");
        assert!(text.contains("two was run 3 times before this result; in 1 of these runs"), "{text}");
        assert_eq!((text.matches("## ").count(), text.matches("**NO**").count()), (2, 2), "{text}");
        assert!(text.contains("| a \\| b | 1 | 2 | yes | none of its own |"), "{text}");
        let back: Vec<Claim> = serde_json::from_str(&json(&claims).unwrap()).unwrap();
        assert_eq!(back, claims);
        let run: serde_json::Value = serde_json::from_str(&run_json(&about).unwrap()).unwrap();
        let expected = serde_json::json!({
            "commit": "abc", "no_commit": null, "form": "short", "date": "2026-11-30", "machine": "2 processors", "kernel": "Linux 6.1",
            "against": null, "proofs": 4,
            "not_run": [{ "proof": "three", "why": null }, { "proof": "four", "why": "no /dev/fuse" }],
            "repeated": [{ "proof": "two", "before": 3, "not_shown": 1 }],
        });
        assert_eq!(run, expected);
    }

    #[test]
    fn only_the_short_form_is_for_no_decision() {
        let about = |form: &str| About {
            commit: "abc".into(),
            no_commit: None,
            form: form.into(),
            date: "2026-11-30".into(),
            machine: "2 processors".into(),
            kernel: "Linux 6.1".into(),
            against: None,
            proofs: 0,
            not_run: Vec::new(),
            repeated: Vec::new(),
        };
        let text = |form| markdown(&about(form), &[], &[]);
        let said = "for no decision";
        assert!(text("short").contains(said) && !text("full").contains(said));
        let altered = text("short, altered by --url");
        assert!(altered.contains(said) && altered.contains("short form, altered by --url"), "{altered}");
    }

    #[test]
    fn whose_commit_it_is_is_said_of_an_authority_that_ran_already() {
        let about = |against: Option<&str>| About {
            commit: "abc".into(),
            no_commit: None,
            form: "full, altered by --url".into(),
            date: "2026-11-30".into(),
            machine: "2 processors".into(),
            kernel: "Linux 6.1".into(),
            against: against.map(str::to_owned),
            proofs: 0,
            not_run: Vec::new(),
            repeated: Vec::new(),
        };
        let text = |against| markdown(&about(against), &[], &[]);
        let unknown = About { no_commit: Some("git: fatal: dubious\nownership".into()), ..about(None) };
        let unknown = markdown(&unknown, &[], &[]);
        assert!(
            unknown.contains("not known, and nothing is remembered: git: fatal: dubious ownership**"),
            "{unknown}"
        );
        let there = text(Some("https://a.example.it, card ending in 0290"));
        let said = "Against https://a.example.it, card ending in 0290; the commit is that of `prove`, that of the authority is not known";
        assert!(there.contains(said), "{there}");
        assert!(!text(None).contains("Against"));
    }

    #[test]
    fn once_is_not_1_times() {
        assert_eq!([0_u64, 1, 2].map(times), ["0 times", "once", "2 times"]);
    }

    #[test]
    fn what_could_not_be_run_before_is_not_good_either() {
        let about = |why: Option<&str>| About {
            commit: "abc".into(),
            no_commit: None,
            form: "full".into(),
            date: "2026-11-30".into(),
            machine: "2 processors".into(),
            kernel: "Linux 6.1".into(),
            against: None,
            proofs: 2,
            not_run: vec![NotRun { proof: "two", why: why.map(str::to_owned) }],
            repeated: Vec::new(),
        };
        let shown = [claim("one", true, Some(true))];
        assert!(about(None).is_good(&shown), "nobody asked for the other one");
        assert!(!about(Some("no /dev/fuse")).is_good(&shown));
        assert!(!about(None).is_good(&[claim("one", false, Some(true))]));
        assert!(!about(None).is_good(&[claim("one", true, Some(false))]));
    }
}
