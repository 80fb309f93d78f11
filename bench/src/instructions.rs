//! Instruction counts and the baseline that they are compared with: the same on a busy machine and on an idle one.

use std::{collections::BTreeMap, fmt::Write};

use serde::Deserialize;

/// `bench/instructions.toml`: what was counted, by the profile of the build (`debug`, `release`).
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Baseline(pub BTreeMap<String, Recorded>);

/// What was counted with one profile.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recorded {
    /// What compiled it.
    pub rustc: String,
    /// What counted.
    pub valgrind: String,
    /// What it ran on.
    pub machine: String,
    /// Instructions of a turn, by case.
    pub turns: BTreeMap<String, u64>,
}

/// A case as it is now.
#[derive(Clone, Copy, Debug)]
pub struct Counted {
    /// Its name.
    pub name: &'static str,
    /// Instructions of a turn.
    pub each: u64,
    /// By what share it may differ: addresses of memory and keys of hash tables are never quite the same.
    pub tolerance: f64,
}

/// How a case compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Fewer than the tolerance explains.
    Fewer,
    /// More than the tolerance explains.
    More,
    /// The baseline does not have it.
    New,
    /// As before.
    Same,
}

const HEAD: &str = "\
# Instructions of one turn of each case of bench/benches/micro, as callgrind counts them. `make bench-micro` compares with
# them; `make bench-micro RECORD=1` writes this file. A change that costs more says so by changing it.
";

impl Baseline {
    /// Reads the file's text.
    ///
    /// # Errors
    /// Where it is no baseline.
    pub fn read(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|e| e.to_string())
    }

    /// The file's text.
    pub fn text(&self) -> String {
        let mut text = HEAD.to_owned();
        for (profile, Recorded { rustc, valgrind, machine, turns }) in &self.0 {
            // Names are ASCII without quotes: as Rust writes them they are basic strings of TOML.
            text += &format!(
                "\n[{profile}]\nrustc = {rustc:?}\nvalgrind = {valgrind:?}\nmachine = {machine:?}\n\n[{profile}.turns]\n"
            );
            for (name, each) in turns {
                text += &format!("{name:?} = {each}\n");
            }
        }
        text
    }
}

/// The total that callgrind tells at its end.
pub fn collected(said: &str) -> Option<u64> {
    let (_, total) = said.lines().rev().find_map(|line| line.split_once("Collected : "))?;
    total.trim().parse().ok()
}

/// Instructions of a turn, from the totals of a process with few turns and of one with many: start and end, which both
/// have, fall out.
pub fn each(few: (u64, u64), many: (u64, u64)) -> Option<u64> {
    many.1.checked_sub(few.1)?.checked_div(many.0.checked_sub(few.0)?)
}

/// Compares one case.
pub fn judge(now: &Counted, before: Option<u64>) -> Verdict {
    let Some(before) = before else { return Verdict::New };
    let float = |count: u64| std::time::Duration::from_micros(count).as_secs_f64();
    let (was, is) = (float(before), float(now.each));
    if is > was * (1.0 + now.tolerance) {
        Verdict::More
    } else if is < was * (1.0 - now.tolerance) {
        Verdict::Fewer
    } else {
        Verdict::Same
    }
}

/// A table for people.
///
/// # Errors
/// With the table as its text too: a case costs more than before, or the baseline, if there is one, does not have it.
pub fn table(profile: &str, counted: &[Counted], before: Option<&Recorded>) -> Result<String, String> {
    let mut text = format!("{:<52} {:>12} {:>12}  {profile}\n", "instructions of a turn", "now", "baseline");
    let (mut more, mut new) = (0_u32, 0_u32);
    for now in counted {
        let was = before.and_then(|before| before.turns.get(now.name).copied());
        let said = match judge(now, was) {
            Verdict::Fewer => "fewer: RECORD=1 keeps it",
            Verdict::More => {
                more = more.saturating_add(1);
                "MORE"
            }
            Verdict::New => {
                new = new.saturating_add(1);
                "not in the baseline"
            }
            Verdict::Same => "",
        };
        let was = was.map_or_else(|| "-".to_owned(), |was| was.to_string());
        let tolerance = now.tolerance * 100.0;
        writeln!(text, "{:<52} {:>12} {was:>12}  +-{tolerance:.0} %  {said}", now.name, now.each)
            .map_err(|e| e.to_string())?;
    }
    let Some(Recorded { rustc, valgrind, machine, .. }) = before else {
        return Ok(format!(
            "{text}Nothing is recorded of {profile} builds yet: make bench-micro RECORD=1 begins it, and then \
             bench/instructions.toml is to be committed"
        ));
    };
    writeln!(text, "The baseline is of {rustc}, {valgrind}, {machine}.").map_err(|e| e.to_string())?;
    if more == 0 && new == 0 {
        return Ok(text);
    }
    Err(format!(
        "{text}{more} cases cost more than the baseline, {new} are not in it. If that is meant: make bench-micro RECORD=1, \
         and commit bench/instructions.toml"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(each: u64) -> Counted {
        Counted { name: "card: decoded", each, tolerance: 0.02 }
    }

    fn recorded(each: u64) -> Recorded {
        Recorded {
            rustc: "rustc 1.95.0 (59807616e 2026-04-14)".into(),
            turns: BTreeMap::from([("card: decoded".into(), each)]),
            ..Recorded::default()
        }
    }

    #[test]
    fn callgrinds_total_is_its_last_and_starts_fall_out() {
        let said = "==9== Events    : Ir\n==9== Collected : 1234\n==9==\n==9== I refs:      1,234\n";
        assert_eq!((collected(said), collected("==9== nothing")), (Some(1234), None));
        assert_eq!(each((10, 5_000_100), (110, 5_001_100)), Some(10));
        assert_eq!((each((10, 5), (10, 6)), each((10, 6), (20, 5))), (None, None));
    }

    #[test]
    fn what_is_written_is_read() {
        let all = Baseline(BTreeMap::from([("debug".into(), recorded(7)), ("release".into(), recorded(3))]));
        assert_eq!(Baseline::read(&all.text()), Ok(all));
        Baseline::read("[debug]\nrustc = 1").unwrap_err();
    }

    #[test]
    fn more_is_a_failure_and_so_is_a_case_that_the_baseline_has_not() {
        let verdict = |now| judge(&counted(now), Some(1000));
        assert_eq!([verdict(1020), verdict(1021)], [Verdict::Same, Verdict::More]);
        assert_eq!([verdict(980), verdict(979)], [Verdict::Same, Verdict::Fewer]);
        let before = recorded(1000);
        table("debug", &[counted(900)], Some(&before)).unwrap();
        assert!(table("debug", &[counted(1021)], Some(&before)).unwrap_err().contains("1 cases cost more"));
        let other = Counted { name: "card: encoded", ..counted(1000) };
        assert!(table("debug", &[other], Some(&before)).unwrap_err().contains("1 are not in it"));
        assert!(table("debug", &[other], None).unwrap().contains("Nothing is recorded of debug builds"));
    }
}
