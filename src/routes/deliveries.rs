//! What is done about a delivery: another contact, the same message once more.

use hyper::Response;

use super::{App, Arrived, cards::card_data, json, problems, read};
use crate::{
    api::deliveries::{ChangeContact, ContactChanged, Resend, Resent},
    domain::{audit::time_text, id::DeliveryId},
    http::{Body, Problem},
    service::ContactRequest,
};

impl App {
    pub(super) async fn change_contact(&self, arrived: Arrived) -> Result<Response<Body>, Problem> {
        let id = arrived.id;
        let call = self.call(arrived).await?;
        let body: ChangeContact = read::json(&call.body)?;
        let request = ContactRequest {
            card: card_data(&body.tax_code, &body.team_number, &body.expires_on)?,
            reason: body.reason,
            contact: read::contact(&body.contact)?,
            language: read::language(&body.contact)?,
            approval: read::optional("approval", body.approval.as_deref())?,
        };
        let changed = self.service.change_contact(call, request).await.map_err(|e| problems::of(&e, id))?;
        json(&ContactChanged { delivery: changed.delivery.to_string(), control: changed.control })
    }

    pub(super) async fn resend(&self, arrived: Arrived, id: &str) -> Result<Response<Body>, Problem> {
        let request = arrived.id;
        let call = self.call(arrived).await?;
        let id: DeliveryId = read::field("id", id)?;
        let Resend {} = read::json(&call.body)?;
        let resent = self.service.resend(call, id).await.map_err(|e| problems::of(&e, request))?;
        json(&Resent { state: "queued".into(), queued_at: time_text(resent.at_ms) })
    }
}
