//! In which order cards of one batch are registered: a card that another one takes the place of comes first.

use std::collections::{BTreeMap, HashMap};

use super::team::TeamNumber;

/// The cards of a batch by their place in it, in groups: a former card that is in the batch is in an earlier group than its
/// successor. Cards that name each other in a ring have no order; each is in some group.
pub fn former_first(cards: &[(&TeamNumber, Option<&TeamNumber>)]) -> Vec<Vec<usize>> {
    let mut places = HashMap::with_capacity(cards.len());
    for (place, (number, _)) in cards.iter().enumerate() {
        places.entry(number.as_str()).or_insert(place);
    }
    let former = |place: usize| {
        let (_, former) = cards.get(place)?;
        places.get(former.as_ref()?.as_str()).copied()
    };
    let mut groups: Vec<Option<usize>> = vec![None; cards.len()];
    let mut seen = vec![false; cards.len()];
    for start in 0..cards.len() {
        // Back to a card whose group is known, that has no former one here, or that was met on this way.
        let (mut way, mut at) = (Vec::new(), Some(start));
        let mut group = 0;
        while let Some(place) = at {
            if let Some(known) = groups.get(place).copied().flatten() {
                group = known.saturating_add(1);
                break;
            }
            match seen.get_mut(place) {
                Some(seen) if !*seen => *seen = true,
                Some(_) | None => break,
            }
            way.push(place);
            at = former(place);
        }
        for place in way.into_iter().rev() {
            if let Some(of) = groups.get_mut(place) {
                *of = Some(group);
            }
            group = group.saturating_add(1);
        }
    }
    let mut all = BTreeMap::<usize, Vec<usize>>::new();
    for (place, group) in groups.into_iter().enumerate() {
        all.entry(group.unwrap_or(0)).or_default().push(place);
    }
    all.into_values().collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number(serial: u64) -> TeamNumber {
        TeamNumber::of_serial("120".parse().unwrap(), serial).unwrap()
    }

    fn groups(batch: &[(u64, Option<u64>)]) -> Vec<Vec<usize>> {
        let numbers: Vec<_> = batch.iter().map(|(own, former)| (number(*own), former.map(number))).collect();
        former_first(&numbers.iter().map(|(own, former)| (own, former.as_ref())).collect::<Vec<_>>())
    }

    #[test]
    fn former_cards_come_first_in_any_order_of_lines() {
        assert_eq!(groups(&[]), Vec::<Vec<usize>>::new());
        assert_eq!(groups(&[(1, None), (2, None)]), [[0, 1]]);
        assert_eq!(groups(&[(1, Some(9)), (2, None)]), [[0, 1]], "the former card is not in the batch");
        assert_eq!(groups(&[(1, None), (2, Some(1))]), [[0], [1]]);
        assert_eq!(groups(&[(2, Some(1)), (1, None)]), [[1], [0]]);
        assert_eq!(
            groups(&[(3, Some(2)), (1, None), (2, Some(1)), (4, None)]),
            [vec![1, 3], vec![2], vec![0]]
        );
        assert_eq!(groups(&[(2, Some(1)), (3, Some(1)), (1, None)]), [vec![2], vec![0, 1]]);
    }

    #[test]
    fn rings_end_too() {
        assert_eq!(groups(&[(1, Some(1))]), [[0]]);
        assert_eq!(groups(&[(1, Some(2)), (2, Some(1)), (3, Some(1))]).concat().len(), 3);
        assert_eq!(groups(&[(1, None), (1, Some(1))]), [[0], [1]], "a number twice");
    }

    proptest! {
        #[test]
        fn every_card_is_there_once_and_after_its_former_one(
            order in Just((0..40_u64).collect::<Vec<_>>()).prop_shuffle(),
            formers in prop::collection::vec(prop::option::of(0..40_u64), 40),
        ) {
            // A former card has a smaller number, so that there is no ring.
            let of = |own: &u64| formers[usize::try_from(*own).unwrap()].filter(|former| former < own);
            let batch: Vec<_> = order.iter().map(|own| (*own, of(own))).collect();
            let all = groups(&batch).concat();
            let mut sorted = all.clone();
            sorted.sort_unstable();
            prop_assert_eq!(sorted, (0..batch.len()).collect::<Vec<_>>());
            let mut done = std::collections::HashSet::new();
            for place in all {
                let (own, former) = batch[place];
                prop_assert!(former.is_none_or(|former| done.contains(&former)));
                done.insert(own);
            }
        }
    }
}
