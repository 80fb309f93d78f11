//! Renewal by the holder alone: a new card is activated by whoever is logged in with the one that it renews.
//!
//! The field's own rule (Sistema TS): only within one issuing body, and only where both activations are direct. The chip
//! and its PIN stand in the place of the counter, so the expiring card must have been handed to its holder in person. A
//! renewal like this does not count as that: the next card is handed over at a counter again, so that somebody looks at a
//! document at least every second card.

use super::{
    card::{Activation, Card, Predecessor, Refusal},
    date::CivilDate,
    team::{IdCarta, TeamNumber},
};

/// Why a card is not renewed in this way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotRenewed {
    /// The expiring card's last day has passed.
    #[error("the former card has expired")]
    FormerExpired,
    /// The expiring card is not in use.
    #[error("the former card is not active")]
    FormerNotActive,
    /// A proxy had the expiring card, or the holder alone renewed it, or nobody knows.
    #[error("the former card was not handed over in person")]
    FormerNotInPerson,
    /// The new card takes the place of no expiring one.
    #[error("the card renews no other")]
    NoFormerCard,
    /// The certificate is not of the expiring card.
    #[error("the certificate is not of the card that is renewed")]
    OtherCard,
    /// The certificate is somebody else's.
    #[error("the certificate is not the holder's")]
    OtherHolder,
    /// The two cards are of different regions.
    #[error("the two cards are of different issuing bodies")]
    OtherIssuer,
}

impl NotRenewed {
    /// Every reason.
    pub const ALL: [Self; 7] = [
        Self::FormerExpired,
        Self::FormerNotActive,
        Self::FormerNotInPerson,
        Self::NoFormerCard,
        Self::OtherCard,
        Self::OtherHolder,
        Self::OtherIssuer,
    ];

    /// Its code in problems and events: it never changes.
    pub const fn code(self) -> &'static str {
        match self {
            Self::FormerExpired => "former_card_expired",
            Self::FormerNotActive => "former_card_not_active",
            Self::FormerNotInPerson => "former_card_not_in_person",
            Self::NoFormerCard => "no_former_card",
            Self::OtherCard => "renewal_other_card",
            Self::OtherHolder => "renewal_other_holder",
            Self::OtherIssuer => "renewal_other_issuer",
        }
    }
}

/// What a holder is logged in with.
#[derive(Clone, Copy)]
pub struct Login<'a> {
    /// Commitment to the C.F. of the certificate, as cards have it.
    pub holder: &'a [u8; 16],
    /// ID_Carta of the certificate.
    pub id_carta: &'a str,
    /// The number printed on that card, as the holder says it.
    pub team: &'a TeamNumber,
    /// Commitment to that number, as cards have it.
    pub team_mac: &'a [u8; 16],
}

/// The decision that a holder may renew a card alone. Only [`may_renew`] makes one.
#[derive(Debug)]
pub struct MayRenew(());

/// Whether `new` may be activated by this login. `former` is the card that it renews, if it renews one.
pub fn may_renew(
    new: &Card,
    former: Option<&Card>,
    login: Login<'_>,
    today: CivilDate,
) -> Result<MayRenew, NotRenewed> {
    if new.registration().tax_code_mac != *login.holder {
        return Err(NotRenewed::OtherHolder);
    }
    let (Some(Predecessor::Renews(_)), Some(former)) = (new.registration().predecessor, former) else {
        return Err(NotRenewed::NoFormerCard);
    };
    let is_of_chip = login.id_carta.parse::<IdCarta>().is_ok_and(|chip| login.team.matches(&chip));
    if !is_of_chip
        || former.registration().team_mac != *login.team_mac
        || former.registration().tax_code_mac != *login.holder
    {
        return Err(NotRenewed::OtherCard);
    }
    if former.registration().region != new.registration().region {
        return Err(NotRenewed::OtherIssuer);
    }
    match former.check_in_use(today) {
        Ok(()) => {}
        Err(Refusal::CardExpired) => return Err(NotRenewed::FormerExpired),
        Err(_) => return Err(NotRenewed::FormerNotActive),
    }
    match former.activation() {
        Some(Activation::InPerson) => Ok(MayRenew(())),
        Some(Activation::Proxy(_) | Activation::SelfService) | None => Err(NotRenewed::FormerNotInPerson),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        applicant::Title,
        card::{Reason, Registration},
        id::CardId,
    };

    const HOLDER: [u8; 16] = [7; 16];

    fn day(text: &str) -> CivilDate {
        text.parse().unwrap()
    }

    fn registered(id: u8, region: &str, predecessor: Option<Predecessor>) -> Card {
        let registration = Registration {
            id: CardId::new([id; 16]),
            tax_code_mac: HOLDER,
            team_mac: [id; 16],
            expiry: day("2026-12-31"),
            region: region.parse().unwrap(),
            template: "IT/1".parse().unwrap(),
            predecessor,
            registered_at_ms: 1,
        };
        Card::register(registration, [0; 32])
    }

    fn active(how: Activation, region: &str) -> Card {
        registered(1, region, None).activate(how, 2, day("2026-06-01"), None).unwrap()
    }

    fn asked(
        former: Option<&Card>,
        change: impl FnOnce(&mut Login<'_>, &mut Card),
    ) -> Result<(), NotRenewed> {
        let team: TeamNumber = "80380000601234567893".parse().unwrap();
        let predecessor = former.map(|former| Predecessor::Renews(former.registration().id));
        let mut new = registered(2, "060", predecessor);
        let mut login =
            Login { holder: &HOLDER, id_carta: "6060123456789000", team: &team, team_mac: &[1; 16] };
        change(&mut login, &mut new);
        may_renew(&new, former, login, day("2026-12-31")).map(|MayRenew(())| ())
    }

    #[test]
    fn every_condition_has_its_reason() {
        let former = active(Activation::InPerson, "060");
        assert_eq!(asked(Some(&former), |_, _| ()), Ok(()), "on its last day");
        assert_eq!(asked(Some(&former), |login, _| login.holder = &[8; 16]), Err(NotRenewed::OtherHolder));
        assert_eq!(asked(None, |_, _| ()), Err(NotRenewed::NoFormerCard));
        let replaces = |_: &mut Login<'_>, new: &mut Card| {
            *new = registered(2, "060", Some(Predecessor::Replaces(CardId::new([1; 16]))));
        };
        assert_eq!(asked(Some(&former), replaces), Err(NotRenewed::NoFormerCard));
        for id_carta in ["6060123456788000", "7060123456789000", "", "60601234567890001"] {
            let other = |login: &mut Login<'_>, _: &mut Card| login.id_carta = id_carta;
            assert_eq!(asked(Some(&former), other), Err(NotRenewed::OtherCard), "{id_carta}");
        }
        assert_eq!(asked(Some(&former), |login, _| login.team_mac = &[3; 16]), Err(NotRenewed::OtherCard));
        let abroad = active(Activation::InPerson, "120");
        assert_eq!(asked(Some(&abroad), |_, _| ()), Err(NotRenewed::OtherIssuer));
        let refused = |former: Card| asked(Some(&former), |_, _| ());
        assert_eq!(refused(registered(1, "060", None)), Err(NotRenewed::FormerNotActive));
        assert_eq!(refused(former.hold()), Err(NotRenewed::FormerNotActive));
        assert_eq!(refused(former.revoke(Reason::Lost, 3).unwrap()), Err(NotRenewed::FormerNotActive));
        for how in Activation::ALL {
            let expected =
                if how == Activation::InPerson { Ok(()) } else { Err(NotRenewed::FormerNotInPerson) };
            assert_eq!(refused(active(how, "060")), expected, "{how:?}");
        }
        assert_eq!(
            refused(active(Activation::Proxy(Title::Guardian), "060")),
            Err(NotRenewed::FormerNotInPerson)
        );
        let unknown = registered(1, "060", None).activated_before(2, None);
        assert_eq!(refused(unknown), Err(NotRenewed::FormerNotInPerson), "nobody knows");
    }

    #[test]
    fn an_expired_card_is_the_counters() {
        let former = active(Activation::InPerson, "060");
        let team: TeamNumber = "80380000601234567893".parse().unwrap();
        let new = registered(2, "060", Some(Predecessor::Renews(CardId::new([1; 16]))));
        let login = Login { holder: &HOLDER, id_carta: "6060123456789000", team: &team, team_mac: &[1; 16] };
        let late = may_renew(&new, Some(&former), login, day("2027-01-01"));
        assert_eq!(late.err(), Some(NotRenewed::FormerExpired));
    }
}
