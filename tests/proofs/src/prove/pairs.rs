//! Whether the order of two answers tells what was guessed at: two verifications of two classes as two streams of one HTTP/2
//! connection, in one TLS record, so that no network comes between them ("timeless timing": Van Goethem and others, USENIX
//! Security 2020). Both answers leave on the tick, often the same one: what is left is the order of their HEADERS frames.

mod twos;

use std::{sync::Arc, time::Duration};

use sigillo::tls::Protocols;
use sigillo_proofs::{
    claim::Claim,
    shares::{Order, Share, differ, order},
    statistics::{Random, TOLD_APART},
};

use self::twos::Twos;
use crate::{
    Run,
    awake::Awake,
    field::{self, CLASSES, Field, Keys},
    ground::Ground,
    letters::{self, Asked, note},
    line::Line,
};

/// Every class with every other one.
const ROUND: usize = 45;
/// Pairs of one class with another in a round.
const OF_ONE: usize = 9;
/// Pairs on one connection: the authority ends each after an hour.
const ON_A_LINE: usize = 2_000;

/// How much it takes, and what it sees.
struct Size {
    pairs: usize,
    /// Pairs beside them whose second request leaves later, in a packet of its own.
    controls: usize,
    /// By so much. Timers have steps of a millisecond: of what is less, only that share shows.
    later: Duration,
    /// The widest interval that shows anything.
    width: f64,
    /// How far from one half the order of two classes may be; each two meet 45 times less often than all do.
    of_two: f64,
}

const FULL: Size =
    Size { pairs: 40_000, controls: 2_000, later: Duration::from_micros(200), width: 0.05, of_two: 0.15 };
/// So few pairs tell only the coarsest order: any width is taken, and told.
const SHORT: Size =
    Size { pairs: 450, controls: 60, later: Duration::from_millis(2), width: 1.0, of_two: f64::INFINITY };

/// How often a class came first: where its request was the first one of the pair, and where it was the second.
#[derive(Clone, Copy, Default)]
struct Tally([(usize, usize); 2]);

impl Tally {
    fn add(&mut self, place: usize, came_first: bool) {
        if let Some(tally) = self.0.get_mut(place) {
            add(tally, came_first);
        }
    }

    fn order(&self) -> Order {
        let [sent_first, sent_second] = self.0;
        order(sent_first, sent_second)
    }
}

struct Counted {
    classes: [Tally; 10],
    twos: Twos,
    /// Pairs in which the first request was answered first, of so many.
    in_order: (usize, usize),
    /// Pairs that did not leave in one record.
    apart: usize,
    /// Smallest and largest record.
    records: (usize, usize),
    /// As `in_order`, where the second request left later.
    later: (usize, usize),
    letters: Claim,
}

/// Counts once more, and whether it was so.
fn add((so, of): &mut (usize, usize), is_so: bool) {
    *so = so.saturating_add(usize::from(is_so));
    *of = of.saturating_add(1);
}

/// The pairs of so many rounds in random order, of which some are controls: of classes in turn, so that what they are told apart
/// by is not their classes.
fn work(rounds: usize, controls: usize, random: &mut Random) -> Vec<([usize; 2], bool)> {
    let both: Vec<[usize; 2]> = (0..CLASSES.len()).flat_map(|b| (0..b).map(move |a| [a, b])).collect();
    let mut control_pairs = both.iter().cycle();
    let mut work = Vec::new();
    for left in (1..=rounds).rev() {
        let mut round: Vec<_> = both.iter().map(|pair| (*pair, false)).collect();
        let given = work.len().saturating_sub(rounds.saturating_sub(left).saturating_mul(ROUND));
        let controls = controls.saturating_sub(given).div_ceil(left);
        round.extend(control_pairs.by_ref().take(controls).map(|pair| (*pair, true)));
        random.shuffle(&mut round);
        for (pair, _) in &mut round {
            if random.below(2) == 1 {
                pair.reverse();
            }
        }
        work.extend(round);
    }
    work
}

async fn count(run: &Run<'_>, rounds: usize, size: &Size) -> Result<Counted, String> {
    let guesses = rounds.saturating_mul(OF_ONE).saturating_add(size.controls);
    let mut ground = Ground::with(run, "installation", Field::cards(guesses), field::with_decoys).await?;
    let desk = Arc::new(ground.desk(Protocols::Any)?);
    run.bar.set_message("cards of every class are made");
    let mut field = Field::of(&mut ground, &desk, (guesses, 0), field::EACH).await?;
    let (mut keys, mut random, mut asked) = (Keys::new(), Random::new(2026), Asked::default());
    let (mut classes, mut twos) = ([Tally::default(); 10], Twos::new());
    let (mut in_order, mut later) = ((0, 0), (0, 0));
    let (mut apart, mut records) = (0_usize, (usize::MAX, 0));
    let work = work(rounds, size.controls, &mut random);
    run.bar.set_length(u64::try_from(work.len()).unwrap_or(1));
    run.bar.set_message("pairs");
    let mut line = Line::open(&ground).await?;
    let awake = Awake::all()?;
    for (number, (pair, is_control)) in work.into_iter().enumerate() {
        if number.is_multiple_of(ON_A_LINE) {
            line = Line::open(&ground).await?;
        }
        let mut guesses = Vec::new();
        for class in pair {
            guesses.push(field.next(class, &desk, &mut keys).await?);
        }
        let guesses = <[_; 2]>::try_from(guesses).map_err(|_| "two guesses")?;
        let answered = line.pair(&desk, &mut keys, &guesses, is_control.then_some(size.later)).await?;
        for (class, verification) in pair.into_iter().zip(answered.verifications) {
            note(&mut asked, class, verification);
        }
        run.bar.inc(1);
        if is_control {
            add(&mut later, answered.in_order);
            continue;
        }
        let Some(bytes) = answered.record else {
            apart = apart.saturating_add(1);
            continue;
        };
        add(&mut in_order, answered.in_order);
        records = (records.0.min(bytes), records.1.max(bytes));
        twos::note(&mut twos, pair, answered.in_order);
        for (place, class) in pair.into_iter().enumerate() {
            if let Some(tally) = classes.get_mut(class) {
                tally.add(place, answered.in_order == (place == 0));
            }
        }
    }
    drop(awake);
    let letters = letters::claim(run, &ground, &asked)?;
    ground.here.stop()?;
    Ok(Counted { classes, twos, in_order, apart, records, later, letters })
}

fn percent(share: f64) -> String {
    format!("{:.2}", share * 100.0)
}

fn share((part, whole): (usize, usize)) -> String {
    let number = |n: usize| u32::try_from(n).map_or(f64::INFINITY, f64::from);
    percent(number(part) / number(whole.max(1)))
}

/// One claim for each class, and one for all pairs of classes.
pub(crate) fn prove(run: &Run<'_>) -> Result<Vec<Claim>, String> {
    let size = if run.arguments.short { SHORT } else { FULL };
    let pairs = run.arguments.pairs.unwrap_or(size.pairs);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    let counted = runtime.block_on(count(run, pairs.div_ceil(ROUND).max(1), &size))?;
    let (in_order, later) = (counted.in_order, counted.later);
    // Who is sent first is answered first oftener than not: a later request is held against what the place does by itself.
    let control = differ(later, in_order);
    let is_caught = control.same < TOLD_APART && control.difference > 0.0;
    let figure = format!(
        "{} pairs, each in one record of {} to {} bytes; {} left in two and are not counted; the first request was answered first \
         in {} %, and in {} % of {} pairs whose second request left {} us later: {}",
        in_order.1,
        counted.records.0,
        counted.records.1,
        counted.apart,
        share(in_order),
        share(later),
        later.1,
        size.later.as_micros(),
        told(&control),
    );
    let is_enough = in_order.1 >= pairs.saturating_sub(pairs / 100);
    let bound = "at most one pair of a hundred in two records";
    let mut claims = vec![
        run.claim(
            "two verifications are asked on one HTTP/2 connection in one TLS record, and the order of the answers' HEADERS frames is \
             counted",
            (figure, bound.into()),
            is_enough,
            Some(is_caught),
        ),
        counted.letters,
    ];
    for (name, tally) in CLASSES.iter().zip(&counted.classes) {
        let order = tally.order();
        let [sent_first, sent_second] = tally.0;
        let width = order.interval.1 - order.interval.0;
        let figure = format!(
            "{} pairs, first in {} %, {} to {} %, p = {:.1e} (sent first: {} %, sent second: {} %)",
            sent_first.1.saturating_add(sent_second.1),
            percent(order.share),
            percent(order.interval.0),
            percent(order.interval.1),
            order.same,
            share(sent_first),
            share(sent_second),
        );
        let wide = if size.width < 1.0 {
            format!("at most {} points wide", percent(size.width))
        } else {
            format!("{} points wide: what is less does not show in so few pairs", percent(width))
        };
        claims.push(run.claim(
            format!("\"{name}\" is answered before another class as often as after it"),
            (figure, format!("50 % in the interval, p above {TOLD_APART:.0e}, and the interval {wide}")),
            order.same > TOLD_APART && width <= size.width,
            Some(is_caught),
        ));
    }
    claims.push(twos::claim(run, &counted.twos, (in_order, later), size.of_two));
    Ok(claims)
}

fn told(share: &Share) -> String {
    let Share { difference, interval, same } = share;
    let [difference, low, high] = [*difference, interval.0, interval.1].map(percent);
    format!("{difference} points more, {low} to {high}, p = {same:.1e}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_meets_every_other_one_and_controls_are_among_them() {
        for (rounds, controls) in [(10, 60), (889, 2_000), (7, 3), (1, 60)] {
            let work = work(rounds, controls, &mut Random::new(1));
            let with = |class: usize, control: bool| {
                work.iter().filter(|(pair, is)| pair.contains(&class) && *is == control).count()
            };
            assert_eq!(work.len(), rounds * ROUND + controls);
            assert!((0..CLASSES.len()).all(|class| with(class, false) == rounds * OF_ONE));
            let of_one = controls / 5;
            assert!((0..CLASSES.len()).all(|class| with(class, true) <= of_one + OF_ONE), "{controls}");
            let swapped = work.iter().filter(|(pair, _)| pair.first() > pair.last()).count();
            let controls_last =
                work.chunks(ROUND + controls / rounds).all(|round| round[..ROUND].iter().all(|(_, is)| !is));
            assert!(!controls_last, "{controls}");
            assert!(swapped * 5 > work.len() && swapped * 5 < work.len() * 4, "{swapped}");
        }
        // Not all at the end, where the machine may do something else.
        let half = work(10, 60, &mut Random::new(1)).into_iter().take(255).filter(|(_, is)| *is).count();
        assert_eq!(half, 30);
    }
}
