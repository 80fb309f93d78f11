//! What is done about a C.I.P.: unlock, a new one.

use hyper::Response;

use super::{App, Arrived, cards::card_data, codes::handed_out, json, problems, read};
use crate::{
    api::cip::{RenewCip, Unlock, Unlocked},
    domain::audit::time_text,
    http::{Body, Problem},
    service::{CipRenewalRequest, UnlockRequest},
};

impl App {
    pub(super) async fn renew_cip(&self, arrived: Arrived) -> Result<Response<Body>, Problem> {
        let id = arrived.id;
        let call = self.call(arrived).await?;
        let body: RenewCip = read::json(&call.body)?;
        let request = CipRenewalRequest {
            card: card_data(&body.tax_code, &body.team_number, &body.expires_on)?,
            reason: body.reason,
            applicant: read::applicant(&body.applicant)?,
            contact: read::contact(&body.contact)?,
            language: read::language(&body.contact)?.unwrap_or_default(),
            approval: read::optional("approval", body.approval.as_deref())?,
        };
        json(&handed_out(&self.service.renew_cip(call, request).await.map_err(|e| problems::of(&e, id))?))
    }

    pub(super) async fn unlock(&self, arrived: Arrived) -> Result<Response<Body>, Problem> {
        let id = arrived.id;
        let call = self.call(arrived).await?;
        let body: Unlock = read::json(&call.body)?;
        let request = UnlockRequest {
            card: card_data(&body.tax_code, &body.team_number, &body.expires_on)?,
            reason: body.reason,
            approval: read::optional("approval", body.approval.as_deref())?,
        };
        let unlocked = self.service.unlock(call, request).await.map_err(|e| problems::of(&e, id))?;
        json(&Unlocked { unlocked_at: time_text(unlocked.at_ms), cip_tries_left: unlocked.tries_left })
    }
}
