//! The history of a card: which of its events are asked for, in which order, and where a page goes on.

use std::{fmt::Write, str::FromStr};

use super::{date::CivilDate, logged::Logged};

/// Which end comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The latest event first.
    Newest,
    /// The first event first.
    Oldest,
}

/// What is asked for, page after page.
#[derive(Clone, Debug)]
pub struct Query {
    /// Which end comes first.
    pub order: Order,
    /// First day, in Italy.
    pub from: Option<CivilDate>,
    /// Last day, in Italy.
    pub to: Option<CivilDate>,
    /// Kinds of event; all that the policy lets operators see if empty.
    pub kinds: Vec<String>,
    /// Whether what was about to be done is shown too, beside how it ended.
    pub intents: bool,
    /// Whether it is shown who acted.
    pub operators: bool,
}

impl Query {
    /// Whether an event is asked for. `shown`: whether operators may see its kind.
    pub fn takes(&self, event: &Logged, shown: impl Fn(&str) -> bool) -> bool {
        let day = CivilDate::in_italy(event.at_ms());
        shown(&event.kind)
            && (self.kinds.is_empty() || self.kinds.contains(&event.kind))
            && (self.intents || !event.is_intent())
            && self.from.is_none_or(|from| day.is_some_and(|day| day >= from))
            && self.to.is_none_or(|to| day.is_some_and(|day| day <= to))
    }

    /// What a [`Cursor`] is bound to: two queries with the same text show the same events in the same order.
    pub fn text(&self) -> String {
        let Self { order, from, to, kinds, intents, operators } = self;
        let day = |day: &Option<CivilDate>| day.map_or_else(|| "-".to_owned(), |day| day.to_string());
        let mut kinds = kinds.clone();
        kinds.sort();
        let mut text = format!("{order:?} {} {} {intents} {operators}", day(from), day(to));
        for kind in kinds {
            // Writing to a string cannot fail.
            write!(text, " {kind}").unwrap_or_default();
        }
        text
    }
}

/// Where a history goes on: a place in the log, its end when the first page was asked for, and the authority's own mark,
/// so that it is of use for this card and this query only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The event that was shown last.
    pub at: u64,
    /// Nothing after this event is shown, on any page.
    pub until: u64,
    /// Half of a MAC.
    pub mark: [u8; 16],
}

/// The text is not 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a cursor is what an answer has as `next`")]
pub struct BadCursor;

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { at, until, mark } = self;
        write!(f, "{at:016x}{until:016x}{}", hex::encode(mark))
    }
}

impl FromStr for Cursor {
    type Err = BadCursor;

    fn from_str(text: &str) -> Result<Self, BadCursor> {
        let mut bytes = [0; 32];
        if text.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(BadCursor);
        }
        hex::decode_to_slice(text, &mut bytes).map_err(|_| BadCursor)?;
        let (at, rest) = bytes.split_first_chunk::<8>().ok_or(BadCursor)?;
        let (until, mark) = rest.split_first_chunk::<8>().ok_or(BadCursor)?;
        let mark = mark.try_into().map_err(|_| BadCursor)?;
        Ok(Self { at: u64::from_be_bytes(*at), until: u64::from_be_bytes(*until), mark })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written() {
        let cursor = Cursor { at: 7, until: u64::MAX, mark: [0xab; 16] };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        assert_eq!(cursor.to_string().len(), 64);
        for bad in ["", "00", &"G".repeat(64), &"AB".repeat(32), &"0".repeat(66)] {
            assert_eq!(bad.parse::<Cursor>(), Err(BadCursor), "{bad}");
        }
    }

    #[test]
    fn the_text_of_a_query_says_all_of_it() {
        let query = Query {
            order: Order::Newest,
            from: None,
            to: None,
            kinds: vec!["b".into(), "a".into()],
            intents: false,
            operators: false,
        };
        let day: CivilDate = "2026-01-02".parse().unwrap();
        let others = [
            Query { order: Order::Oldest, ..query.clone() },
            Query { from: Some(day), ..query.clone() },
            Query { to: Some(day), ..query.clone() },
            Query { kinds: vec!["a".into()], ..query.clone() },
            Query { intents: true, ..query.clone() },
            Query { operators: true, ..query.clone() },
        ];
        let mut texts: Vec<_> = others.iter().chain([&query]).map(Query::text).collect();
        texts.sort();
        texts.dedup();
        assert_eq!(texts.len(), 7);
        let same = Query { kinds: vec!["a".into(), "b".into()], ..query };
        assert_eq!(same.text(), query.text());
    }
}
