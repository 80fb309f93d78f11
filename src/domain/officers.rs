//! Security officers: who they are by certificate, and whether enough of them have signed a text.
//!
//! What is signed is 64 spaces, the name of the kind of text, a zero byte and the text, in the manner of TLS 1.3 (RFC 8446,
//! 4.4.3): a signature over one kind of text never serves for another, nor in another protocol. A signature must never
//! count twice, nor one of a certificate that is not listed.

use std::{collections::BTreeSet, fmt, str::FromStr};

use aws_lc_rs::{
    digest,
    signature::{self, UnparsedPublicKey, VerificationAlgorithm},
};

use super::encoding;

/// A security officer.
#[derive(Clone, PartialEq, Eq)]
pub struct Officer {
    name: String,
    fingerprint: [u8; 32],
    key: OfficerKey,
}

/// An officer's public key: `SubjectPublicKeyInfo`, DER.
#[derive(Clone, PartialEq, Eq)]
pub enum OfficerKey {
    /// EC, P-256.
    P256(Vec<u8>),
    /// RSA, 2048 to 8192 bits.
    Rsa(Vec<u8>),
}

impl Officer {
    /// An officer with this role, by certificate (DER) and the key in it.
    pub fn new(name: String, certificate: &[u8], key: OfficerKey) -> Self {
        Self { name, fingerprint: fingerprint(certificate), key }
    }

    /// An officer read again from a record that holds no certificate.
    pub(super) const fn known(name: String, fingerprint: [u8; 32], key: OfficerKey) -> Self {
        Self { name, fingerprint, key }
    }

    /// The role, such as `officer-1`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// SHA-256 of the certificate.
    pub const fn fingerprint(&self) -> &[u8; 32] {
        &self.fingerprint
    }

    /// The public key.
    pub const fn key(&self) -> &OfficerKey {
        &self.key
    }
}

impl fmt::Debug for Officer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Officer({}, {})", self.name, hex::encode(self.fingerprint))
    }
}

/// SHA-256 of a certificate's DER.
pub fn fingerprint(certificate: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, certificate).as_ref());
    out
}

/// A kind of text that officers sign. Its name is part of what is signed: it never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A challenge that proves that PIN and chip of a card fit. It decides nothing.
    CardCheck,
    /// Number and digest of a policy set.
    PolicySet,
    /// An order of recovery.
    Recovery,
}

impl Purpose {
    const fn name(self) -> &'static str {
        match self {
            Self::CardCheck => "sigillo card check v1",
            Self::PolicySet => "sigillo policy set v1",
            Self::Recovery => "sigillo recovery order v1",
        }
    }
}

/// The bytes that an officer's key signs for a text.
pub fn signed_bytes(purpose: Purpose, text: &str) -> Vec<u8> {
    encoding::for_signature(purpose.name(), text.as_bytes())
}

/// How a signature was made, always over SHA-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// ECDSA P-256, DER.
    EcdsaP256,
    /// RSASSA-PKCS1-v1_5, which smart cards make.
    RsaPkcs1,
    /// RSASSA-PSS with MGF1 and a salt of 32 bytes.
    RsaPss,
}

impl Scheme {
    const ALL: [Self; 3] = [Self::EcdsaP256, Self::RsaPkcs1, Self::RsaPss];

    /// Its name in a signature file.
    pub const fn text(self) -> &'static str {
        match self {
            Self::EcdsaP256 => "ecdsa-p256-sha256",
            Self::RsaPkcs1 => "rsa-pkcs1-sha256",
            Self::RsaPss => "rsa-pss-sha256",
        }
    }

    /// How a signature of this scheme is verified under a key; nothing where the key is of another kind.
    fn verifier(self, key: &OfficerKey) -> Option<(&'static dyn VerificationAlgorithm, &[u8])> {
        match (self, key) {
            (Self::EcdsaP256, OfficerKey::P256(spki)) => Some((&signature::ECDSA_P256_SHA256_ASN1, spki)),
            (Self::RsaPkcs1, OfficerKey::Rsa(spki)) => Some((&signature::RSA_PKCS1_2048_8192_SHA256, spki)),
            (Self::RsaPss, OfficerKey::Rsa(spki)) => Some((&signature::RSA_PSS_2048_8192_SHA256, spki)),
            (Self::EcdsaP256, OfficerKey::Rsa(_)) | (Self::RsaPkcs1 | Self::RsaPss, OfficerKey::P256(_)) => {
                None
            }
        }
    }
}

/// One officer's signature, as in a file of four lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// SHA-256 of the officer's certificate.
    pub fingerprint: [u8; 32],
    /// How it was made.
    pub scheme: Scheme,
    /// The signature.
    pub bytes: Vec<u8>,
}

impl Signature {
    /// Whether it is over these bytes (see [`signed_bytes`]), by this key.
    pub fn holds(&self, key: &OfficerKey, bytes: &[u8]) -> bool {
        let verifier = self.scheme.verifier(key);
        verifier.is_some_and(|(algorithm, key)| {
            UnparsedPublicKey::new(algorithm, key).verify(bytes, &self.bytes).is_ok()
        })
    }
}

/// A signature, and the file that it came in.
pub type FromFile = (String, Signature);

const FIRST: &str = "sigillo signature v1";

/// The text is not a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a signature: {0}")]
pub struct BadSignature(&'static str);

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (fingerprint, bytes) = (hex::encode(self.fingerprint), hex::encode(&self.bytes));
        let scheme = self.scheme.text();
        write!(f, "{FIRST}\ncertificate {fingerprint}\nscheme {scheme}\nsignature {bytes}\n")
    }
}

impl FromStr for Signature {
    type Err = BadSignature;

    fn from_str(text: &str) -> Result<Self, BadSignature> {
        let mut lines = text.lines();
        if lines.next() != Some(FIRST) {
            return Err(BadSignature("first line"));
        }
        let mut field = |name: &'static str| {
            let value = lines.next().and_then(|line| line.strip_prefix(name)?.strip_prefix(' '));
            value.ok_or(BadSignature(name))
        };
        let mut fingerprint = [0; 32];
        hex::decode_to_slice(field("certificate")?, &mut fingerprint)
            .map_err(|_| BadSignature("certificate"))?;
        let scheme = field("scheme")?;
        let scheme = Scheme::ALL.into_iter().find(|known| known.text() == scheme);
        let scheme = scheme.ok_or(BadSignature("scheme"))?;
        let bytes = hex::decode(field("signature")?).map_err(|_| BadSignature("signature"))?;
        match lines.next() {
            None => Ok(Self { fingerprint, scheme, bytes }),
            Some(_) => Err(BadSignature("more than four lines")),
        }
    }
}

/// The officers of a policy set.
#[derive(Clone, Debug)]
pub struct Officers {
    list: Vec<Officer>,
    needed: usize,
}

/// Why a list of officers is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadOfficers {
    /// More are needed than there are, or none.
    #[error("needed = {needed}: must be 1 to {there}, the number of officers")]
    Needed {
        /// As asked for.
        needed: usize,
        /// Officers in the list.
        there: usize,
    },
    /// Two of them share a name, a certificate or a key.
    #[error("\"{0}\" and \"{1}\" have the same name, certificate or key")]
    Twice(String, String),
}

/// Why signatures do not carry a text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Disagreement {
    /// Not enough different officers.
    #[error("{there} of {needed} officers have signed")]
    NotEnough {
        /// Different officers whose signatures hold.
        there: usize,
        /// Officers needed.
        needed: usize,
    },
    /// Not an officer of this policy set.
    #[error("{file}: certificate {certificate} is not of an officer of the policy set that counts")]
    Stranger {
        /// Where the signature is.
        file: String,
        /// SHA-256 of the certificate that it names, hexadecimal.
        certificate: String,
    },
    /// The signature does not hold for this text.
    #[error(
        "{file}: the signature of \"{officer}\" is not over this text, or not with the key of that certificate"
    )]
    Wrong {
        /// Where the signature is.
        file: String,
        /// Whose it would be.
        officer: String,
    },
}

impl Officers {
    /// Different officers, of whom `needed` must sign. No officer at all is a set that nobody can recover or back up.
    pub fn new(list: Vec<Officer>, needed: usize) -> Result<Self, BadOfficers> {
        let mut seen: Vec<&Officer> = Vec::new();
        for officer in &list {
            let same = |other: &&&Officer| {
                other.name == officer.name
                    || other.fingerprint == officer.fingerprint
                    || other.key == officer.key
            };
            if let Some(other) = seen.iter().find(same) {
                return Err(BadOfficers::Twice(other.name.clone(), officer.name.clone()));
            }
            seen.push(officer);
        }
        if needed == 0 || (needed > list.len() && !list.is_empty()) {
            return Err(BadOfficers::Needed { needed, there: list.len() });
        }
        Ok(Self { list, needed })
    }

    /// Every officer.
    pub fn list(&self) -> &[Officer] {
        &self.list
    }

    /// How many must sign.
    pub const fn needed(&self) -> usize {
        self.needed
    }

    /// The names of the officers who have signed the text, if they are enough. One signature that does not hold spoils
    /// all: somebody has mixed up texts, or tries.
    pub fn agree(
        &self,
        purpose: Purpose,
        text: &str,
        signatures: &[FromFile],
    ) -> Result<Vec<&str>, Disagreement> {
        let bytes = signed_bytes(purpose, text);
        let mut signed = BTreeSet::new();
        for (file, signature) in signatures {
            let officer = self.list.iter().find(|officer| officer.fingerprint == signature.fingerprint);
            let Some(officer) = officer else {
                let certificate = hex::encode(signature.fingerprint);
                return Err(Disagreement::Stranger { file: file.clone(), certificate });
            };
            if !signature.holds(&officer.key, &bytes) {
                return Err(Disagreement::Wrong { file: file.clone(), officer: officer.name.clone() });
            }
            signed.insert(officer.name());
        }
        if signed.len() < self.needed {
            return Err(Disagreement::NotEnough { there: signed.len(), needed: self.needed });
        }
        Ok(signed.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::{
        encoding::AsDer,
        rand::SystemRandom,
        rsa::KeySize,
        signature::{
            ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256,
        },
    };

    use super::*;

    const TEXT: &str = "a text\n";

    fn ec(name: &str) -> (Officer, impl Fn(&[u8]) -> Signature + use<>) {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let spki = AsDer::<aws_lc_rs::encoding::PublicKeyX509Der<'_>>::as_der(key.public_key()).unwrap();
        let officer = Officer::new(name.into(), name.as_bytes(), OfficerKey::P256(spki.as_ref().to_vec()));
        let fingerprint = officer.fingerprint;
        let sign = move |bytes: &[u8]| Signature {
            fingerprint,
            scheme: Scheme::EcdsaP256,
            bytes: key.sign(&SystemRandom::new(), bytes).unwrap().as_ref().to_vec(),
        };
        (officer, sign)
    }

    fn rsa(name: &str) -> (Officer, impl Fn(&[u8], Scheme) -> Signature + use<>) {
        let key = aws_lc_rs::rsa::KeyPair::generate(KeySize::Rsa2048).unwrap();
        let spki = AsDer::<aws_lc_rs::encoding::PublicKeyX509Der<'_>>::as_der(key.public_key()).unwrap();
        let officer = Officer::new(name.into(), name.as_bytes(), OfficerKey::Rsa(spki.as_ref().to_vec()));
        let fingerprint = officer.fingerprint;
        let sign = move |bytes: &[u8], scheme: Scheme| {
            let mut made = vec![0; key.public_modulus_len()];
            let padding: &'static dyn signature::RsaEncoding = match scheme {
                Scheme::RsaPkcs1 => &RSA_PKCS1_SHA256,
                Scheme::RsaPss | Scheme::EcdsaP256 => &RSA_PSS_SHA256,
            };
            key.sign(padding, &SystemRandom::new(), bytes, &mut made).unwrap();
            Signature { fingerprint, scheme, bytes: made }
        };
        (officer, sign)
    }

    #[test]
    fn so_many_different_officers_over_this_text_of_this_kind() {
        let ((a, sign_a), (b, sign_b), (stranger, sign_s)) = (ec("a"), rsa("b"), ec("s"));
        let officers = Officers::new(vec![a.clone(), b], 2).unwrap();
        let bytes = signed_bytes(Purpose::Recovery, TEXT);
        let agree = |signatures: &[Signature]| {
            let files = (1..).map(|n| format!("{n}.sig")).zip(signatures.iter().cloned()).collect::<Vec<_>>();
            officers.agree(Purpose::Recovery, TEXT, &files)
        };
        for scheme in [Scheme::RsaPss, Scheme::RsaPkcs1] {
            assert_eq!(agree(&[sign_b(&bytes, scheme), sign_a(&bytes)]).unwrap(), ["a", "b"]);
        }
        let not_enough = Err(Disagreement::NotEnough { there: 1, needed: 2 });
        assert_eq!(agree(&[sign_a(&bytes), sign_a(&bytes)]), not_enough, "one officer twice is one officer");
        let of_stranger = agree(&[sign_a(&bytes), sign_s(&bytes)]);
        let certificate = hex::encode(stranger.fingerprint());
        assert_eq!(of_stranger, Err(Disagreement::Stranger { file: "2.sig".into(), certificate }));
        let wrong = Err(Disagreement::Wrong { file: "1.sig".into(), officer: "a".into() });
        // Without the prefix, over another text, or with another's key under one's own name.
        let b_signs = || sign_b(&bytes, Scheme::RsaPss);
        assert_eq!(agree(&[sign_a(TEXT.as_bytes()), b_signs()]), wrong);
        assert_eq!(agree(&[sign_a(&signed_bytes(Purpose::Recovery, "other")), b_signs()]), wrong);
        let borrowed = Signature { fingerprint: *a.fingerprint(), ..sign_s(&bytes) };
        assert_eq!(agree(&[borrowed, b_signs()]), wrong);
        let mixed = Signature { fingerprint: *a.fingerprint(), ..b_signs() };
        assert_eq!(agree(&[mixed, b_signs()]), wrong);
    }

    #[test]
    fn a_signature_file_and_back() {
        let (_, sign) = ec("a");
        let signature = sign(b"x");
        let text = signature.to_string();
        assert_eq!(text.parse::<Signature>().unwrap(), signature);
        for bad in
            ["", "sigillo signature v2\n", &text.replace("scheme e", "scheme f"), &format!("{text}x\n")]
        {
            bad.parse::<Signature>().unwrap_err();
        }
    }
}
