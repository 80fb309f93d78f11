//! From MACs to the parts of a code, and from parts to the messages of their tags.
//!
//! Pure: the caller asks an HSM for the MACs, first parts under the print key, second parts under the deliver key,
//! tags under the verify key. One message is one code, part, card, generation and counter: a new generation of one
//! code never changes another.

use std::iter;

use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroizing;

use super::{
    encoding,
    id::CardId,
    template::{CodeName, Part, TemplateId},
};
use crate::secret::{Digits, Secret, SecretBytes};

/// Most digits that are read out of one MAC.
pub const DIGITS_MAX: u8 = 36;

/// How many counters [`part`] tries. At least half of the values are allowed, so the chance that none of them gives an
/// allowed part is at most 2^-256.
const COUNTERS: u32 = 256;

/// The message whose MAC gives a part of a code.
pub fn part_message(
    part: Part,
    code: CodeName,
    card: &CardId,
    generation: u32,
    salt: &[u8; 32],
    template: &TemplateId,
    counter: u32,
) -> SecretBytes {
    message(
        part.text(),
        &[
            code.text().as_bytes(),
            card.bytes(),
            &generation.to_be_bytes(),
            salt,
            template.as_str().as_bytes(),
            &counter.to_be_bytes(),
        ],
    )
}

/// The message whose MAC is the tag of a part of a C.I.P.
///
/// The digits go in as their number and 64 bytes, padded with zero bytes: the message has the same size for every
/// guess, so that neither it nor the MAC takes longer for one length than for another.
pub fn tag_message(
    part: Part,
    card: &CardId,
    generation: u32,
    salt: &[u8; 32],
    digits: &Digits,
) -> SecretBytes {
    let digits = digits.expose().as_bytes();
    let mut padded = Padded::new([0; _]);
    for (to, from) in padded.iter_mut().zip(iter::once(&length(digits)).chain(digits)) {
        *to = *from;
    }
    tag_message_of(part, card, generation, salt, &padded)
}

/// A presented code, as many bytes whatever its length: its digits, then zero bytes.
pub struct Guess {
    /// In one place on the heap: what moves leaves no copies of it.
    digits: SecretBytes,
    length: u8,
}

impl From<&Digits> for Guess {
    fn from(code: &Digits) -> Self {
        let code = code.expose().as_bytes();
        let mut digits = Vec::with_capacity(Digits::MAX);
        digits.extend_from_slice(code);
        digits.resize(Digits::MAX, 0);
        Self { digits: SecretBytes::new(digits), length: length(code) }
    }
}

impl Guess {
    /// The digits, with what fills them up.
    pub fn expose(&self) -> &[u8] {
        self.digits.expose()
    }
}

/// At most 64.
fn length(digits: &[u8]) -> u8 {
    u8::try_from(digits.len()).unwrap_or(u8::MAX)
}

/// Number and bytes of a part's digits, as they go into the message of its tag.
type Padded = Zeroizing<[u8; 1 + Digits::MAX]>;

/// The messages of the tags of both parts of a presented code: of its first `first` digits, or of all there are, and of the
/// rest. Any length is cut without complaint, since a wrong length is a wrong guess like any other.
///
/// The code is cut in place, as bytes, in the same steps whatever its length: no branch and no address depends on a digit
/// (`prove --only time-in-code`). To cut it as text would look at a byte of it.
pub fn guess_messages(
    code: &Guess,
    first: u8,
    card: &CardId,
    generation: u32,
    salt: &[u8; 32],
) -> [SecretBytes; 2] {
    let first = first.min(code.length);
    let (mut head, mut tail) = (Padded::new([0; _]), Padded::new([0; _]));
    let ([length, digits @ ..], [rest, others @ ..]) = (&mut *head, &mut *tail);
    (*length, *rest) = (first, code.length.saturating_sub(first));
    for ((at, to), digit) in (0_u8..).zip(digits).zip(code.expose()) {
        *to = digit & u8::from(at < first).wrapping_neg();
    }
    for (to, digit) in others.iter_mut().zip(code.expose().iter().skip(usize::from(first))) {
        *to = *digit;
    }
    // By reference: what is moved leaves a copy behind.
    [(Part::First, &head), (Part::Second, &tail)]
        .map(|(part, padded)| tag_message_of(part, card, generation, salt, padded))
}

fn tag_message_of(
    part: Part,
    card: &CardId,
    generation: u32,
    salt: &[u8; 32],
    padded: &Padded,
) -> SecretBytes {
    message(
        "tag",
        &[part.text().as_bytes(), card.bytes(), &generation.to_be_bytes(), salt, padded.as_slice()],
    )
}

fn message(label: &str, fields: &[&[u8]]) -> SecretBytes {
    #[expect(clippy::expect_used, reason = "every field above is bounded by its type to at most 65 bytes")]
    encoding::domain(label, fields).expect("short fields")
}

/// The first `count` decimal digits of the MAC read as a fraction: `floor(MAC / 2^256 * 10^count)`, zero padded.
/// Nothing if `count` is over [`DIGITS_MAX`].
///
/// Each digit is the carry of multiplying 256 bits by ten: no division, and no branch or index depends on the secret.
/// No value is more likely than another by a share of more than `10^count / 2^256`: 2^-136 for 36 digits, 2^-189 for 20.
pub fn digits(mac: &Secret<32>, count: u8) -> Option<Digits> {
    if count > DIGITS_MAX {
        return None;
    }
    let mut fraction = Zeroizing::new([0_u64; 8]); // 32 bits each, the lowest first
    for (limb, bytes) in fraction.iter_mut().zip(mac.expose().rchunks_exact(4)) {
        *limb = bytes.iter().fold(0, |sum, byte| (sum << 8) | u64::from(*byte));
    }
    let mut text = String::with_capacity(usize::from(count));
    for _ in 0..count {
        let mut carry = 0_u64;
        for limb in fraction.iter_mut() {
            let product = limb.wrapping_mul(10).wrapping_add(carry);
            *limb = product & 0xffff_ffff;
            carry = product >> 32;
        }
        let [digit, ..] = carry.to_le_bytes();
        text.push(char::from(b'0'.wrapping_add(digit)));
    }
    Digits::parse(text)
}

/// Whether a part may be given out. Compares with every forbidden one, in time that does not depend on the part.
pub fn is_allowed(part: &Digits, forbidden: &[String]) -> bool {
    let part = part.expose().as_bytes();
    let hit = forbidden.iter().fold(Choice::from(0), |hit, other| hit | part.ct_eq(other.as_bytes()));
    !bool::from(hit)
}

/// The search for a part that is not forbidden: the MAC of [`part_message`] with counter 0, and with the next one for as
/// long as the part is forbidden. How many are asked for tells how many forbidden parts were passed over, nothing of the
/// part given out.
#[derive(Debug)]
pub struct Search<'f> {
    digits: u8,
    forbidden: &'f [String],
    counter: u32,
}

/// How a [`Search`] goes on.
#[derive(Debug)]
pub enum Step {
    /// The MAC with this counter is wanted.
    Ask(u32),
    /// This is the part.
    Found(Digits),
    /// More digits than [`DIGITS_MAX`], or no counter gave an allowed part, which a checked template rules out: it
    /// leaves at least half of the values.
    Never,
}

impl<'f> Search<'f> {
    /// Of a part of so many digits. The first MAC wanted has counter 0.
    pub const fn new(digits: u8, forbidden: &'f [String]) -> Self {
        Self { digits, forbidden, counter: 0 }
    }

    /// Takes the MAC that was wanted.
    pub fn offer(&mut self, mac: &Secret<32>) -> Step {
        match digits(mac, self.digits) {
            None => Step::Never,
            Some(part) if is_allowed(&part, self.forbidden) => Step::Found(part),
            Some(_) => {
                self.counter = self.counter.saturating_add(1);
                if self.counter < COUNTERS { Step::Ask(self.counter) } else { Step::Never }
            }
        }
    }
}

/// A whole code out of its parts; nothing if it has more than [`Digits::MAX`] digits. Only for the chip.
pub fn join(first: &Digits, second: &Digits) -> Option<Digits> {
    let size = first.expose().len().saturating_add(second.expose().len());
    if size > Digits::MAX {
        return None;
    }
    let mut text = String::with_capacity(size); // its final size: growth leaves copies behind
    text.push_str(first.expose());
    text.push_str(second.expose());
    Digits::parse(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(digits: Option<Digits>) -> String {
        digits.unwrap().expose().to_owned()
    }

    fn some(text: &str) -> Digits {
        Digits::parse(text.into()).unwrap()
    }

    #[test]
    fn digits_of_a_fraction() {
        let half = Secret::new([&[0x80][..], &[0; 31]].concat().try_into().unwrap());
        assert_eq!(text(digits(&half, 5)), "50000");
        assert_eq!(text(digits(&Secret::new([0; 32]), 4)), "0000");
        assert_eq!(text(digits(&Secret::new([0xff; 32]), 36)), "9".repeat(36));
        assert_eq!(text(digits(&half, 0)), "");
        assert!(digits(&half, 37).is_none());
        // 0x55...55 / 2^256 is just under a third; the last bytes count too
        assert_eq!(text(digits(&Secret::new([0x55; 32]), 36)), "3".repeat(36));
        let mut tiny = [0; 32];
        tiny[16] = 0x10; // 2^-132 = 1.8367099231598242e-40
        assert_eq!(text(digits(&Secret::new(tiny), 36)), "0".repeat(36));
        tiny[14] = 0x10; // 2^-116 = 1.2037062152420224e-35
        assert_eq!(text(digits(&Secret::new(tiny), 36)), format!("{}12", "0".repeat(34)));
    }

    #[test]
    fn forbidden_parts_are_passed_over() {
        let forbidden = ["00".to_owned(), "50".to_owned()];
        let mac = |first: u8| {
            let mut mac = [0; 32];
            mac[0] = first;
            Secret::new(mac)
        };
        let mut search = Search::new(2, &forbidden);
        assert!(matches!(search.offer(&mac(0x00)), Step::Ask(1)));
        assert!(matches!(search.offer(&mac(0x80)), Step::Ask(2)));
        let Step::Found(part) = search.offer(&mac(0x40)) else { panic!("25 is allowed") };
        assert_eq!(part.expose(), "25");
    }

    #[test]
    fn a_search_that_cannot_end_ends() {
        let forbidden = ["00".to_owned()];
        let mut search = Search::new(2, &forbidden);
        let zero = Secret::new([0; 32]);
        let mut asked = 1;
        while let Step::Ask(counter) = search.offer(&zero) {
            assert_eq!(counter, asked);
            asked += 1;
        }
        assert_eq!(asked, COUNTERS);
        assert!(matches!(Search::new(37, &[]).offer(&zero), Step::Never));
    }

    #[test]
    fn only_whole_parts_are_forbidden() {
        let forbidden = ["12".to_owned()];
        assert!(!is_allowed(&some("12"), &forbidden));
        for part in ["123", "1", "21", ""] {
            assert!(is_allowed(&some(part), &forbidden), "{part}");
        }
    }

    #[test]
    fn a_guess_is_cut_wherever_it_ends() {
        let (card, salt) = (CardId::new([1; 16]), [2; 32]);
        for (code, first, head, tail) in
            [("12345678", 4, "1234", "5678"), ("123", 4, "123", ""), ("", 4, "", ""), ("12", 0, "", "12")]
        {
            let messages = guess_messages(&Guess::from(&some(code)), first, &card, 3, &salt);
            let of_parts = [(Part::First, head), (Part::Second, tail)]
                .map(|(part, digits)| tag_message(part, &card, 3, &salt, &some(digits)));
            for (message, of_part) in messages.iter().zip(&of_parts) {
                assert_eq!(message.expose(), of_part.expose(), "{code} {first}");
            }
            assert_eq!(text(join(&some(head), &some(tail))), code);
        }
        assert!(join(&some(&"1".repeat(64)), &some("1")).is_none());
    }

    #[test]
    fn tag_message_has_one_size() {
        let size = |digits: &str| {
            tag_message(Part::First, &CardId::new([1; 16]), 1, &[2; 32], &some(digits)).expose().len()
        };
        assert_eq!(size(""), size("1234"));
        assert_eq!(size("1234"), size(&"9".repeat(64)));
    }
}
