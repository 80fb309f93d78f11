//! Registra CNS, and `GET /v1/session`.

use base64::{Engine, engine::general_purpose::STANDARD};
use hyper::{Response, StatusCode};

use super::{App, Arrived, json, problems, read};
use crate::{
    api::operators::{
        Deregister, Deregistered, OpenRegistration, OpenedRegistration, Session, SessionAction,
        SessionOperator, SignRegistration, SignedRegistration,
    },
    auth::cns::proof::MAX_SIGNATURE,
    domain::{audit::time_text, id::RegistrationId, team::Region},
    http::{self, Body, Problem},
    policy::{Allowed, act},
    secret::SecretBytes,
    service::{Call, CardStanding, DeregistrationRequest},
};

impl App {
    pub(super) async fn open_registration(&self, arrived: Arrived) -> Result<Response<Body>, Problem> {
        let id = arrived.id;
        let call = self.call(arrived).await?;
        let OpenRegistration {} = read::json(&call.body)?;
        let opened = self.service.open_registration(call).await.map_err(|e| problems::of(&e, id))?;
        let expires_at = time_text(opened.until_ms);
        let answer = OpenedRegistration { id: opened.id.to_string(), text: opened.text, expires_at };
        let mut response = json(&answer)?;
        *response.status_mut() = StatusCode::CREATED;
        Ok(response)
    }

    pub(super) async fn sign_registration(
        &self,
        arrived: Arrived,
        path_id: &str,
    ) -> Result<Response<Body>, Problem> {
        let id = arrived.id;
        let call = self.call(arrived).await?;
        let registration: RegistrationId = read::field("id", path_id)?;
        let body: SignRegistration = read::json(&call.body)?;
        let signature = STANDARD.decode(&body.signature).ok().filter(|bytes| bytes.len() <= MAX_SIGNATURE);
        let signature =
            signature.ok_or_else(|| read::invalid("signature", read::NotOneOf("base64 of a signature")))?;
        let signed = self.service.sign_registration(call, registration, &signature).await;
        let signed = signed.map_err(|e| problems::of(&e, id))?;
        json(&SignedRegistration { registered_at: time_text(signed.at_ms), replaced: signed.replaced })
    }

    pub(super) async fn deregister(&self, arrived: Arrived) -> Result<Response<Body>, Problem> {
        let id = arrived.id;
        let (permit, _) = self.permit::<act::DeregisterOperator>(&arrived, |_| Ok(None))?;
        let (_, body) = http::read(arrived.request, http::MediaType::Json, self.limits.body()).await?;
        let call = Call { permit, request: id, key: None, operator: None, path_id: None, body };
        let body: Deregister = read::json(&call.body)?;
        let request = DeregistrationRequest { operator: read::field("tax_code", &body.tax_code)? };
        let deregistered = self.service.deregister(&call, request).await.map_err(|e| problems::of(&e, id))?;
        json(&Deregistered { deregistered })
    }

    pub(super) async fn session(&self, arrived: Arrived) -> Result<Response<Body>, Problem> {
        let (permit, operator) = self.permit(&arrived, |policy| self.operator(policy, &arrived))?;
        let (front_end, policy) = (permit.caller().to_string(), std::sync::Arc::clone(permit.policy()));
        let body = SecretBytes::new(Vec::new());
        let call = Call { permit, request: arrived.id, key: None, operator, path_id: None, body };
        let session = self.service.session(call).await.map_err(|e| problems::of(&e, arrived.id))?;
        let registration = match session.card {
            CardStanding::Former => "former",
            CardStanding::None => "none",
            CardStanding::Other => "other",
            CardStanding::Registered => "registered",
        };
        json(&Session {
            operator: SessionOperator {
                name: session.person,
                id_carta: session.id_carta,
                certificate_until: time_text(session.certificate_until_ms),
                office: session.profile.office,
                roles: session.profile.roles.into_iter().collect(),
                regions: texts(&session.profile.regions),
            },
            registration: registration.into(),
            front_end,
            actions: session.actions.iter().map(action).collect(),
            policy: policy.digest().to_string(),
            sequence: policy.parameters().sequence,
        })
    }
}

fn action(allowed: &Allowed) -> SessionAction {
    SessionAction { action: allowed.action.text().into(), regions: allowed.regions.as_ref().map(texts) }
}

fn texts<'a>(regions: impl IntoIterator<Item = &'a Region>) -> Vec<String> {
    regions.into_iter().map(Region::to_string).collect()
}
