//! The report: for people as Markdown, for programs as JSON; and beside its claims how the run was that made it.

use serde::Serialize;

use crate::claim::Claim;

/// What is said above the table.
#[derive(Debug, Serialize)]
pub struct About {
    /// Commit that was proved; with `-changed` if the files differ from it.
    pub commit: String,
    /// `short` or `full`, and what it was altered by.
    pub form: String,
    /// Machine: processors and memory.
    pub machine: String,
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

/// The report as Markdown.
pub fn markdown(about: &About, claims: &[Claim]) -> String {
    let shown = claims.iter().filter(|claim| claim.is_shown()).count();
    let mut text = format!(
        "# Proofs\n\nCommit {}, {} form, on {}. {shown} of {} claims of the proofs that were run are shown; {} of {} proofs were \
         not run.\n",
        about.commit,
        about.form,
        about.machine,
        claims.len(),
        about.not_run.len(),
        about.proofs,
    );
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
            text.push_str(&format!(
                "\n## {proof}\n\n| claim | figure | bound | holds | control failed, as it must |\n\
                 | --- | --- | --- | --- | --- |\n"
            ));
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
            form: "short".into(),
            machine: "2 processors".into(),
            proofs: 4,
            not_run: vec![
                NotRun { proof: "three", why: None },
                NotRun { proof: "four", why: Some("no /dev/fuse".into()) },
            ],
            repeated: vec![Repeated { proof: "two", before: 3, not_shown: 1 }],
        };
        let text = markdown(&about, &claims);
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
            "commit": "abc", "form": "short", "machine": "2 processors", "proofs": 4,
            "not_run": [{ "proof": "three", "why": null }, { "proof": "four", "why": "no /dev/fuse" }],
            "repeated": [{ "proof": "two", "before": 3, "not_shown": 1 }],
        });
        assert_eq!(run, expected);
    }

    #[test]
    fn once_is_not_1_times() {
        assert_eq!([0_u64, 1, 2].map(times), ["0 times", "once", "2 times"]);
    }

    #[test]
    fn what_could_not_be_run_before_is_not_good_either() {
        let about = |why: Option<&str>| About {
            commit: "abc".into(),
            form: "full".into(),
            machine: "2 processors".into(),
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
