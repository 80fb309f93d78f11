//! Operators whom the index key was asked about, so that it is asked once for each of them and not with every request.
//!
//! What is remembered is what events and records name them by. It must never hold the MAC itself, from which more can be derived,
//! nor stand in for a judgement: whether a certificate is good and a card registered is looked at with every request.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, PoisonError},
};

use super::operator::{Known, Operator};

/// Some 100 bytes each; more than stand at counters in a day.
const MOST: usize = 65_536;

/// What the index key said of those who came before.
#[derive(Default)]
pub(super) struct Met(Mutex<Remembered>);

#[derive(Default)]
struct Remembered {
    known: HashMap<[u8; 32], Known>,
    /// In the order in which they came; each is in `known`.
    order: VecDeque<[u8; 32]>,
}

impl Met {
    /// What is known of this operator; nothing where the index key is to be asked.
    pub(super) fn get(&self, operator: &Operator) -> Option<Known> {
        let who = operator.identity()?;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).known.get(&who).copied()
    }

    /// Remembers an operator who is known; above the bound, the one who came first is forgotten.
    pub(super) fn remember(&self, operator: &Operator) {
        let (Some(who), Ok(known)) = (operator.identity(), operator.known()) else { return };
        let mut met = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        met.put(who, known, MOST);
    }
}

impl Remembered {
    fn put(&mut self, who: [u8; 32], known: Known, most: usize) {
        if self.known.insert(who, known).is_none() {
            self.order.push_back(who);
        }
        while self.order.len() > most {
            if let Some(first) = self.order.pop_front() {
                self.known.remove(&first);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{auth::cns::OperatorCertificate, domain::fictional, secret::Secret};

    fn operator(number: u64, spki: &[u8]) -> Operator {
        let tax_code = fictional::cards(number, 1, &["050".parse().unwrap()]).next().unwrap().tax_code;
        Operator::from(Arc::new(OperatorCertificate::of_nobody(tax_code, spki.to_vec(), 0)))
    }

    fn known(mut operator: Operator) -> Operator {
        operator.known_by(&Secret::new([7; 32]));
        operator
    }

    #[test]
    fn only_the_same_person_with_the_same_key_is_met_again() {
        let met = Met::default();
        assert!(met.get(&operator(1, b"key")).is_none());
        met.remember(&known(operator(1, b"key")));
        let found = met.get(&operator(1, b"key")).unwrap();
        assert_eq!(found.name, known(operator(1, b"key")).known().unwrap().name);
        for other in [operator(1, b"other key"), operator(2, b"key"), operator(1, b"key").as_citizen()] {
            assert!(met.get(&other).is_none());
        }
    }

    #[test]
    fn citizens_and_names_alone_are_not_remembered() {
        let met = Met::default();
        let tax_code = operator(1, b"").tax_code().clone();
        for passing in [operator(1, b"key").as_citizen(), Operator::new(tax_code)] {
            met.remember(&known(passing));
        }
        assert_eq!(met.0.lock().unwrap().known.len(), 0);
        // Nor one of whom nothing is known yet.
        met.remember(&operator(1, b"key"));
        assert_eq!(met.0.lock().unwrap().known.len(), 0);
    }

    #[test]
    fn above_the_bound_the_first_is_forgotten() {
        let of = known(operator(1, b"key")).known().unwrap();
        let mut met = Remembered::default();
        for who in [[1; 32], [2; 32], [1; 32], [3; 32]] {
            met.put(who, of, 2);
        }
        assert_eq!((met.known.len(), met.order.len()), (2, 2));
        assert!(!met.known.contains_key(&[1; 32]) && met.known.contains_key(&[3; 32]));
    }
}
