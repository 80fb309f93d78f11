//! What the key in the card is applied to: it computes bare RSA, the encoding of a signature is made here (RFC 8017).

use aws_lc_rs::digest::{SHA256, digest};

/// `DigestInfo` of SHA-256 without the digest.
const DIGEST_INFO: [u8; 19] = [
    0x30, 0x31, 0x30, 0x0D, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00,
    0x04, 0x20,
];

/// EMSA-PKCS1-v1_5 with SHA-256 for a modulus of `size` bytes; nothing where it is too short.
pub(super) fn pkcs1(message: &[u8], size: usize) -> Option<Vec<u8>> {
    let tail = [&DIGEST_INFO, digest(&SHA256, message).as_ref()].concat();
    let filling = size.checked_sub(tail.len())?.checked_sub(3).filter(|filling| *filling >= 8)?;
    Some([&[0x00, 0x01][..], &vec![0xFF; filling], &[0x00], &tail].concat())
}

/// EMSA-PSS with SHA-256, MGF1 and this salt, for a modulus of `size` bytes and 8 times as many bits; nothing where it is
/// too short.
pub(super) fn pss(message: &[u8], salt: &[u8; 32], size: usize) -> Option<Vec<u8>> {
    let hash = digest(&SHA256, message);
    let hash = digest(&SHA256, &[&[0; 8], hash.as_ref(), salt].concat());
    let masked = size.checked_sub(33)?;
    let zeros = masked.checked_sub(33)?;
    let data = [&vec![0; zeros][..], &[0x01], salt].concat();
    let mut block: Vec<u8> = data.iter().zip(mask(hash.as_ref())).map(|(byte, mask)| byte ^ mask).collect();
    *block.first_mut()? &= 0x7F;
    block.extend(hash.as_ref());
    block.push(0xBC);
    Some(block)
}

/// MGF1 with SHA-256, without end.
fn mask(seed: &[u8]) -> impl Iterator<Item = u8> {
    (0_u32..).flat_map(move |counter| {
        let block = digest(&SHA256, &[seed, &counter.to_be_bytes()].concat());
        <[u8; 32]>::try_from(block.as_ref()).unwrap_or_default()
    })
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::{
        rand::SystemRandom,
        rsa::{KeyPair, KeySize},
        signature::{KeyPair as _, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding},
    };
    use num_bigint::BigUint;
    use x509_parser::{prelude::FromDer, public_key::RSAPublicKey};

    use super::*;

    const MESSAGE: &[u8] = b"a message";

    /// What the library applied its key to.
    fn block(encoding: &'static dyn RsaEncoding) -> Vec<u8> {
        let key = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let mut signature = vec![0; key.public_modulus_len()];
        key.sign(encoding, &SystemRandom::new(), MESSAGE, &mut signature).unwrap();
        let (_, public) = RSAPublicKey::from_der(key.public_key().as_ref()).unwrap();
        let (exponent, modulus) =
            (BigUint::from_bytes_be(public.exponent), BigUint::from_bytes_be(public.modulus));
        let bare = BigUint::from_bytes_be(&signature).modpow(&exponent, &modulus).to_bytes_be();
        let zeros = 256_usize.checked_sub(bare.len()).unwrap();
        [vec![0; zeros], bare].concat()
    }

    #[test]
    fn the_encodings_are_the_librarys() {
        assert_eq!(pkcs1(MESSAGE, 256), Some(block(&RSA_PKCS1_SHA256)));

        let theirs = block(&RSA_PSS_SHA256);
        let (masked, hash) = theirs.split_at(223);
        let unmasked: Vec<u8> =
            masked.iter().zip(mask(&hash[..32])).map(|(byte, mask)| byte ^ mask).collect();
        let salt = unmasked.last_chunk().unwrap();
        assert_eq!(pss(MESSAGE, salt, 256), Some(theirs.clone()));
    }

    #[test]
    fn a_short_modulus_is_refused() {
        assert_eq!((pkcs1(MESSAGE, 61), pkcs1(MESSAGE, 62).map(|b| b.len())), (None, Some(62)));
        assert_eq!(
            (pss(MESSAGE, &[0; 32], 65), pss(MESSAGE, &[0; 32], 66).map(|b| b.len())),
            (None, Some(66))
        );
    }
}
