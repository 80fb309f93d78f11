//! What operations answer, and how first parts are made.

use super::{Error, Service, effects::Intended};
use crate::{
    domain::{
        card::Card,
        date::CivilDate,
        derive::{self, Step},
        id::DeliveryId,
        template::{CodeName, Part, Template},
    },
    hsm::MacKey,
    secret::{Digits, Secret},
};

/// The first parts of a card's codes, for the paper. Never stored, never logged.
#[derive(Debug)]
pub struct FirstParts(pub Vec<(CodeName, Digits)>);

/// What an operator may see of a card.
#[derive(Clone, Debug)]
pub struct CardView {
    /// `registered`, `active` or `revoked`.
    pub state: &'static str,
    /// Printed expiry.
    pub expires_on: CivilDate,
    /// Whether that day is past, in Italy.
    pub expired: bool,
    /// Three digits.
    pub region: String,
    /// The frozen template.
    pub template: String,
    /// Tries left, for cards with a C.I.P. that was handed out.
    pub cip_tries_left: Option<u32>,
    /// How it was activated, where that is known.
    pub activation: Option<&'static str>,
    /// `in_a_row` or `lifetime`, where none is left of them.
    pub cip_lock: Option<&'static str>,
    /// The latest delivery of second parts.
    pub delivery: Option<DeliveryId>,
}

/// What an operator may see of a delivery.
#[derive(Clone, Debug)]
pub struct DeliveryView {
    /// `queued`, `leased`, `sent`, `delivered`, `failed` or `cancelled`.
    pub state: &'static str,
    /// `email`.
    pub channel: String,
    /// Number on paper and in the message.
    pub control: String,
    /// Attempts so far.
    pub attempts: u32,
    /// Why the last attempt failed.
    pub reason: Option<String>,
    /// Milliseconds since 1970 UTC.
    pub queued_at_ms: u64,
}

impl Service {
    /// Derives the first parts of these codes; the counter moves on while a part is one that the template forbids.
    pub(super) async fn first_parts(
        &self,
        intended: &Intended,
        card: &Card,
        template: &Template,
        codes: &[CodeName],
    ) -> Result<FirstParts, Error> {
        let salt = card.salt().ok_or_else(|| Error::Bug("the salt of this card is destroyed".into()))?;
        let (id, template_id) = (&card.registration().id, template.id());
        let message = |code, counter| {
            let generation = card.generation(code);
            (
                MacKey::Print,
                derive::part_message(Part::First, code, id, generation, salt, template_id, counter),
            )
        };
        let macs = self.ask(intended, codes.iter().map(|code| message(*code, 0)).collect()).await?;
        let mut parts = Vec::with_capacity(codes.len());
        for (code, mac) in codes.iter().zip(macs) {
            let shape =
                template.shape(*code).ok_or_else(|| Error::Bug(format!("template without {code}")))?;
            let mut search = derive::Search::new(shape.length(Part::First), shape.forbidden(Part::First));
            let mut step = search.offer(&mac);
            let part = loop {
                step = match step {
                    Step::Found(part) => break part,
                    Step::Ask(counter) => {
                        let [mac] = one(self.ask(intended, vec![message(*code, counter)]).await?)?;
                        search.offer(&mac)
                    }
                    Step::Never => {
                        return Err(Error::Bug(format!("template {}: no allowed first part", template.id())));
                    }
                };
            };
            parts.push((*code, part));
        }
        Ok(FirstParts(parts))
    }

    /// The tag of a part of the card's C.I.P.
    pub(super) async fn cip_tag(
        &self,
        intended: &Intended,
        card: &Card,
        part: Part,
        digits: &Digits,
    ) -> Result<[u8; 32], Error> {
        let salt = card.salt().ok_or_else(|| Error::Bug("the salt of this card is destroyed".into()))?;
        let generation = card.generation(CodeName::Cip);
        let message = derive::tag_message(part, &card.registration().id, generation, salt, digits);
        let [tag] = one(self.ask(intended, vec![(MacKey::Verify, message)]).await?)?;
        Ok(*tag.expose())
    }
}

fn one(macs: Vec<Secret<32>>) -> Result<[Secret<32>; 1], Error> {
    macs.try_into().map_err(|_| Error::Bug("HSM answered another number of MACs".into()))
}
