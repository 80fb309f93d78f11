//! The proofs that there are.

use sigillo_proofs::claim::Claim;

use crate::{Run, suites};

/// One proof.
pub(crate) struct Proof {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    pub(crate) not_covered: &'static str,
    pub(crate) run: fn(&Run<'_>) -> Result<Vec<Claim>, String>,
}

/// In the order in which they are run.
pub(crate) const PROOFS: &[Proof] = &[
    Proof {
        name: "crashes",
        what: "SIGKILL under load, again and again: acknowledged activations, verifications and store units are there after it.",
        not_covered: "power cuts: a killed process leaves the page cache (tests/durable.rs looks at fsync itself).",
        run: suites::crashes,
    },
    Proof {
        name: "tokens",
        what: "tests/hsm over SoftHSM, kryoptic and p11-kit; in full also the API over p11-kit.",
        not_covered: "HSMs in hardware: run `sigillo hsm selftest` on yours.",
        run: suites::tokens,
    },
    Proof {
        name: "contract",
        what: "Requests that schemathesis makes of the served description; every answer is as described.",
        not_covered: "requests that need what schemathesis cannot make, such as signatures of cards.",
        run: suites::contract,
    },
    Proof {
        name: "all-tests",
        what: "Every test of the project in release; in short those of service and domain.",
        not_covered: "what no test looks at.",
        run: suites::all,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_file_names_and_differ() {
        let mut names: Vec<_> = PROOFS.iter().map(|proof| proof.name).collect();
        assert!(names.iter().all(|name| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), PROOFS.len());
    }
}
