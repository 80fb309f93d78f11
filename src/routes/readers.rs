//! Card readers: requests and stock.

use hyper::Response;

use super::{App, Arrived, cards, cards::card_data, json, problems, read};
use crate::{
    api::readers::{ReaderPreview, ReaderReceipt, ReaderStock, RequestReader, StockReaders},
    domain::{audit::time_text, date::CivilDate},
    http::{Body, Problem},
    service::{ReaderRequest, Stocking},
};

impl App {
    pub(super) async fn request_reader(&self, arrived: Arrived) -> Result<Response<Body>, Problem> {
        let id = arrived.id;
        let call = self.call(arrived).await?;
        let body: RequestReader = read::json(&call.body)?;
        let household = body.household.as_ref().map(|text| read::field("household", text));
        let request = ReaderRequest {
            card: card_data(&body.tax_code, &body.team_number, &body.expires_on)?,
            kind: read::field("kind", &body.kind)?,
            household: household.transpose()?,
        };
        if body.preview {
            let shown = self.service.preview_reader(call, request).await.map_err(|e| problems::of(&e, id))?;
            return json(&ReaderPreview {
                card: cards::card(&shown.card),
                price_cents: shown.price_cents,
                office: shown.office,
                in_stock: shown.in_stock,
            });
        }
        let receipt = self.service.request_reader(call, request).await.map_err(|e| problems::of(&e, id))?;
        let date = CivilDate::in_italy(receipt.at_ms).ok_or_else(Problem::internal)?;
        json(&ReaderReceipt {
            office: receipt.office,
            year: receipt.year,
            number: receipt.number,
            kind: receipt.kind.text().into(),
            price_cents: receipt.price_cents,
            date: date.to_string(),
        })
    }

    pub(super) async fn stock_readers(&self, arrived: Arrived) -> Result<Response<Body>, Problem> {
        let id = arrived.id;
        let call = self.call(arrived).await?;
        let body: StockReaders = read::json(&call.body)?;
        let stocking = match (body.received, body.counted) {
            (Some(readers), None) => Stocking::Received(readers),
            (None, Some(readers)) => Stocking::Counted(readers),
            (None, None) | (Some(_), Some(_)) => {
                let one = read::NotOneOf("given, or counted in its place");
                return Err(read::invalid("received", one));
            }
        };
        let stocked = self.service.stock_readers(call, stocking).await.map_err(|e| problems::of(&e, id))?;
        json(&ReaderStock {
            office: stocked.office,
            before: stocked.before,
            in_stock: stocked.in_stock,
            stocked_at: time_text(stocked.at_ms),
        })
    }
}
