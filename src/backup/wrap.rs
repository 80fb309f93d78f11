//! A backup's key, encrypted to one officer's certificate.
//!
//! RSA: OAEP with SHA-256. P-256: a new key pair for each backup and officer, ECDH, HKDF-SHA-256 over the shared secret
//! with both public keys in its context, AES-256 key wrap (RFC 3394).

use aws_lc_rs::{
    agreement::{self, ECDH_P256, EphemeralPrivateKey, PrivateKey, UnparsedPublicKey},
    hkdf,
    key_wrap::{AES_256, AesKek, KeyWrap},
    rand::SystemRandom,
    rsa::{
        OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, OaepPublicEncryptingKey, PrivateDecryptingKey,
        PublicEncryptingKey,
    },
};
use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

use super::Error;
use crate::{
    domain::officers::{Officer, OfficerKey},
    officer_key::Holder,
    secret::Secret,
};

const SALT: &[u8] = b"sigillo backup v1 key";

/// The key for one officer.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Wrapped {
    officer: String,
    certificate: String,
    #[serde(flatten)]
    key: Key,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "scheme")]
enum Key {
    #[serde(rename = "ecdh-p256-hkdf-sha256-aes256-kw")]
    Ecdh { ephemeral: String, wrapped: String },
    #[serde(rename = "rsa-oaep-sha256")]
    Oaep { wrapped: String },
}

impl Wrapped {
    /// Whether it is for the certificate with this SHA-256.
    pub(super) fn is_for(&self, fingerprint: &[u8; 32]) -> bool {
        self.certificate == hex::encode(fingerprint)
    }
}

pub(super) fn wrap(officer: &Officer, key: &Secret<32>) -> Result<Wrapped, Error> {
    let key = match officer.key() {
        OfficerKey::P256(spki) => to_p256(spki, officer.fingerprint(), key)?,
        OfficerKey::Rsa(spki) => to_rsa(spki, key)?,
    };
    Ok(Wrapped { officer: officer.name().to_owned(), certificate: hex::encode(officer.fingerprint()), key })
}

fn to_rsa(spki: &[u8], key: &Secret<32>) -> Result<Key, Error> {
    let failed = |_| Error::Failed("RSA public key");
    let public = PublicEncryptingKey::from_der(spki).map_err(|_| Error::Failed("RSA public key"))?;
    let public = OaepPublicEncryptingKey::new(public).map_err(failed)?;
    let mut out = vec![0; public.ciphertext_size()];
    let wrapped =
        public.encrypt(&OAEP_SHA256_MGF1SHA256, key.expose(), &mut out, Some(SALT)).map_err(failed)?;
    Ok(Key::Oaep { wrapped: hex::encode(wrapped) })
}

fn to_p256(spki: &[u8], fingerprint: &[u8; 32], key: &Secret<32>) -> Result<Key, Error> {
    let failed = || Error::Failed("ECDH");
    let mine = EphemeralPrivateKey::generate(&ECDH_P256, &SystemRandom::new()).map_err(|_| failed())?;
    let ephemeral = mine.compute_public_key().map_err(|_| failed())?.as_ref().to_vec();
    let peer = UnparsedPublicKey::new(&ECDH_P256, spki);
    let kek =
        agreement::agree_ephemeral(mine, peer, failed(), |shared| kek(shared, &ephemeral, fingerprint))?;
    let mut out = [0; 40];
    let kek = AesKek::new(&AES_256, kek.expose()).map_err(|_| failed())?;
    let wrapped = kek.wrap(key.expose(), &mut out).map_err(|_| failed())?;
    Ok(Key::Ecdh { wrapped: hex::encode(wrapped), ephemeral: hex::encode(&ephemeral) })
}

/// The key that wraps, for this pair of public keys.
fn kek(shared: &[u8], ephemeral: &[u8], fingerprint: &[u8; 32]) -> Result<Secret<32>, Error> {
    struct Bytes32;
    impl hkdf::KeyType for Bytes32 {
        fn len(&self) -> usize {
            32
        }
    }
    let mut out = [0; 32];
    let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, SALT).extract(shared);
    let context = [ephemeral, fingerprint];
    let expanded = prk.expand(&context, Bytes32).and_then(|okm| okm.fill(&mut out));
    expanded.map_err(|_| Error::Failed("HKDF"))?;
    let secret = Secret::new(out);
    out.zeroize();
    Ok(secret)
}

/// The key, with an officer's private key.
pub(super) fn unwrap(wrapped: &Wrapped, holder: &Holder) -> Result<Secret<32>, Error> {
    let bytes = |text: &str| hex::decode(text).map_err(|_| Error::Damaged("a wrapped key"));
    let private = holder.private().expose();
    let mut out = match &wrapped.key {
        Key::Oaep { wrapped } => {
            let key = PrivateDecryptingKey::from_pkcs8(private).map_err(|_| Error::WrongKey)?;
            let key = OaepPrivateDecryptingKey::new(key).map_err(|_| Error::WrongKey)?;
            let mut out = vec![0; key.min_output_size()];
            let length = key
                .decrypt(&OAEP_SHA256_MGF1SHA256, &bytes(wrapped)?, &mut out, Some(SALT))
                .map_err(|_| Error::WrongKey)?
                .len();
            out.truncate(length);
            out
        }
        Key::Ecdh { ephemeral, wrapped } => {
            let key = PrivateKey::from_private_key_der(&ECDH_P256, private).map_err(|_| Error::WrongKey)?;
            let ephemeral = bytes(ephemeral)?;
            let peer = UnparsedPublicKey::new(&ECDH_P256, &ephemeral);
            let derive = |shared: &[u8]| kek(shared, &ephemeral, holder.fingerprint());
            let kek = agreement::agree(&key, peer, Error::WrongKey, derive)?;
            let kek = AesKek::new(&AES_256, kek.expose()).map_err(|_| Error::WrongKey)?;
            let mut out = vec![0; 40];
            let length = kek.unwrap(&bytes(wrapped)?, &mut out).map_err(|_| Error::WrongKey)?.len();
            out.truncate(length);
            out
        }
    };
    let exact = <[u8; 32]>::try_from(out.as_slice()).map(Secret::new);
    out.zeroize();
    exact.map_err(|_| Error::WrongKey)
}
