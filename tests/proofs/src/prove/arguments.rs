//! What can be asked of the program.

use std::path::PathBuf;

use clap::Parser;
use sigillo::{domain::team::TeamNumber, secret::Digits};

use crate::list::PROOFS;

/// Puts what Sigillo claims about itself to the proof, on this machine, and writes report.md and report.json.
#[derive(Debug, Parser)]
#[command(after_help = "\
Examples:
  make prove                                  every proof in full: hours
  make prove SHORT=1                          fewer rounds, and for no decision: see below
  make prove ONLY='guess-limit guess-model'   one proof or several
  target/release/prove --list                 what there is and what is not covered: look here first
  target/release/prove --short --only guess-limit
  target/release/prove --only guess-limit --url https://127.0.0.1:8443 --home demo \\
      --team 80380000200569360402 --team 80380000412930040189 --team 80380000505290719969
                                              cards of demo/cards.ndjson, one a storm; what to lift first: --url

This program is built by `make deps` and `cargo build --release --locked --workspace --bins`. The proofs take the ports of a \
demonstration (8443 and others): none may run beside them.

The short form has fewer rounds and wider bounds, and leaves out the disk that does not come back, the API over p11-kit, 85 of 97 \
values of the token's module, and all tests but those of service and domain. It shows that the proofs run; for a decision take the \
full form.

A proof that is done on this commit with these programs is not run again: an interrupted run goes on where it was. Failures are \
remembered too: `--again --only NAME`. With changed files, without git, with another number of samples or another authority nothing \
is remembered. What --again repeats is told of in the report. Results are in target/proofs/<commit>, with the output of every child; \
report.md, report.json (the claims) and report-run.json (how the run was) are in target/proofs. A run with --url, --tuples, --pairs \
or --cards writes report-altered.md, report-altered.json and report-altered-run.json instead: it takes the place of no other report.

Exit codes, of the whole report, with what was done before: 0 every claim holds and every control is right; 1 one did not, \
or a proof could not be run; 64 bad options or names of proofs: nothing was run.")]
pub(crate) struct Arguments {
    /// The short form of each proof.
    #[arg(long)]
    pub(crate) short: bool,
    /// Only these proofs; may be given more than once.
    #[arg(long, value_name = "NAME")]
    pub(crate) only: Vec<String>,
    /// Names the proofs and ends.
    #[arg(long)]
    pub(crate) list: bool,
    /// Runs proofs again that are done.
    #[arg(long)]
    pub(crate) again: bool,
    /// time-on-wire: so many tuples instead of 12,000, or 1,000 in short.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) tuples: Option<usize>,
    /// time-of-pairs: so many pairs, in rounds of 45, instead of 40,000, or 450 in short.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) pairs: Option<usize>,
    /// time-of-cold-caches: so many cards instead of 1,000,000, or 10,000 in short.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) cards: Option<u64>,
    /// Root of the source.
    #[arg(long, default_value = ".")]
    pub(crate) root: PathBuf,
    /// Where results and report are written.
    #[arg(long, default_value = "target/proofs")]
    pub(crate) out: PathBuf,
    /// The program to prove.
    #[arg(long, default_value = "target/release/sigillo")]
    pub(crate) sigillo: PathBuf,
    /// guess-limit: an authority that runs already, instead of one of its own. Each card is locked by this. `[limits.operator]` and
    /// `[limits.office]` of its `authority.toml` have to be lifted (of a demonstration: `demo --for-load --keep-running`): as shipped
    /// they refuse guesses before the card's tries are used up, and then nothing is shown.
    #[arg(long, requires_all = ["home", "team"], value_name = "URL")]
    pub(crate) url: Option<String>,
    /// guess-limit: directory with `clients`: ca.pem, and .pem and .key of desk, operator and auditor.
    #[arg(long, requires = "url", value_name = "DIR")]
    pub(crate) home: Option<PathBuf>,
    /// guess-limit: TEAM number of a card to guess at; given again for each storm, which takes a card of its own: three, or five with
    /// --code. With fewer the later storms are not run. Each is registered there, of a template with 5 wrong guesses in a row and 100
    /// in a life, as shipped, and has not been guessed at.
    #[arg(long, requires = "url", value_name = "NUMBER")]
    pub(crate) team: Vec<String>,
    /// guess-limit: C.I.P. of the card of the --team at the same place, if all of them are known: it is presented first, and after the
    /// storm; in the last two storms it is hidden among the wrong ones.
    #[arg(long, requires = "url", value_name = "DIGITS")]
    pub(crate) code: Vec<String>,
}

impl Arguments {
    /// Whether a proof is asked for.
    pub(crate) fn asks_for(&self, proof: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == proof)
    }

    /// The authority that runs already, and the cards there.
    pub(crate) fn against(&self) -> Option<String> {
        let url = self.url.as_ref()?;
        let ends: Vec<_> = self.team.iter().map(|team| last_digits(team)).collect();
        let cards = if ends.len() == 1 { "card" } else { "cards" };
        Some(format!("{url}, {cards} ending in {}", ends.join(", ")))
    }

    /// Refuses what would be ignored.
    ///
    /// # Errors
    /// A sentence.
    pub(crate) fn check(&self) -> Result<(), String> {
        let known: Vec<_> = PROOFS.iter().map(|proof| proof.name).collect();
        if let Some(other) = self.only.iter().find(|name| !known.contains(&name.as_str())) {
            return Err(format!("no proof {other:?}; there are {}", known.join(", ")));
        }
        let alone = !self.only.is_empty() && self.only.iter().all(|name| name == "guess-limit");
        if self.url.is_some() && !alone {
            return Err("--url is of one proof: it needs `--only guess-limit`, and no other".into());
        }
        self.check_cards()?;
        for (option, given, proof) in [
            ("--tuples", self.tuples.is_some(), "time-on-wire"),
            ("--pairs", self.pairs.is_some(), "time-of-pairs"),
            ("--cards", self.cards.is_some(), "time-of-cold-caches"),
        ] {
            if given && !self.only.iter().any(|name| name == proof) {
                return Err(format!("{option} is of one proof: it needs `--only {proof}`"));
            }
        }
        Ok(())
    }

    /// Cards to guess at that an authority would not even look for.
    fn check_cards(&self) -> Result<(), String> {
        if !self.code.is_empty() && self.code.len() != self.team.len() {
            return Err("--code is given for every --team, in the same order, or for none".into());
        }
        let mut teams = self.team.clone();
        teams.sort_unstable();
        teams.dedup();
        if teams.len() != self.team.len() {
            return Err("each --team is another card: each storm takes one".into());
        }
        for team in &self.team {
            let number: TeamNumber = team.parse().map_err(|e| format!("--team {team}: {e}"))?;
            if !number.luhn_holds() {
                return Err(format!("--team {team}: its last digit does not fit the others"));
            }
        }
        for code in &self.code {
            Digits::parse(code.clone())
                .filter(|digits| !digits.expose().is_empty())
                .ok_or_else(|| format!("--code is 1 to {} digits", Digits::MAX))?;
        }
        Ok(())
    }
}

/// So much of a TEAM number as tells its owner which card it is.
pub(crate) fn last_digits(team: &str) -> &str {
    team.get(team.len().saturating_sub(4)..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether these are taken.
    fn taken(options: &str) -> bool {
        let words = ["prove"].into_iter().chain(options.split_whitespace());
        Arguments::try_parse_from(words).is_ok_and(|arguments| arguments.check().is_ok())
    }

    #[test]
    fn options_that_would_be_ignored_are_refused() {
        let there = "--url https://127.0.0.1:8443 --home demo --team 80380000306749700290";
        assert!(taken("") && taken("--short --only fuzz --only floods") && !taken("--only fuz"));
        assert!(taken(&format!("--only guess-limit {there} --code 12345678")));
        for only in ["", "--only guess-model", "--only guess-limit --only guess-model"] {
            assert!(!taken(&format!("{only} {there}")), "{only}");
        }
        let twice = format!("--only guess-limit {there} --team 80380000412930040189");
        assert!(taken(&twice) && taken(&format!("{twice} --code 12345678 --code 87654321")));
        assert!(!taken(&format!("{twice} --code 12345678")), "one code for two cards");
        assert!(!taken(&format!("--only guess-limit {there} --team 80380000306749700290")), "one card twice");
        for bad in
            ["--team 80380000412930040188", "--team 8038000041293004018", "--team 80390000412930040189"]
        {
            assert!(!taken(&format!("--only guess-limit {there} {bad}")), "{bad}");
        }
        for bad in ["1234567x", "1".repeat(65).as_str()] {
            assert!(!taken(&format!("--only guess-limit {there} --code {bad}")), "{bad}");
        }
        for without_url in ["--home demo", "--team 80380000306749700290", "--code 12345678"] {
            assert!(!taken(&format!("--only guess-limit {without_url}")), "{without_url}");
        }
        for (option, proof) in
            [("--tuples", "time-on-wire"), ("--pairs", "time-of-pairs"), ("--cards", "time-of-cold-caches")]
        {
            assert!(taken(&format!("{option} 100 --only fuzz --only {proof}")), "{option}");
            assert!(!taken(&format!("{option} 100 --only fuzz")), "{option}");
            assert!(!taken(&format!("{option} 100")), "{option}");
        }
    }

    #[test]
    fn of_cards_elsewhere_only_the_end_is_told() {
        let against = |words: &str| Arguments::try_parse_from(words.split(' ')).unwrap().against();
        assert_eq!(against("prove"), None);
        let one = "prove --url https://a.example.it --home h --team 80380000306749700290";
        assert_eq!(against(one).as_deref(), Some("https://a.example.it, card ending in 0290"));
        let two = format!("{one} --team 80380000412930040189");
        assert_eq!(against(&two).as_deref(), Some("https://a.example.it, cards ending in 0290, 0189"));
    }
}
