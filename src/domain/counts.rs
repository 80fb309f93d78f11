//! What the service keeps of the log to find it by card and to count it: an entry for each event of a card, and counts by
//! day and by hour. All of it follows from the log, event by event, and can be made again from it.
//!
//! Keys, after the space's byte: `c`, card id, sequence number (8 bytes). `d`, day in Italy (days since 1970, 4 bytes), and a
//! [`Cell`] without operator. `h`, hour (hours since 1970 UTC, 4 bytes), and a cell with operator. Hours of UTC are hours in
//! Italy too, which is whole hours ahead.

use std::collections::BTreeMap;

use super::{date::CivilDate, id::CardId, logged::Logged};

/// First byte of the keys of events by card.
const CARD: u8 = b'c';
/// Longest text of a cell, bytes: what is longer is cut, so that a key has a bound.
const TEXT_MAX: usize = 64;

/// Which counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grain {
    /// By day in Italy, all operators together.
    Day,
    /// By hour and operator.
    Hour,
}

impl Grain {
    const fn byte(self) -> u8 {
        match self {
            Self::Day => b'd',
            Self::Hour => b'h',
        }
    }

    /// Where the counts of the days from `from` to `to` begin and end: a range of keys, its end outside.
    pub fn keys(self, from: CivilDate, to: CivilDate) -> (Vec<u8>, Vec<u8>) {
        let key = |unit: u32| [&[self.byte()], unit.to_be_bytes().as_slice()].concat();
        let (first, end) = match self {
            Self::Day => (from.day_number(), to.day_number().saturating_add(1)),
            Self::Hour => {
                let end = to.tomorrow().map_or(u32::MAX, CivilDate::first_hour);
                (from.first_hour(), end)
            }
        };
        (key(first), key(end))
    }
}

/// What events have in common that are counted together. A text is empty where an event has none.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cell {
    /// As the event has it.
    pub kind: String,
    /// How it ended ([`Logged::ended`]).
    pub outcome: String,
    /// Where the operator worked.
    pub office: String,
    /// `email` or `sms`.
    pub channel: String,
    /// The caller.
    pub front_end: String,
    /// Name in events; always empty by day.
    pub operator: String,
}

impl Cell {
    fn of(event: &Logged, grain: Grain) -> Self {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        Self {
            kind: event.kind.clone(),
            outcome: event.ended().to_owned(),
            office: text(&event.office),
            channel: text(&event.channel),
            front_end: event.caller.clone(),
            operator: if grain == Grain::Hour { text(&event.operator) } else { String::new() },
        }
    }

    /// The key of its count in this day or hour.
    fn key(&self, grain: Grain, unit: u32) -> Vec<u8> {
        let mut key = [&[grain.byte()], unit.to_be_bytes().as_slice()].concat();
        for text in [&self.kind, &self.outcome, &self.office, &self.channel, &self.front_end] {
            put(&mut key, text.as_bytes());
        }
        // An operator's name is 16 bytes in hexadecimal; where the token did not say, it is another text.
        match hex::decode(&self.operator) {
            Ok(name) if !name.is_empty() => put(&mut key, &name),
            Ok(_) | Err(_) => put(&mut key, self.operator.as_bytes()),
        }
        key
    }

    /// Reads a key: the day or hour, and the cell.
    pub fn read(grain: Grain, key: &[u8]) -> Option<(u32, Self)> {
        let rest = key.strip_prefix(&[grain.byte()])?;
        let (unit, mut rest) = rest.split_first_chunk::<4>()?;
        let mut next = || take(&mut rest);
        let texts = [next()?, next()?, next()?, next()?, next()?];
        let operator = next()?;
        let [kind, outcome, office, channel, front_end] = texts.map(|text| text_of(&text));
        let operator = if operator.len() == 16 { hex::encode(operator) } else { text_of(&operator) };
        if !rest.is_empty() {
            return None;
        }
        Some((u32::from_be_bytes(*unit), Self { kind, outcome, office, channel, front_end, operator }))
    }
}

/// Appends a text with its length before it.
fn put(key: &mut Vec<u8>, text: &[u8]) {
    let text = text.get(..TEXT_MAX).unwrap_or(text);
    key.push(u8::try_from(text.len()).unwrap_or(0));
    key.extend_from_slice(text);
}

fn take(rest: &mut &[u8]) -> Option<Vec<u8>> {
    let (length, after) = rest.split_first()?;
    let (text, after) = after.split_at_checked(usize::from(*length))?;
    *rest = after;
    Some(text.to_vec())
}

fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Writes a count, without the zeros before it.
pub fn write_count(count: u64) -> Vec<u8> {
    count.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect()
}

/// Reads a count; nothing if it is none.
pub fn read_count(bytes: &[u8]) -> Option<u64> {
    let mut whole = [0; 8];
    let (_, end) = whole.split_at_mut(8_usize.checked_sub(bytes.len())?);
    end.copy_from_slice(bytes);
    Some(u64::from_be_bytes(whole))
}

/// Where the entries of a card are.
pub fn card_prefix(card: &CardId) -> Vec<u8> {
    [&[CARD], card.bytes().as_slice()].concat()
}

/// The key of an event of a card.
pub fn card_key(card: &CardId, seq: u64) -> Vec<u8> {
    [card_prefix(card).as_slice(), &seq.to_be_bytes()].concat()
}

/// The event that such a key names.
pub fn event_of(key: &[u8]) -> Option<u64> {
    key.split_last_chunk::<8>().map(|(_, seq)| u64::from_be_bytes(*seq))
}

/// What some events in a row add.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Added {
    /// Keys of the events by card.
    pub entries: Vec<Vec<u8>>,
    /// By key of a count, how many more.
    pub counts: BTreeMap<Vec<u8>, u64>,
}

impl Added {
    /// Most keys that an event adds.
    pub const KEYS_PER_EVENT: usize = 3;

    /// One event more. What stands in for an unknown card has entries like a card, which nobody can ask for: the work says
    /// nothing about whether there is such a card (I6).
    pub fn add(&mut self, seq: u64, event: &Logged) {
        if let Some(card) = &event.card {
            self.entries.push(card_key(card, seq));
        }
        let at_ms = event.at_ms();
        let day = CivilDate::in_italy(at_ms).map_or(0, CivilDate::day_number);
        let hour = at_ms.checked_div(3_600_000).and_then(|hour| u32::try_from(hour).ok()).unwrap_or(0);
        for (grain, unit) in [(Grain::Day, day), (Grain::Hour, hour)] {
            let count = self.counts.entry(Cell::of(event, grain).key(grain, unit)).or_default();
            *count = count.saturating_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(operator: Option<&str>) -> Logged {
        Logged {
            at: "2026-10-24T22:30:00.000Z".into(),
            kind: "delivery.reported".into(),
            outcome: "done".into(),
            caller: "courier".into(),
            request: String::new(),
            card: Some(CardId::new([7; 16])),
            operator: operator.map(Into::into),
            office: Some("counter-1".into()),
            channel: Some("sms".into()),
            reason: None,
            state: Some("failed".into()),
            delivery: None,
        }
    }

    #[test]
    fn keys_are_read_as_they_were_written() {
        let name = "000102030405060708090a0b0c0d0e0f";
        for operator in [Some(name), Some("unknown"), None] {
            let mut added = Added::default();
            added.add(9, &event(operator));
            added.add(10, &event(operator));
            let all: Vec<_> = added.counts.iter().collect();
            let [(day, 2), (hour, 2)] = all[..] else { panic!("{all:?}") };
            let (number, cell) = Cell::read(Grain::Day, day).unwrap();
            // Half past midnight in Italy.
            assert_eq!(CivilDate::of_day_number(number).unwrap().to_string(), "2026-10-25");
            assert_eq!((cell.outcome.as_str(), cell.operator.as_str()), ("failed", ""));
            let (number, cell) = Cell::read(Grain::Hour, hour).unwrap();
            assert_eq!(CivilDate::hour_text(number).unwrap(), "2026-10-25T00:00+02:00");
            assert_eq!(cell.operator, operator.unwrap_or_default());
            assert_eq!((cell.channel.as_str(), cell.front_end.as_str()), ("sms", "courier"));
            assert_eq!(Cell::read(Grain::Hour, day), None);
            assert_eq!(Cell::read(Grain::Day, &day[..day.len() - 1]), None);
            assert_eq!(
                added.entries.iter().map(|key| event_of(key)).collect::<Vec<_>>(),
                [Some(9), Some(10)]
            );
        }
    }

    #[test]
    fn counts_have_no_zeros_before_them() {
        for (count, size) in [(0, 0), (1, 1), (255, 1), (256, 2), (u64::MAX, 8)] {
            let written = write_count(count);
            assert_eq!((written.len(), read_count(&written)), (size, Some(count)));
        }
        assert_eq!(read_count(&[0; 9]), None);
    }

    #[test]
    fn long_texts_are_cut() {
        let long = Cell { office: "o".repeat(300), ..Cell::default() };
        let (_, read) = Cell::read(Grain::Day, &long.key(Grain::Day, 1)).unwrap();
        assert_eq!(read.office.len(), TEXT_MAX);
    }
}
