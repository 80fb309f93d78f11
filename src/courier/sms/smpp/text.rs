//! A text as a message centre takes it: in the default alphabet (GSM 03.38), one septet an octet, or in UCS-2 where
//! that has a character not; in parts with a header (GSM 03.40, 9.2.3.24.1) where it is too long for one.

use zeroize::Zeroizing;

/// The alphabet in its order; where `ALPHABET` has a stop, it has a line end or the escape, which texts never hold.
const ALPHABET: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\u{1b}ÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";

/// Units of a message of one part, and of each of several: septets, or characters of UCS-2.
const SEPTETS: (usize, usize) = (160, 153);
const UCS2: (usize, usize) = (70, 67);

/// What goes into one PDU. It holds second parts.
pub(super) struct Part {
    pub(super) octets: Zeroizing<Vec<u8>>,
    pub(super) is_ucs2: bool,
    pub(super) has_header: bool,
}

/// The parts of a text, in their order. `reference` says that they belong together.
pub(super) fn parts(text: &str, reference: u8) -> Vec<Part> {
    let septet = |c: char| ALPHABET.chars().position(|known| known == c).and_then(|at| u8::try_from(at).ok());
    let septets: Option<Zeroizing<Vec<u8>>> =
        text.chars().map(septet).collect::<Option<Vec<_>>>().map(Zeroizing::new);
    match septets {
        Some(septets) => split(&septets, 1, SEPTETS, false, reference),
        None => {
            let units = text.encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<_>>();
            split(&Zeroizing::new(units), 2, UCS2, true, reference)
        }
    }
}

fn split(
    octets: &[u8],
    unit: usize,
    (single, several): (usize, usize),
    is_ucs2: bool,
    reference: u8,
) -> Vec<Part> {
    if octets.len() <= single.saturating_mul(unit) {
        return vec![Part { octets: Zeroizing::new(octets.to_vec()), is_ucs2, has_header: false }];
    }
    let pieces = octets.chunks(several.saturating_mul(unit).max(1));
    let all = u8::try_from(pieces.len()).unwrap_or(u8::MAX);
    let part = |(number, piece): (u8, &[u8])| {
        let mut octets = Zeroizing::new(Vec::with_capacity(piece.len().saturating_add(6)));
        octets.extend_from_slice(&[5, 0, 3, reference, all, number]);
        octets.extend_from_slice(piece);
        Part { octets, is_ucs2, has_header: true }
    };
    (1..=all).zip(pieces).map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alphabet_has_its_places() {
        assert_eq!(ALPHABET.chars().count(), 128);
        for (text, octets) in [
            ("@", [0]),
            (" ", [0x20]),
            ("0", [0x30]),
            ("A", [0x41]),
            ("z", [0x7a]),
            ("à", [0x7f]),
            ("ì", [7]),
            ("¡", [0x40]),
        ] {
            let [part] = &parts(text, 1)[..] else { panic!("{text}") };
            assert_eq!(
                (&**part.octets, part.is_ucs2, part.has_header),
                (&octets[..], false, false),
                "{text}"
            );
        }
    }

    #[test]
    fn long_texts_go_in_parts_that_belong_together() {
        assert_eq!(parts(&"a".repeat(160), 9).len(), 1);
        let two = parts(&"a".repeat(161), 9);
        assert_eq!(two.iter().map(|part| part.octets.len()).collect::<Vec<_>>(), [159, 14]);
        assert_eq!(two[0].octets[..7], [5, 0, 3, 9, 2, 1, 0x61]);
        assert_eq!(two[1].octets[..7], [5, 0, 3, 9, 2, 2, 0x61]);
        assert!(two.iter().all(|part| part.has_header && !part.is_ucs2));
    }

    #[test]
    fn what_the_alphabet_has_not_goes_in_ucs2() {
        let [part] = &parts("č1", 9)[..] else { panic!("one part") };
        assert_eq!((&**part.octets, part.is_ucs2), (&[1, 0x0d, 0, 0x31][..], true));
        assert_eq!(parts(&"č".repeat(70), 9).len(), 1);
        let two = parts(&"č".repeat(71), 9);
        assert_eq!(two.iter().map(|part| part.octets.len()).collect::<Vec<_>>(), [6 + 134, 6 + 8]);
    }
}
