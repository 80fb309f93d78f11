//! Cards to guess at, each once after a start: what [`field`](crate::field) has one of for a class, this has many of.

use sigillo::domain::{fictional, team::Region};
use sigillo_bench::desk::Desk;

use crate::{
    field::Keys,
    ground::{Active, Ground},
};

/// Wrong guesses that use a C.I.P.'s tries up, as shipped.
const TRIES: usize = 5;
/// Classes that guess at active cards: those of one wrong digit or length, the right one, revoked ones, ones without tries.
const ACTIVE: [usize; 7] = [0, 1, 2, 3, 6, 7, 9];

/// Who is guessed at, by class.
pub(crate) struct Spread {
    /// Active cards, in the order of [`ACTIVE`].
    active: [Vec<Active>; ACTIVE.len()],
    unknown: Vec<String>,
    /// Not active: another one for each guess.
    idle: Vec<String>,
    undelivered: Vec<String>,
    each: usize,
}

impl Spread {
    /// Cards for `each` guesses of a class after each of so many starts.
    pub(crate) async fn of(
        ground: &mut Ground,
        desk: &Desk,
        (each, starts): (usize, usize),
        keys: &mut Keys,
    ) -> Result<Self, String> {
        let mut active: [Vec<Active>; ACTIVE.len()] = Default::default();
        // In turn, so that no class has its cards in a place of its own.
        for _ in 0..each {
            for cards in &mut active {
                cards.push(ground.active(desk).await?);
            }
        }
        let [.., revoked, locked, _] = &active;
        for card in revoked {
            ground.revoke(desk, card).await?;
        }
        for card in locked {
            for _ in 0..=TRIES {
                keys.ask(desk, &card.team, &card.wrong(0, 1)).await?;
            }
        }
        ground.here.kill("courier")?;
        let mut undelivered = Vec::new();
        for _ in 0..each {
            undelivered.push(ground.activate(desk).await?.0.team_number);
        }
        let mut idle = Vec::new();
        for _ in 0..each.saturating_mul(starts) {
            idle.push(ground.card()?.team_number);
        }
        let regions: Vec<Region> = Region::KNOWN.iter().map(|(region, _)| *region).collect();
        // Another seed than the installation's: no such card was ever registered.
        let unknown = fictional::cards(7, u64::try_from(each.saturating_mul(starts)).unwrap_or(0), &regions);
        let unknown = unknown.map(|card| card.team_number.as_str().to_owned()).collect();
        Ok(Self { active, unknown, idle, undelivered, each })
    }

    /// TEAM number and code of a class's guess at this place after that start.
    pub(crate) fn guess(
        &self,
        class: usize,
        (start, place): (usize, usize),
    ) -> Result<(String, String), String> {
        let by_number = |list: &[String], at: usize| list.get(at).cloned().ok_or("too few cards");
        let once = start.saturating_mul(self.each).saturating_add(place);
        let some = || "12345678".to_owned();
        match class {
            4 => return Ok((by_number(&self.unknown, once)?, some())),
            5 => return Ok((by_number(&self.idle, once)?, some())),
            8 => return Ok((by_number(&self.undelivered, place)?, some())),
            _ => {}
        }
        let list = ACTIVE.iter().position(|active| *active == class).and_then(|at| self.active.get(at));
        let card = list.and_then(|cards| cards.get(place)).ok_or("too few cards")?;
        let code = match class {
            2 => card.wrong(0, 1),
            3 => format!("{}0", card.cip),
            0 | 9 => card.wrong(card.cip.len().saturating_sub(1), 1),
            _ => card.cip.clone(),
        };
        Ok((card.team.clone(), code))
    }
}
