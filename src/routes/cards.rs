//! Registration, look-up, revocation.

use hyper::{Response, StatusCode};

use super::{App, Arrived, codes, json, problems, read};
use crate::{
    api::cards::{BadLine, Card, LookUp, NewCard, Registered, Revoke, Revoked},
    domain::{audit::time_text, team::TeamNumber},
    http::{self, Body, Problem},
    service::{
        Call, CardData, CardNumber, CardView, Former, Line, LineOutcome, RevocationProof, RevocationRequest,
    },
};

/// Most lines of a batch.
const LINES_MAX: usize = 10_000;
/// Most characters of a line that are looked at.
const LINE_MAX: usize = 4096;

impl App {
    /// Registers the lines of a batch. Bad lines are named and change nothing; the others go in.
    pub(super) async fn register(&self, arrived: Arrived) -> Result<Response<Body>, Problem> {
        let (permit, _) = self.permit(&arrived, |_| Ok(None))?;
        let request = arrived.id;
        let key = read::idempotency_key(arrived.request.headers())?;
        // A batch may be long; few at a time bound the memory that all of them take.
        let _place = self.batches.acquire().await.map_err(|_| Problem::internal())?;
        let (_, body) = http::read(arrived.request, http::MediaType::Ndjson, self.limits.batch()).await?;
        let call = Call { permit, request, key, operator: None, path_id: None, body };
        if call.body.expose().split(|b| *b == b'\n').nth(LINES_MAX.saturating_add(1)).is_some() {
            return Err(Problem::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too_many_lines",
                "More lines than a batch may have",
            )
            .detail("at most 10000 lines"));
        }
        let mut answer = Registered::default();
        let (mut lines, mut numbers) = (Vec::new(), Vec::new());
        for (number, text) in (1_u64..).zip(call.body.expose().split(|b| *b == b'\n')) {
            if text.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            match line(text) {
                Ok(line) => {
                    if !line.team.luhn_holds() {
                        answer.warnings.push(bad(
                            number,
                            "luhn",
                            "team_number",
                            "the check digit does not hold",
                        ));
                    }
                    lines.push(line);
                    numbers.push(number);
                }
                Err(fault) => answer.rejected.push(BadLine { line: number, ..fault }),
            }
        }
        let outcomes = self.service.register(&call, &lines).await.map_err(|e| problems::of(&e, request))?;
        for (number, outcome) in numbers.into_iter().zip(outcomes) {
            match outcome {
                LineOutcome::Registered => answer.registered = answer.registered.saturating_add(1),
                LineOutcome::Unchanged => answer.unchanged = answer.unchanged.saturating_add(1),
                LineOutcome::NumberTaken => {
                    let detail = "registered already, for another holder or another expiry";
                    answer.rejected.push(bad(number, "number_taken", "team_number", detail));
                }
                LineOutcome::OtherFormerCard => {
                    let detail = "registered already, as the successor of another card or of none";
                    answer.rejected.push(BadLine {
                        line: number,
                        code: "other_former_card".into(),
                        field: None,
                        detail: detail.into(),
                    });
                }
                LineOutcome::UnknownFormerCard => {
                    let detail =
                        "renews or replaces names a card that is not registered, or another holder's";
                    answer.rejected.push(BadLine {
                        line: number,
                        code: "unknown_former_card".into(),
                        field: None,
                        detail: detail.into(),
                    });
                }
            }
        }
        answer.rejected.sort_by_key(|line| line.line);
        json(&answer)
    }

    pub(super) async fn look_up(&self, arrived: Arrived) -> Result<Response<Body>, Problem> {
        let id = arrived.id;
        let call = self.call(arrived).await?;
        let body: LookUp = read::json(&call.body)?;
        let number = match (&body.tax_code, &body.expires_on) {
            (Some(tax_code), Some(expires_on)) => {
                CardNumber::Full(card_data(tax_code, &body.team_number, expires_on)?)
            }
            (None, None) => CardNumber::Team(read::field("team_number", &body.team_number)?),
            (Some(_), None) => {
                return Err(read::invalid("expires_on", read::NotOneOf("given with tax_code")));
            }
            (None, Some(_)) => {
                return Err(read::invalid("tax_code", read::NotOneOf("given with expires_on")));
            }
        };
        json(&card(&self.service.look_up(call, number).await.map_err(|e| problems::of(&e, id))?))
    }

    pub(super) async fn revoke(&self, arrived: Arrived) -> Result<Response<Body>, Problem> {
        let id = arrived.id;
        let call = self.call(arrived).await?;
        let body: Revoke = read::json(&call.body)?;
        let request = RevocationRequest {
            team: read::field("team_number", &body.team_number)?,
            proof: match (&body.verification, &body.approval) {
                (Some(id), None) => RevocationProof::Verification(read::field("verification", id)?),
                (None, Some(id)) => RevocationProof::Approval(read::field("approval", id)?),
                (None, None) | (Some(_), Some(_)) => {
                    let one = read::NotOneOf("given, or approval in its place");
                    return Err(read::invalid("verification", one));
                }
            },
            reason: read::field("reason", &body.reason)?,
            applicant: read::applicant(&body.applicant)?,
        };
        let revoked = self.service.revoke(call, request).await.map_err(|e| problems::of(&e, id))?;
        json(&Revoked {
            state: "revoked".into(),
            revoked_at: time_text(revoked.at_ms),
            paper: codes::paper(&revoked.paper),
        })
    }
}

/// The data printed on a card, each refusal naming its field.
pub(super) fn card_data(tax_code: &str, team: &str, expires_on: &str) -> Result<CardData, Problem> {
    Ok(CardData {
        tax_code: read::field("tax_code", tax_code)?,
        team: read::field("team_number", team)?,
        expires_on: read::field("expires_on", expires_on)?,
    })
}

/// A card as it goes over the wire.
pub(super) fn card(view: &CardView) -> Card {
    Card {
        state: view.state.into(),
        expires_on: view.expires_on.to_string(),
        expired: view.expired,
        region: view.region.clone(),
        template: view.template.clone(),
        cip_tries_left: view.cip_tries_left,
        activation: view.activation.map(Into::into),
        cip_lock: view.cip_lock.map(str::to_owned),
        delivery: view.delivery.map(|id| id.to_string()),
    }
}

fn bad(line: u64, code: &str, field: &str, detail: impl ToString) -> BadLine {
    BadLine { line, code: code.into(), field: Some(format!("$.{field}")), detail: detail.to_string() }
}

/// A line of a batch, or what is wrong with it.
pub(super) fn line(text: &[u8]) -> Result<Line, BadLine> {
    if text.len() > LINE_MAX {
        let detail = format!("longer than {LINE_MAX} bytes");
        return Err(BadLine { line: 0, code: "line_too_long".into(), field: None, detail });
    }
    let new: NewCard = read::parse(text, &[]).map_err(|(code, field)| BadLine {
        line: 0,
        code: code.into(),
        field,
        detail: "not the fields of a card".into(),
    })?;
    let wrong = |field: &'static str| move |e: &dyn std::error::Error| bad(0, "invalid_value", field, e);
    let team = |field: &'static str, text: &str| text.parse::<TeamNumber>().map_err(|e| wrong(field)(&e));
    let former = match (&new.renews, &new.replaces) {
        (None, None) => None,
        (Some(number), None) => Some(Former::Renews(team("renews", number)?)),
        (None, Some(number)) => Some(Former::Replaces(team("replaces", number)?)),
        (Some(_), Some(_)) => return Err(bad(0, "invalid_value", "renews", "not together with replaces")),
    };
    Ok(Line {
        tax_code: new.tax_code.parse().map_err(|e| wrong("tax_code")(&e))?,
        team: team("team_number", &new.team_number)?,
        expires_on: new.expires_on.parse().map_err(|e| wrong("expires_on")(&e))?,
        former,
    })
}
