//! The history of cards.

use serde::{Deserialize, Serialize};

/// `POST /v1/history`
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadHistory {
    /// Holder's codice fiscale.
    pub tax_code: String,
    /// TEAM number, 20 digits.
    pub team_number: String,
    /// Last day of validity.
    pub expires_on: String,
    /// `this` or `all`; `this` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cards: Option<String>,
    /// With `all`: the card of the list whose history is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card: Option<String>,
    /// `newest` or `oldest`, the one that comes first; `newest` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
    /// First day, `YYYY-MM-DD`, in Italy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Last day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Kinds of event; all that the policy shows if absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<String>,
    /// Whether what was about to be done is shown too.
    #[serde(default)]
    pub intents: bool,
    /// Whether it is shown who acted.
    #[serde(default)]
    pub operators: bool,
    /// Most entries of a page; 50 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u16>,
    /// `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// Answer to [`ReadHistory`].
#[derive(Debug, Serialize, Deserialize)]
pub struct History {
    /// The latest expiry first.
    pub cards: Vec<HistoryCard>,
    /// Cards of the holder that the policy does not let this operator see.
    pub withheld: u64,
    /// Absent while no card is chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<HistoryPage>,
}

/// A card of the holder.
#[derive(Debug, Serialize, Deserialize)]
pub struct HistoryCard {
    /// To choose it by.
    pub card: String,
    /// Whether it is the one whose data were given.
    pub this: bool,
    /// The last four digits of its number, where that was given: no other number is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number_ends: Option<String>,
    /// `registered`, `active`, `held` or `revoked`.
    pub state: String,
    /// Last day of validity, `YYYY-MM-DD`.
    pub expires_on: String,
    /// Whether that day is past, in Italy.
    pub expired: bool,
    /// Issuing region, three digits.
    pub region: String,
    /// When, RFC 3339.
    pub registered_at: String,
    /// When, RFC 3339; absent if it never was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activated_at: Option<String>,
    /// When, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<String>,
    /// Why it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A part of a card's history.
#[derive(Debug, Serialize, Deserialize)]
pub struct HistoryPage {
    /// The card.
    pub card: String,
    /// In the order that was asked for.
    pub entries: Vec<HistoryEntry>,
    /// Whether this is the end.
    pub end: bool,
    /// For `cursor`; absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// An event of a card.
#[derive(Debug, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// When, RFC 3339.
    pub at: String,
    /// As in the audit log.
    pub kind: String,
    /// How it ended; what the courier reported ends in the state of the delivery.
    pub outcome: String,
    /// The caller: a front end, `courier`, or `sigillo` for what the service did by itself.
    pub front_end: String,
    /// Where the operator worked then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub office: Option<String>,
    /// Who acted, by the name in events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How second parts travel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// The delivery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<String>,
    /// The request that caused it.
    pub request: String,
}
