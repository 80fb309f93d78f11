//! Tries: how often a C.I.P. may still be presented. Counters only grow.
//!
//! A try is *spent* before the code is evaluated and gives a [`Ticket`]; a success *forgives* all tries up to its own
//! ticket, so that it can never wipe a try issued after it, a repeated forgiveness changes nothing and a lost one is
//! on the safe side. `spent - accepted` counts every wrong guess at one C.I.P. and survives every success and every unlock
//! (NIST SP 800-63B-4 3.2.2: at most 100 for a specific authenticator, then it is disabled).
//!
//! An *unlock* forgives all tries up to now, once they lock it. A new C.I.P. is another authenticator: its guesses are counted
//! from its own beginning, and no success of the former one gives anything back to it.

use super::record::Reader;

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
    /// Wrong guesses in a C.I.P.'s life that lock it for good; at most [`Limits::LIFETIME_MAX`].
    pub lifetime: u32,
}

impl Limits {
    /// The most that `lifetime` may be (NIST SP 800-63B-4 3.2.2).
    pub const LIFETIME_MAX: u32 = 100;
}

/// Why no try is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lock {
    /// Too many wrong guesses in a row: an unlock gives tries back.
    InARow,
    /// Too many in the life of this C.I.P.: only a new one helps.
    Lifetime,
}

impl Lock {
    /// Its text in answers.
    pub const fn text(self) -> &'static str {
        match self {
            Self::InARow => "in_a_row",
            Self::Lifetime => "lifetime",
        }
    }
}

/// Why an unlock is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotUnlocked {
    /// No unlock gives back what the life of a C.I.P. has used up.
    #[error("the C.I.P. has had as many wrong guesses as it may have in its life")]
    LifetimeReached,
    /// There are tries left.
    #[error("the C.I.P. is not locked")]
    NotLocked,
    /// The policy's limit for one card.
    #[error("the card has been unlocked as often as the policy allows in this time")]
    TooMany,
}

impl NotUnlocked {
    /// Its code in problems and audit events: it never changes.
    pub const fn code(self) -> &'static str {
        match self {
            Self::LifetimeReached => "lifetime_reached",
            Self::NotLocked => "not_locked",
            Self::TooMany => "unlocks_too_many",
        }
    }
}

/// The counters of one card or decoy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tries {
    spent: u32,
    forgiven: u32,
    accepted: u32,
    refused: u32,
    /// `spent` as it was when the present C.I.P. began.
    renewed: u32,
    limits: Limits,
}

impl Tries {
    /// No guess yet.
    pub const fn new(limits: Limits) -> Self {
        Self { spent: 0, forgiven: 0, accepted: 0, refused: 0, renewed: 0, limits }
    }

    /// Guesses that can still be granted before the C.I.P. locks.
    pub fn left(&self) -> u32 {
        let row = self.limits.in_a_row.saturating_sub(self.spent.saturating_sub(self.forgiven));
        row.min(self.limits.lifetime.saturating_sub(self.wrong()))
    }

    /// Why none is left; nothing where one is.
    pub fn lock_of(&self) -> Option<Lock> {
        if self.left() > 0 {
            None
        } else if self.wrong() >= self.limits.lifetime {
            Some(Lock::Lifetime)
        } else {
            Some(Lock::InARow)
        }
    }

    /// Wrong guesses at the present C.I.P.
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

    /// Forgives every try up to the accepted `ticket`. A ticket that this card never issued changes nothing, and neither does
    /// one of a former C.I.P.
    #[must_use]
    pub fn forgive(mut self, ticket: Ticket) -> Self {
        if ticket.0 <= self.renewed {
            return self;
        }
        if ticket.0 > self.forgiven && ticket.0 <= self.spent {
            self.forgiven = ticket.0;
        }
        if ticket.0 <= self.spent && self.accepted < self.spent {
            self.accepted = self.accepted.saturating_add(1);
        }
        self
    }

    /// Forgives every try up to now, so that as many in a row can be granted again. What counts against the life of the C.I.P.
    /// stays.
    ///
    /// # Errors
    /// [`NotUnlocked::NotLocked`] while a try is left, [`NotUnlocked::LifetimeReached`] where this would give none.
    pub fn unlock(mut self) -> Result<Self, NotUnlocked> {
        match self.lock_of() {
            None => Err(NotUnlocked::NotLocked),
            Some(Lock::Lifetime) => Err(NotUnlocked::LifetimeReached),
            Some(Lock::InARow) => {
                self.forgiven = self.spent;
                Ok(self)
            }
        }
    }

    /// Begins the count of a new C.I.P.: nothing spent before counts against it.
    #[must_use]
    pub const fn renew(mut self) -> Self {
        self.forgiven = self.spent;
        self.accepted = self.spent;
        self.renewed = self.spent;
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
    const FORMAT: u8 = 2;
    /// Without `renewed`, and with wider limits.
    const FORMER: u8 = 1;

    /// The stored record: format byte, five big-endian counters, the two limits. Same size for every card and decoy, and as in
    /// the former format.
    pub fn encode(&self) -> [u8; Self::SIZE] {
        let limit = |limit: u32| u16::try_from(limit).unwrap_or(u16::MAX); // at most 100
        let limits = [limit(self.limits.in_a_row), limit(self.limits.lifetime)];
        let counters = [self.spent, self.forgiven, self.accepted, self.refused, self.renewed];
        let bytes = std::iter::once(Self::FORMAT)
            .chain(counters.into_iter().flat_map(u32::to_be_bytes))
            .chain(limits.into_iter().flat_map(u16::to_be_bytes));
        let mut out = [0; Self::SIZE];
        out.iter_mut().zip(bytes).for_each(|(to, byte)| *to = byte);
        out
    }

    /// Reads a stored record; nothing if it is not one, if its counters contradict each other, or if its limits are none that a
    /// template may have.
    pub fn decode(record: &[u8]) -> Option<Self> {
        let mut from = Reader::new(record);
        let format = from.byte()?;
        let (spent, forgiven, accepted, refused) = (from.u32()?, from.u32()?, from.u32()?, from.u32()?);
        let (renewed, in_a_row, lifetime) = match format {
            Self::FORMER => (0, from.u32()?, from.u32()?),
            Self::FORMAT => (from.u32()?, from.u16()?.into(), from.u16()?.into()),
            _ => return None,
        };
        let holds_together = from.is_done()
            && forgiven <= spent
            && accepted <= spent
            && renewed <= forgiven
            && renewed <= accepted
            && (1..=lifetime).contains(&in_a_row)
            && lifetime <= Limits::LIFETIME_MAX;
        let limits = Limits { in_a_row, lifetime };
        holds_together.then_some(Self { spent, forgiven, accepted, refused, renewed, limits })
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
    fn an_unlock_gives_a_row_back_and_never_the_life() {
        let mut tries = card(5, 12);
        assert_eq!(tries.unlock(), Err(NotUnlocked::NotLocked));
        let mut granted = 0;
        for unlocks in 0..9 {
            granted += (0..64).filter(|_| spend(&mut tries).is_some()).count();
            match tries.unlock() {
                Ok(unlocked) => {
                    assert_eq!(
                        (tries.lock_of(), unlocked.unlock()),
                        (Some(Lock::InARow), Err(NotUnlocked::NotLocked))
                    );
                    tries = unlocked;
                }
                Err(refused) => {
                    assert!(unlocks >= 2);
                    assert_eq!(
                        (refused, tries.lock_of()),
                        (NotUnlocked::LifetimeReached, Some(Lock::Lifetime))
                    );
                }
            }
        }
        assert_eq!((granted, tries.wrong(), tries.left()), (12, 12, 0));
    }

    #[test]
    fn a_success_that_ends_after_an_unlock_counts_once_and_gives_no_row_back() {
        let mut tries = card(5, 100);
        let right = spend(&mut tries).unwrap();
        for _ in 0..4 {
            spend(&mut tries).unwrap();
        }
        tries = tries.unlock().unwrap();
        spend(&mut tries).unwrap();
        tries = tries.forgive(right);
        assert_eq!((tries.left(), tries.wrong()), (4, 5));
    }

    #[test]
    fn a_new_cip_begins_at_its_own_beginning_and_takes_nothing_from_the_former() {
        let mut tries = card(3, 7);
        let old = spend(&mut tries).unwrap();
        for _ in 0..9 {
            spend(&mut tries);
        }
        let before = tries.spent;
        tries = tries.renew();
        assert_eq!((tries.left(), tries.wrong(), tries.spent), (3, 0, before), "counters only grow");
        let new = spend(&mut tries).unwrap();
        assert!(new > old);
        spend(&mut tries).unwrap();
        assert_eq!(tries.forgive(old), tries, "a success of the former one says nothing of this");
        assert_eq!((tries.forgive(new).left(), tries.forgive(new).wrong()), (2, 1));
        assert_eq!(Tries::decode(&tries.encode()), Some(tries));
    }

    #[test]
    fn the_former_format_is_read_and_is_of_the_same_size() {
        let mut former = vec![1];
        for field in [6_u32, 2, 1, 9, 5, 100] {
            former.extend(field.to_be_bytes());
        }
        let tries = Tries::decode(&former).unwrap();
        assert_eq!((tries.left(), tries.wrong(), tries.renewed), (1, 5, 0));
        assert_eq!(tries.encode().len(), former.len());
        assert_eq!(Tries::decode(&tries.encode()), Some(tries));
        former[0] = 3;
        assert_eq!(Tries::decode(&former), None);
    }

    /// A damaged record grants no more than any C.I.P. may have.
    #[test]
    fn limits_that_no_template_may_have_are_damage() {
        for (in_a_row, lifetime) in [(5, 101), (0, 100), (8, 7), (70_000, 70_000), (u32::MAX, u32::MAX)] {
            let mut former = vec![1];
            for field in [0, 0, 0, 0, in_a_row, lifetime] {
                former.extend(field.to_be_bytes());
            }
            assert_eq!(Tries::decode(&former), None, "{in_a_row} {lifetime}");
            assert_eq!(Tries::decode(&card(in_a_row, lifetime).encode()), None, "{in_a_row} {lifetime}");
        }
    }

    #[test]
    fn a_foreign_ticket_forgives_nothing() {
        let mut tries = card(5, 100);
        spend(&mut tries);
        assert_eq!(tries.forgive(Ticket(2)), tries);
    }
}
