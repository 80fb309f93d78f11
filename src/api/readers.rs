//! Card readers: requests, receipts, stock.

use serde::{Deserialize, Serialize};

use super::cards::Card;

/// `POST /v1/reader-requests`
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestReader {
    /// Holder's codice fiscale.
    pub tax_code: String,
    /// TEAM number, 20 digits, of the card that the reader is for.
    pub team_number: String,
    /// Last day of its validity.
    pub expires_on: String,
    /// `free` or `sale`.
    pub kind: String,
    /// What the front end knows the holder's household by; never stored in clear.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub household: Option<String>,
    /// Only show what would be handed over.
    #[serde(default)]
    pub preview: bool,
}

/// Answer to [`RequestReader`]: what is printed.
#[derive(Debug, Serialize, Deserialize)]
pub struct ReaderReceipt {
    /// The operator's office.
    pub office: String,
    /// Year of the receipt.
    pub year: u16,
    /// Its number in that year and office, from 1 up.
    pub number: u32,
    /// `free` or `sale`.
    pub kind: String,
    /// What was paid, cents of a euro.
    pub price_cents: u32,
    /// The day, in Italy.
    pub date: String,
}

/// Answer to [`RequestReader`] with `preview`.
#[derive(Debug, Serialize, Deserialize)]
pub struct ReaderPreview {
    /// The card as it is.
    pub card: Card,
    /// What is to be paid, cents of a euro.
    pub price_cents: u32,
    /// The operator's office.
    pub office: String,
    /// Readers in its stock.
    pub in_stock: u32,
}

/// `POST /v1/reader-stock`: one of the two.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StockReaders {
    /// So many came in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received: Option<u32>,
    /// So many are there, as counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted: Option<u32>,
}

/// Answer to [`StockReaders`].
#[derive(Debug, Serialize, Deserialize)]
pub struct ReaderStock {
    /// The operator's office.
    pub office: String,
    /// Readers in its stock before.
    pub before: u32,
    /// And now.
    pub in_stock: u32,
    /// When, RFC 3339.
    pub stocked_at: String,
}
