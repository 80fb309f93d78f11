//! What the codes of produced cards are derived from, for the offline making of chips: signed, and an event for each card.
//!
//! No key of codes is asked here, and nothing that leaves opens a code without both tokens. Only cards that could be
//! activated leave: a card that is with its holder, or revoked, gets no chip.

use std::collections::HashSet;

use super::{Call, CardData, Error, Service, error::What};
use crate::{
    card_export::{ExportedCard, NotWritten, Writer},
    domain::{
        audit::{Event, Kind, Outcome},
        card::{Activation, Card},
        id::CardId,
        template::CodeName,
    },
    policy::act,
    secret::Secret,
    store::Unit,
};

/// A line of the request: its number, and the card or why it names none.
pub type ExportLine = (u64, Result<CardData, String>);

/// Cards of one call of the token and one commit.
const STEP: usize = 64;

impl Service {
    /// The export of these cards, with the lines that name none. Every card is an event before anything is answered.
    pub async fn export_cards(
        &self,
        call: &Call<act::ExportCards>,
        lines: Vec<ExportLine>,
    ) -> Result<Vec<u8>, Error> {
        let policy = call.permit.policy().digest().to_string();
        let mut writer = Writer::begin(&self.log, &policy, self.clock.now_ms())?;
        let mut seen = HashSet::new();
        for step in lines.chunks(STEP) {
            self.export_step(call, step, &mut writer, &mut seen).await?;
        }
        let signature = self.hsm.sign(writer.to_sign()).await?;
        Ok(writer.finish(&signature)?)
    }

    async fn export_step(
        &self,
        call: &Call<act::ExportCards>,
        lines: &[ExportLine],
        writer: &mut Writer,
        seen: &mut HashSet<CardId>,
    ) -> Result<(), Error> {
        let wrong = || Error::Bug("HSM answered another number of MACs".into());
        let mut messages = Vec::with_capacity(lines.len().saturating_mul(2));
        for data in lines.iter().filter_map(|(_, data)| data.as_ref().ok()) {
            messages.extend(data.messages()?);
        }
        let macs = self.hsm.macs(messages).await?;
        let mut macs = macs.chunks_exact(2);
        let (mut unit, mut refused) = (Unit::default(), 0_u64);
        for (number, data) in lines {
            let found = match data {
                Err(code) => Err(code.clone()),
                Ok(data) => match macs.next().ok_or_else(wrong)? {
                    [team, cf] => self.exportable(data, team, cf)?,
                    _ => return Err(wrong()),
                },
            };
            match found {
                Ok(card) if seen.insert(card.registration().id) => {
                    let template = self.frozen.get(&card.registration().template)?;
                    let exported = exported(&card, data)?;
                    writer.card(&exported, &template)?;
                    let event = self.event(call, Kind::CardExported, Outcome::Done);
                    unit.events.push(Event { card: Some(*exported.id.bytes()), ..event });
                }
                other => {
                    refused = refused.saturating_add(1);
                    writer.refused(*number, other.err().as_deref().unwrap_or("repeated_line"))?;
                }
            }
        }
        if refused > 0 {
            let event = self.event(call, Kind::CardExported, Outcome::Refused);
            unit.events.push(event.with("lines", refused.to_string()));
        }
        match self.commit(unit).await? {
            Ok(()) => Ok(()),
            Err(guard) => Err(Error::Bug(format!("events refused: {guard:?}"))),
        }
    }

    /// The card with these data, if it could be activated; else the code of the reason.
    fn exportable(
        &self,
        data: &CardData,
        team: &Secret<32>,
        cf: &Secret<32>,
    ) -> Result<Result<Card, String>, Error> {
        let card = match self.find(team, Some((cf, data.expires_on))) {
            Ok(found) => found.card,
            Err(Error::NotFound(What::Card)) => return Ok(Err("card_not_found".into())),
            Err(e) => return Err(e),
        };
        match card.activate(Activation::InPerson, self.clock.now_ms(), self.today()?, None) {
            Ok(_) => Ok(Ok(card)),
            Err(refusal) => Ok(Err(refusal.code().into())),
        }
    }
}

fn exported(card: &Card, data: &Result<CardData, String>) -> Result<ExportedCard, Error> {
    let salt = card.salt().ok_or_else(|| Error::Bug("the salt of this card is destroyed".into()))?;
    let data = data.as_ref().map_err(|code| Error::Bug(code.clone()))?;
    Ok(ExportedCard {
        team: data.team.clone(),
        id: card.registration().id,
        salt: *salt,
        template: card.registration().template.clone(),
        pin: card.generation(CodeName::Pin),
        puk: card.generation(CodeName::Puk),
    })
}

impl From<NotWritten> for Error {
    fn from(e: NotWritten) -> Self {
        Self::Bug(e.to_string())
    }
}
