//! The report: for people as Markdown, for programs as JSON.

use crate::claim::Claim;

/// What is said above the table.
#[derive(Debug)]
pub struct About {
    /// Commit that was proved; with `-changed` if the files differ from it.
    pub commit: String,
    /// `short` or `full`, and what it was altered by.
    pub form: String,
    /// Machine: processors and memory.
    pub machine: String,
    /// Proofs of the list that were not asked for in this run and have no result of before.
    pub missing: Vec<&'static str>,
    /// Proofs that were run more than once.
    pub repeated: Vec<Repeated>,
}

/// A proof that was run again on one commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repeated {
    /// Its name.
    pub proof: &'static str,
    /// Runs with a result before the one that counts.
    pub before: usize,
    /// Of them, those in which a claim was not shown.
    pub not_shown: usize,
}

/// The report as Markdown.
pub fn markdown(about: &About, claims: &[Claim]) -> String {
    let shown = claims.iter().filter(|claim| claim.is_shown()).count();
    let mut text = format!(
        "# Proofs\n\nCommit {}, {} form, on {}. {shown} of {} claims are shown.\n",
        about.commit,
        about.form,
        about.machine,
        claims.len()
    );
    if !about.missing.is_empty() {
        text.push_str(&format!("\n**Not run: {}.**\n", about.missing.join(", ")));
    }
    for Repeated { proof, before, not_shown } in &about.repeated {
        text.push_str(&format!(
            "\n**{proof} was run {before} times before this result; in {not_shown} of them a claim was not shown.**\n"
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
            None => "in the tests",
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
            missing: vec!["three"],
            repeated: vec![Repeated { proof: "two", before: 3, not_shown: 1 }],
        };
        let text = markdown(&about, &claims);
        assert!(text.contains("1 of 3 claims are shown") && text.contains("Not run: three"), "{text}");
        assert!(text.contains("two was run 3 times before this result; in 1 of them"), "{text}");
        assert_eq!((text.matches("## ").count(), text.matches("**NO**").count()), (2, 2), "{text}");
        assert!(text.contains("| a \\| b | 1 | 2 | yes | in the tests |"), "{text}");
        let back: Vec<Claim> = serde_json::from_str(&json(&claims).unwrap()).unwrap();
        assert_eq!(back, claims);
    }
}
