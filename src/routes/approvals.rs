//! Approvals: asked for, shown, signed.

use base64::{Engine, engine::general_purpose::STANDARD};
use hyper::{Response, StatusCode};

use super::{App, Arrived, json, problems, read};
use crate::{
    api::approvals::{Approval, AskApproval, SignApproval, SignedApproval},
    domain::{audit::time_text, id::ApprovalId},
    http::{Body, Problem},
    service::{ApprovalRequest, ApprovalView},
};

impl App {
    pub(super) async fn ask_approval(&self, arrived: Arrived) -> Result<Response<Body>, Problem> {
        let id = arrived.id;
        let call = self.call(arrived).await?;
        let body: AskApproval = read::json(&call.body)?;
        let request = wanted(body)?;
        let asked = self.service.ask_approval(call, request).await.map_err(|e| problems::of(&e, id))?;
        let mut response = json(&shown(asked))?;
        *response.status_mut() = StatusCode::CREATED;
        Ok(response)
    }

    pub(super) async fn approval(&self, arrived: Arrived, id: &str) -> Result<Response<Body>, Problem> {
        let request = arrived.id;
        let call = self.bare_by_operator(&arrived)?;
        let id: ApprovalId = read::field("id", id)?;
        json(&shown(self.service.approval(call, id).await.map_err(|e| problems::of(&e, request))?))
    }

    pub(super) async fn sign_approval(&self, arrived: Arrived, id: &str) -> Result<Response<Body>, Problem> {
        let request = arrived.id;
        let call = self.call(arrived).await?;
        let id: ApprovalId = read::field("id", id)?;
        let body: SignApproval = read::json(&call.body)?;
        let signature = STANDARD
            .decode(&body.signature)
            .map_err(|_| read::invalid("signature", read::NotOneOf("base64, padded")))?;
        let signed = self.service.sign_approval(call, id, &signature).await;
        let signed = signed.map_err(|e| problems::of(&e, request))?;
        json(&SignedApproval { state: "signed".into(), expires_at: time_text(signed.until_ms) })
    }
}

/// What is to be approved.
pub(super) fn wanted(body: AskApproval) -> Result<ApprovalRequest, Problem> {
    let team = read::field("card.team_number", &body.card.team_number)?;
    if body.contact.is_some() != (body.action == "change_contact") {
        let when = read::NotOneOf("given for \"change_contact\", and for nothing else");
        return Err(read::invalid("contact", when));
    }
    Ok(match (body.action.as_str(), &body.contact) {
        ("change_contact", Some(contact)) => {
            let (contact, language) = (read::contact(contact)?, read::language(contact)?);
            ApprovalRequest::ChangeContact { team, reason: body.reason, contact, language }
        }
        ("renew_cip", _) => ApprovalRequest::RenewCip { team, reason: body.reason },
        ("revoke", _) => ApprovalRequest::Revoke { team, reason: read::field("reason", &body.reason)? },
        ("unlock", _) => ApprovalRequest::Unlock { team, reason: body.reason },
        _ => {
            let known = read::NotOneOf("\"change_contact\", \"renew_cip\", \"revoke\" or \"unlock\"");
            return Err(read::invalid("action", known));
        }
    })
}

fn shown(view: ApprovalView) -> Approval {
    Approval {
        id: view.id.to_string(),
        text: view.text,
        state: view.state.into(),
        expires_at: time_text(view.until_ms),
    }
}
