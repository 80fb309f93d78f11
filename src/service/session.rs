//! What a front end is told at the beginning: who the operator is, and what they may do now.

use super::{Call, CardStanding, Error, Service};
use crate::{
    domain::audit::{Kind, Outcome},
    policy::{Allowed, Profile, act},
};

/// An operator at a front end. Personal data: `Debug` does not show it.
#[derive(Clone)]
pub struct Session {
    /// Given name and surname, where the certificate has them.
    pub person: Option<String>,
    /// ID_Carta of the card.
    pub id_carta: String,
    /// Last moment of the certificate, milliseconds since 1970 UTC.
    pub certificate_until_ms: u64,
    /// Office, roles and regions.
    pub profile: Profile,
    /// How the card stands to the registered one.
    pub card: CardStanding,
    /// What is allowed now; nothing unless the card is the registered one.
    pub actions: Vec<Allowed>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { profile, card, actions, .. } = self;
        f.debug_struct("Session")
            .field("profile", profile)
            .field("card", card)
            .field("actions", actions)
            .finish_non_exhaustive()
    }
}

impl Service {
    /// Says who the operator of this request is. Every time is an event.
    pub async fn session(&self, mut call: Call<act::Session>) -> Result<Session, Error> {
        self.know_operator(&mut call).await?;
        let certificate = call.certificate()?;
        let profile = call.permit.operator().ok_or(Error::OperatorMissing)?;
        let card = self.card_standing(&call)?;
        let session = Session {
            person: certificate.person().map(str::to_owned),
            id_carta: certificate.card().to_owned(),
            certificate_until_ms: certificate.not_after_ms(),
            profile: profile.clone(),
            actions: if card == CardStanding::Registered { call.permit.allowed() } else { Vec::new() },
            card,
        };
        self.record(self.event(&call, Kind::SessionShown, Outcome::Done)).await?;
        Ok(session)
    }
}
