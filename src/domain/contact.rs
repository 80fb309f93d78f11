//! Where a citizen receives second parts, and the plaintext in which it is sealed to the courier's token.
//!
//! The plaintext names the card and the delivery, so that a ciphertext copied into another record is found out by
//! whoever opens it. An address is never printed and is wiped on drop.

mod number;

use std::{fmt, str::FromStr};

use zeroize::Zeroizing;

use crate::{
    domain::id::{CardId, DeliveryId},
    secret::SecretBytes,
};

/// How second parts travel. The byte is part of the sealed plaintext: it never changes, it is only added to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Channel {
    /// Ordinary e-mail.
    Email,
    /// A text message to a mobile phone.
    Sms,
}

/// A text that names no channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no such channel")]
pub struct UnknownChannel;

impl Channel {
    /// Every channel, by name.
    pub const ALL: [Self; 2] = [Self::Email, Self::Sms];

    /// Its name in requests and records.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Sms => "sms",
        }
    }

    /// The channel's byte in the sealed plaintext.
    const fn byte(self) -> u8 {
        match self {
            Self::Email => 1,
            Self::Sms => 2,
        }
    }

    /// The channel of a byte, if there is one.
    fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|channel| channel.byte() == byte)
    }
}

impl FromStr for Channel {
    type Err = UnknownChannel;

    fn from_str(text: &str) -> Result<Self, UnknownChannel> {
        Self::ALL.into_iter().find(|channel| channel.text() == text).ok_or(UnknownChannel)
    }
}

/// Why a text is no contact, or a plaintext holds none. Says what is wrong and never repeats the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadContact {
    /// The part after `@`.
    #[error("the domain is not two or more names of letters, digits and inner hyphens")]
    Domain,
    /// Shorter or longer than an address can be.
    #[error("an e-mail address has 3 to {} bytes", Contact::MAX)]
    Length,
    /// The part before `@`.
    #[error("the part before @ is not 1 to 64 letters, digits, inner dots and !#$%&'*+-/=?^_`{{|}}~")]
    LocalPart,
    /// An Italian number that no text message can reach.
    #[error("+39 is followed by a mobile number: 3 and 8 or 9 digits more")]
    NotMobile,
    /// Not the international form of a telephone number.
    #[error("a mobile number is + and 7 to 15 digits, the country code first, and nothing else")]
    Number,
    /// What was opened is not a sealed contact of a version that is known here.
    #[error("not the plaintext of a contact")]
    Plaintext,
    /// No `@`, or more than one.
    #[error("an e-mail address has exactly one @")]
    Shape,
}

/// Where one citizen receives second parts.
pub struct Contact {
    channel: Channel,
    address: Zeroizing<String>,
}

impl Contact {
    /// Longest e-mail address, in bytes (RFC 5321, the path without its brackets).
    pub const MAX: usize = 254;

    /// Takes an address as it is, or not at all.
    ///
    /// E-mail: the strict form that every relay accepts: ASCII, a dot-string, `@`, a host name with at least two
    /// labels. No quotes, comments, routes, address literals, blanks or control characters. SMS: the international
    /// form of a mobile number (E.164), `+` and digits.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(channel: Channel, text: &str) -> Result<Self, BadContact> {
        match channel {
            Channel::Email => check_email(text)?,
            Channel::Sms => number::check(text)?,
        }
        Ok(Self { channel, address: Zeroizing::new(text.to_owned()) })
    }

    /// How it is reached.
    pub const fn channel(&self) -> Channel {
        self.channel
    }

    /// Whether both are the same mailbox or number: the domain of an e-mail address has no upper and lower case (RFC 5321, 2.4).
    pub fn is_same(&self, other: &Self) -> bool {
        let parts = |contact: &Self| {
            let (mailbox, domain) = contact.address.split_once('@').unwrap_or((&contact.address, ""));
            Zeroizing::new(format!("{mailbox}@{}", domain.to_ascii_lowercase()))
        };
        self.channel == other.channel && parts(self) == parts(other)
    }

    /// The address, for sealing and for sending.
    pub fn expose(&self) -> &str {
        &self.address
    }
}

impl fmt::Debug for Contact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Contact({:?})", self.channel)
    }
}

fn check_email(text: &str) -> Result<(), BadContact> {
    if !(3..=Contact::MAX).contains(&text.len()) {
        return Err(BadContact::Length);
    }
    let (local, domain) = text.split_once('@').ok_or(BadContact::Shape)?;
    if domain.contains('@') {
        return Err(BadContact::Shape);
    }
    // RFC 5321: Dot-string of atoms.
    let atom = |a: &str| {
        !a.is_empty() && a.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&b))
    };
    if local.len() > 64 || !local.split('.').all(atom) {
        return Err(BadContact::LocalPart);
    }
    let label = |l: &str| {
        (1..=63).contains(&l.len())
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !l.starts_with('-')
            && !l.ends_with('-')
    };
    let (_, top) = domain.rsplit_once('.').ok_or(BadContact::Domain)?;
    if !domain.split('.').all(label) || top.bytes().all(|b| b.is_ascii_digit()) {
        return Err(BadContact::Domain);
    }
    Ok(())
}

const VERSION: u8 = 2;

/// Version, card, delivery, channel, length of the address.
const HEAD: usize = 1 + 16 + 16 + 1 + 1;

/// Longest plaintext, in bytes. RSA-3072 with OAEP and SHA-1 takes 342.
pub const MAX_PLAINTEXT: usize = HEAD + Contact::MAX;

const _: () = assert!(MAX_PLAINTEXT <= 342);

/// What is sealed to the courier's token: version 2, card, delivery, channel, length, address.
#[expect(clippy::arithmetic_side_effects, reason = "both lengths are below MAX_PLAINTEXT")]
pub fn seal_plaintext(card: &CardId, delivery: &DeliveryId, contact: &Contact) -> SecretBytes {
    let mut bytes = Vec::with_capacity(HEAD + contact.address.len());
    bytes.push(VERSION);
    bytes.extend_from_slice(card.bytes());
    bytes.extend_from_slice(delivery.bytes());
    bytes.push(contact.channel.byte());
    // At most 254. A token that answers with a part of what it opened must not make another address of it.
    bytes.push(u8::try_from(contact.address.len()).unwrap_or(u8::MAX));
    bytes.extend_from_slice(contact.address.as_bytes());
    SecretBytes::new(bytes)
}

/// The inverse of [`seal_plaintext`]. The caller compares card and delivery with those it was told.
///
/// # Errors
/// [`BadContact::Plaintext`] unless it is exactly of the known version and form; otherwise what is wrong with the
/// address inside.
pub fn open_plaintext(bytes: &[u8]) -> Result<(CardId, DeliveryId, Contact), BadContact> {
    let wrong = BadContact::Plaintext;
    let (version, rest) = bytes.split_first().ok_or(wrong)?;
    let (card, rest) = rest.split_first_chunk::<16>().ok_or(wrong)?;
    let (delivery, rest) = rest.split_first_chunk::<16>().ok_or(wrong)?;
    let (channel, rest) = rest.split_first().ok_or(wrong)?;
    let (length, address) = rest.split_first().ok_or(wrong)?;
    if *version != VERSION || usize::from(*length) != address.len() {
        return Err(wrong);
    }
    let channel = Channel::from_byte(*channel).ok_or(wrong)?;
    let address = std::str::from_utf8(address).map_err(|_| wrong)?;
    Ok((CardId::new(*card), DeliveryId::new(*delivery), Contact::parse(channel, address)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CARD: CardId = CardId::new(*b"card card card 1");
    const DELIVERY: DeliveryId = DeliveryId::new(*b"delivery no. 001");

    fn parse(text: &str) -> Result<String, BadContact> {
        Contact::parse(Channel::Email, text).map(|c| c.expose().to_owned())
    }

    #[test]
    fn ordinary_addresses_are_taken_as_they_are() {
        for good in ["a@b.it", "Nome.Cognome+ts@posta.example.IT", "o'hara_x@xn--caf-dma.it", "1@1a.2b"] {
            assert_eq!(parse(good), Ok(good.to_owned()));
        }
        let label = "d".repeat(61);
        let longest = format!("{}@{label}.{label}.{label}.ita", "u".repeat(64));
        assert_eq!(longest.len(), 254);
        assert!(parse(&longest).is_ok());
        assert_eq!(parse(&format!("{longest}a")), Err(BadContact::Length));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (bad, why) in [
            ("", BadContact::Length),
            ("nessuno", BadContact::Shape),
            ("a@b@c.it", BadContact::Shape),
            ("@relay.it:a@b.it", BadContact::Shape),
            ("@b.it", BadContact::LocalPart),
            ("\"a b\"@c.it", BadContact::LocalPart),
            ("a b@c.it", BadContact::LocalPart),
            ("a..b@c.it", BadContact::LocalPart),
            (".a@c.it", BadContact::LocalPart),
            ("a.@c.it", BadContact::LocalPart),
            ("a\r\nRCPT TO:<x@y.it>", BadContact::LocalPart),
            ("<a@c.it>", BadContact::LocalPart),
            ("perché@c.it", BadContact::LocalPart),
            ("a(commento)@c.it", BadContact::LocalPart),
            ("a@localhost", BadContact::Domain),
            ("a@[192.0.2.1]", BadContact::Domain),
            ("a@192.0.2.1", BadContact::Domain),
            ("a@-c.it", BadContact::Domain),
            ("a@c-.it", BadContact::Domain),
            ("a@c..it", BadContact::Domain),
            ("a@c.it.", BadContact::Domain),
            ("a@c.it\n", BadContact::Domain),
            ("a@caffè.it", BadContact::Domain),
            ("a@c_d.it", BadContact::Domain),
        ] {
            assert_eq!(parse(bad), Err(why), "{bad:?}");
        }
        assert_eq!(parse(&format!("{}@c.it", "u".repeat(65))), Err(BadContact::LocalPart));
        assert_eq!(parse(&format!("a@{}.it", "d".repeat(64))), Err(BadContact::Domain));
    }

    #[test]
    fn one_mailbox_may_be_written_in_two_ways() {
        let email = |text| Contact::parse(Channel::Email, text).unwrap();
        assert!(email("mario@esempio.it").is_same(&email("mario@Esempio.IT")));
        assert!(!email("mario@esempio.it").is_same(&email("Mario@esempio.it")), "the relay decides, not we");
        assert!(!email("mario@esempio.it").is_same(&email("mario@esempio.com")));
        let number = |text| Contact::parse(Channel::Sms, text).unwrap();
        assert!(number("+393331234567").is_same(&number("+393331234567")));
        assert!(!number("+393331234567").is_same(&number("+393331234568")));
    }

    #[test]
    fn nothing_prints_the_address() {
        let contact = Contact::parse(Channel::Email, "mario@esempio.it").unwrap();
        assert_eq!(format!("{contact:?}"), "Contact(Email)");
        assert!(!BadContact::LocalPart.to_string().contains("mario"));
    }

    #[test]
    fn plaintext_and_back() {
        let contact = Contact::parse(Channel::Email, "mario@esempio.it").unwrap();
        let sealed = seal_plaintext(&CARD, &DELIVERY, &contact);
        assert_eq!(sealed.expose(), b"\x02card card card 1delivery no. 001\x01\x10mario@esempio.it");
        let (card, delivery, opened) = open_plaintext(sealed.expose()).unwrap();
        assert_eq!((card, delivery, opened.expose()), (CARD, DELIVERY, "mario@esempio.it"));
        assert_eq!(opened.channel(), Channel::Email);
    }

    #[test]
    fn a_number_is_sealed_under_a_channel_of_its_own() {
        let contact = Contact::parse(Channel::Sms, "+393331234567").unwrap();
        assert_eq!(format!("{contact:?}"), "Contact(Sms)");
        let sealed = seal_plaintext(&CARD, &DELIVERY, &contact);
        assert_eq!(sealed.expose(), b"\x02card card card 1delivery no. 001\x02\x0d+393331234567");
        let (_, _, opened) = open_plaintext(sealed.expose()).unwrap();
        assert_eq!((opened.channel(), opened.expose()), (Channel::Sms, "+393331234567"));
        assert_eq!(Contact::parse(Channel::Sms, "mario@esempio.it").err(), Some(BadContact::Number));
        assert_eq!(Contact::parse(Channel::Email, "+393331234567").err(), Some(BadContact::Shape));
    }

    #[test]
    fn channels_have_names_and_bytes_of_their_own() {
        for channel in Channel::ALL {
            assert_eq!(channel.text().parse(), Ok(channel));
            assert_eq!(Channel::from_byte(channel.byte()), Some(channel));
        }
        for other in ["", "Email", "SMS", "sms ", "pec"] {
            assert_eq!(other.parse::<Channel>(), Err(UnknownChannel));
        }
    }

    #[test]
    fn other_plaintexts_are_refused() {
        let contact = Contact::parse(Channel::Email, "mario@esempio.it").unwrap();
        let good = seal_plaintext(&CARD, &DELIVERY, &contact).expose().to_vec();
        for cut in 0..HEAD {
            assert_eq!(open_plaintext(&good[..cut]).unwrap_err(), BadContact::Plaintext);
        }
        let changed = |at: usize, to: u8| {
            let mut bytes = good.clone();
            bytes[at] = to;
            open_plaintext(&bytes).unwrap_err()
        };
        assert_eq!(changed(0, 1), BadContact::Plaintext);
        assert_eq!(changed(33, 0), BadContact::Plaintext);
        assert_eq!(changed(33, 2), BadContact::Number);
        assert_eq!(changed(33, 3), BadContact::Plaintext);
        assert_eq!(changed(34, 15), BadContact::Plaintext);
        assert_eq!(changed(35, 0xff), BadContact::Plaintext);
        assert_eq!(changed(35, b' '), BadContact::LocalPart);
        // `mario@esempio.i` would be an address of its own, and somebody else's.
        for cut in HEAD..good.len() {
            assert_eq!(open_plaintext(&good[..cut]).unwrap_err(), BadContact::Plaintext);
        }
    }
}
