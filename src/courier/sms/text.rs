//! What the text of a message file may hold when it goes by SMS: characters that every phone shows, and few enough
//! of them. The lines of the file are joined by single blanks, since a text message has no lines to rely on.

use crate::{courier::message::Piece, domain::message::MessageLanguage};

/// Most parts of a message: what the gateway is told to allow (`max-messages`).
const MAX_PARTS: usize = 3;

/// Longest second part, in digits, as a lease may order it.
const LONGEST_PART: usize = 20;

/// Digits of the control number.
const CONTROL: usize = 6;

/// The basic alphabet of GSM 03.38, each of them one septet. The characters that take two (`[`, `{`, `€`, ...) are
/// left out, and line ends too.
const ALPHABET: &str = "@£$¥èéùìòÇØøÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";

/// How a text message is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alphabet {
    /// Basic alphabet of GSM 03.38: seven bits a character.
    Gsm,
    /// UCS-2: sixteen.
    Unicode,
}

impl Alphabet {
    /// Characters that fit into a single message, and into each of several.
    const fn room(self) -> (usize, usize) {
        match self {
            Self::Gsm => (160, 153),
            Self::Unicode => (70, 67),
        }
    }

    /// Messages that so many characters take.
    const fn parts(self, characters: usize) -> usize {
        let (single, each) = self.room();
        if characters <= single { 1 } else { characters.div_ceil(each) }
    }
}

/// How long a text can get, with every code there and as long as it can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// What it is written in.
    pub alphabet: Alphabet,
    /// Characters.
    pub characters: usize,
    /// Messages.
    pub parts: usize,
}

/// Checks the lines of a file; a fault comes with the number of its line, from 1. Slovene alone may go beyond the basic
/// alphabet, since it cannot be written within.
pub(in crate::courier) fn check(
    lines: &[Vec<Piece>],
    language: MessageLanguage,
) -> Result<Size, (usize, String)> {
    let mut alphabet = Alphabet::Gsm;
    for (line, number) in lines.iter().zip(1..) {
        if line.is_empty() {
            return Err((number, "an empty line: the lines are joined by blanks".to_owned()));
        }
        let literal = line.iter().filter_map(|piece| match piece {
            Piece::Text(text) => Some(text.as_str()),
            Piece::Code(_) | Piece::Control => None,
        });
        for c in literal.flat_map(str::chars).filter(|c| !ALPHABET.contains(*c)) {
            if language != MessageLanguage::Slovene {
                return Err((number, format!("{c:?} is not in the basic GSM alphabet of text messages")));
            }
            if c.len_utf16() > 1 {
                return Err((number, format!("{c:?} is not in UCS-2, the wider alphabet of text messages")));
            }
            alphabet = Alphabet::Unicode;
        }
    }
    let characters = longest(lines);
    let parts = alphabet.parts(characters);
    if parts > MAX_PARTS {
        let why =
            format!("with the longest values {characters} characters, {parts} messages: at most {MAX_PARTS}");
        return Err((lines.len().max(1), why));
    }
    Ok(Size { alphabet, characters, parts })
}

/// Characters of the whole text when every code is there and as long as it can be.
fn longest(lines: &[Vec<Piece>]) -> usize {
    let of = |piece: &Piece| match piece {
        Piece::Code(_) => LONGEST_PART,
        Piece::Control => CONTROL,
        Piece::Text(text) => text.chars().count(),
    };
    let all = lines.iter().flatten().map(of).fold(0, usize::saturating_add);
    all.saturating_add(lines.len().saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::template::CodeName;

    const IT: MessageLanguage = MessageLanguage::Italian;
    const SL: MessageLanguage = MessageLanguage::Slovene;

    fn text(length: usize) -> Vec<Piece> {
        vec![Piece::Text("a".repeat(length))]
    }

    #[test]
    fn parts_are_counted_as_phones_do() {
        for (septets, count) in [(0, 1), (160, 1), (161, 2), (306, 2), (307, 3), (459, 3), (460, 4)] {
            assert_eq!(Alphabet::Gsm.parts(septets), count, "{septets}");
        }
        for (characters, count) in [(70, 1), (71, 2), (134, 2), (135, 3), (201, 3), (202, 4)] {
            assert_eq!(Alphabet::Unicode.parts(characters), count, "{characters}");
        }
        let line = |piece| vec![piece, Piece::Text(" x".to_owned())];
        let lines = [line(Piece::Control), line(Piece::Code(CodeName::Pin))];
        assert_eq!(longest(&lines), 6 + 2 + 1 + 20 + 2);
    }

    #[test]
    fn the_longest_text_of_three_messages_is_taken_and_one_more_is_not() {
        let size = Size { alphabet: Alphabet::Gsm, characters: 459, parts: 3 };
        assert_eq!(check(&[text(459)], IT), Ok(size));
        let (line, why) = check(&[text(400), text(59)], IT).unwrap_err();
        assert_eq!(
            (line, why.as_str()),
            (2, "with the longest values 460 characters, 4 messages: at most 3")
        );
    }

    #[test]
    fn only_characters_that_every_phone_has_are_taken() {
        assert_eq!(ALPHABET.chars().count(), 125);
        assert!(check(&[vec![Piece::Text("perché così: più già è 1 @ £".to_owned())]], IT).is_ok());
        for bad in ["È", "€", "’", "[", "ó", "–", "😀", "`", "ç"] {
            let (line, why) = check(&[text(3), vec![Piece::Text(format!("a{bad}"))]], IT).unwrap_err();
            assert!(line == 2 && why.ends_with("is not in the basic GSM alphabet of text messages"), "{bad}");
        }
        assert_eq!(check(&[text(1), Vec::new()], IT).unwrap_err().0, 2);
    }

    #[test]
    fn slovene_may_use_the_wider_alphabet_and_has_less_room() {
        let of = |text: &str| check(&[vec![Piece::Text(text.to_owned())]], SL);
        assert_eq!(of("abc").unwrap().alphabet, Alphabet::Gsm);
        assert_eq!(of("Št. č").unwrap(), Size { alphabet: Alphabet::Unicode, characters: 5, parts: 1 });
        assert_eq!(of(&"č".repeat(201)).unwrap().parts, 3);
        assert_eq!(
            of(&"č".repeat(202)).unwrap_err().1,
            "with the longest values 202 characters, 4 messages: at most 3"
        );
        assert!(of("😀").unwrap_err().1.ends_with("is not in UCS-2, the wider alphabet of text messages"));
    }
}
