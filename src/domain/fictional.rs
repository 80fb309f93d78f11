//! Cards of nobody, for demonstrations, tests and load: every check character holds, every name is random letters.
//!
//! The same seed gives the same cards on every machine.

use super::{
    date::CivilDate,
    tax_code::TaxCode,
    team::{IdCarta, Region, TeamNumber},
};

/// A card that no one holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FictionalCard {
    /// C.F. of its holder, who is of age. Two cards may have the same one.
    pub tax_code: TaxCode,
    /// Printed number, different for every card of a seed; its Luhn digit holds.
    pub team_number: TeamNumber,
    /// Number in the chip.
    pub id_carta: IdCarta,
    /// Issuing region.
    pub region: Region,
    /// Last day: in the years 2030 to 2035.
    pub expiry: CivilDate,
}

/// Codes of some towns in the land register (codici catastali): Rome, Milan, Florence, Turin, Naples, Bologna, Genoa,
/// Palermo, Venice, Bari, Trieste, Trento, Bolzano, Cagliari.
const TOWNS: [&str; 14] = [
    "H501", "F205", "D612", "L219", "F839", "A944", "D969", "G273", "L736", "A662", "L424", "L378", "A952",
    "B354",
];
const CONSONANTS: &[u8] = b"BCDFGLMNPRSTVZ";
const VOWELS: &[u8] = b"AEIOU";
const MONTHS: &[u8] = b"ABCDEHLMPRST";

/// SplitMix64 (Steele, Lea, Flood 2014): small, fast, the same everywhere. Not for secrets.
struct Random(u64);

impl Random {
    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from `low` to `high`.
    fn between(&mut self, low: u16, high: u16) -> u16 {
        let count = u64::from(high.saturating_sub(low)).saturating_add(1);
        let offset = self.next().checked_rem(count).and_then(|n| u16::try_from(n).ok());
        low.saturating_add(offset.unwrap_or(0))
    }

    /// One of them; nothing if there are none.
    fn one_of<T: Copy>(&mut self, all: &[T]) -> Option<T> {
        let last = u16::try_from(all.len()).ok()?.checked_sub(1)?;
        all.get(usize::from(self.between(0, last))).copied()
    }
}

/// `count` cards, at most 10^9, of the given regions in turn; none if there is no region.
pub fn cards(seed: u64, count: u64, regions: &[Region]) -> impl Iterator<Item = FictionalCard> + use<> {
    let regions = regions.to_vec();
    let mut random = Random(seed);
    let start = random.next() % SERIALS;
    (0..count.min(SERIALS)).zip(regions.into_iter().cycle()).filter_map(move |(index, region)| {
        // 618,033,989 has no factor in common with 10^9: every serial comes up once before one comes again
        let serial = start.wrapping_add(index.wrapping_mul(618_033_989)) % SERIALS;
        card(&mut random, region, serial)
    })
}

const SERIALS: u64 = 1_000_000_000;

fn card(random: &mut Random, region: Region, serial: u64) -> Option<FictionalCard> {
    let team_number = TeamNumber::of_serial(region, serial).ok()?;
    Some(FictionalCard {
        tax_code: tax_code(random)?,
        id_carta: IdCarta::of_team_number(&team_number).ok()?,
        team_number,
        region,
        expiry: expiry(random)?,
    })
}

fn tax_code(random: &mut Random) -> Option<TaxCode> {
    let mut letter = |from| random.one_of(from).map(char::from);
    let mut body: String = [
        letter(CONSONANTS)?,
        letter(CONSONANTS)?,
        letter(CONSONANTS)?,
        letter(CONSONANTS)?,
        letter(CONSONANTS)?,
        letter(VOWELS)?,
    ]
    .iter()
    .collect();
    // Of age, so that each may come to a counter alone.
    let year = match random.between(1930, 2024) {
        young @ 2005.. => young.saturating_sub(40),
        year => year,
    };
    let year = year % 100;
    let month = char::from(random.one_of(MONTHS)?);
    let day = random.between(1, 28).saturating_add(random.one_of(&[0, 40])?);
    body.push_str(&format!("{year:02}{month}{day:02}{}", random.one_of(&TOWNS)?));
    TaxCode::from_body(&body).ok()
}

fn expiry(random: &mut Random) -> Option<CivilDate> {
    let small = |n: u16| u8::try_from(n).ok();
    let year = random.between(2030, 2035);
    CivilDate::new(year, small(random.between(1, 12))?, small(random.between(1, 28))?)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn cards_are_valid_unique_and_repeatable() {
        let regions: Vec<Region> = ["030", "042", "200"].map(|r| r.parse().unwrap()).to_vec();
        let made: Vec<_> = cards(7, 20_000, &regions).collect();
        assert_eq!(made.len(), 20_000);
        let mut seen = HashSet::new();
        for (card, region) in made.iter().zip(regions.iter().cycle()) {
            assert_eq!(card.tax_code.as_str().parse().as_ref(), Ok(&card.tax_code));
            assert!(card.team_number.luhn_holds() && card.team_number.matches(&card.id_carta));
            assert_eq!((card.region, card.team_number.region()), (*region, *region));
            assert!((2030..=2035).contains(&card.expiry.numbers().0));
            assert!(seen.insert(card.team_number.as_str()), "a number twice");
        }
        assert!(cards(7, 20_000, &regions).eq(made.iter().cloned()));
        assert!(!cards(8, 20_000, &regions).eq(made.iter().cloned()));
        assert_eq!(cards(7, 10, &[]).count(), 0);
    }

    #[test]
    fn reference_values() {
        let mut random = Random(1_234_567);
        assert_eq!(random.next(), 6_457_827_717_110_365_317);
        assert_eq!(random.next(), 3_203_168_211_198_807_973);
    }
}
