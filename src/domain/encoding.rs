//! The encodings of what a MAC, a digest or a signature is made over: no two different lists of fields give the same bytes.
//!
//! Of a MAC or a digest: `"sigillo/v1\0"`, then the label and each field, each as its length (2 bytes, big-endian) and its bytes.

use crate::secret::SecretBytes;

const PREFIX: &[u8] = b"sigillo/v1\0";

/// A field is longer than 65,535 bytes, which the encoding cannot say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a field of a MAC input is longer than 65535 bytes")]
pub struct TooLong;

/// The encoding of `fields` for the use that `label` names. Written once into memory of its final size, so that no
/// copy of a secret field stays behind.
pub fn domain(label: &str, fields: &[&[u8]]) -> Result<SecretBytes, TooLong> {
    let parts = || std::iter::once(label.as_bytes()).chain(fields.iter().copied());
    let size = parts().fold(PREFIX.len(), |size, part| size.saturating_add(2).saturating_add(part.len()));
    let mut out = Vec::with_capacity(size);
    out.extend_from_slice(PREFIX);
    for part in parts() {
        let Ok(length) = u16::try_from(part.len()) else {
            drop(SecretBytes::new(out));
            return Err(TooLong);
        };
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(part);
    }
    Ok(SecretBytes::new(out))
}

/// What a key signs that serves for more than one kind of text: 64 spaces, the name of the kind, a zero byte and the
/// content, in the manner of TLS 1.3 (RFC 8446, 4.4.3). A signature over one kind never serves for another, nor in another
/// protocol.
pub fn for_signature(kind: &str, content: &[u8]) -> Vec<u8> {
    [" ".repeat(64).as_bytes(), kind.as_bytes(), &[0], content].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_as_documented() {
        let bytes = domain("tag", &[b"ab", b"", &[0xff]]).unwrap();
        assert_eq!(bytes.expose(), b"sigillo/v1\0\0\x03tag\0\x02ab\0\0\0\x01\xff");
    }

    #[test]
    fn a_kind_of_text_is_signed_with_its_name_before_it() {
        assert_eq!(for_signature("kind", b"text"), [&[b' '; 64][..], b"kind\0text"].concat());
    }

    #[test]
    fn fields_do_not_run_together() {
        let one = domain("t", &[b"ab", b"c"]).unwrap();
        let other = domain("t", &[b"a", b"bc"]).unwrap();
        assert_ne!(one.expose(), other.expose());
    }

    #[test]
    fn longest_field_is_65535_bytes() {
        assert!(domain("t", &[&vec![0; 65_535]]).is_ok());
        assert_eq!(domain("t", &[&vec![0; 65_536]]).err(), Some(TooLong));
    }
}
