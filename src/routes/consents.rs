//! Consents to the health record: recorded and read.

use hyper::Response;

use super::{App, Arrived, cards, cards::card_data, codes, json, problems, read};
use crate::{
    api::consents::{
        Consent, Consents, ConsentsPreview, LookUpConsents, PastConsent, RecordConsents, RecordedConsent,
        RecordedConsents,
    },
    domain::audit::time_text,
    http::{Body, Problem},
    service::{self, ConsentView, ConsentsRequest, Given, Words},
};

/// Most kinds in one request.
const KINDS_MAX: usize = 32;

impl App {
    pub(super) async fn record_consents(&self, arrived: Arrived) -> Result<Response<Body>, Problem> {
        let id = arrived.id;
        let call = self.call(arrived).await?;
        let body: RecordConsents = read::json(&call.body)?;
        let request = ConsentsRequest {
            card: card_data(&body.tax_code, &body.team_number, &body.expires_on)?,
            applicant: read::applicant(&body.applicant)?,
            given: given(&body)?,
        };
        if body.preview {
            let shown =
                self.service.preview_consents(call, request).await.map_err(|e| problems::of(&e, id))?;
            let consents = shown.consents.into_iter().map(|(one, words)| recorded(one, Some(words)));
            return json(&ConsentsPreview {
                card: cards::card(&shown.card),
                consents: consents.collect(),
                applicant: codes::masked(&shown.applicant),
                lacks: shown.lacks.iter().map(|lack| lack.code().to_owned()).collect(),
            });
        }
        let done = self.service.record_consents(call, request).await.map_err(|e| problems::of(&e, id))?;
        json(&RecordedConsents {
            recorded_at: time_text(done.paper.at_ms),
            paper: codes::paper(&done.paper),
            consents: done.consents.into_iter().map(|one| recorded(one, None)).collect(),
        })
    }

    pub(super) async fn look_up_consents(&self, arrived: Arrived) -> Result<Response<Body>, Problem> {
        let id = arrived.id;
        let call = self.call(arrived).await?;
        let body: LookUpConsents = read::json(&call.body)?;
        let card = card_data(&body.tax_code, &body.team_number, &body.expires_on)?;
        let views = self.service.read_consents(call, card).await.map_err(|e| problems::of(&e, id))?;
        json(&Consents { consents: views.into_iter().map(consent).collect() })
    }
}

/// The answers by kind, each refusal naming its field.
pub(super) fn given(body: &RecordConsents) -> Result<Vec<Given>, Problem> {
    if !(1..=KINDS_MAX).contains(&body.consents.len()) {
        return Err(read::invalid("consents", read::NotOneOf("1 to 32 kinds")));
    }
    let one = |(kind, given): (&String, &crate::api::consents::GivenConsent)| {
        Ok(Given {
            kind: read::field("consents", kind)?,
            choice: read::field("consents.choice", &given.choice)?,
            text: given.text.clone(),
        })
    };
    body.consents.iter().map(one).collect()
}

fn recorded(one: service::RecordedConsent, words: Option<Words>) -> RecordedConsent {
    RecordedConsent {
        kind: one.kind,
        state: one.choice.state().into(),
        former_state: one.former.map(|choice| choice.state().into()),
        text: one.text,
        words: words.map(|words| words.words),
        number: one.number,
    }
}

fn consent(view: ConsentView) -> Consent {
    let (asked_from, asked_until) = view.days.unzip();
    let (text, words) = view.words.map(|Words { text, words }| (text, words)).unzip();
    let past = |past: service::PastConsent| PastConsent {
        number: past.number,
        state: past.choice.state().into(),
        text: past.text,
        applicant: past.applicant,
        recorded_at: time_text(past.at_ms),
        request: past.request,
    };
    Consent {
        kind: view.kind,
        asked_for: view.is_asked_for,
        asked_from: asked_from.map(|day| day.to_string()),
        asked_until: asked_until.flatten().map(|day| day.to_string()),
        text,
        words,
        state: view.history.first().map(|newest| newest.choice.state().into()),
        history: view.history.into_iter().map(past).collect(),
    }
}
