//! Public keys as files: `SubjectPublicKeyInfo` (RFC 5280, 4.1.2.7) in DER, in PEM, from PKCS#11 attributes and back.

use x509_parser::{prelude::FromDer, public_key::PublicKey, x509::SubjectPublicKeyInfo};

/// `OBJECT IDENTIFIER prime256v1` (RFC 5480, 2.1.1.1), which is also `CKA_EC_PARAMS` of P-256.
pub(super) const P256_OID: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
/// `OBJECT IDENTIFIER id-ecPublicKey`.
const EC_OID: &[u8] = &[0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
/// `OBJECT IDENTIFIER rsaEncryption` and `NULL` (RFC 3279, 2.3.1).
const RSA_ALGORITHM: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];
/// Modulus length of the RSA keys of the set: 128-bit strength (NIST SP 800-57 Part 1 Rev. 5, table 2).
pub(super) const RSA_BITS: u64 = 3072;

/// Modulus and public exponent, big-endian without leading zeros.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RsaPublic {
    pub(super) modulus: Vec<u8>,
    pub(super) exponent: Vec<u8>,
}

/// One DER value: tag, length, content. Nothing if the content is longer than 65,535 bytes.
fn der(tag: u8, content: &[u8]) -> Option<Vec<u8>> {
    let [high, low] = u16::try_from(content.len()).ok()?.to_be_bytes();
    let mut out = vec![tag];
    match (high, low) {
        (0, 0..=0x7f) => out.push(low),
        (0, _) => out.extend([0x81, low]),
        (_, _) => out.extend([0x82, high, low]),
    }
    out.extend_from_slice(content);
    Some(out)
}

/// A positive INTEGER from big-endian bytes.
fn integer(bytes: &[u8]) -> Option<Vec<u8>> {
    let digits = trim(bytes);
    let sign = digits.first().is_none_or(|first| first & 0x80 != 0);
    let content: Vec<u8> = sign.then_some(0).into_iter().chain(digits.iter().copied()).collect();
    der(0x02, &content)
}

/// Drops leading zeros.
fn trim(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.get(zeros..).unwrap_or_default()
}

fn spki(algorithm: &[u8], key: &[u8]) -> Option<Vec<u8>> {
    let mut bits = vec![0]; // no unused bits
    bits.extend_from_slice(key);
    let mut content = der(0x30, algorithm)?;
    content.extend(der(0x03, &bits)?);
    der(0x30, &content)
}

/// DER of an RSA public key.
pub(super) fn rsa(modulus: &[u8], exponent: &[u8]) -> Option<Vec<u8>> {
    let mut pair = integer(modulus)?;
    pair.extend(integer(exponent)?);
    spki(RSA_ALGORITHM, &der(0x30, &pair)?)
}

/// The 65 bytes of an uncompressed P-256 point, from `CKA_EC_POINT`: an OCTET STRING of it (PKCS#11 mechanisms v2.40, 2.3.3),
/// or the bare point that some tokens give.
pub(super) fn p256_point(attribute: &[u8]) -> Option<&[u8]> {
    // By its length: a bare point may begin with the same two bytes.
    let point = if attribute.len() == 67 { attribute.strip_prefix(&[0x04, 0x41])? } else { attribute };
    (point.len() == 65 && point.first() == Some(&0x04)).then_some(point)
}

/// DER of a P-256 public key, from its 65-byte point.
pub(super) fn p256(point: &[u8]) -> Option<Vec<u8>> {
    spki(&[EC_OID, P256_OID].concat(), point)
}

/// The PEM text (RFC 7468, section 13).
pub(super) fn to_pem(der: Vec<u8>) -> String {
    let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    pem::encode_config(&pem::Pem::new("PUBLIC KEY", der), config)
}

/// The DER inside one `PUBLIC KEY` block, or why it is none.
pub(super) fn from_pem(text: &[u8]) -> Result<Vec<u8>, String> {
    let block = pem::parse(text).map_err(|error| format!("not a PEM file: {error}"))?;
    if block.tag() != "PUBLIC KEY" {
        return Err(format!("PEM block is {:?}, not \"PUBLIC KEY\"", block.tag()));
    }
    Ok(block.into_contents())
}

/// Modulus and exponent of an RSA key of [`RSA_BITS`] or more, or why it is not taken.
pub(super) fn parse_rsa(der: &[u8]) -> Result<RsaPublic, String> {
    let (rest, info) =
        SubjectPublicKeyInfo::from_der(der).map_err(|_| "not a SubjectPublicKeyInfo".to_owned())?;
    if !rest.is_empty() {
        return Err("bytes after the public key".into());
    }
    let parsed = info.parsed().map_err(|_| "public key cannot be read".to_owned())?;
    let PublicKey::RSA(key) = parsed else {
        return Err("not an RSA public key".into());
    };
    let public = RsaPublic { modulus: trim(key.modulus).into(), exponent: trim(key.exponent).into() };
    let bytes = usize::try_from(RSA_BITS.div_euclid(8)).map_err(|error| error.to_string())?;
    if public.modulus.len() < bytes {
        return Err(format!("RSA key is shorter than {RSA_BITS} bits"));
    }
    // FIPS 186-5, A.1.1: odd, above 2^16.
    let odd = public.exponent.last().is_some_and(|last| last & 1 == 1);
    if !odd || public.exponent.len() < 3 || public.exponent.len() > 8 {
        return Err("RSA public exponent must be odd and above 65536".into());
    }
    Ok(public)
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::{
        encoding::AsDer,
        rand::SystemRandom,
        rsa::{KeySize, PrivateDecryptingKey},
        signature::{
            ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair,
            UnparsedPublicKey,
        },
    };

    use super::*;

    #[test]
    fn rsa_is_written_as_another_library_writes_it() {
        let key = PrivateDecryptingKey::generate(KeySize::Rsa3072).unwrap();
        let theirs = key.public_key().as_der().unwrap().as_ref().to_vec();
        let parsed = parse_rsa(&theirs).unwrap();
        assert_eq!(rsa(&parsed.modulus, &parsed.exponent).unwrap(), theirs);
        assert_eq!(from_pem(to_pem(theirs.clone()).as_bytes()).unwrap(), theirs);
    }

    #[test]
    fn p256_is_read_by_another_library() {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let point = pair.public_key().as_ref();
        let wrapped = [&[0x04, 0x41], point].concat();
        assert_eq!(p256_point(&wrapped), Some(point));
        assert_eq!(p256_point(point), Some(point));
        assert_eq!(p256_point(&point[1..]), None);
        // One bare point in 256 begins as a wrapped one does.
        let alike = [&[0x04, 0x41][..], &[7; 63]].concat();
        assert_eq!(p256_point(&alike), Some(&*alike));
        let der = p256(point).unwrap();
        let signed = pair.sign(&SystemRandom::new(), b"x").unwrap();
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &der).verify(b"x", signed.as_ref()).unwrap();
    }

    #[test]
    fn bad_transport_keys_are_refused() {
        let short = rsa(&[0xff; 256], &[1, 0, 1]).unwrap();
        assert!(parse_rsa(&short).unwrap_err().contains("shorter than 3072"));
        let even = rsa(&[0xff; 384], &[1, 0, 0]).unwrap();
        assert!(parse_rsa(&even).unwrap_err().contains("exponent"));
        assert!(parse_rsa(&rsa(&[0xff; 384], &[3]).unwrap()).is_err());
        let mut long = rsa(&[0xff; 384], &[1, 0, 1]).unwrap();
        assert!(parse_rsa(&long).is_ok());
        long.push(0);
        assert!(parse_rsa(&long).unwrap_err().contains("after"));
        assert!(parse_rsa(&p256(&[4; 65]).unwrap()).is_err());
        assert!(from_pem(b"-----BEGIN X-----\nAAAA\n-----END X-----\n").unwrap_err().contains("\"X\""));
    }

    #[test]
    fn integers_are_positive_and_shortest() {
        assert_eq!(integer(&[0, 0, 1]).unwrap(), [2, 1, 1]);
        assert_eq!(integer(&[0x80]).unwrap(), [2, 2, 0, 0x80]);
        assert_eq!(integer(&[0]).unwrap(), [2, 1, 0]);
    }
}
