//! `[readers]` of `authority.toml`: how offices hand card readers over.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::parameters::{DAY_MS, within};
use crate::domain::{readers::HandOver, reprints::Reprints};

/// The table as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawReaders {
    kinds: Vec<String>,
    price_cents: u64,
    most: u64,
    per_days: u64,
    household: bool,
}

/// How offices hand card readers over.
#[derive(Clone, Debug)]
pub struct ReaderRules {
    /// In which ways.
    pub kinds: BTreeSet<HandOver>,
    /// Price of a sale, cents of a euro.
    pub price_cents: u32,
    /// Most readers of one holder, and of one household that is named, in that time.
    pub most: usize,
    /// Milliseconds.
    pub per_ms: u64,
    /// Whether a free one must name the household.
    pub household: bool,
}

impl RawReaders {
    /// Checks kinds and numbers; the error is a sentence without the file's name.
    pub(super) fn validate(self) -> Result<ReaderRules, String> {
        let kind = |text: &String| {
            text.parse::<HandOver>().map_err(|why| format!("readers.kinds: \"{text}\" {why}"))
        };
        let kinds = self.kinds.iter().map(kind).collect::<Result<BTreeSet<_>, _>>()?;
        if kinds.len() != self.kinds.len() {
            return Err("readers.kinds: a kind is given twice".to_owned());
        }
        let most = u64::try_from(Reprints::MOST).unwrap_or(1);
        let price = within("readers.price_cents", self.price_cents, 0, 100_000)?;
        Ok(ReaderRules {
            kinds,
            price_cents: u32::try_from(price).unwrap_or(u32::MAX),
            most: usize::try_from(within("readers.most", self.most, 1, most)?).unwrap_or(1),
            per_ms: within("readers.per_days", self.per_days, 1, 36_500)?.saturating_mul(DAY_MS),
            household: self.household,
        })
    }
}
