//! CMS EnvelopedData (RFC 5652, section 6) to one certificate: AES-256-CBC (RFC 3565), the key by RSA-OAEP with SHA-256
//! (RFC 8017, RFC 4055). `openssl cms -decrypt` opens it as it is. It has no integrity of its own: the signed manifest has
//! each file's digest, and is checked first.
//!
//! A message is made whole in memory: one file has at most [`crate::card_export::MOST`] cards.

use aws_lc_rs::{
    cipher::{AES_256, DecryptionContext, PaddedBlockEncryptingKey, UnboundCipherKey},
    rand,
    rsa::OAEP_SHA256_MGF1SHA256,
};
use yasna::{DERWriter, Tag, models::ObjectIdentifier};
use zeroize::Zeroizing;

use super::recipient::Recipient;

const ENVELOPED_DATA: &[u64] = &[1, 2, 840, 113_549, 1, 7, 3];
const DATA: &[u64] = &[1, 2, 840, 113_549, 1, 7, 1];
const AES_256_CBC: &[u64] = &[2, 16, 840, 1, 101, 3, 4, 1, 42];
const RSAES_OAEP: &[u64] = &[1, 2, 840, 113_549, 1, 1, 7];
const MGF1: &[u64] = &[1, 2, 840, 113_549, 1, 1, 8];
const SHA_256: &[u64] = &[2, 16, 840, 1, 101, 3, 4, 2, 1];

/// The cryptographic library, or the system's generator, gave no answer.
#[derive(Debug, thiserror::Error)]
#[error("the cryptographic library does not encrypt")]
pub struct NotEncrypted;

/// Bytes of padding at most: keep so many free at the end of what is encrypted, so that it is not copied.
pub const PADDING: usize = 16;

/// The message, DER, of which only the recipient's private key makes `plain` again. `plain` is overwritten.
///
/// # Errors
/// [`NotEncrypted`].
pub fn envelop(mut plain: Zeroizing<Vec<u8>>, to: &Recipient) -> Result<Vec<u8>, NotEncrypted> {
    let mut key = Zeroizing::new([0_u8; 32]);
    rand::fill(key.as_mut()).map_err(|_| NotEncrypted)?;
    let cipher = UnboundCipherKey::new(&AES_256, key.as_ref()).map_err(|_| NotEncrypted)?;
    let cipher = PaddedBlockEncryptingKey::cbc_pkcs7(cipher).map_err(|_| NotEncrypted)?;
    let context = cipher.encrypt(&mut *plain).map_err(|_| NotEncrypted)?;
    let DecryptionContext::Iv128(iv) = context else { return Err(NotEncrypted) };
    let mut wrapped = vec![0; to.key().ciphertext_size()];
    let wrapped = to.key().encrypt(&OAEP_SHA256_MGF1SHA256, key.as_ref(), &mut wrapped, None);
    let wrapped = wrapped.map_err(|_| NotEncrypted)?.to_vec();
    Ok(message(to, &wrapped, iv.as_ref(), &plain))
}

fn message(to: &Recipient, wrapped: &[u8], iv: &[u8], encrypted: &[u8]) -> Vec<u8> {
    yasna::construct_der(|w| {
        w.write_sequence(|w| {
            oid(w.next(), ENVELOPED_DATA);
            w.next().write_tagged(Tag::context(0), |w| {
                w.write_sequence(|w| {
                    w.next().write_u8(0);
                    w.next().write_set(|w| key_transport(w.next(), to, wrapped));
                    w.next().write_sequence(|w| {
                        oid(w.next(), DATA);
                        w.next().write_sequence(|w| {
                            oid(w.next(), AES_256_CBC);
                            w.next().write_bytes(iv);
                        });
                        w.next().write_tagged_implicit(Tag::context(0), |w| w.write_bytes(encrypted));
                    });
                });
            });
        });
    })
}

fn key_transport(w: DERWriter<'_>, to: &Recipient, wrapped: &[u8]) {
    w.write_sequence(|w| {
        w.next().write_u8(0);
        w.next().write_sequence(|w| {
            w.next().write_der(to.issuer());
            let length = u8::try_from(to.serial().len()).unwrap_or(0); // at most 20
            w.next().write_der(&[&[2, length], to.serial()].concat());
        });
        w.next().write_sequence(|w| {
            oid(w.next(), RSAES_OAEP);
            w.next().write_sequence(|w| {
                w.next().write_tagged(Tag::context(0), hash);
                w.next().write_tagged(Tag::context(1), |w| {
                    w.write_sequence(|w| {
                        oid(w.next(), MGF1);
                        hash(w.next());
                    });
                });
            });
        });
        w.next().write_bytes(wrapped);
    });
}

fn hash(w: DERWriter<'_>) {
    w.write_sequence(|w| {
        oid(w.next(), SHA_256);
        w.next().write_null();
    });
}

fn oid(w: DERWriter<'_>, numbers: &[u64]) {
    w.write_oid(&ObjectIdentifier::from_slice(numbers));
}
