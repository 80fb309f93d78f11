//! The courier's two endpoints.

use hyper::Response;

use super::{App, Arrived, json, problems, read};
use crate::{
    api::courier::{Lease, LeaseRequest, LeasedCode, Leases, Report, ReportStatus, Reported},
    domain::{id::LeaseId, template::Part},
    http::{Body, Problem},
    service::{DeliveryOutcome, Leased, LeasedDelivery},
};

/// Most deliveries in one answer.
const LEASES_MAX: usize = 100;
/// Most characters of a reason that are kept.
const REASON_MAX: usize = 200;

impl App {
    pub(super) async fn lease(&self, arrived: Arrived) -> Result<Response<Body>, Problem> {
        let id = arrived.id;
        let call = self.call(arrived).await?;
        let body: LeaseRequest = read::json(&call.body)?;
        if !(1..=LEASES_MAX).contains(&body.limit) {
            return Err(read::invalid("limit", read::NotOneOf("1 to 100")));
        }
        let leased = self.service.lease(&call, body.limit, body.checkpoint.as_deref()).await;
        let Leased { deliveries, checkpoint } = leased.map_err(|e| problems::of(&e, id))?;
        json(&Leases { leases: deliveries.into_iter().map(lease).collect(), checkpoint })
    }

    pub(super) async fn report(&self, arrived: Arrived, lease: &str) -> Result<Response<Body>, Problem> {
        let id = arrived.id;
        let call = self.call(arrived).await?;
        let lease: LeaseId = read::field("id", lease)?;
        let body: Report = read::json(&call.body)?;
        let delivery = body.delivery;
        let outcome = outcome(body)?;
        match self.service.report(&call, lease, delivery, &outcome).await {
            Ok(state) => json(&Reported { state: state.into() }),
            Err(e) => Err(problems::of(&e, id)),
        }
    }
}

pub(super) fn outcome(body: Report) -> Result<DeliveryOutcome, Problem> {
    let Report { delivery: _, status, generation, second_part_tag, reason, until_ms } = body;
    let reason = || {
        let text = reason.clone().unwrap_or_default();
        if text.chars().count() > REASON_MAX || text.chars().any(char::is_control) {
            return Err(read::invalid("reason", read::NotOneOf("at most 200 printable characters")));
        }
        Ok(text)
    };
    let tag = match (generation, second_part_tag) {
        (Some(generation), Some(text)) => {
            let mut tag = [0; 32];
            hex::decode_to_slice(&text, &mut tag)
                .map_err(|_| read::invalid("second_part_tag", read::NotOneOf("64 hexadecimal digits")))?;
            Some((generation, tag))
        }
        (None, None) => None,
        (Some(_), None) => {
            return Err(read::invalid("second_part_tag", read::NotOneOf("given with generation")));
        }
        (None, Some(_)) => {
            return Err(read::invalid("generation", read::NotOneOf("given with second_part_tag")));
        }
    };
    if tag.is_some() && status != ReportStatus::Prepared {
        return Err(read::invalid("second_part_tag", read::NotOneOf("given with the status prepared only")));
    }
    if until_ms.is_some() != (status == ReportStatus::Waiting) {
        return Err(read::invalid(
            "until_ms",
            read::NotOneOf("given with the status waiting, and with no other"),
        ));
    }
    Ok(match status {
        ReportStatus::Delivered => DeliveryOutcome::Delivered,
        ReportStatus::Failed => DeliveryOutcome::Failed(reason()?),
        ReportStatus::Prepared => DeliveryOutcome::Prepared(tag),
        ReportStatus::Retry => DeliveryOutcome::Retry(reason()?),
        ReportStatus::Returned => DeliveryOutcome::Returned(reason()?),
        ReportStatus::Sent => DeliveryOutcome::Sent,
        ReportStatus::Waiting => {
            DeliveryOutcome::Waiting { reason: reason()?, until_ms: until_ms.unwrap_or_default() }
        }
    })
}

fn lease(leased: LeasedDelivery) -> Lease {
    let code = |(code, generation, shape): &(
        crate::domain::template::CodeName,
        u32,
        crate::domain::template::Shape,
    )| {
        LeasedCode {
            code: code.to_string(),
            generation: *generation,
            digits: shape.length(Part::Second),
            forbidden: shape.forbidden(Part::Second).to_vec(),
        }
    };
    Lease {
        lease: leased.lease,
        delivery: leased.delivery,
        card: leased.card,
        until_ms: leased.until_ms,
        attempt: leased.attempt,
        message: leased.message,
        control: leased.control,
        template: leased.template.to_string(),
        salt: hex::encode(leased.salt),
        codes: leased.codes.iter().map(code).collect(),
        contact: leased.contact,
    }
}
