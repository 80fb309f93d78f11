//! Cards of every class of guesses.

use std::sync::Arc;

use sigillo::domain::{fictional, team::Region};
use sigillo_bench::desk::Desk;
use sigillo_proofs::statistics::Random;

use crate::{
    field::{CLASSES, TRIES},
    ground::{Active, Ground, guess, revoke},
    together::together,
};

/// Classes that guess at active cards: those of one wrong digit or length, the right one, revoked ones, ones without tries.
const ACTIVE: [usize; 7] = [0, 1, 2, 3, 6, 7, 9];
const REVOKED: usize = 6;
const LOCKED: usize = 7;

/// Uses a card's tries up.
async fn lock(desk: &Desk, card: &Active) -> Result<(), String> {
    for number in 0..=TRIES {
        let key = format!("lock-{}-{number}", card.team);
        desk.post_raw("/v1/verifications", &key, &guess(&card.team, &card.wrong(0, 1))).await?;
    }
    Ok(())
}

/// So many cards of each class. Where nobody knows a code of a card, one is made up. The courier is gone afterwards.
pub(crate) async fn stock(
    ground: &mut Ground,
    desk: &Arc<Desk>,
    numbers: [usize; CLASSES.len()],
) -> Result<[Vec<Active>; CLASSES.len()], String> {
    let [.., unknown, idle, _, _, undelivered, _] = numbers;
    let number_of = |class: usize| numbers.get(class).copied().unwrap_or(0);
    let mut active = ground.active_ones(desk, ACTIVE.into_iter().map(number_of).sum()).await?;
    // No class has its cards in a place of its own.
    Random::new(2026).shuffle(&mut active);
    let mut cards: [Vec<Active>; CLASSES.len()] = Default::default();
    for class in ACTIVE {
        let rest = active.split_off(number_of(class).min(active.len()));
        if let Some(cards) = cards.get_mut(class) {
            *cards = std::mem::replace(&mut active, rest);
        }
    }
    let of = |class: usize| cards.get(class).cloned().unwrap_or_default().into_iter();
    together(
        of(REVOKED)
            .map(|card| (card, Arc::clone(desk)))
            .map(|(card, desk)| async move { revoke(&desk, &card).await }),
    )
    .await?;
    together(
        of(LOCKED)
            .map(|card| (card, Arc::clone(desk)))
            .map(|(card, desk)| async move { lock(&desk, &card).await }),
    )
    .await?;
    let made_up = |team: String| Active { team, cip: "12345678".into() };
    let undelivered = ground.undelivered(desk, undelivered).await?;
    let idle = (0..idle).map(|_| Ok(ground.card()?.team_number)).collect::<Result<Vec<_>, String>>()?;
    let regions: Vec<Region> = Region::KNOWN.iter().map(|(region, _)| *region).collect();
    // Another seed than the installation's: no such card was ever registered.
    let unknown = fictional::cards(7, u64::try_from(unknown).unwrap_or(0), &regions);
    let unknown = unknown.map(|card| card.team_number.as_str().to_owned()).collect();
    let [_, _, _, _, of_unknown, of_idle, _, _, of_undelivered, _] = &mut cards;
    for (cards, teams) in [(of_unknown, unknown), (of_idle, idle), (of_undelivered, undelivered)] {
        *cards = teams.into_iter().map(made_up).collect();
    }
    Ok(cards)
}
