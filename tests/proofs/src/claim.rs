//! A claim that was put to the proof.

use serde::{Deserialize, Serialize};

/// Begins the line of a child process that says a claim, as one JSON object behind it.
pub const LINE: &str = "claim ";

/// What was claimed, and what came out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Name of the proof.
    pub proof: String,
    /// One sentence.
    pub claim: String,
    /// What was measured or counted, with its unit.
    pub figure: String,
    /// What the figure is held against.
    pub bound: String,
    /// Whether it is within the bound.
    pub holds: bool,
    /// Whether the same proof refused what is known to be wrong, or let pass what is known to be right; nothing where it tries
    /// nothing of that kind.
    pub control_failed_as_it_must: Option<bool>,
}

impl Claim {
    /// Whether a reader may believe it: it holds, and its control was refused.
    pub fn is_shown(&self) -> bool {
        self.holds && self.control_failed_as_it_must != Some(false)
    }

    /// In the words that are printed.
    pub fn mark(&self) -> &'static str {
        match (self.is_shown(), self.holds) {
            (true, _) => "shown",
            (false, true) => "NOT SHOWN (the control was not refused)",
            (false, false) => "NOT SHOWN",
        }
    }

    /// The line with which a child process says it.
    pub fn line(&self) -> String {
        // A structure of texts and truth values is always JSON.
        format!("{LINE}{}", serde_json::to_string(self).unwrap_or_default())
    }

    /// Reads such a line; other lines are none.
    ///
    /// # Errors
    /// A sentence, if it begins like one and is not.
    pub fn from_line(line: &str) -> Result<Option<Self>, String> {
        // A test's name may stand before it: the harness ends its line only after the test.
        let Some((_, text)) = line.split_once(LINE).filter(|(_, text)| text.starts_with('{')) else {
            return Ok(None);
        };
        serde_json::from_str(text).map(Some).map_err(|e| format!("not a claim: {e}: {text}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(holds: bool, control: Option<bool>) -> Claim {
        Claim {
            proof: "p".into(),
            claim: "c".into(),
            figure: "1".into(),
            bound: "2".into(),
            holds,
            control_failed_as_it_must: control,
        }
    }

    #[test]
    fn a_line_and_back() {
        let one = claim(true, Some(true));
        assert_eq!(Claim::from_line(&one.line()), Ok(Some(one.clone())));
        assert_eq!(Claim::from_line(&format!("test model::all ... {}", one.line())), Ok(Some(one)));
        assert_eq!(Claim::from_line("I claim nothing"), Ok(None));
        assert!(Claim::from_line("claim {\"proof\":1}").is_err());
    }

    #[test]
    fn a_control_that_did_not_fail_shows_nothing() {
        assert!(claim(true, None).is_shown() && claim(true, Some(true)).is_shown());
        assert!(!claim(true, Some(false)).is_shown() && !claim(false, Some(true)).is_shown());
        let mark = |holds, control| claim(holds, control).mark();
        assert_eq!((mark(true, Some(true)), mark(false, Some(true))), ("shown", "NOT SHOWN"));
        assert_eq!(mark(true, Some(false)), "NOT SHOWN (the control was not refused)");
        assert_eq!(mark(false, Some(false)), "NOT SHOWN", "it would not be shown with a good control either");
    }
}
