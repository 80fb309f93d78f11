//! What the text of a message file may hold when it goes by SMS: characters that every phone shows, and few enough
//! of them. The lines of the file are joined by single blanks, since a text message has no lines to rely on.

use crate::courier::message::Piece;

/// Most parts of a message: what the gateway is told to allow (`max-messages`).
const MAX_PARTS: usize = 3;

/// Longest second part, in digits, as a lease may order it.
const LONGEST_PART: usize = 20;

/// Digits of the control number.
const CONTROL: usize = 6;

/// The basic alphabet of GSM 03.38, each of them one septet. The characters that take two (`[`, `{`, `€`, ...) are
/// left out, and line ends too.
const ALPHABET: &str = "@£$¥èéùìòÇØøÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";

/// Checks the lines of a file; a fault comes with the number of its line, from 1.
pub(in crate::courier) fn check(lines: &[Vec<Piece>]) -> Result<(), (usize, String)> {
    for (line, number) in lines.iter().zip(1..) {
        if line.is_empty() {
            return Err((number, "an empty line: the lines are joined by blanks".to_owned()));
        }
        let literal = line.iter().filter_map(|piece| match piece {
            Piece::Text(text) => Some(text.as_str()),
            Piece::Code(_) | Piece::Control => None,
        });
        if let Some(c) = literal.flat_map(str::chars).find(|c| !ALPHABET.contains(*c)) {
            return Err((number, format!("{c:?} is not in the basic GSM alphabet of text messages")));
        }
    }
    let septets = longest(lines);
    let parts = parts(septets);
    if parts > MAX_PARTS {
        let why =
            format!("with the longest values {septets} characters, {parts} messages: at most {MAX_PARTS}");
        return Err((lines.len().max(1), why));
    }
    Ok(())
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

/// Messages that this many septets take: 160 in a single one, 153 in each of several.
const fn parts(septets: usize) -> usize {
    if septets <= 160 { 1 } else { septets.div_ceil(153) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::template::CodeName;

    fn text(length: usize) -> Vec<Piece> {
        vec![Piece::Text("a".repeat(length))]
    }

    #[test]
    fn parts_are_counted_as_phones_do() {
        for (septets, count) in [(0, 1), (160, 1), (161, 2), (306, 2), (307, 3), (459, 3), (460, 4)] {
            assert_eq!(parts(septets), count, "{septets}");
        }
        let line = |piece| vec![piece, Piece::Text(" x".to_owned())];
        let lines = [line(Piece::Control), line(Piece::Code(CodeName::Pin))];
        assert_eq!(longest(&lines), 6 + 2 + 1 + 20 + 2);
    }

    #[test]
    fn the_longest_text_of_three_messages_is_taken_and_one_more_is_not() {
        assert_eq!(check(&[text(459)]), Ok(()));
        let (line, why) = check(&[text(400), text(59)]).unwrap_err();
        assert_eq!(
            (line, why.as_str()),
            (2, "with the longest values 460 characters, 4 messages: at most 3")
        );
    }

    #[test]
    fn only_characters_that_every_phone_has_are_taken() {
        assert_eq!(ALPHABET.chars().count(), 125);
        assert_eq!(check(&[vec![Piece::Text("perché così: più già è 1 @ £".to_owned())]]), Ok(()));
        for bad in ["È", "€", "’", "[", "ó", "–", "😀", "`", "ç"] {
            let (line, why) = check(&[text(3), vec![Piece::Text(format!("a{bad}"))]]).unwrap_err();
            assert!(line == 2 && why.ends_with("is not in the basic GSM alphabet of text messages"), "{bad}");
        }
        assert_eq!(check(&[text(1), Vec::new()]).unwrap_err().0, 2);
    }
}
