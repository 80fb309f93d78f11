//! Texts that an operator's card signs: what the signature is made over.
//!
//! 64 spaces, the context, a zero byte and the text, in the manner of TLS 1.3 (RFC 8446, 4.4.3): a signature for one
//! context never serves for another, nor for a TLS handshake, which the same key signs too. Pure.

use super::encoding;

/// What a signature is for. Its text is part of what is signed: it never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    /// One operator agrees to what another one asks for.
    Approval,
    /// An operator binds the card to the entry of the policy's list.
    OperatorRegistration,
}

impl Context {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Approval, Self::OperatorRegistration];

    /// Its text, ASCII.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Approval => "Sigillo, approval v1",
            Self::OperatorRegistration => "Sigillo, operator registration v1",
        }
    }
}

/// Longest text that is signed at a workstation, bytes.
pub const LONGEST: usize = 4096;

/// A text that a person can read to its end as it will be signed: lines of printable ASCII, each with its end. Nothing in it
/// moves a terminal's cursor, hides or reorders what is shown.
#[derive(Clone, Copy)]
pub struct Legible<'a>(&'a str);

/// Why a text is not [`Legible`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Illegible {
    /// A character that a terminal does not show as itself (which, and in which line, from 1).
    #[error("line {1} has a character that is not shown as it is (U+{0:04X})")]
    Character(u32, usize),
    /// More than [`LONGEST`] bytes.
    #[error("it is longer than {LONGEST} bytes")]
    Long,
    /// Nothing, or a last line without its end.
    #[error("its last line has no end")]
    Unended,
}

impl<'a> Legible<'a> {
    /// Looks at every character.
    ///
    /// # Errors
    /// [`Illegible`]
    pub fn new(text: &'a str) -> Result<Self, Illegible> {
        if text.len() > LONGEST {
            return Err(Illegible::Long);
        }
        for (line, content) in (1..).zip(text.split('\n')) {
            if let Some(hidden) = content.chars().find(|c| !(' '..='~').contains(c)) {
                return Err(Illegible::Character(hidden.into(), line));
            }
        }
        if text.ends_with('\n') { Ok(Self(text)) } else { Err(Illegible::Unended) }
    }

    /// The text.
    pub const fn as_str(self) -> &'a str {
        self.0
    }
}

/// The text is not the one that is meant: a field of it says something else. It gets no signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its \"{0}\" is not what it must be")]
pub struct Unfit(pub &'static str);

/// The bytes that a card's key signs for `text`.
pub fn signed_bytes(context: Context, text: &str) -> Vec<u8> {
    encoding::for_signature(context.text(), text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_64_spaces_the_context_a_zero_byte_and_the_text() {
        let bytes = signed_bytes(Context::OperatorRegistration, "però\n");
        assert_eq!(bytes[..64], [0x20; 64]);
        assert_eq!(bytes[64..], *b"Sigillo, operator registration v1\0per\xc3\xb2\n");
        assert_eq!(signed_bytes(Context::Approval, "")[64..], *b"Sigillo, approval v1\0");
    }

    #[test]
    fn what_a_terminal_does_not_show_as_it_is_makes_a_text_illegible() {
        let reason = |text: &str| Legible::new(text).map(|_| ()).unwrap_err();
        assert_eq!(Legible::new(" to ~\nthe end\n").map(Legible::as_str), Ok(" to ~\nthe end\n"));
        for hidden in [
            '\0', '\u{7}', '\u{8}', '\t', '\r', '\u{1b}', '\u{7f}', '\u{9b}', '\u{202e}', '\u{feff}',
            '\u{e8}',
        ] {
            let text = format!("a line\nthen {hidden} and more\n");
            assert_eq!(reason(&text), Illegible::Character(hidden.into(), 2));
        }
        assert_eq!((reason(""), reason("a\nb")), (Illegible::Unended, Illegible::Unended));
        let longest = "x".repeat(LONGEST - 1);
        assert!(Legible::new(&format!("{longest}\n")).is_ok());
        assert_eq!(reason(&format!("x{longest}\n")), Illegible::Long);
    }

    #[test]
    fn no_context_is_the_beginning_of_another_ones_bytes() {
        for one in Context::ALL {
            assert!(one.text().is_ascii() && !one.text().contains('\0'));
            for other in Context::ALL.into_iter().filter(|other| *other != one) {
                assert!(!signed_bytes(other, "text").starts_with(&signed_bytes(one, "")));
            }
        }
    }
}
