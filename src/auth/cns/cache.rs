//! Certificates that were found good, by their hash: bounded, and only while everything they were judged by holds.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Weak},
};

use super::{OperatorCertificate, Trust};

/// Who was found good under one policy set and one generation of revocation lists.
#[derive(Default)]
pub(super) struct Cache {
    trust: Weak<Trust>,
    generation: u64,
    most: usize,
    known: HashMap<[u8; 32], (Arc<OperatorCertificate>, u64)>,
    /// Hashes in the order in which they came; each is in `known`.
    order: VecDeque<[u8; 32]>,
}

impl Cache {
    /// Whether what is remembered was judged by these.
    pub(super) fn is_of(&self, trust: &Arc<Trust>, generation: u64) -> bool {
        self.generation == generation && std::ptr::eq(self.trust.as_ptr(), Arc::as_ptr(trust))
    }

    /// Forgets everything that was judged by others.
    pub(super) fn belongs_to(&mut self, trust: &Arc<Trust>, generation: u64) {
        if !self.is_of(trust, generation) {
            *self = Self {
                trust: Arc::downgrade(trust),
                generation,
                most: trust.rules().remember,
                ..Self::default()
            };
        }
    }

    pub(super) fn get(&self, hash: &[u8; 32], now_ms: u64) -> Option<Arc<OperatorCertificate>> {
        let (found, until_ms) = self.known.get(hash)?;
        (now_ms <= *until_ms).then(|| Arc::clone(found))
    }

    /// Remembers one more, and forgets the oldest above the bound.
    pub(super) fn put(
        &mut self,
        hash: [u8; 32],
        valid: Arc<OperatorCertificate>,
        until_ms: u64,
        now_ms: u64,
    ) {
        if self.most == 0 || until_ms < now_ms {
            return;
        }
        if self.known.insert(hash, (valid, until_ms)).is_none() {
            self.order.push_back(hash);
        }
        while self.order.len() > self.most {
            if let Some(oldest) = self.order.pop_front() {
                drop(self.known.remove(&oldest));
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.known.len()
    }
}
