//! Classes of guesses, and cards to guess at.

use std::{collections::BTreeSet, path::Path, sync::Arc};

use sigillo::clock::{Clock, SystemClock};
use sigillo_bench::desk::Desk;

use crate::{
    ground::{Active, Ground, edit, guess},
    stock::stock,
};

/// Wrong guesses that use a C.I.P.'s tries up, as shipped.
pub(crate) const TRIES: usize = 5;
/// Wrong guesses in a row before a right one, which is not measured and gives the tries back.
pub(crate) const ROW: usize = 4;
/// Wrong guesses at such a card before another takes its place; its life has 100.
const USES: usize = 90;
/// Classes of cards that a right guess gives their tries back.
const GIVEN_BACK: [usize; 4] = [0, 2, 3, 9];
/// Where one card takes every guess.
const ALL: usize = usize::MAX;

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

/// Guesses that one card of each class takes, so that a try is granted to each of them, but where the class has none.
pub(crate) const EACH: [usize; CLASSES.len()] = [USES, ALL, USES, USES, 1, TRIES, TRIES, ALL, TRIES, USES];
/// Another card for each guess.
pub(crate) const ONCE: [usize; CLASSES.len()] = [1; CLASSES.len()];

/// Unknown cards share counters, which nothing gives tries back: more than are shipped, so that some guess in ten thousand finds
/// one used up by others in less than one run of a hundred.
pub(crate) fn with_decoys(home: &Path) -> Result<(), String> {
    let line =
        |line: &str| if line.starts_with("decoys = ") { "decoys = 65536".into() } else { line.to_owned() };
    let change = |text: &str| text.lines().map(line).collect::<Vec<_>>().join("\n") + "\n";
    edit(&home.join("authority/policies/authority.toml"), change)
}

/// Cards of one class.
struct Pool {
    cards: Vec<Active>,
    /// Guesses that one of them takes.
    each: usize,
    used: usize,
}

impl Pool {
    /// The card that takes the next guess, and how many it has taken.
    fn card(&self) -> Result<(&Active, usize), String> {
        let place = |at: Option<usize>| at.ok_or("a card that takes no guess");
        let card = self.cards.get(place(self.used.checked_div(self.each))?).ok_or("too few cards")?;
        Ok((card, place(self.used.checked_rem(self.each))?))
    }
}

/// One answer.
pub(crate) struct Answer {
    pub(crate) shape: String,
    pub(crate) micros: f64,
    /// Names it in the log; nothing if it names none.
    pub(crate) verification: String,
}

/// What names an answer to a verification in the log.
pub(crate) fn verification(body: &[u8]) -> String {
    let body: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    body.get("verification").and_then(|text| text.as_str()).unwrap_or_default().to_owned()
}

/// Makes idempotency keys of one length, and asks.
pub(crate) struct Keys {
    clock: SystemClock,
    next: u64,
}

impl Keys {
    pub(crate) fn new() -> Self {
        Self { clock: SystemClock::new(), next: 0 }
    }

    /// A key that was not used before.
    pub(crate) fn next(&mut self) -> String {
        self.next = self.next.saturating_add(1);
        format!("wire-{:012}", self.next)
    }

    pub(crate) async fn ask(&mut self, desk: &Desk, team: &str, code: &str) -> Result<Answer, String> {
        let key = self.next();
        self.ask_with(desk, &key, (team, code)).await
    }

    /// With a key that may have been used.
    pub(crate) async fn ask_with(
        &self,
        desk: &Desk,
        key: &str,
        (team, code): (&str, &str),
    ) -> Result<Answer, String> {
        let body = guess(team, code);
        let from = self.clock.uptime();
        let (status, headers, body) = desk.post_raw("/v1/verifications", key, &body).await?;
        let micros = self.clock.uptime().saturating_sub(from).as_secs_f64() * 1e6;
        let names: BTreeSet<_> = headers.keys().map(|name| name.as_str()).collect();
        let names: Vec<_> = names.into_iter().collect();
        let shape = format!("{status}, {} bytes, {}", body.len(), names.join(" "));
        Ok(Answer { shape, micros, verification: verification(&body) })
    }
}

/// Who is guessed at.
pub(crate) struct Field {
    pools: [Pool; CLASSES.len()],
}

impl Field {
    /// Cards for so many guesses of each class, `each` at one card, and for so many rows at other cards.
    pub(crate) async fn of(
        ground: &mut Ground,
        desk: &Arc<Desk>,
        (guesses, others): (usize, usize),
        each: [usize; CLASSES.len()],
    ) -> Result<Self, String> {
        let number = |each: usize| match each {
            ALL => 1,
            _ => {
                let others = others.saturating_mul(ROW.div_ceil(each.max(1)));
                guesses.div_ceil(each.max(1)).saturating_add(others)
            }
        };
        let cards = stock(ground, desk, each.map(number)).await?;
        let mut each = each.into_iter();
        let pools = cards.map(|cards| Pool { cards, each: each.next().unwrap_or(0), used: 0 });
        Ok(Self { pools })
    }

    /// Registered cards for as many of [`EACH`]: of some regions none is used.
    pub(crate) fn cards(guesses: usize) -> u64 {
        u64::try_from(guesses.saturating_mul(2).saturating_add(200)).unwrap_or(u64::MAX)
    }

    /// The next guess of a class.
    pub(crate) async fn guess(
        &mut self,
        class: usize,
        desk: &Desk,
        keys: &mut Keys,
    ) -> Result<Answer, String> {
        let (team, code) = self.next(class, desk, keys).await?;
        keys.ask(desk, &team, &code).await
    }

    /// TEAM number and code of that guess, with a try left to the card where the class has one.
    pub(crate) async fn next(
        &mut self,
        class: usize,
        desk: &Desk,
        keys: &mut Keys,
    ) -> Result<(String, String), String> {
        let pool = self.pools.get_mut(class).ok_or("no such class")?;
        let (card, taken) = pool.card()?;
        if GIVEN_BACK.contains(&class) && taken > 0 && taken.is_multiple_of(ROW) {
            keys.ask(desk, &card.team, &card.cip).await?;
        }
        let next = (card.team.clone(), code_of(class, card));
        pool.used = pool.used.saturating_add(1);
        Ok(next)
    }

    /// From here on another card of the class, if one does not take all.
    pub(crate) fn another(&mut self, class: usize) {
        if let Some(pool) = self.pools.get_mut(class).filter(|pool| pool.each != ALL) {
            pool.used = pool.used.checked_next_multiple_of(pool.each).unwrap_or(ALL);
        }
    }
}

/// What is said for a card of this class.
fn code_of(class: usize, card: &Active) -> String {
    match class {
        0 | 9 => card.wrong(card.cip.len().saturating_sub(1), 1),
        2 => card.wrong(0, 1),
        3 => format!("{}0", card.cip),
        _ => card.cip.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(each: [usize; CLASSES.len()]) -> Field {
        let card = |number: usize| Active { team: number.to_string(), cip: "12345678".into() };
        Field { pools: each.map(|each| Pool { cards: (0..9).map(card).collect(), each, used: 0 }) }
    }

    fn teams(field: &mut Field, class: usize, guesses: usize) -> Vec<String> {
        let mut teams = Vec::new();
        for _ in 0..guesses {
            let pool = &mut field.pools[class];
            teams.push(pool.card().unwrap().0.team.clone());
            pool.used = pool.used.saturating_add(1);
        }
        teams
    }

    #[test]
    fn a_card_takes_no_more_than_it_has_tries_and_a_row_has_one_of_its_own() {
        let mut field = field(EACH);
        for class in [5, 6, 8] {
            assert_eq!(teams(&mut field, class, 7), ["0", "0", "0", "0", "0", "1", "1"], "{class}");
            field.another(class);
            assert_eq!(teams(&mut field, class, ROW), ["2"; ROW]);
            field.another(class);
            field.another(class);
            assert_eq!(teams(&mut field, class, 1), ["3"], "an unused card is another one");
        }
        for class in GIVEN_BACK {
            assert_eq!(teams(&mut field, class, USES + 1)[USES - 1..], ["0", "1"]);
        }
        assert_eq!(teams(&mut field, 4, 3), ["0", "1", "2"]);
        for class in [1, 7] {
            field.another(class);
            teams(&mut field, class, 3);
            field.another(class);
            assert_eq!(teams(&mut field, class, 1), ["0"]);
        }
    }

    #[test]
    fn classes_differ_in_what_is_said() {
        let card = Active { team: "1".into(), cip: "12345678".into() };
        let codes: Vec<_> = (0..CLASSES.len()).map(|class| code_of(class, &card)).collect();
        assert_eq!(codes[..4], ["12345679", "12345678", "22345678", "123456780"]);
        assert_eq!((&codes[9], &codes[6]), (&codes[0], &codes[1]));
    }

    #[test]
    fn an_answer_names_itself() {
        assert_eq!(verification(br#"{"outcome":"rejected","verification":"v1"}"#), "v1");
        assert_eq!(verification(b"no JSON"), "");
    }
}
