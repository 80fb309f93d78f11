//! Activation, reprint, verification, deliveries.

use std::{collections::BTreeMap, time::Duration};

use hyper::Response;

use super::{App, Arrived, cards, cards::card_data, json, problems, read};
use crate::{
    api::{
        applicant::MaskedApplicant,
        codes::{Activate, Delivery, HandedOut, Preview, Reprint, Split, Verified, Verify},
        paper::Paper,
    },
    domain::{audit::time_text, id::DeliveryId},
    http::{Body, Problem},
    secret::Digits,
    service::{self, ActivationRequest, Purpose, ReprintRequest, Verdict, VerificationRequest},
};

impl App {
    pub(super) async fn activate(&self, arrived: Arrived) -> Result<Response<Body>, Problem> {
        let id = arrived.id;
        let call = self.call(arrived).await?;
        let body: Activate = read::json(&call.body)?;
        let request = ActivationRequest {
            card: card_data(&body.tax_code, &body.team_number, &body.expires_on)?,
            applicant: read::applicant(&body.applicant)?,
            contact: read::contact(&body.contact)?,
            language: read::language(&body.contact)?.unwrap_or_default(),
            data_processing: body.data_processing,
        };
        if body.preview {
            let summary = self.service.preview_activation(call, request).await;
            return json(&preview(&summary.map_err(|e| problems::of(&e, id))?));
        }
        json(&handed_out(&self.service.activate(call, request).await.map_err(|e| problems::of(&e, id))?))
    }

    pub(super) async fn reprint(&self, arrived: Arrived) -> Result<Response<Body>, Problem> {
        let id = arrived.id;
        let call = self.call(arrived).await?;
        let body: Reprint = read::json(&call.body)?;
        let request = ReprintRequest {
            card: card_data(&body.tax_code, &body.team_number, &body.expires_on)?,
            reason: body.reason,
            applicant: read::applicant(&body.applicant)?,
            contact: read::contact(&body.contact)?,
            language: read::language(&body.contact)?.unwrap_or_default(),
        };
        if body.preview {
            let summary = self.service.preview_reprint(call, request).await;
            return json(&preview(&summary.map_err(|e| problems::of(&e, id))?));
        }
        json(&handed_out(&self.service.reprint(call, request).await.map_err(|e| problems::of(&e, id))?))
    }

    /// Whatever the answer, it leaves on a tick after the request has arrived in whole (I6): a caller that holds its body
    /// back moves nothing.
    pub(super) async fn verify(&self, arrived: Arrived) -> Result<Response<Body>, Problem> {
        let id = arrived.id;
        let call = self.call(arrived).await?;
        let at = self.clock.uptime();
        let mut body: Verify = read::json(&call.body)?;
        let team = read::field("team_number", &body.team_number)?;
        let code = Digits::parse(std::mem::take(&mut body.code))
            .ok_or_else(|| read::invalid("code", read::NotOneOf("0 to 64 digits")))?;
        let purpose = match body.purpose.as_str() {
            "revocation" => Purpose::Revocation,
            _ => return Err(read::invalid("purpose", read::NotOneOf("\"revocation\""))),
        };
        let tick = call.permit.policy().parameters().verification.tick;
        let result = self.service.verify(call, VerificationRequest { team, code, purpose }).await;
        self.alarm.after(to_next_tick(self.clock.uptime().saturating_sub(at), tick)).await;
        let answer = result.map_err(|e| problems::of(&e, id))?;
        self.metrics.verification(answer.outcome == Verdict::Accepted);
        let outcome = match answer.outcome {
            Verdict::Accepted => "accepted",
            Verdict::Rejected => "rejected",
        };
        json(&Verified { outcome: outcome.into(), verification: answer.verification.to_string() })
    }

    pub(super) async fn delivery(&self, arrived: Arrived, id: &str) -> Result<Response<Body>, Problem> {
        let request = arrived.id;
        let call = self.bare(&arrived)?;
        let id: DeliveryId = read::field("id", id)?;
        let view = self.service.delivery(call, id).await.map_err(|e| problems::of(&e, request))?;
        json(&Delivery {
            state: view.state.into(),
            channel: view.channel,
            control: view.control,
            attempts: view.attempts,
            reason: view.reason,
            queued_at: time_text(view.queued_at_ms),
        })
    }
}

pub(super) fn preview(summary: &service::Summary) -> Preview {
    let split = |(code, first, second): &(_, u8, u8)| {
        (ToString::to_string(code), Split { first: *first, second: *second })
    };
    let (channel, contact) = &summary.contact;
    Preview {
        card: cards::card(&summary.card),
        codes: summary.codes.iter().map(split).collect(),
        applicant: masked(&summary.applicant),
        channel: channel.text().into(),
        contact: contact.clone(),
        language: summary.language.tag().into(),
        lacks: summary.lacks.iter().map(|lack| lack.code().into()).collect(),
    }
}

pub(super) fn masked(applicant: &service::MaskedApplicant) -> MaskedApplicant {
    MaskedApplicant {
        is: applicant.role.text().into(),
        name: applicant.name.clone(),
        tax_code: applicant.tax_code.clone(),
        document: applicant.document.clone(),
        document_number: applicant.document_number.clone(),
    }
}

/// What is printed.
pub(super) fn paper(paper: &service::Paper) -> Paper {
    let (channel, contact) = paper.contact.clone().unzip();
    Paper {
        operation: paper.operation.into(),
        at: time_text(paper.at_ms),
        office: paper.office.clone(),
        expires_on: paper.expires_on.to_string(),
        number_ends: paper.number_ends.clone(),
        applicant: paper.applicant.text().into(),
        document: paper.document.clone(),
        channel: channel.map(|channel| channel.text().into()),
        contact,
        texts: paper.texts.iter().map(|id| (*id).to_owned()).collect(),
    }
}

pub(super) fn handed_out(handed: &service::HandedOut) -> HandedOut {
    let first_parts: BTreeMap<_, _> = handed
        .first_parts
        .0
        .iter()
        .map(|(code, part)| (code.to_string(), part.expose().to_owned()))
        .collect();
    HandedOut {
        first_parts,
        control: handed.control.clone(),
        delivery: handed.delivery.map(|id| id.to_string()),
        paper: paper(&handed.paper),
    }
}

/// What is missing to the next multiple of `tick`.
fn to_next_tick(elapsed: Duration, tick: Duration) -> Duration {
    let (elapsed, tick) = (elapsed.as_nanos(), tick.as_nanos());
    let past = elapsed.checked_rem(tick).unwrap_or(0);
    let rest = if past == 0 { 0 } else { tick.saturating_sub(past) };
    Duration::from_nanos(u64::try_from(rest).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_leave_on_a_tick() {
        let ms = Duration::from_millis;
        for (elapsed, wait) in [(0, 0), (1, 19), (19, 1), (20, 0), (21, 19), (399, 1)] {
            assert_eq!(to_next_tick(ms(elapsed), ms(20)), ms(wait), "{elapsed}");
        }
    }
}
