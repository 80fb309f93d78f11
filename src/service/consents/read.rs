//! Reading what a person may be asked, and has said.

use super::Stored;
use crate::{
    domain::{
        audit::{Event, Kind, Outcome},
        consent::{Choice, Consent, ConsentKind},
        date::CivilDate,
    },
    policy::{Proof, act},
    service::{Call, CardData, Error, Service},
    store::Space,
};

/// Most answers of one kind that are shown, the newest.
const SHOWN: usize = 50;
/// Most kinds with answers that are looked for; a policy has no more.
const KINDS_MAX: usize = 64;

/// The words in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    /// Names them, such as `consultazione/1`.
    pub text: String,
    /// In Italian.
    pub words: String,
}

/// One kind of consent of one person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsentView {
    /// Which.
    pub kind: String,
    /// Whether people are asked for it today.
    pub is_asked_for: bool,
    /// First and last day of that; nothing where the policy does not know the kind any more.
    pub days: Option<(CivilDate, Option<CivilDate>)>,
    /// The words in use, if it is asked for.
    pub words: Option<Words>,
    /// What the person said, the newest first: that is in force. At most 50.
    pub history: Vec<PastConsent>,
}

/// What a person said once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastConsent {
    /// From 1 up.
    pub number: u32,
    /// What was said.
    pub choice: Choice,
    /// The words that were read.
    pub text: String,
    /// Who said it: `holder`, or `proxy:` and the title.
    pub applicant: String,
    /// Milliseconds since 1970 UTC.
    pub at_ms: u64,
    /// Names the request, as events do.
    pub request: String,
}

impl Words {
    /// Those in use on this day.
    pub(super) fn of(consent: &Consent, today: CivilDate) -> Option<Self> {
        let wording = consent.wording(today)?;
        Some(Self { text: consent.text_id(wording), words: wording.words.clone() })
    }
}

impl From<(u32, Stored)> for PastConsent {
    fn from((number, stored): (u32, Stored)) -> Self {
        let Stored { format: _, choice, text, applicant, at_ms, request } = stored;
        Self { number, choice, text, applicant, at_ms, request: request.to_string() }
    }
}

impl Service {
    /// Shows every consent that the policy knows, and every one that was recorded of the card's holder, by kind. Any card of
    /// the person serves, whatever its state. Every reading is an event.
    pub async fn read_consents(
        &self,
        mut call: Call<act::ReadConsents>,
        card: CardData,
    ) -> Result<Vec<ConsentView>, Error> {
        let kind = Kind::ConsentsRead;
        self.know_operator(&mut call).await?;
        self.charge_look_up(&call).await?;
        let [team, cf] = self.commitments(card.messages()?).await?;
        let found = self.seen(&call, kind, self.find(&team, Some((&cf, card.expires_on)))).await?;
        let _permit = self.on_card(&call, kind, &found, Proof::None).await?;
        let (today, person) = (self.today()?, found.card.registration().tax_code_mac);
        let policy = call.permit.policy();
        let mut kinds: Vec<ConsentKind> = policy.consents().map(|consent| consent.kind.clone()).collect();
        kinds.extend(self.kinds_recorded(&person)?);
        kinds.sort();
        kinds.dedup();
        let view = |kind: ConsentKind| {
            let consent = policy.consent(&kind);
            let is_asked_for = consent.is_some_and(|consent| consent.is_asked_for(today));
            let history = self.newest_consents(&person, &kind, SHOWN)?;
            Ok::<_, Error>(ConsentView {
                kind: kind.to_string(),
                is_asked_for,
                days: consent.map(|consent| (consent.asked_from, consent.asked_until)),
                words: consent.filter(|_| is_asked_for).and_then(|consent| Words::of(consent, today)),
                history: history.into_iter().map(PastConsent::from).collect(),
            })
        };
        let views = kinds.into_iter().map(view).collect::<Result<_, _>>()?;
        let event = self.event(&call, kind, Outcome::Done);
        self.record(Event { card: Some(*found.id().bytes()), ..event }).await?;
        Ok(views)
    }

    /// The kinds that something was recorded of, with one look for each, however often it was answered.
    fn kinds_recorded(&self, person: &[u8; 16]) -> Result<Vec<ConsentKind>, Error> {
        let (mut kinds, mut from) = (Vec::new(), Vec::new());
        while kinds.len() < KINDS_MAX {
            let Some(found) = self.store.scan(Space::Consent, person, &from, 1)?.pop() else { break };
            let (kind, _) = super::read_key(&found.key)
                .ok_or_else(|| Error::Bug("a consent's key of another form".into()))?;
            // After every record of this kind: its key goes on with a zero byte.
            from = [person.as_slice(), kind.as_str().as_bytes(), &[1]].concat();
            kinds.push(kind);
        }
        Ok(kinds)
    }
}
