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

/// A signature `r || s` as `openssl dgst -verify` reads it: a sequence of two integers (RFC 3279, 2.2.3).
pub fn ecdsa_der(signature: &[u8; 64]) -> Vec<u8> {
    let (r, s) = signature.split_at(32);
    yasna::construct_der(|w| {
        w.write_sequence(|w| {
            w.next().write_bigint_bytes(r, true);
            w.next().write_bigint_bytes(s, true);
        });
    })
}

/// `r || s` out of what [`ecdsa_der`] writes; nothing of anything else.
pub fn ecdsa_fixed(der: &[u8]) -> Option<[u8; 64]> {
    let integers = yasna::parse_der(der, |reader| {
        reader.read_sequence(|reader| {
            Ok([reader.next().read_bigint_bytes()?, reader.next().read_bigint_bytes()?])
        })
    });
    let mut out = [0; 64];
    for (half, (bytes, is_positive)) in out.chunks_exact_mut(32).zip(integers.ok()?) {
        let begin = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
        let (_, number) = bytes.split_at(begin);
        let (_, end) = half.split_at_mut_checked(32_usize.checked_sub(number.len())?)?;
        end.copy_from_slice(number);
        is_positive.then_some(())?;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_of_a_signature_are_positive_and_short() {
        let mut signature = [0; 64];
        signature[0] = 0x80;
        signature[63] = 1;
        let der = ecdsa_der(&signature);
        assert_eq!(&der[..5], &[0x30, 38, 0x02, 33, 0]);
        assert_eq!(&der[der.len() - 3..], &[0x02, 1, 1]);
        assert_eq!(ecdsa_fixed(&der), Some(signature));
        assert_eq!(ecdsa_fixed(&ecdsa_der(&[0xff; 64])), Some([0xff; 64]));
        for (other, why) in [
            (&[0x30, 6, 2, 1, 0x80, 2, 1, 1][..], "a negative number"),
            (&[0x30, 3, 2, 1, 1], "one number"),
            (&[], "nothing"),
        ] {
            assert_eq!(ecdsa_fixed(other), None, "{why}");
        }
        let long = [&[0x30, 38, 2, 33, 1][..], &[0; 32], &[2, 1, 1]].concat();
        assert_eq!(ecdsa_fixed(&long), None, "33 bytes");
    }

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
