//! Classes of guesses, and cards to guess at.

use std::collections::BTreeSet;

use sigillo::{
    clock::{Clock, SystemClock},
    domain::{fictional, team::Region},
};
use sigillo_bench::desk::Desk;

use crate::ground::{Active, Ground, guess};

/// Wrong guesses at one card before another takes its place; its life has 100.
const USES: usize = 90;
/// Wrong guesses in a row before a right one, which is not measured.
const ROW: usize = 4;

/// What is guessed, by class; the first and the last are the same.
pub(crate) const CLASSES: [&str; 10] = [
    "wrong last digit",
    "right",
    "wrong first digit",
    "wrong length",
    "unknown card",
    "not active",
    "revoked",
    "tries used up",
    "second part never delivered",
    "wrong last digit again (A/A)",
];

/// Cards for one class of wrong guesses, each with tries left.
struct Pool {
    cards: Vec<Active>,
    used: usize,
}

impl Pool {
    async fn of(ground: &mut Ground, desk: &Desk, guesses: usize) -> Result<Self, String> {
        let mut cards = Vec::new();
        for _ in 0..guesses.div_ceil(USES) {
            cards.push(ground.active(desk).await?);
        }
        Ok(Self { cards, used: 0 })
    }

    /// A card that takes another guess: where its row is nearly used up, a right one is asked for first.
    async fn next(&mut self, desk: &Desk, keys: &mut Keys) -> Result<&Active, String> {
        let card = self.cards.get(self.used / USES).ok_or("too few cards in a pool")?;
        if self.used.is_multiple_of(ROW) && !self.used.is_multiple_of(USES) {
            keys.ask(desk, &card.team, &card.cip).await?;
        }
        self.used = self.used.saturating_add(1);
        Ok(card)
    }
}

/// One answer.
pub(crate) struct Answer {
    pub(crate) shape: String,
    pub(crate) micros: f64,
}

/// Makes idempotency keys of one length, and asks.
pub(crate) struct Keys {
    clock: SystemClock,
    next: u64,
}

impl Keys {
    /// From behind this number.
    pub(crate) fn new(next: u64) -> Self {
        Self { clock: SystemClock::new(), next }
    }

    /// A key that was not used before.
    pub(crate) fn next(&mut self) -> String {
        self.next = self.next.saturating_add(1);
        format!("wire-{:012}", self.next)
    }

    pub(crate) async fn ask(&mut self, desk: &Desk, team: &str, code: &str) -> Result<Answer, String> {
        let (key, body) = (self.next(), guess(team, code));
        let from = self.clock.uptime();
        let (status, headers, body) = desk.post_raw("/v1/verifications", &key, &body).await?;
        let micros = self.clock.uptime().saturating_sub(from).as_secs_f64() * 1e6;
        let names: BTreeSet<_> = headers.keys().map(|name| name.as_str()).collect();
        let names: Vec<_> = names.into_iter().collect();
        Ok(Answer { shape: format!("{status}, {} bytes, {}", body.len(), names.join(" ")), micros })
    }
}

/// Who is guessed at.
pub(crate) struct Field {
    right: Active,
    pools: [Pool; 4],
    unknown: Vec<String>,
    idle: Vec<String>,
    revoked: Active,
    locked: Active,
    undelivered: String,
}

impl Field {
    /// With cards for so many guesses of each class.
    pub(crate) async fn of(ground: &mut Ground, desk: &Desk, guesses: usize) -> Result<Self, String> {
        let mut pool = Vec::new();
        for _ in 0..4 {
            pool.push(Pool::of(ground, desk, guesses).await?);
        }
        let pools = <[Pool; 4]>::try_from(pool).map_err(|_| "four pools")?;
        let (right, revoked, locked) =
            (ground.active(desk).await?, ground.active(desk).await?, ground.active(desk).await?);
        ground.revoke(desk, &revoked).await?;
        let mut keys = Keys::new(900_000_000_000);
        for _ in 0..6 {
            keys.ask(desk, &locked.team, &locked.wrong(0, 1)).await?;
        }
        ground.here.kill("courier")?;
        let undelivered = ground.activate(desk).await?.0.team_number;
        let mut idle = Vec::new();
        for _ in 0..guesses.div_ceil(ROW) {
            idle.push(ground.card()?.team_number);
        }
        let regions: Vec<Region> = Region::KNOWN.iter().map(|(region, _)| *region).collect();
        // Another seed than the installation's: no such card was ever registered.
        let unknown = fictional::cards(7, 4096, &regions).map(|card| card.team_number.as_str().to_owned());
        Ok(Self { right, pools, unknown: unknown.collect(), idle, revoked, locked, undelivered })
    }

    /// The `turn`th guess of a class.
    pub(crate) async fn guess(
        &mut self,
        class: usize,
        turn: usize,
        desk: &Desk,
        keys: &mut Keys,
    ) -> Result<Answer, String> {
        let (team, code) = self.next(class, turn, desk, keys).await?;
        keys.ask(desk, &team, &code).await
    }

    /// TEAM number and code of that guess, with a try left to the card where the class has one.
    pub(crate) async fn next(
        &mut self,
        class: usize,
        turn: usize,
        desk: &Desk,
        keys: &mut Keys,
    ) -> Result<(String, String), String> {
        let of = |list: &[String], index: usize| list.get(index).cloned().ok_or("too few cards");
        let [last, first, length, again] = &mut self.pools;
        Ok(match class {
            1 => (self.right.team.clone(), self.right.cip.clone()),
            2 => of_card(first.next(desk, keys).await?, |card| card.wrong(0, 1)),
            3 => of_card(length.next(desk, keys).await?, |card| format!("{}0", card.cip)),
            4 => (
                of(&self.unknown, turn.checked_rem(self.unknown.len()).unwrap_or(0))?,
                self.right.cip.clone(),
            ),
            5 => (of(&self.idle, turn / ROW)?, self.right.cip.clone()),
            6 => (self.revoked.team.clone(), self.revoked.cip.clone()),
            7 => (self.locked.team.clone(), self.locked.cip.clone()),
            8 => (self.undelivered.clone(), self.right.cip.clone()),
            9 => of_card(again.next(desk, keys).await?, last_digit),
            _ => of_card(last.next(desk, keys).await?, last_digit),
        })
    }

    /// As [`Field::guess`], without the right guesses that give a pool's card its tries back.
    pub(crate) async fn guess_alone(
        &mut self,
        class: usize,
        turn: usize,
        desk: &Desk,
        keys: &mut Keys,
    ) -> Result<(), String> {
        let pool = match class {
            0 => 0,
            2 => 1,
            3 => 2,
            9 => 3,
            _ => return self.guess(class, turn, desk, keys).await.map(drop),
        };
        let card = self.pools.get(pool).and_then(|pool| pool.cards.last()).ok_or("an empty pool")?;
        let code = match class {
            2 => card.wrong(0, 1),
            3 => format!("{}0", card.cip),
            _ => last_digit(card),
        };
        keys.ask(desk, &card.team, &code).await.map(drop)
    }
}

fn last_digit(card: &Active) -> String {
    card.wrong(card.cip.len().saturating_sub(1), 1)
}

fn of_card(card: &Active, code: impl Fn(&Active) -> String) -> (String, String) {
    (card.team.clone(), code(card))
}
