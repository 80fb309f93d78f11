//! What the codes of produced cards are derived from, for the offline making of chips.

use hyper::{Response, StatusCode};

use super::{App, Arrived, body, cards, problems};
use crate::{
    card_export::MOST,
    http::{self, Body, MediaType, Problem},
    secret::SecretBytes,
    service::{Call, CardData},
};

impl App {
    /// The lines of a batch, as for their registration; `renews` and `replaces` say nothing here.
    pub(super) async fn export_cards(&self, arrived: Arrived) -> Result<Response<Body>, Problem> {
        let (permit, _) = self.permit(&arrived, |_| Ok(None))?;
        let request = arrived.id;
        let _place = self.batches.acquire().await.map_err(|_| Problem::internal())?;
        let (_, batch) = http::read(arrived.request, MediaType::Ndjson, self.limits.batch()).await?;
        let mut lines = Vec::new();
        for (number, text) in (1_u64..).zip(batch.expose().split(|b| *b == b'\n')) {
            if text.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            if lines.len() >= MOST {
                return Err(Problem::new(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "too_many_lines",
                    "More lines than a batch may have",
                )
                .detail("at most 10000 lines"));
            }
            let line = cards::line(text).map_err(|bad| bad.code);
            let data = line.map(|line| CardData {
                tax_code: line.tax_code,
                team: line.team,
                expires_on: line.expires_on,
            });
            lines.push((number, data));
        }
        let none = SecretBytes::new(Vec::new());
        let call = Call { permit, request, key: None, operator: None, path_id: None, body: none };
        let export = self.service.export_cards(&call, lines).await;
        Ok(body(export.map_err(|e| problems::of(&e, request))?, MediaType::Ndjson.as_str()))
    }
}
