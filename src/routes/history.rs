//! The history of cards (Storico).

use hyper::Response;

use super::{App, Arrived, cards, json, problems, read};
use crate::{
    api::history::{History, HistoryCard, HistoryEntry, HistoryPage, ReadHistory},
    domain::{
        audit::time_text, card::State, date::CivilDate, history::Order, history::Query, logged::Logged,
    },
    http::{Body, Problem},
    service::{self, Cards, HistoryRequest, ListedCard},
};

/// Entries of a page if the request does not say, and most of them.
const LIMIT: u16 = 50;
const LIMIT_MAX: u16 = 200;
/// Digits of the number that the list shows.
const SHOWN: usize = 4;

impl App {
    pub(super) async fn history(&self, arrived: Arrived) -> Result<Response<Body>, Problem> {
        let id = arrived.id;
        let call = self.call(arrived).await?;
        let body: ReadHistory = read::json_with_lists(&call.body, &["kinds"])?;
        let card = cards::card_data(&body.tax_code, &body.team_number, &body.expires_on)?;
        let number = card.team.as_str();
        let ends = number.get(number.len().saturating_sub(SHOWN)..).unwrap_or_default().to_owned();
        let limit = match body.limit.unwrap_or(LIMIT) {
            limit @ 1..=LIMIT_MAX => limit.into(),
            _ => return Err(read::invalid("limit", read::NotOneOf("1 to 200"))),
        };
        let request = HistoryRequest {
            card,
            cards: which(&body)?,
            query: query(&body)?,
            limit,
            cursor: body.cursor.as_deref().map(|text| read::field("cursor", text)).transpose()?,
        };
        let shown = self.service.history(call, request).await.map_err(|e| problems::of(&e, id))?;
        let service::History { cards, withheld, page } = shown;
        json(&History {
            cards: cards.iter().map(|card| listed(card, &ends)).collect(),
            withheld,
            page: page.map(|page| HistoryPage {
                card: page.card.to_string(),
                entries: page.entries.into_iter().map(entry).collect(),
                end: page.next.is_none(),
                next: page.next.map(|next| next.to_string()),
            }),
        })
    }
}

pub(super) fn which(body: &ReadHistory) -> Result<Cards, Problem> {
    match (body.cards.as_deref(), &body.card) {
        (None | Some("this"), None) => Ok(Cards::This),
        (Some("all"), None) if body.cursor.is_none() => Ok(Cards::All(None)),
        (Some("all"), Some(card)) => Ok(Cards::All(Some(read::field("card", card)?))),
        (Some("all"), None) => Err(read::invalid("card", read::NotOneOf("given with a cursor"))),
        (None | Some("this"), _) => {
            Err(read::invalid("card", read::NotOneOf("given with cards = \"all\" only")))
        }
        (Some(_), _) => Err(read::invalid("cards", read::NotOneOf("\"this\" or \"all\""))),
    }
}

pub(super) fn query(body: &ReadHistory) -> Result<Query, Problem> {
    let day = |name: &str, text: &Option<String>| -> Result<Option<CivilDate>, Problem> {
        text.as_deref().map(|text| read::field(name, text)).transpose()
    };
    Ok(Query {
        order: match body.order.as_deref() {
            None | Some("newest") => Order::Newest,
            Some("oldest") => Order::Oldest,
            Some(_) => return Err(read::invalid("order", read::NotOneOf("\"newest\" or \"oldest\""))),
        },
        from: day("from", &body.from)?,
        to: day("to", &body.to)?,
        kinds: body.kinds.clone(),
        intents: body.intents,
        operators: body.operators,
    })
}

fn listed(card: &ListedCard, ends: &str) -> HistoryCard {
    let (activated, revoked) = match card.state {
        State::Registered => (None, None),
        State::Active { activated_at_ms } => (Some(activated_at_ms), None),
        State::Held { activated_at_ms } => (activated_at_ms, None),
        State::Revoked { activated_at_ms, revoked_at_ms, reason } => {
            (activated_at_ms, Some((revoked_at_ms, reason)))
        }
    };
    HistoryCard {
        card: card.id.to_string(),
        this: card.this,
        number_ends: card.this.then(|| ends.to_owned()),
        state: card.state.text().into(),
        expires_on: card.expires_on.to_string(),
        expired: card.expired,
        region: card.region.clone(),
        registered_at: time_text(card.registered_at_ms),
        activated_at: activated.map(time_text),
        revoked_at: revoked.map(|(at_ms, _)| time_text(at_ms)),
        reason: revoked.map(|(_, reason)| reason.text().into()),
    }
}

fn entry(event: Logged) -> HistoryEntry {
    HistoryEntry {
        outcome: event.ended().to_owned(),
        at: event.at,
        kind: event.kind,
        front_end: event.caller,
        office: event.office,
        operator: event.operator,
        reason: event.reason,
        channel: event.channel,
        delivery: event.delivery,
        request: event.request,
    }
}
