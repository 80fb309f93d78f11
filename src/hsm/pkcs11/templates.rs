//! Attributes and mechanisms that keys are made and used with.

use cryptoki::{
    mechanism::Mechanism,
    object::{Attribute, KeyType},
};

use super::{
    keys::{KeyName, Kind},
    spki,
};
use crate::hsm::config::{Config, MacKeyType};

/// `CKA_KEY_TYPE` of MAC keys.
pub(super) const fn mac_key_type(config: &Config) -> KeyType {
    match config.mac_key_type {
        MacKeyType::GenericSecret => KeyType::GENERIC_SECRET,
        MacKeyType::Sha256Hmac => KeyType::SHA256_HMAC,
    }
}

/// The mechanism that generates MAC keys.
pub(super) const fn mac_key_gen(config: &Config) -> Mechanism<'static> {
    match config.mac_key_type {
        MacKeyType::GenericSecret => Mechanism::GenericSecretKeyGen,
        MacKeyType::Sha256Hmac => Mechanism::Sha256KeyGen,
    }
}

/// Attributes of every secret or private key: private, sensitive, one use, named.
fn guarded(name: KeyName, config: &Config) -> Vec<Attribute> {
    vec![
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Label(name.label().into()),
        Attribute::Id(name.id(config.key_version)),
    ]
}

/// Attributes that a MAC key has however it is made: signs, nothing else, and cannot be read out.
pub(super) fn mac_uses(name: KeyName, config: &Config) -> Vec<Attribute> {
    let mut all = guarded(name, config);
    all.extend([
        Attribute::Sign(true),
        Attribute::Verify(false),
        Attribute::Encrypt(false),
        Attribute::Decrypt(false),
        Attribute::Wrap(false),
        Attribute::Unwrap(false),
        Attribute::Derive(false),
    ]);
    all
}

/// Template of a MAC key that `C_GenerateKey` makes in the token. It stays modifiable, since SoftHSM makes no
/// session copy of a key that is not; that it can be read out cannot be modified in any case.
pub(super) fn mac_template(name: KeyName, config: &Config) -> Vec<Attribute> {
    let mut all = mac_uses(name, config);
    all.extend([Attribute::Token(true), Attribute::Extractable(false), Attribute::ValueLen(32.into())]);
    all
}

/// Templates of a key pair: public, private. Nothing for a MAC key.
pub(super) fn pair_templates(name: KeyName, config: &Config) -> Option<(Vec<Attribute>, Vec<Attribute>)> {
    let kind = name.kind();
    let (encrypt, wrap, verify) = match kind {
        Kind::Mac(_) => return None,
        Kind::RsaDecrypt => (true, false, false),
        Kind::RsaUnwrap => (false, true, false),
        Kind::Sign => (false, false, true),
    };
    let mut public = vec![
        Attribute::Token(true),
        Attribute::Private(false),
        Attribute::Label(name.label().into()),
        Attribute::Id(name.id(config.key_version)),
        Attribute::Encrypt(encrypt),
        Attribute::Wrap(wrap),
        Attribute::Verify(verify),
        Attribute::VerifyRecover(false),
    ];
    match kind {
        Kind::Mac(_) | Kind::Sign => public.push(Attribute::EcParams(spki::P256_OID.into())),
        Kind::RsaDecrypt | Kind::RsaUnwrap => public.extend([
            Attribute::ModulusBits(spki::RSA_BITS.into()),
            Attribute::PublicExponent(vec![1, 0, 1]),
        ]),
    }
    let mut private = guarded(name, config);
    private.extend([
        Attribute::Token(true),
        Attribute::Extractable(false),
        Attribute::Modifiable(false),
        Attribute::Decrypt(encrypt),
        Attribute::Unwrap(wrap),
        Attribute::Sign(verify),
        Attribute::SignRecover(false),
        Attribute::Derive(false),
    ]);
    Some((public, private))
}

/// The mechanism that generates a key pair.
pub(super) const fn pair_gen(kind: Kind) -> Mechanism<'static> {
    match kind {
        Kind::RsaDecrypt | Kind::RsaUnwrap => Mechanism::RsaPkcsKeyPairGen,
        Kind::Mac(_) | Kind::Sign => Mechanism::EccKeyPairGen,
    }
}

/// RSA-OAEP with SHA-1, MGF1 of SHA-1 and no label, for contacts and for the verify key on its way.
///
/// SoftHSM 2.6.1 offers no other parameters. It is fine here: OAEP does not rest on collision resistance, RFC 8017
/// appendix B.1 recommends SHA-1 for it along with SHA-2, and NIST SP 800-131A Rev. 2 section 9 allows SHA-1
/// outside signatures.
pub(super) fn oaep() -> Mechanism<'static> {
    use cryptoki::mechanism::{
        MechanismType,
        rsa::{PkcsMgfType, PkcsOaepParams, PkcsOaepSource},
    };
    Mechanism::RsaPkcsOaep(PkcsOaepParams::new(
        MechanismType::SHA1,
        PkcsMgfType::MGF1_SHA1,
        PkcsOaepSource::empty(),
    ))
}
