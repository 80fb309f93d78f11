//! Tries: how often a C.I.P. may still be presented. Counters only grow.
//!
//! A try is *spent* before the code is evaluated and gives a [`Ticket`]; a success *forgives* all tries up to its own
//! ticket, so that it can never wipe a try issued after it, a repeated forgiveness changes nothing and a lost one is
//! on the safe side. `spent - accepted` counts every wrong guess of the card's life and survives every forgiveness
//! (NIST SP 800-63B 5.2.2: at most 100).

/// Numbers one granted try of one card: the value of `spent` that it caused, from 1 up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(u32);

impl Ticket {
    /// Its number.
    pub const fn number(self) -> u32 {
        self.0
    }
}

/// The limits of one card, frozen with its template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Wrong guesses in a row that lock the C.I.P.
    pub in_a_row: u32,
    /// Wrong guesses in the card's life that lock it for good; at most [`Limits::LIFETIME_MAX`].
    pub lifetime: u32,
}

impl Limits {
    /// The most that `lifetime` may be (NIST SP 800-63B 5.2.2).
    pub const LIFETIME_MAX: u32 = 100;
}

/// The counters of one card or decoy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tries {
    spent: u32,
    forgiven: u32,
    accepted: u32,
    refused: u32,
    limits: Limits,
}

impl Tries {
    /// No guess yet.
    pub const fn new(limits: Limits) -> Self {
        Self { spent: 0, forgiven: 0, accepted: 0, refused: 0, limits }
    }

    /// Guesses that can still be granted before the C.I.P. locks.
    pub fn left(&self) -> u32 {
        let row = self.limits.in_a_row.saturating_sub(self.spent.saturating_sub(self.forgiven));
        let life = self.limits.lifetime.saturating_sub(self.spent.saturating_sub(self.accepted));
        row.min(life)
    }

    /// Wrong guesses in the card's life.
    pub const fn wrong(&self) -> u32 {
        self.spent.saturating_sub(self.accepted)
    }

    /// Spends a try if one is left; otherwise counts the refusal. The record changes either way, so that a store
    /// writes the same for both.
    #[must_use]
    pub fn spend(mut self) -> (Self, Option<Ticket>) {
        match self.spent.checked_add(1) {
            Some(next) if self.left() > 0 => {
                self.spent = next;
                (self, Some(Ticket(next)))
            }
            Some(_) | None => {
                self.refused = self.refused.saturating_add(1);
                (self, None)
            }
        }
    }

    /// Forgives every try up to the accepted `ticket`. A ticket that this card never issued changes nothing.
    #[must_use]
    pub fn forgive(mut self, ticket: Ticket) -> Self {
        if ticket.0 > self.forgiven && ticket.0 <= self.spent {
            self.forgiven = ticket.0;
        }
        if ticket.0 <= self.spent && self.accepted < self.spent {
            self.accepted = self.accepted.saturating_add(1);
        }
        self
    }

    /// Leaves no try, after a recovery: at least the tries that are known to have been spent, and as many more as lock
    /// it. Again, it changes nothing.
    #[must_use]
    pub fn lock(mut self, spent_at_least: u32) -> Self {
        let locks = self.forgiven.saturating_add(self.limits.in_a_row);
        self.spent = self.spent.max(spent_at_least).max(locks);
        self
    }

    /// Bytes of [`Tries::encode`].
    pub const SIZE: usize = 25;
    const FORMAT: u8 = 1;

    /// The stored record: format byte, then six big-endian counters. Same size for every card and decoy.
    pub fn encode(&self) -> [u8; Self::SIZE] {
        let mut out = [Self::FORMAT; Self::SIZE];
        let fields = [
            self.spent,
            self.forgiven,
            self.accepted,
            self.refused,
            self.limits.in_a_row,
            self.limits.lifetime,
        ];
        let (_, numbers) = out.split_at_mut(1);
        for (to, value) in numbers.chunks_exact_mut(4).zip(fields) {
            to.copy_from_slice(&value.to_be_bytes());
        }
        out
    }

    /// Reads a stored record; nothing if it is not one, or if its counters contradict each other.
    pub fn decode(record: &[u8]) -> Option<Self> {
        let (format, numbers) = record.split_first()?;
        if *format != Self::FORMAT || record.len() != Self::SIZE {
            return None;
        }
        let mut fields = numbers.chunks_exact(4).filter_map(|c| c.try_into().ok()).map(u32::from_be_bytes);
        let (spent, forgiven, accepted, refused) =
            (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        let limits = Limits { in_a_row: fields.next()?, lifetime: fields.next()? };
        (forgiven <= spent && accepted <= spent).then_some(Self {
            spent,
            forgiven,
            accepted,
            refused,
            limits,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card(in_a_row: u32, lifetime: u32) -> Tries {
        Tries::new(Limits { in_a_row, lifetime })
    }

    fn spend(tries: &mut Tries) -> Option<Ticket> {
        let (after, ticket) = tries.spend();
        *tries = after;
        ticket
    }

    #[test]
    fn limit_is_exact() {
        let mut tries = card(5, 100);
        let granted = (0..64).filter(|_| spend(&mut tries).is_some()).count();
        assert_eq!((granted, tries.left(), tries.wrong()), (5, 0, 5));
    }

    #[test]
    fn success_forgives_up_to_its_own_ticket_only() {
        let mut tries = card(5, 100);
        let first = spend(&mut tries).unwrap();
        let second = spend(&mut tries).unwrap();
        let third = spend(&mut tries).unwrap();
        assert_eq!((first.number(), second.number(), third.number()), (1, 2, 3));
        tries = tries.forgive(second);
        assert_eq!(tries.left(), 4, "the third try stays spent");
        assert_eq!(tries.forgive(first).left(), 4, "an older success gives nothing more back");
    }

    #[test]
    fn lifetime_cap_survives_every_success() {
        let mut tries = card(3, 7);
        let mut wrong = 0;
        for _ in 0..50 {
            for _ in 0..2 {
                wrong += u32::from(spend(&mut tries).is_some());
            }
            if let Some(ticket) = spend(&mut tries) {
                tries = tries.forgive(ticket);
            }
        }
        assert!(wrong <= 7, "{wrong} wrong guesses");
        assert_eq!(tries.left(), 0);
    }

    #[test]
    fn record_and_back() {
        let mut tries = card(5, 100);
        let ticket = spend(&mut tries).unwrap();
        tries = tries.forgive(ticket);
        spend(&mut tries);
        assert_eq!(Tries::decode(&tries.encode()), Some(tries));
        let mut bad = tries.encode();
        bad[8] = 9; // forgiven > spent
        assert_eq!(Tries::decode(&bad), None);
        assert_eq!(Tries::decode(&tries.encode()[..24]), None);
        assert_eq!(Tries::decode(&[]), None);
    }

    #[test]
    fn a_lock_leaves_no_try_and_gives_none_back() {
        let mut tries = card(5, 100);
        let ticket = spend(&mut tries).unwrap();
        tries = tries.forgive(ticket);
        spend(&mut tries);
        for (at_least, spent) in [(0, 6), (3, 6), (40, 40)] {
            let locked = tries.lock(at_least);
            assert_eq!((locked.left(), locked.spent, locked.forgiven), (0, spent, 1));
            assert_eq!(locked.lock(at_least), locked);
            assert_eq!(Tries::decode(&locked.encode()), Some(locked));
            assert_eq!(locked.spend().1, None);
        }
    }

    #[test]
    fn a_foreign_ticket_forgives_nothing() {
        let mut tries = card(5, 100);
        spend(&mut tries);
        assert_eq!(tries.forgive(Ticket(2)), tries);
    }
}
