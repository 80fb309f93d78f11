//! The number printed on the card and the number in its chip.
//!
//! The TEAM number (field 8 of the European health insurance card, Decision 190, 2003/752/EC; EN 1867) is in Italy
//! `80` health, `380` Italy, `00`, three digits of the region, nine of the card, and a Luhn digit over all before it.
//! The chip's EF.ID_Carta is `6`, the same twelve digits, and three more. The Luhn digit is what cards show, but no
//! legal text states it: a number where it does not hold is to be looked at, not refused here.

use std::{fmt, str::FromStr};

use super::luhn;

/// What is wrong with a number of a card. The value itself is never repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadNumber {
    /// Not a digit. Positions count from 1.
    #[error("character {position} of the number must be a digit")]
    Digit {
        /// Where.
        position: usize,
    },
    /// Too few or too many digits.
    #[error("the number must have {expected} digits")]
    Length {
        /// How many there must be.
        expected: usize,
    },
    /// Its first digits are not those of such a number.
    #[error("the number must start with {expected}")]
    Prefix {
        /// What it must start with.
        expected: &'static str,
    },
}

fn check_digits(text: &str, expected: usize) -> Result<(), BadNumber> {
    if text.len() != expected {
        return Err(BadNumber::Length { expected });
    }
    match (1..).zip(text.bytes()).find(|(_, byte)| !byte.is_ascii_digit()) {
        Some((position, _)) => Err(BadNumber::Digit { position }),
        None => Ok(()),
    }
}

/// The region, autonomous province or body that issued a card: three digits, by the codes of the Ministry of Health.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Region([u8; 3]);

impl Region {
    /// Every region and autonomous province with its name.
    pub const KNOWN: [(Self, &'static str); 21] = [
        (Self(*b"010"), "Piemonte"),
        (Self(*b"020"), "Valle d'Aosta"),
        (Self(*b"030"), "Lombardia"),
        (Self(*b"041"), "Provincia autonoma di Bolzano"),
        (Self(*b"042"), "Provincia autonoma di Trento"),
        (Self(*b"050"), "Veneto"),
        (Self(*b"060"), "Friuli-Venezia Giulia"),
        (Self(*b"070"), "Liguria"),
        (Self(*b"080"), "Emilia-Romagna"),
        (Self(*b"090"), "Toscana"),
        (Self(*b"100"), "Umbria"),
        (Self(*b"110"), "Marche"),
        (Self(*b"120"), "Lazio"),
        (Self(*b"130"), "Abruzzo"),
        (Self(*b"140"), "Molise"),
        (Self(*b"150"), "Campania"),
        (Self(*b"160"), "Puglia"),
        (Self(*b"170"), "Basilicata"),
        (Self(*b"180"), "Calabria"),
        (Self(*b"190"), "Sicilia"),
        (Self(*b"200"), "Sardegna"),
    ];

    /// The codes of all of them, for a message.
    pub fn codes() -> String {
        Self::KNOWN.map(|(region, _)| region.to_string()).join(", ")
    }

    /// Its name; nothing for a code that is not in [`Region::KNOWN`]. Whether such cards are taken is policy.
    pub fn name(self) -> Option<&'static str> {
        Self::KNOWN.iter().find(|(region, _)| *region == self).map(|(_, name)| *name)
    }

    /// The three digits as ASCII.
    pub const fn bytes(&self) -> &[u8; 3] {
        &self.0
    }

    /// From three ASCII digits.
    pub fn from_bytes(bytes: [u8; 3]) -> Option<Self> {
        bytes.iter().all(u8::is_ascii_digit).then_some(Self(bytes))
    }
}

impl FromStr for Region {
    type Err = BadNumber;

    fn from_str(text: &str) -> Result<Self, BadNumber> {
        check_digits(text, 3)?;
        text.as_bytes().try_into().map(Self).map_err(|_| BadNumber::Length { expected: 3 })
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{}", char::from(*byte)))
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Region({self})")
    }
}

/// The number of a health card, 20 digits. Personal data: `Debug` does not show it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TeamNumber(String);

impl TeamNumber {
    const PREFIX: &'static str = "8038000";

    /// The 20 digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether its Luhn digit is right. If not, a human should compare the number with the card once more.
    pub fn luhn_holds(&self) -> bool {
        luhn::holds(self.0.as_bytes())
    }

    /// The region that issued the card.
    pub fn region(&self) -> Region {
        let digits = self.body().as_bytes().first_chunk();
        Region(digits.copied().unwrap_or(*b"000"))
    }

    /// Whether plastic and chip are of the same card. If not, look at the card: that the two are related is observed
    /// on published samples, not written in a specification.
    pub fn matches(&self, chip: &IdCarta) -> bool {
        chip.0.starts_with('6') && chip.body() == self.body()
    }

    /// Region and card: the 12 digits that chip and plastic share.
    fn body(&self) -> &str {
        self.0.get(7..19).unwrap_or_default()
    }

    /// The number whose 12 digits of region and card are these, with its Luhn digit.
    fn from_body(body: &str) -> Result<Self, BadNumber> {
        let number = format!("{}{body}", Self::PREFIX);
        let check = luhn::check_digit(number.as_bytes());
        format!("{number}{check}").parse()
    }

    /// The number of card `serial` (taken modulo 10^9) of a region.
    pub(super) fn of_serial(region: Region, serial: u64) -> Result<Self, BadNumber> {
        Self::from_body(&format!("{region}{:09}", serial % 1_000_000_000))
    }
}

impl FromStr for TeamNumber {
    type Err = BadNumber;

    fn from_str(text: &str) -> Result<Self, BadNumber> {
        check_digits(text, 20)?;
        if !text.starts_with(Self::PREFIX) {
            return Err(BadNumber::Prefix { expected: Self::PREFIX });
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for TeamNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TeamNumber(…)")
    }
}

/// The chip's EF.ID_Carta, 16 digits: 6 for health cards, 7 for other CNS. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IdCarta(String);

impl IdCarta {
    /// The 16 digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The number that should be printed on a health card with this chip; nothing for another CNS.
    pub fn team_number(&self) -> Option<TeamNumber> {
        if self.0.starts_with('6') { TeamNumber::from_body(self.body()).ok() } else { None }
    }

    fn body(&self) -> &str {
        self.0.get(1..13).unwrap_or_default()
    }

    /// The chip of a health card, as the published samples end.
    pub(super) fn of_team_number(number: &TeamNumber) -> Result<Self, BadNumber> {
        format!("6{}000", number.body()).parse()
    }
}

impl FromStr for IdCarta {
    type Err = BadNumber;

    fn from_str(text: &str) -> Result<Self, BadNumber> {
        check_digits(text, 16)?;
        if !text.starts_with(['6', '7']) {
            return Err(BadNumber::Prefix { expected: "6 or 7" });
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for IdCarta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdCarta(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn team(text: &str) -> TeamNumber {
        text.parse().unwrap()
    }

    #[test]
    fn published_and_generated_numbers() {
        for (number, region) in [
            ("80380000900090510553", "090"), // HL7 Europe, EHIC Italy
            ("80380000300000000011", "030"),
            ("80380000601234567893", "060"),
            ("80380001200000000426", "120"),
            ("80380000410000000075", "041"),
        ] {
            let team = team(number);
            assert!(team.luhn_holds(), "{number}");
            assert_eq!((team.as_str(), team.region().to_string().as_str()), (number, region));
        }
        for number in ["80380001201234567890", "80380000000000012345", "80380001000000000000"] {
            assert!(!team(number).luhn_holds(), "{number}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let error = |text: &str| text.parse::<TeamNumber>().unwrap_err();
        assert_eq!(error(""), BadNumber::Length { expected: 20 });
        assert_eq!(error("803800009000905105533"), BadNumber::Length { expected: 20 });
        assert_eq!(error("8038000090009051055X"), BadNumber::Digit { position: 20 });
        assert_eq!(error("80380010900090510553"), BadNumber::Prefix { expected: "8038000" });
        assert_eq!(error("80250000900090510553"), BadNumber::Prefix { expected: "8038000" });
        let error = |text: &str| text.parse::<IdCarta>().unwrap_err();
        assert_eq!(error("606012345678900"), BadNumber::Length { expected: 16 });
        assert_eq!(error("5060123456789000"), BadNumber::Prefix { expected: "6 or 7" });
        assert_eq!("03".parse::<Region>(), Err(BadNumber::Length { expected: 3 }));
        assert_eq!("03x".parse::<Region>(), Err(BadNumber::Digit { position: 3 }));
    }

    #[test]
    fn chip_and_plastic() {
        let chip: IdCarta = "6060123456789000".parse().unwrap();
        assert_eq!(chip.team_number(), Some(team("80380000601234567893")));
        assert!(team("80380000601234567893").matches(&chip));
        assert!(!team("80380000300000000011").matches(&chip));
        let published: IdCarta = "6090009051055000".parse().unwrap();
        assert_eq!(published.team_number(), Some(team("80380000900090510553")));
        let other_cns: IdCarta = "7060123456789000".parse().unwrap();
        assert_eq!(other_cns.team_number(), None);
        assert!(!team("80380000601234567893").matches(&other_cns));
        assert_eq!(IdCarta::of_team_number(&team("80380000601234567893")), Ok(chip));
    }

    #[test]
    fn regions_have_names() {
        assert_eq!("042".parse::<Region>().unwrap().name(), Some("Provincia autonoma di Trento"));
        assert_eq!("200".parse::<Region>().unwrap().name(), Some("Sardegna"));
        assert_eq!("999".parse::<Region>().unwrap().name(), None);
        assert!(Region::KNOWN.is_sorted());
    }

    #[test]
    fn debug_does_not_show_it() {
        assert_eq!(format!("{:?}", team("80380000900090510553")), "TeamNumber(…)");
        let chip: IdCarta = "6090009051055000".parse().unwrap();
        assert_eq!(format!("{chip:?}"), "IdCarta(…)");
    }
}
