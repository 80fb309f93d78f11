//! The report: for people as Markdown, for programs as JSON.

use crate::claim::Claim;

/// What is said above the table.
#[derive(Debug)]
pub struct About {
    /// Commit that was proved; with `-changed` if the files differ from it.
    pub commit: String,
    /// Whether the short form was run.
    pub short: bool,
    /// Machine: processors and memory.
    pub machine: String,
    /// Proofs of the list that were not asked for in this run and have no result of before.
    pub missing: Vec<&'static str>,
}

/// The report as Markdown.
pub fn markdown(about: &About, claims: &[Claim]) -> String {
    let shown = claims.iter().filter(|claim| claim.is_shown()).count();
    let mut text = format!(
        "# Proofs\n\nCommit {}, {} form, on {}. {shown} of {} claims are shown.\n",
        about.commit,
        if about.short { "short" } else { "full" },
        about.machine,
        claims.len()
    );
    if !about.missing.is_empty() {
        text.push_str(&format!("\n**Not run: {}.**\n", about.missing.join(", ")));
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
            short: true,
            machine: "2 processors".into(),
            missing: vec!["three"],
        };
        let text = markdown(&about, &claims);
        assert!(text.contains("1 of 3 claims are shown") && text.contains("Not run: three"), "{text}");
        assert_eq!((text.matches("## ").count(), text.matches("**NO**").count()), (2, 2), "{text}");
        assert!(text.contains("| a \\| b | 1 | 2 | yes | in the tests |"), "{text}");
        let back: Vec<Claim> = serde_json::from_str(&json(&claims).unwrap()).unwrap();
        assert_eq!(back, claims);
    }
}
