//! Finding a card by what is printed on it.

use super::{Call, CardView, Error, Service, commitments, commitments::card_counter, error::What};
use crate::{
    domain::{
        audit::{Event, Kind, Outcome},
        card::{Activation, Card, Registration},
        date::CivilDate,
        id::CardId,
        tax_code::TaxCode,
        team::TeamNumber,
        tries::{Lock, Tries},
    },
    hsm::MacKey,
    policy::{Act, CardFacts, CardPermit, Proof, act},
    secret::{Secret, SecretBytes},
    store::{Expect, Space},
};

/// What is printed on a card. All three must match exactly, for every operation but revocation.
#[derive(Clone, Debug)]
pub struct CardData {
    /// The holder's.
    pub tax_code: TaxCode,
    /// On the back.
    pub team: TeamNumber,
    /// On the front.
    pub expires_on: CivilDate,
}

/// What a card is looked up by.
#[derive(Clone, Debug)]
pub enum CardNumber {
    /// All that is printed on it.
    Full(CardData),
    /// The number alone, as for a revocation.
    Team(TeamNumber),
}

impl CardData {
    /// What the index key is asked to find the card.
    pub(super) fn messages(&self) -> Result<[(MacKey, SecretBytes); 2], Error> {
        Ok([commitments::team(&self.team)?, commitments::tax_code(&self.tax_code)?])
    }
}

/// A card as read, and the version to guard its change with.
pub(super) struct FoundCard {
    pub card: Card,
    pub version: u64,
}

impl FoundCard {
    /// Its id.
    pub(super) const fn id(&self) -> CardId {
        self.card.registration().id
    }

    /// What rules look at.
    pub(super) fn facts(&self) -> CardFacts<'static> {
        CardFacts::new(self.card.registration().region, &self.card.state())
    }

    /// What its change expects.
    pub(super) const fn unchanged(&self) -> Expect {
        Expect::Version(self.version)
    }
}

impl Service {
    /// Shows a card. Every look-up is an event, found or not.
    pub async fn look_up(&self, mut call: Call<act::LookUp>, number: CardNumber) -> Result<CardView, Error> {
        self.know_operator(&mut call).await?;
        self.charge_look_up(&call).await?;
        let found = match &number {
            CardNumber::Full(data) => self.identify(&call, data).await?,
            CardNumber::Team(team) => {
                let [team] = self.commitments([commitments::team(team)?]).await?;
                self.seen(&call, Kind::CardLookedUp, self.find(&team, None)).await?
            }
        };
        let permit = self.ruled(&call, Kind::CardLookedUp, &found, Proof::None).await?;
        let view = self.view(&permit, &found.card)?;
        self.looked_up(&call, &found).await?;
        Ok(view)
    }

    /// Records that a card was shown.
    pub(super) async fn looked_up<A: Act>(&self, call: &Call<A>, found: &FoundCard) -> Result<(), Error> {
        let event = self.event(call, Kind::CardLookedUp, Outcome::Done);
        self.record(Event { card: Some(*found.id().bytes()), ..event }).await
    }

    /// The card with these data, for operations that only show it.
    pub(super) async fn identify<A: Act>(&self, call: &Call<A>, data: &CardData) -> Result<FoundCard, Error> {
        let [team, cf] = self.commitments(data.messages()?).await?;
        self.seen(call, Kind::CardLookedUp, self.find(&team, Some((&cf, data.expires_on)))).await
    }

    /// Passes a found card on; records a miss as the refusal of `kind`.
    pub(super) async fn seen<A: Act>(
        &self,
        call: &Call<A>,
        kind: Kind,
        found: Result<FoundCard, Error>,
    ) -> Result<FoundCard, Error> {
        if let Err(Error::NotFound(what)) = &found {
            let event = self.event(call, kind, Outcome::Refused);
            self.record(event.with("reason", format!("{what}_not_found"))).await?;
        }
        found
    }

    /// The card with this number; where C.F. and expiry are given, only if they match.
    pub(super) fn find(
        &self,
        team: &Secret<32>,
        holder: Option<(&Secret<32>, CivilDate)>,
    ) -> Result<FoundCard, Error> {
        let Some(index) = self.store.get(Space::TeamCard, &commitments::half(team))? else {
            return Err(Error::NotFound(What::Card));
        };
        let found = self.card(&index_entry(&index.value)?)?;
        match holder {
            Some((cf, expires_on))
                if found.card.registration().tax_code_mac != commitments::half(cf)
                    || found.card.registration().expiry != expires_on =>
            {
                Err(Error::NotFound(What::Card))
            }
            Some(_) | None => Ok(found),
        }
    }

    /// The card with this id, which an index or another record names.
    pub(super) fn card(&self, id: &CardId) -> Result<FoundCard, Error> {
        let record = self
            .store
            .get(Space::Card, id.bytes())?
            .ok_or_else(|| Error::Bug(format!("card {id} is named but missing")))?;
        let card = Card::decode(&record.value)
            .ok_or_else(|| Error::Bug(format!("record of card {id} is damaged")))?;
        Ok(FoundCard { card, version: record.version })
    }

    /// What an operator whom the rules let act on the card may see of it.
    pub(super) fn view<A>(&self, _: &CardPermit<A>, card: &Card) -> Result<CardView, Error> {
        let Registration { id, expiry, region, template, .. } = card.registration();
        let tries = self.tries_of(id)?;
        let handed_out = card.cip_first_tag().is_some();
        Ok(CardView {
            state: card.state().text(),
            expires_on: *expiry,
            expired: card.is_expired(self.today()?),
            region: region.to_string(),
            template: template.to_string(),
            cip_tries_left: handed_out.then(|| tries.left()),
            cip_lock: tries.lock_of().filter(|_| handed_out).map(Lock::text),
            activation: card.activation().map(Activation::text),
            delivery: self.latest_delivery(id)?,
        })
    }

    /// The counters of a card.
    pub(super) fn tries_of(&self, card: &CardId) -> Result<Tries, Error> {
        let record = self.store.get(Space::Tries, &card_counter(card))?;
        let tries = record.and_then(|record| Tries::decode(&record.value));
        tries.ok_or_else(|| Error::Bug(format!("counter of card {card} is damaged")))
    }

    /// Today's date in Italy.
    pub(super) fn today(&self) -> Result<CivilDate, Error> {
        CivilDate::in_italy(self.clock.now_ms())
            .ok_or_else(|| Error::Unavailable("the clock is out of range".into()))
    }

    /// Commits an event alone.
    pub(super) async fn record(&self, event: Event) -> Result<(), Error> {
        let unit = crate::store::Unit { ops: Vec::new(), events: vec![event] };
        self.commit(unit).await?.map_err(|_| Error::Bug("an event alone was refused".into()))
    }
}

/// The card that an index entry names.
pub(super) fn index_entry(value: &[u8]) -> Result<CardId, Error> {
    let id = value.try_into().map_err(|_| Error::Bug("index entry is not a card id".into()))?;
    Ok(CardId::new(id))
}
