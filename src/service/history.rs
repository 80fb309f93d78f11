//! The history of a card (Storico): its events, as far as the policy lets operators see them, page after page.
//!
//! Every request is an event of that history itself. What finds the events is made behind the log (`history/follow.rs`).

mod cursor;
mod follow;

pub(super) use follow::Follower;

use super::{
    Call, CardData, Error, Service, commitments,
    error::What,
    look_up::{FoundCard, index_entry},
};
use crate::{
    domain::{
        audit::{Event, Kind, Outcome},
        card::State,
        counts,
        date::CivilDate,
        history::{Cursor, Order, Query},
        id::CardId,
        logged::Logged,
    },
    policy::{Asks, CardPermit, act},
    secret::Secret,
    store::{Space, after},
};

/// A history that is asked for.
#[derive(Debug)]
pub struct HistoryRequest {
    /// What is printed on the card.
    pub card: CardData,
    /// Which cards are listed, and which one's history is shown.
    pub cards: Cards,
    /// Which events.
    pub query: Query,
    /// Most entries of a page, at least 1.
    pub limit: usize,
    /// Where the page before ended.
    pub cursor: Option<Cursor>,
}

/// Which cards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cards {
    /// All of the holder's are listed; the history is of the one that was chosen from that list, if one was.
    All(Option<CardId>),
    /// The one whose data are given.
    This,
}

/// The answer.
#[derive(Debug)]
pub struct History {
    /// The latest expiry first.
    pub cards: Vec<ListedCard>,
    /// Cards of the holder that the rules do not let this operator see.
    pub withheld: u64,
    /// Nothing while no card is chosen.
    pub page: Option<Page>,
}

/// A card of the holder.
#[derive(Clone, Debug)]
pub struct ListedCard {
    /// To choose it by.
    pub id: CardId,
    /// Whether its data were given.
    pub this: bool,
    /// Where it is in its life, and since when.
    pub state: State,
    /// Printed expiry.
    pub expires_on: CivilDate,
    /// Whether that day is past, in Italy.
    pub expired: bool,
    /// Three digits.
    pub region: String,
    /// Milliseconds since 1970 UTC.
    pub registered_at_ms: u64,
}

/// A part of a card's history.
#[derive(Debug)]
pub struct Page {
    /// The card.
    pub card: CardId,
    /// In the order that was asked for; without who acted unless that was asked for.
    pub entries: Vec<Logged>,
    /// Where the next page begins; nothing at the end.
    pub next: Option<Cursor>,
}

/// Most cards of a holder that are listed.
const CARDS_MAX: usize = 200;
/// Entries of the index that are looked at in one step, and for one page: what does not match is passed over.
const STEP: usize = 128;
const LOOK_MAX: usize = 2048;

impl Service {
    /// Shows a card's history.
    pub async fn history(
        &self,
        mut call: Call<act::ReadHistory>,
        request: HistoryRequest,
    ) -> Result<History, Error> {
        let parameters = call.permit.policy().parameters();
        if request.query.kinds.iter().any(|kind| !parameters.is_shown_in_history(kind)) {
            let detail = "not one of the policy's kinds";
            return Err(Error::Field { field: "kinds", code: "kind_not_shown", detail });
        }
        self.know_operator(&mut call).await?;
        self.charge_look_up(&call).await?;
        let [team, cf] = self.commitments(request.card.messages()?).await?;
        let found = self.find(&team, Some((&cf, request.card.expires_on)));
        let found = self.seen(&call, Kind::HistoryRead, found).await?;
        let asks = Asks { operators: request.query.operators, all_offices: false };
        if let Err(refused) = call.permit.history_of(found.facts(), asks) {
            return Err(self.not_allowed(&call, Kind::HistoryRead, &found, &refused).await?);
        }
        let this = found.id();
        let (cards, withheld, chosen) = match request.cards {
            Cards::This => (vec![found], 0, Some(this)),
            Cards::All(chosen) => {
                let (cards, withheld) = self.cards_of(&call, &cf, asks)?;
                (cards, withheld, chosen)
            }
        };
        let chosen = match chosen {
            None => None,
            Some(id) => match cards.iter().find(|card| card.id() == id) {
                Some(card) => Some(card),
                None => {
                    let event = self.event(&call, Kind::HistoryRead, Outcome::Refused);
                    let event = Event { card: Some(*this.bytes()), ..event };
                    self.record(event.with("reason", "card_not_found")).await?;
                    return Err(Error::NotFound(What::Card));
                }
            },
        };
        let subject = chosen.map_or(this, FoundCard::id);
        let permit = chosen.map(|card| call.permit.history_of(card.facts(), asks));
        let permit = permit.transpose().map_err(|refused| Error::NotAllowedOnCard(refused.rule().into()))?;

        // The request itself is no part of what it shows.
        let until = self.store.head().seq;
        let event = self.event(&call, Kind::HistoryRead, Outcome::Done);
        let event = event.with("cards", if matches!(request.cards, Cards::This) { "this" } else { "all" });
        let event = event.with("operators", if asks.operators { "shown" } else { "hidden" });
        self.record(Event { card: Some(*subject.bytes()), ..event }).await?;
        let page = match permit {
            Some(permit) => Some(self.page(&call, &permit, subject, &request, until).await?),
            None => None,
        };
        let today = self.today()?;
        let listed = |found: &FoundCard| {
            let registration = found.card.registration();
            ListedCard {
                id: registration.id,
                this: registration.id == this,
                state: found.card.state(),
                expires_on: registration.expiry,
                expired: found.card.is_expired(today),
                region: registration.region.to_string(),
                registered_at_ms: registration.registered_at_ms,
            }
        };
        Ok(History { cards: cards.iter().map(listed).collect(), withheld, page })
    }

    /// The holder's cards that the rules let the operator see, the latest expiry first; and how many others there are.
    fn cards_of(
        &self,
        call: &Call<act::ReadHistory>,
        cf: &Secret<32>,
        asks: Asks,
    ) -> Result<(Vec<FoundCard>, u64), Error> {
        let prefix = commitments::half(cf);
        let (mut cards, mut withheld) = (Vec::new(), 0_u64);
        for entry in self.store.scan(Space::CfCard, &prefix, &[], CARDS_MAX)? {
            let card = self.card(&index_entry(entry.key.strip_prefix(&prefix).unwrap_or_default())?)?;
            match call.permit.history_of(card.facts(), asks) {
                Ok(_) => cards.push(card),
                Err(_) => withheld = withheld.saturating_add(1),
            }
        }
        cards.sort_by_key(|found| {
            let registration = found.card.registration();
            std::cmp::Reverse((registration.expiry, registration.registered_at_ms, registration.id))
        });
        Ok((cards, withheld))
    }

    async fn page(
        &self,
        call: &Call<act::ReadHistory>,
        _: &CardPermit<act::ReadHistory>,
        card: CardId,
        request: &HistoryRequest,
        until: u64,
    ) -> Result<Page, Error> {
        let query = &request.query;
        let (mut at, until) = match &request.cursor {
            None => (None, until),
            Some(cursor) => {
                self.check_cursor(call, &card, query, cursor).await?;
                (Some(cursor.at), cursor.until)
            }
        };
        drop(self.followed(until).await?);
        let parameters = call.permit.policy().parameters();
        let (mut entries, mut last) = (Vec::new(), at);
        let mut looked = 0_usize;
        // Where the next page goes on; nothing once the end was seen.
        let next = 'page: loop {
            let found = self.entries(&card, query.order, at, until)?;
            let is_last = found.len() < STEP;
            for seq in found {
                let event = self.logged(seq)?;
                if query.takes(&event, |kind| parameters.is_shown_in_history(kind)) {
                    if entries.len() >= request.limit {
                        break 'page last;
                    }
                    let operator = event.operator.clone().filter(|_| query.operators);
                    entries.push(Logged { operator, ..event });
                    last = Some(seq);
                }
                at = Some(seq);
            }
            looked = looked.saturating_add(STEP);
            if is_last {
                break None;
            }
            if looked >= LOOK_MAX {
                break at;
            }
        };
        let next = match next {
            Some(at) => Some(self.cursor(call, &card, query, at, until).await?),
            None => None,
        };
        Ok(Page { card, entries, next })
    }

    /// Events of a card from a place on, up to event `until`.
    fn entries(&self, card: &CardId, order: Order, at: Option<u64>, until: u64) -> Result<Vec<u64>, Error> {
        let prefix = counts::card_prefix(card);
        let found = match order {
            Order::Oldest => {
                let from = at.map(|at| after(&counts::card_key(card, at))).unwrap_or_default();
                self.store.scan(Space::History, &prefix, &from, STEP)?
            }
            Order::Newest => {
                let below = match at {
                    Some(at) => counts::card_key(card, at),
                    None => after(&counts::card_key(card, until)),
                };
                self.store.scan_back(Space::History, &prefix, &below, STEP)?
            }
        };
        let numbers = found.iter().map(|entry| {
            counts::event_of(&entry.key).ok_or_else(|| Error::Bug("history entry of another form".into()))
        });
        let numbers: Result<Vec<_>, Error> = numbers.collect();
        Ok(numbers?.into_iter().filter(|seq| *seq <= until).collect())
    }

    /// An event that the index names.
    fn logged(&self, seq: u64) -> Result<Logged, Error> {
        let found = self.store.get(Space::Event, &seq.to_be_bytes())?;
        let found = found.ok_or_else(|| Error::Bug(format!("event {seq} is named but missing")))?;
        let (_, bytes) = super::audit::parse_stored(&found.value)?;
        Logged::read(bytes).map_err(|e| Error::Bug(format!("stored event: {e}")))
    }
}
