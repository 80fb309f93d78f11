//! Proof that the holder of a certificate's key signed a text: a signature that the card makes over it and its context.
//!
//! It says nothing about the certificate: that is judged first ([`super::Validator`]), and anew each time.

use aws_lc_rs::signature::{self, UnparsedPublicKey, VerificationAlgorithm};

use crate::domain::signed_text::{self, Context};

/// Longest signature looked at, bytes: RSA of 8192 bits.
pub const MAX_SIGNATURE: usize = 1024;

/// What the keys of accepted certificates sign with. Cards have RSA keys and make either of the first two, over SHA-256
/// (PSS with MGF1 and a salt of 32 bytes).
static ALGORITHMS: [&dyn VerificationAlgorithm; 4] = [
    &signature::RSA_PKCS1_2048_8192_SHA256,
    &signature::RSA_PSS_2048_8192_SHA256,
    &signature::ECDSA_P256_SHA256_ASN1,
    &signature::ECDSA_P384_SHA384_ASN1,
];

/// The signature is not one over this text in this context by this key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not hold for this text and this key")]
pub struct NotSigned;

/// Whether `signature` is over `text` in `context` by the key in `spki` (`SubjectPublicKeyInfo`, DER), which is that of an
/// accepted certificate: RSA of 2048 to 8192 bits, P-256 or P-384.
///
/// # Errors
/// [`NotSigned`]: of another text, context or key, or no signature at all.
pub fn holds(spki: &[u8], context: Context, text: &str, signature: &[u8]) -> Result<(), NotSigned> {
    if signature.len() > MAX_SIGNATURE {
        return Err(NotSigned);
    }
    let bytes = signed_text::signed_bytes(context, text);
    // A key of one kind is none of another: only its own algorithms can verify.
    let by = |algorithm: &&'static dyn VerificationAlgorithm| {
        UnparsedPublicKey::new(*algorithm, spki).verify(&bytes, signature).is_ok()
    };
    if ALGORITHMS.iter().any(by) { Ok(()) } else { Err(NotSigned) }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::{
        encoding::AsDer,
        rand::SystemRandom,
        rsa::KeySize,
        signature::{EcdsaKeyPair, KeyPair, RsaKeyPair},
    };

    use super::*;

    const TEXT: &str = "sigillo operator registration v1\nnonce 00\n";
    const FOR: Context = Context::OperatorRegistration;

    fn key(size: KeySize) -> (RsaKeyPair, Vec<u8>) {
        let pair = RsaKeyPair::generate(size).unwrap();
        let spki = pair.public_key().as_der().unwrap().as_ref().to_vec();
        (pair, spki)
    }

    fn sign(pair: &RsaKeyPair, with: &'static dyn signature::RsaEncoding, bytes: &[u8]) -> Vec<u8> {
        let mut out = vec![0; pair.public_modulus_len()];
        pair.sign(with, &SystemRandom::new(), bytes, &mut out).unwrap();
        out
    }

    fn schemes() -> [&'static dyn signature::RsaEncoding; 2] {
        [&signature::RSA_PKCS1_SHA256, &signature::RSA_PSS_SHA256]
    }

    #[test]
    fn both_schemes_of_a_card_hold_from_2048_to_4096_bits() {
        for size in [KeySize::Rsa2048, KeySize::Rsa3072, KeySize::Rsa4096] {
            let (pair, spki) = key(size);
            for scheme in schemes() {
                let signature = sign(&pair, scheme, &signed_text::signed_bytes(FOR, TEXT));
                assert_eq!(holds(&spki, FOR, TEXT, &signature), Ok(()));
            }
        }
    }

    #[test]
    fn another_context_text_or_key_and_damage_are_refused() {
        let ((pair, spki), (_, other)) = (key(KeySize::Rsa2048), key(KeySize::Rsa2048));
        for scheme in schemes() {
            let good = sign(&pair, scheme, &signed_text::signed_bytes(FOR, TEXT));
            assert_eq!(holds(&spki, Context::Approval, TEXT, &good), Err(NotSigned));
            assert_eq!(holds(&spki, FOR, &TEXT.replace("00", "01"), &good), Err(NotSigned));
            assert_eq!(holds(&other, FOR, TEXT, &good), Err(NotSigned));
            let mut damaged = good.clone();
            damaged[7] ^= 1;
            let long = [good.as_slice(), &[0; MAX_SIGNATURE]].concat();
            for bad in [&damaged[..], &good[1..], &long, &[]] {
                assert_eq!(holds(&spki, FOR, TEXT, bad), Err(NotSigned));
            }
            // The text alone, as a tool would sign a file.
            assert_eq!(holds(&spki, FOR, TEXT, &sign(&pair, scheme, TEXT.as_bytes())), Err(NotSigned));
        }
        let weak = sign(&pair, &signature::RSA_PKCS1_SHA512, &signed_text::signed_bytes(FOR, TEXT));
        assert_eq!(holds(&spki, FOR, TEXT, &weak), Err(NotSigned), "another hash");
    }

    #[test]
    fn what_the_key_signs_in_a_tls_handshake_is_no_proof() {
        let (pair, spki) = key(KeySize::Rsa2048);
        // A hash that is text by chance, so that it can be claimed to be one.
        let transcript = [b'h'; 32];
        let spaces = [b' '; 64];
        let verify = [&spaces[..], b"TLS 1.3, client CertificateVerify", &[0], &transcript].concat();
        for scheme in schemes() {
            let signature = sign(&pair, scheme, &verify);
            // Whatever text is claimed: that after its zero byte, or everything after the spaces.
            let claims = [&verify[98..], &verify[64..]].map(|bytes| str::from_utf8(bytes).unwrap());
            for context in Context::ALL {
                for text in claims.into_iter().chain([TEXT, ""]) {
                    assert_eq!(holds(&spki, context, text, &signature), Err(NotSigned));
                }
            }
            let bytes = signed_text::signed_bytes(FOR, TEXT);
            let ours = sign(&pair, scheme, &bytes);
            let in_tls = |a| UnparsedPublicKey::new(a, &spki).verify(&verify, &ours).is_ok();
            assert!(!ALGORITHMS.into_iter().any(in_tls), "nor the other way round");
        }
    }

    #[test]
    fn keys_on_both_accepted_curves_hold_for_themselves_only() {
        let pairs = [
            EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_ASN1_SIGNING).unwrap(),
            EcdsaKeyPair::generate(&signature::ECDSA_P384_SHA384_ASN1_SIGNING).unwrap(),
        ];
        let spki = |pair: &EcdsaKeyPair| pair.public_key().as_der().unwrap().as_ref().to_vec();
        for (n, pair) in pairs.iter().enumerate() {
            let signature = pair.sign(&SystemRandom::new(), &signed_text::signed_bytes(FOR, TEXT)).unwrap();
            assert_eq!(holds(&spki(pair), FOR, TEXT, signature.as_ref()), Ok(()));
            assert_eq!(holds(&spki(&pairs[1 - n]), FOR, TEXT, signature.as_ref()), Err(NotSigned));
            assert_eq!(holds(&spki(pair), Context::Approval, TEXT, signature.as_ref()), Err(NotSigned));
        }
    }
}
