//! What a presented code is compared with, and the comparison: the same steps for a card and for its stand-in.

use subtle::{Choice, ConstantTimeEq};

use super::Verdict;
use crate::{
    domain::{
        card::{Activation, Card, Cip, Registration},
        date::CivilDate,
        derive::{self, Guess},
        id::CardId,
        team::Region,
        tries::Ticket,
    },
    hsm::MacKey,
    secret::{Secret, SecretBytes, pick},
    service::{
        Error,
        commitments::{Decoy, card_counter},
    },
    store::Versioned,
};

/// The record that is read where there is none: an active card with both tags, so that no reading is left out for an unknown
/// number. Its id, salt and tags are never used.
pub(in crate::service) struct StandIn(Vec<u8>);

impl StandIn {
    /// Nothing if the domain has no such card any more, which the tests would tell first.
    pub(in crate::service) fn new() -> Option<Self> {
        let day = CivilDate::new(2100, 1, 1)?;
        let (region, _) = Region::KNOWN.first()?;
        let registration = Registration {
            id: CardId::new([0; 16]),
            tax_code_mac: [0; 16],
            team_mac: [0; 16],
            expiry: day,
            region: *region,
            template: "STAND-IN".parse().ok()?,
            predecessor: None,
            registered_at_ms: 0,
        };
        let card = Card::register(registration, [0; 32]);
        let card = card.activate(Activation::InPerson, 0, day, Some([0; 32])).ok()?;
        Some(Self(card.set_second_tag(1, [0; 32]).ok()?.encode()))
    }

    /// What this record says, or the one that stands in for it; nothing if it is no card's.
    pub(super) fn read(&self, record: Option<&Versioned>) -> Option<Cip> {
        Cip::read(record.map_or(&self.0, |record| &record.value))
    }
}

/// A card's values, or a decoy's where there is no card.
pub(super) struct Subject {
    id: CardId,
    counter: [u8; 17],
    salt: [u8; 32],
    generation: u32,
    first_digits: u8,
    tags: [[u8; 32]; 2],
    known: Choice,
    active: Choice,
    has_tag: [Choice; 2],
}

/// What was decided, before anybody looks at it.
pub(super) struct Weighed {
    accepted: Choice,
    checks: [u8; 6],
}

/// What was decided, and why, for the auditor.
pub(super) struct Decision {
    pub(super) verdict: Verdict,
    /// Fixed width: K known, A active, F first tag there, S second tag there, T try granted, M a try was granted and the
    /// codes match, of a generation that is still the card's; a dash for what does not hold.
    pub(super) checks: String,
}

impl Weighed {
    /// The first branch on a decision: on the verdict, which the answer tells. The letters are for the log alone; what becomes
    /// of them takes the same steps whichever they are.
    pub(super) fn declare(self) -> Decision {
        Decision {
            verdict: if bool::from(self.accepted) { Verdict::Accepted } else { Verdict::Rejected },
            checks: self.checks.map(char::from).iter().collect(),
        }
    }
}

/// The letter of a check that holds, a dash of one that does not. By arithmetic of its own: `subtle` negates a signed byte, and
/// with overflow checks, which the release has, that is a branch.
fn letter_of(check: Choice, letter: u8) -> u8 {
    let mask = check.unwrap_u8().wrapping_neg();
    b'-' ^ (mask & (b'-' ^ letter))
}

impl Subject {
    /// `counter` is the decoy's; `first_digits` of the C.I.P., 0 where there is none. Of a card that is not `known` only
    /// the reading counts.
    pub(super) fn new(cip: &Cip, known: bool, decoy: &Decoy, counter: &[u8; 17], first_digits: u8) -> Self {
        let known = Choice::from(u8::from(known));
        Self {
            id: CardId::new(pick(known, cip.id.bytes(), decoy.id().bytes())),
            counter: pick(known, &card_counter(&cip.id), counter),
            salt: pick(known & cip.has_salt, &cip.salt, decoy.salt()),
            generation: cip.generation,
            first_digits,
            tags: cip.tags,
            known,
            active: known & cip.is_active,
            has_tag: cip.has_tags.map(|is_there| known & is_there),
        }
    }

    /// The card, or what stands in for it in events.
    pub(super) const fn id(&self) -> &CardId {
        &self.id
    }

    /// The generation of the C.I.P. that the codes are compared with.
    pub(super) const fn generation(&self) -> u32 {
        self.generation
    }

    /// Key of its counter in `Space::Tries`.
    pub(super) fn counter(&self) -> &[u8] {
        &self.counter
    }

    /// What the verify key is asked about a presented code: the tags of its two parts, wherever it is cut.
    pub(super) fn tags_of(&self, code: &Guess) -> Vec<(MacKey, SecretBytes)> {
        derive::guess_messages(code, self.first_digits, &self.id, self.generation, &self.salt)
            .map(|message| (MacKey::Verify, message))
            .into()
    }

    /// Compares both tags in full and joins all that must hold. No branch and no address depends on any of it
    /// (`prove --only time-in-code`). `present` is what the record says after the tags were made.
    pub(super) fn weigh(
        &self,
        presented: &[Secret<32>],
        present: &Cip,
        ticket: Option<Ticket>,
    ) -> Result<Weighed, Error> {
        let [first, second] = presented else {
            return Err(Error::Bug("HSM answered another number of tags".into()));
        };
        let [stored_first, stored_second] = &self.tags;
        let [has_first, has_second] = self.has_tag;
        let granted = Choice::from(u8::from(ticket.is_some()));
        // Without a granted try nobody learns whether the codes match: not the wire, and not the log.
        let matches = granted
            & present.generation.ct_eq(&self.generation)
            & first.ct_eq(stored_first)
            & second.ct_eq(stored_second);
        let all = [self.known, self.active, has_first, has_second, granted, matches];
        let accepted = all.iter().fold(Choice::from(1), |sum, check| sum & *check);
        let mut checks = *b"KAFSTM";
        for (letter, check) in checks.iter_mut().zip(all) {
            *letter = letter_of(check, *letter);
        }
        Ok(Weighed { accepted, checks })
    }
}

#[cfg(test)]
mod tests;
