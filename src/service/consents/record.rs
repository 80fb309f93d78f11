//! Recording what a person said.

use serde::{Deserialize, Serialize};

use super::{Stored, Words, key};
use crate::{
    domain::{
        applicant::{Applicant, Errand, Objection},
        audit::{Event, Kind, Outcome},
        consent::{Choice, ConsentKind, NotRecorded},
        id::CardId,
    },
    policy::{Act, CardPermit, Proof, act},
    service::{
        Call, CardData, CardView, Error, MaskedApplicant, Paper, Service,
        applicants::Visit,
        commitments,
        effects::Guard,
        look_up::FoundCard,
        paper::{Said, Stamp},
        records,
    },
    store::{Expect, Space, Unit},
};

/// What somebody says at the counter.
#[derive(Debug)]
pub struct ConsentsRequest {
    /// What is printed on a card of theirs.
    pub card: CardData,
    /// Who asks.
    pub applicant: Applicant,
    /// Each kind once, at least one.
    pub given: Vec<Given>,
}

/// The answer to one question.
#[derive(Clone, Debug)]
pub struct Given {
    /// What was asked.
    pub kind: ConsentKind,
    /// What was answered.
    pub choice: Choice,
    /// The words that were read, such as `consultazione/1`.
    pub text: String,
}

/// The answer.
#[derive(Clone, Debug)]
pub struct RecordedConsents {
    /// In the order of the kinds.
    pub consents: Vec<RecordedConsent>,
    /// What is printed, with the moment.
    pub paper: Paper,
}

/// What is remembered for a repeated request.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::service) struct Remembered {
    card: CardId,
    consents: Vec<RecordedConsent>,
    stamp: Stamp,
}

impl ConsentsRequest {
    fn said(&self) -> Said<'_> {
        let visit = Visit {
            errand: Errand::Consents,
            applicant: &self.applicant,
            holder: Some(&self.card.tax_code),
            region: self.card.team.region(),
            more: None,
        };
        Said { visit, team: &self.card.team, contact: None }
    }
}

/// One consent as it is now, or would be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedConsent {
    /// Which.
    pub kind: String,
    /// What was said.
    pub choice: Choice,
    /// What was said before, if anything.
    pub former: Option<Choice>,
    /// The words that were read.
    pub text: String,
    /// How many times the person has said something of this kind, with this one.
    pub number: u32,
}

/// What would be recorded: the page before "conferma".
#[derive(Clone, Debug)]
pub struct ConsentsPreview {
    /// The card as it is.
    pub card: CardView,
    /// What would be recorded, with the words that are in use.
    pub consents: Vec<(RecordedConsent, Words)>,
    /// Who asks.
    pub applicant: MaskedApplicant,
    /// What the confirmed request would still be refused for.
    pub lacks: Vec<Objection>,
}

impl Service {
    /// Shows what would be recorded, with no effect but the event of the reading.
    pub async fn preview_consents(
        &self,
        mut call: Call<act::RecordConsents>,
        request: ConsentsRequest,
    ) -> Result<ConsentsPreview, Error> {
        let kind = Kind::ConsentsRead;
        self.know_operator(&mut call).await?;
        let lacks = self.lacks(&call, &request.said().visit)?;
        self.charge_look_up(&call).await?;
        let [team, cf] = self.commitments(request.card.messages()?).await?;
        let found = self.find(&team, Some((&cf, request.card.expires_on)));
        let found = self.seen(&call, kind, found).await?;
        let permit = self.on_card(&call, kind, &found, Proof::None).await?;
        let decided = self.decide_consents(&call, kind, &permit, &found, &request.given).await?;
        let consents = decided.into_iter().zip(&request.given).filter_map(|(consent, given)| {
            let of_policy = call.permit.policy().consent(&given.kind)?;
            Some((consent, Words::of(of_policy, call.permit.at().date)?))
        });
        let consents = consents.collect();
        let event = self.event(&call, kind, Outcome::Done).with("preview", "true");
        self.record(Event { card: Some(*found.id().bytes()), ..event }).await?;
        Ok(ConsentsPreview {
            card: self.view(&permit, &found.card)?,
            consents,
            applicant: MaskedApplicant::of(&request.applicant),
            lacks,
        })
    }

    /// Records what a person said, all of it or nothing. Nothing recorded before is changed.
    pub async fn record_consents(
        &self,
        mut call: Call<act::RecordConsents>,
        request: ConsentsRequest,
    ) -> Result<RecordedConsents, Error> {
        let kind = Kind::ConsentsRecorded;
        let said = request.said();
        let [team, cf] = request.card.messages()?;
        let messages = [team, cf, commitments::dossier(&call.request)?];
        let ([team, cf, dossier], key_of_request) = self.commitments_and_key(&mut call, messages).await?;
        if let Some(before) = self.answered(&key_of_request)? {
            let before = self.replayed(&call, before).await?;
            return self.recorded(&said, before);
        }
        self.may_ask(&call, &said.visit)?;
        self.charge_look_up(&call).await?;
        let found = self.find(&team, Some((&cf, request.card.expires_on)));
        let found = self.seen(&call, kind, found).await?;
        let permit = self.on_card(&call, kind, &found, Proof::None).await?;
        let consents = self.decide_consents(&call, kind, &permit, &found, &request.given).await?;
        let at_ms = self.clock.now_ms();
        let person = &found.card.registration().tax_code_mac;
        let put = |(consent, given): (&RecordedConsent, &Given)| {
            let record = Stored {
                format: records::FORMAT,
                choice: consent.choice,
                text: consent.text.clone(),
                applicant: request.applicant.role().text().to_owned(),
                at_ms,
                request: call.request,
            };
            let key = key(person, &given.kind, consent.number);
            records::put(Space::Consent, &key, &record, Expect::Absent)
        };
        let ops = consents.iter().zip(&request.given).map(put).collect::<Result<_, _>>()?;
        let dossier = self.seal_dossier(&call, &dossier, &found.id(), &request.applicant)?;
        let in_event = |one: &RecordedConsent| format!("{} {} {}", one.text, one.choice.text(), one.number);
        let event = |outcome| Event { card: Some(*found.id().bytes()), ..self.event(&call, kind, outcome) };
        let mut done = event(Outcome::Done)
            .with("consents", consents.iter().map(in_event).collect::<Vec<_>>().join(", "));
        done.detail.extend(request.applicant.in_events());
        done.detail.push(("dossier", dossier.commitment().to_owned()));
        let mut unit = Unit { ops, events: vec![done] };
        Self::dossier_into(&mut unit, &dossier);
        let answer = Remembered { card: found.id(), stamp: Stamp::new(&call, at_ms), consents };
        match self.once(&call, &key_of_request, answer, unit).await? {
            Ok(answer) => self.recorded(&said, answer),
            // Another request was the first with this number; the key is still free.
            Err(Guard(_)) => {
                self.record(event(Outcome::Refused).with("reason", "changed_meanwhile")).await?;
                Err(Error::Conflict)
            }
        }
    }

    /// The answer, with its paper.
    fn recorded(&self, said: &Said<'_>, before: Remembered) -> Result<RecordedConsents, Error> {
        let Remembered { card, consents, stamp } = before;
        let paper = said.paper(stamp, self.card(&card)?.card.registration().expiry);
        Ok(RecordedConsents { consents, paper })
    }

    /// What each of them becomes; the first that cannot be recorded refuses all.
    async fn decide_consents<A: Act>(
        &self,
        call: &Call<A>,
        kind: Kind,
        _: &CardPermit<A>,
        found: &FoundCard,
        given: &[Given],
    ) -> Result<Vec<RecordedConsent>, Error> {
        let today = self.today()?;
        self.allowed(call, kind, &found.id(), found.card.check_presentable(today)).await?;
        let person = &found.card.registration().tax_code_mac;
        let mut decided = Vec::with_capacity(given.len());
        for Given { kind: of_kind, choice, text } in given {
            let newest = self.newest_consents(person, of_kind, 1)?.into_iter().next();
            let former = newest.as_ref().map(|(_, stored)| stored.choice);
            let checked = match call.permit.policy().consent(of_kind) {
                Some(consent) => consent.check(*choice, text, former, today),
                None => Err(NotRecorded::UnknownKind),
            };
            if let Err(why) = checked {
                // What the policy knows by no name is not repeated.
                let named = if why == NotRecorded::UnknownKind { "" } else { of_kind.as_str() };
                let detail = Some(("consent", named.to_owned()));
                self.refused_on_card(call, kind, &found.id(), why.code(), detail).await?;
                return Err(why.into());
            }
            let number = newest.map_or(1, |(number, _)| number.saturating_add(1));
            let (kind, text) = (of_kind.to_string(), text.clone());
            decided.push(RecordedConsent { kind, choice: *choice, former, text, number });
        }
        Ok(decided)
    }
}
