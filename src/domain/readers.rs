//! Card readers that offices hand over: the stock, and the numbers of receipts. How often a holder gets one is counted as
//! reprints are ([`super::reprints`]).

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::record::Reader;

/// How a reader is handed over. The texts never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HandOver {
    /// For nothing.
    Free,
    /// At the policy's price.
    Sale,
}

impl HandOver {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Free, Self::Sale];

    /// As in requests, events and the policy.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Sale => "sale",
        }
    }
}

/// The text is neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be \"free\" or \"sale\"")]
pub struct BadHandOver;

impl FromStr for HandOver {
    type Err = BadHandOver;

    fn from_str(text: &str) -> Result<Self, BadHandOver> {
        Self::ALL.into_iter().find(|kind| kind.text() == text).ok_or(BadHandOver)
    }
}

/// The text does not name a household.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 64 visible ASCII characters")]
pub struct BadHousehold;

/// What the front end knows a household by, such as its number in the register of residents. Never stored in clear, and
/// never shown.
#[derive(Clone)]
pub struct Household(String);

impl Household {
    /// The text, for the index key.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl FromStr for Household {
    type Err = BadHousehold;

    fn from_str(text: &str) -> Result<Self, BadHousehold> {
        let good = (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        if good { Ok(Self(text.to_owned())) } else { Err(BadHousehold) }
    }
}

impl std::fmt::Debug for Household {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Household(…)")
    }
}

/// Why no reader is handed over, or none taken into the stock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoReader {
    /// Holder or household has had as many as the policy allows.
    #[error("as many readers were handed over as the policy allows")]
    Again {
        /// When there may be one again, milliseconds since 1970 UTC.
        at_ms: u64,
    },
    /// The office has none.
    #[error("the office has no reader in stock")]
    OutOfStock,
    /// More than an office can have.
    #[error("the stock would be more than an office can have")]
    TooMany,
}

impl NoReader {
    /// Its code in problems and events: it never changes.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Again { .. } => "reader_already_handed_over",
            Self::OutOfStock => "reader_out_of_stock",
            Self::TooMany => "reader_stock_too_large",
        }
    }
}

/// What is known of the readers of one office.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Desk {
    stock: u32,
    /// Year of the last receipt.
    year: u16,
    /// Number of the last receipt in that year.
    receipts: u32,
}

const FORMAT: u8 = 1;

impl Desk {
    /// Most readers in stock.
    pub const STOCK_MAX: u32 = 1_000_000;

    /// Readers in stock.
    pub const fn stock(&self) -> u32 {
        self.stock
    }

    /// One reader less, and the number of its receipt: from 1 up, anew each year. A year that is before that of the last
    /// receipt, as after a clock was set back, goes on with the later one's numbers: none is given twice.
    pub fn hand_over(&self, year: u16) -> Result<(Self, (u16, u32)), NoReader> {
        let stock = self.stock.checked_sub(1).ok_or(NoReader::OutOfStock)?;
        let (year, last) = if year > self.year { (year, 0) } else { (self.year, self.receipts) };
        let receipts = last.checked_add(1).ok_or(NoReader::OutOfStock)?;
        Ok((Self { stock, year, receipts }, (year, receipts)))
    }

    /// So many more.
    pub fn receive(&self, readers: u32) -> Result<Self, NoReader> {
        self.stock.checked_add(readers).map_or(Err(NoReader::TooMany), |stock| self.count(stock))
    }

    /// So many are there, whatever was thought.
    pub const fn count(&self, stock: u32) -> Result<Self, NoReader> {
        if stock > Self::STOCK_MAX { Err(NoReader::TooMany) } else { Ok(Self { stock, ..*self }) }
    }

    /// The stored record.
    pub fn encode(&self) -> Vec<u8> {
        let Self { stock, year, receipts } = self;
        [&[FORMAT], &stock.to_be_bytes()[..], &year.to_be_bytes(), &receipts.to_be_bytes()].concat()
    }

    /// Reads a stored record; nothing if it is not one.
    pub fn decode(record: &[u8]) -> Option<Self> {
        let mut from = Reader::new(record);
        if from.byte()? != FORMAT {
            return None;
        }
        let desk = Self { stock: from.u32()?, year: from.u16()?, receipts: from.u32()? };
        (from.is_done() && desk.stock <= Self::STOCK_MAX).then_some(desk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_an_empty_stock_and_each_number_once() {
        let desk = Desk::default();
        assert_eq!(desk.hand_over(2026), Err(NoReader::OutOfStock));
        let desk = desk.receive(3).unwrap();
        let (desk, first) = desk.hand_over(2026).unwrap();
        let (desk, second) = desk.hand_over(2026).unwrap();
        let (empty, third) = desk.hand_over(2027).unwrap();
        assert_eq!([first, second, third], [(2026, 1), (2026, 2), (2027, 1)]);
        assert_eq!(empty.hand_over(2027), Err(NoReader::OutOfStock));
        // A clock that was set back gives no number twice.
        assert_eq!(empty.receive(1).unwrap().hand_over(2026).unwrap().1, (2027, 2));
    }

    #[test]
    fn stock_is_bounded_and_counting_leaves_receipts_alone() {
        let (desk, _) = Desk::default().receive(5).unwrap().hand_over(2026).unwrap();
        let counted = desk.count(2).unwrap();
        assert_eq!((counted.stock(), counted.hand_over(2026).unwrap().1), (2, (2026, 2)));
        assert_eq!(desk.count(Desk::STOCK_MAX + 1), Err(NoReader::TooMany));
        assert_eq!(desk.receive(u32::MAX), Err(NoReader::TooMany));
        assert_eq!(desk.count(Desk::STOCK_MAX).unwrap().receive(1), Err(NoReader::TooMany));
    }

    #[test]
    fn records_read_as_written() {
        let (desk, _) = Desk::default().receive(7).unwrap().hand_over(2026).unwrap();
        let record = desk.encode();
        assert_eq!(Desk::decode(&record), Some(desk));
        assert_eq!(Desk::decode(&record[1..]), None);
        assert_eq!(Desk::decode(&[&record[..], &[0]].concat()), None);
        assert_eq!(Desk::decode(&[&[2], &record[1..]].concat()), None);
        assert_eq!(format!("{:?}", "anpr-1".parse::<Household>().unwrap()), "Household(…)");
        assert!("a b".parse::<Household>().is_err() && "".parse::<Household>().is_err());
    }
}
