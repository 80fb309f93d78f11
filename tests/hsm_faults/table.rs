//! How the cells of a matrix ended, for people, and what must not have been.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    rounds::rounds,
    values::{FEW, VALUES},
};

/// How a cell ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Ended {
    /// No call was struck.
    Untouched,
    /// All was answered all the same.
    Served,
    /// 503 or not opened, and served again when the fault was gone.
    Unavailable,
    /// Down, and back in the same process.
    Recovered,
    /// Refused with a reason; the next opening or process serves.
    Stopped,
}

/// The cells of one matrix.
pub(crate) struct Table {
    name: &'static str,
    rows: BTreeMap<&'static str, BTreeMap<Ended, usize>>,
    /// Longest time from the end of a fault to the first answer.
    longest: Duration,
    pub(crate) findings: Vec<String>,
}

impl Table {
    pub(crate) fn new(name: &'static str) -> Self {
        Self { name, rows: BTreeMap::new(), longest: Duration::ZERO, findings: Vec::new() }
    }

    pub(crate) fn add(&mut self, function: &'static str, ended: Ended, back: Duration) {
        *self.rows.entry(function).or_default().entry(ended).or_default() += 1;
        self.longest = self.longest.max(back);
    }

    /// Cells that ended so.
    pub(crate) fn count(&self, ended: Ended) -> usize {
        self.rows.values().filter_map(|row| row.get(&ended)).sum()
    }

    /// Shows the table; there must be no finding, and every function must have been struck.
    pub(crate) fn show(&self) {
        println!("\n{}: served again at most {:?} after the fault", self.name, self.longest);
        for (function, row) in &self.rows {
            println!("  {function:<22} {row:?}");
            let struck = row.iter().any(|(ended, _)| *ended != Ended::Untouched);
            assert!(struck, "{}: {function} was never struck", self.name);
        }
        let all: usize = self.rows.values().flat_map(BTreeMap::values).sum();
        println!("  {all} cells");
        assert!(self.findings.is_empty(), "{}: {:#?}", self.name, self.findings);
    }
}

/// The values to go through.
pub(crate) fn values() -> Vec<(&'static str, u64)> {
    let all = rounds(1) >= 100;
    let chosen: Vec<_> = VALUES.into_iter().filter(|(name, _)| all || FEW.contains(name)).collect();
    assert_eq!(chosen.len(), if all { VALUES.len() } else { FEW.len() });
    chosen
}

/// As [`TIMES`], where each cell opens a token and so takes its time: until it is mended for some values only.
pub(crate) fn times_of(value: &str) -> impl Iterator<Item = Option<u64>> {
    let some = ["CKR_ARGUMENTS_BAD", "CKR_DEVICE_REMOVED", "CKR_KEY_TYPE_INCONSISTENT"];
    let both = rounds(1) >= 100 || some.contains(&value);
    TIMES.into_iter().filter(move |times| both || times.is_some())
}

/// Once, and until it is mended.
pub(crate) const TIMES: [Option<u64>; 2] = [Some(1), None];
