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
    fn no_context_is_the_beginning_of_another_ones_bytes() {
        for one in Context::ALL {
            assert!(one.text().is_ascii() && !one.text().contains('\0'));
            for other in Context::ALL.into_iter().filter(|other| *other != one) {
                assert!(!signed_bytes(other, "text").starts_with(&signed_bytes(one, "")));
            }
        }
    }
}
