use proptest::prelude::*;

use super::*;

const fn most(per_minute: u32, per_hour: u32, per_day: u32) -> Most {
    Most { per_minute, per_hour, per_day }
}

const BUDGET: Budget =
    Budget { look_ups: most(9, 9, 9), verifications: most(3, 5, 7), wrong_guesses: Some(most(2, 3, 4)) };
const GUESS: [Use; 2] = [Use::Verification, Use::WrongGuess];
const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// Charges as often as it goes, 20 times at most.
fn exhaust(used: &mut Used, at_ms: u64, uses: &[Use]) -> (u32, Option<Reached>) {
    for granted in 0..20 {
        match used.charge(at_ms, uses, &BUDGET) {
            Ok(after) => *used = after,
            Err(reached) => return (granted, Some(reached)),
        }
    }
    (20, None)
}

#[test]
fn each_window_gives_its_most_and_no_more() {
    let mut used = Used::default();
    let at = |what, window, most, until_ms| Some(Reached { what, window, most, until_ms });
    let verify = [Use::Verification];
    for (now_ms, granted, reached) in [
        (DAY, 3, at(Use::Verification, Window::Minute, 3, DAY + MINUTE)),
        (DAY + MINUTE - 1, 0, at(Use::Verification, Window::Minute, 3, DAY + MINUTE)),
        (DAY + MINUTE, 2, at(Use::Verification, Window::Hour, 5, DAY + HOUR)),
        (DAY + HOUR - 1, 0, at(Use::Verification, Window::Hour, 5, DAY + HOUR)),
        (DAY + HOUR, 2, at(Use::Verification, Window::Day, 7, 2 * DAY)),
        (2 * DAY - 1, 0, at(Use::Verification, Window::Day, 7, 2 * DAY)),
        (2 * DAY, 3, at(Use::Verification, Window::Minute, 3, 2 * DAY + MINUTE)),
    ] {
        assert_eq!(exhaust(&mut used, now_ms, &verify), (granted, reached), "{now_ms}");
    }
    assert_eq!(exhaust(&mut used, 2 * DAY, &[Use::LookUp]).0, 9, "each use has a count of its own");
}

#[test]
fn what_was_right_is_given_back_to_the_guesses_and_not_to_the_verifications() {
    let mut used = Used::default();
    for _ in 0..3 {
        used = used.charge(DAY, &GUESS, &BUDGET).unwrap().refund(DAY, Use::WrongGuess);
    }
    let reached = used.charge(DAY, &GUESS, &BUDGET).unwrap_err();
    assert_eq!((reached.what, reached.window), (Use::Verification, Window::Minute));

    let mut used = Used::default();
    let (granted, reached) = exhaust(&mut used, DAY, &GUESS);
    assert_eq!((granted, reached.unwrap().what), (2, Use::WrongGuess));
    // What is given back late goes to the windows that are still the same, and to no other.
    let next = DAY + MINUTE;
    assert_eq!(exhaust(&mut used, next, &GUESS).0, 1, "the hour has three");
    let used = used.refund(DAY, Use::WrongGuess);
    assert_eq!(used.counts, [[0, 0, 0], [1, 3, 3], [1, 2, 2]]);
    assert_eq!(used.refund(2 * DAY, Use::WrongGuess), used);
}

#[test]
fn uses_that_are_charged_together_are_charged_all_or_none() {
    let mut used = Used::default();
    exhaust(&mut used, DAY, &GUESS);
    let before = used;
    assert!(used.charge(DAY, &GUESS, &BUDGET).is_err());
    assert_eq!(used, before);
    used.charge(DAY, &[Use::Verification], &BUDGET).unwrap();
}

#[test]
fn a_clock_that_goes_back_gives_nothing_and_one_that_was_ahead_locks_nobody_out() {
    let mut used = Used::default();
    exhaust(&mut used, 9 * DAY, &GUESS);
    for back in [1, MINUTE] {
        assert_eq!(exhaust(&mut used, 9 * DAY - back, &GUESS).0, 0, "the counts stay");
    }
    assert_eq!(exhaust(&mut used, 9 * DAY - 2 * HOUR, &GUESS).0, 2, "as much as the day has left");
    assert_eq!(exhaust(&mut used, DAY, &GUESS).0, 2);
}

#[test]
fn what_has_no_limit_is_not_refused() {
    let open = Budget { wrong_guesses: None, ..BUDGET };
    let mut used = Used::default();
    for _ in 0..50 {
        used = used.charge(DAY, &[Use::WrongGuess], &open).unwrap();
    }
}

#[test]
fn record_and_back() {
    let mut used = Used::default();
    exhaust(&mut used, 5 * DAY + 7 * MINUTE, &GUESS);
    let record = used.encode();
    assert_eq!((record.len(), Used::decode(&record)), (Used::SIZE, Some(used)));
    assert_eq!(Used::decode(&record[1..]), None);
    assert_eq!(Used::decode(&[&[2], &record[1..]].concat()), None);
    assert_eq!(Used::decode(&[]), None);
}

proptest! {
    /// Whatever the moments, refunds and order: no window ever grants more than its most, less what was given back.
    #[test]
    fn no_window_grants_more_than_its_most(
        steps in proptest::collection::vec((0_u64..3 * DAY, any::<bool>()), 1..200),
        backwards in any::<bool>(),
    ) {
        let mut moments = steps;
        if !backwards {
            moments.sort_unstable();
        }
        let (mut used, mut granted) = (Used::default(), std::collections::BTreeMap::<_, u32>::new());
        for (at_ms, right) in moments {
            let Ok(after) = used.charge(at_ms, &GUESS, &BUDGET) else { continue };
            used = if right { after.refund(at_ms, Use::WrongGuess) } else { after };
            prop_assert_eq!(Used::decode(&used.encode()), Some(used));
            for window in Window::ALL {
                let number = window.number(at_ms);
                let verified = granted.entry((Use::Verification, window, number)).or_default();
                *verified = verified.saturating_add(1);
                let guessed = granted.entry((Use::WrongGuess, window, number)).or_default();
                *guessed = guessed.saturating_add(u32::from(!right));
            }
        }
        if !backwards {
            for ((what, window, number), count) in granted {
                let most = BUDGET.of(what).unwrap().of(window);
                prop_assert!(count <= most, "{} {} {}: {}", what.text(), window.text(), number, count);
            }
        }
    }
}
