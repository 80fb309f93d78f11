//! How often guesses call the token, as the process counts it. Units of the store are not counted: checkpoints are units too.

use std::{collections::BTreeSet, time::Duration};

use sigillo_bench::{
    desk::Desk,
    installation::{INTERNAL, get},
};
use sigillo_proofs::claim::Claim;

use crate::{
    Run,
    field::{CLASSES, Field, Keys, ROW},
    letters::{Asked, note},
};

/// Blocks of guesses of each class; each is a row at a card of its own, so that every guess is granted a try.
pub(crate) const BLOCKS: usize = 3;
/// The process tells its counters once a second.
const UNTIL_TOLD: Duration = Duration::from_millis(1_300);
/// Keys of the token that a verification could call.
const KEYS: [&str; 3] = ["index", "verify", "print"];

/// Calls, by key.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Calls([f64; KEYS.len()]);

impl Calls {
    /// From what the process tells of itself.
    fn read(metrics: &str) -> Result<Self, String> {
        let mut calls = [0.0; KEYS.len()];
        for (calls, key) in calls.iter_mut().zip(KEYS) {
            let name = format!("sigillo_hsm_operations_total{{key=\"{key}\"}} ");
            let value = metrics.lines().find_map(|line| line.strip_prefix(&name)?.parse().ok());
            *calls = value.ok_or_else(|| format!("/metrics does not tell {name}"))?;
        }
        Ok(Self(calls))
    }

    /// As they are told once all of before is in them.
    async fn told() -> Result<Self, String> {
        tokio::time::sleep(UNTIL_TOLD).await;
        Self::read(&get(INTERNAL, "/metrics").map_err(|e| e.to_string())?)
    }

    fn since(&self, before: &Self) -> Self {
        let mut more = self.0;
        more.iter_mut().zip(before.0).for_each(|(more, before)| *more -= before);
        Self(more)
    }

    fn text(&self) -> String {
        let Self([index, verify, print]) = self;
        format!("index {index}, verify {verify}, print {print}")
    }

    /// Whether the keys that every verification calls were called by so many.
    fn is_of(&self, guesses: u32) -> bool {
        let Self([index, verify, _]) = self;
        *index >= f64::from(guesses) && *verify >= f64::from(guesses)
    }
}

/// What was counted.
pub(crate) struct Counted {
    /// Of each block of each class; a block is judged by itself.
    blocks: BTreeSet<String>,
    /// In as long a time without a guess: whatever else calls these keys.
    beside: Calls,
    /// Of a block of guesses that repeat their key, which are answered from the record.
    repeated: Calls,
}

/// Counts, class by class. The guesses are noted as asked.
pub(crate) async fn count(
    field: &mut Field,
    (desk, keys): (&Desk, &mut Keys),
    asked: &mut Asked,
) -> Result<Counted, String> {
    let guesses = u32::try_from(ROW).unwrap_or(u32::MAX);
    let mut before = Calls::told().await?;
    let after = Calls::told().await?;
    let beside = after.since(&before);
    before = after;
    let mut blocks = BTreeSet::new();
    for (class, name) in CLASSES.iter().enumerate() {
        for _ in 0..BLOCKS {
            field.another(class);
            for _ in 0..ROW {
                note(asked, class, field.guess(class, desk, keys).await?.verification);
            }
            let after = Calls::told().await?;
            let calls = after.since(&before);
            if !calls.is_of(guesses) {
                return Err(format!("{ROW} guesses of \"{name}\" are told as {}", calls.text()));
            }
            blocks.insert(calls.text());
            before = after;
        }
    }
    let key = keys.next();
    let (team, code) = field.next(1, desk, keys).await?;
    keys.ask_with(desk, &key, (&team, &code)).await?;
    before = Calls::told().await?;
    for _ in 0..ROW {
        keys.ask_with(desk, &key, (&team, &code)).await?;
    }
    Ok(Counted { blocks, beside, repeated: Calls::told().await?.since(&before) })
}

/// One claim.
pub(crate) fn claim(run: &Run<'_>, counted: &Counted) -> Claim {
    let Counted { blocks, beside, repeated } = counted;
    let figure = format!(
        "{} in each of {} blocks; {} in the same time without a guess; {} with a key that was used before",
        blocks.iter().map(String::as_str).collect::<Vec<_>>().join(" or "),
        CLASSES.len().saturating_mul(BLOCKS),
        beside.text(),
        repeated.text()
    );
    let is_caught = !blocks.contains(&repeated.text());
    run.claim(
        format!("{ROW} guesses of each class call the token equally often (units of the store: tests/service/shape.rs)"),
        (figure, "one count, and nothing without a guess".into()),
        blocks.len() == 1 && *beside == Calls([0.0; KEYS.len()]),
        Some(is_caught),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_that_are_not_told_are_no_counters() {
        let line = |key: &str, n: u32| format!("sigillo_hsm_operations_total{{key=\"{key}\"}} {n}\n");
        let all = line("audit", 9) + &line("index", 8) + &line("verify", 4) + &line("print", 0);
        let calls = Calls::read(&all).unwrap();
        assert_eq!(calls, Calls([8.0, 4.0, 0.0]));
        assert!(calls.is_of(4) && !calls.is_of(5));
        assert_eq!(calls.since(&Calls([2.0, 4.0, 0.0])).text(), "index 6, verify 0, print 0");
        for key in KEYS {
            assert!(Calls::read(&all.replace(key, "other")).is_err(), "{key}");
        }
    }
}
