//! Self-renewal.

use hyper::Response;

use super::{App, Arrived, cards::card_data, codes, json, problems, read};
use crate::{
    api::renewals::RenewSelf,
    http::{Body, Problem},
    service::SelfRenewalRequest,
};

impl App {
    pub(super) async fn renew_self(&self, arrived: Arrived) -> Result<Response<Body>, Problem> {
        let id = arrived.id;
        let call = self.call_by_citizen(arrived).await?;
        let body: RenewSelf = read::json(&call.body)?;
        let request = SelfRenewalRequest {
            card: card_data(&body.tax_code, &body.team_number, &body.expires_on)?,
            former: read::field("former_team_number", &body.former_team_number)?,
            contact: read::contact(&body.contact)?,
            language: read::language(&body.contact)?.unwrap_or_default(),
            data_processing: body.data_processing,
        };
        if body.preview {
            let summary = self.service.preview_self_renewal(call, request).await;
            return json(&codes::preview(&summary.map_err(|e| problems::of(&e, id))?));
        }
        let handed = self.service.renew_self(call, request).await;
        json(&codes::handed_out(&handed.map_err(|e| problems::of(&e, id))?))
    }
}
