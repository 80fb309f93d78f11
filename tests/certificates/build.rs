//! Certificates and revocation lists, every part of which a case may change.

use aws_lc_rs::{
    encoding::AsDer,
    rand::SystemRandom,
    rsa::KeySize,
    signature::{self, EcdsaKeyPair, KeyPair, RsaKeyPair},
};

use crate::der::{bits, boolean, day, extension, integer, name, oid, seq, tlv};

pub(crate) const ECDSA_SHA256: &str = "1.2.840.10045.4.3.2";
pub(crate) const RSA_SHA256: &str = "1.2.840.113549.1.1.11";
pub(crate) const CN: &str = "2.5.4.3";
const KEY_USAGE: &str = "2.5.29.15";
const EXTENDED: &str = "2.5.29.37";
const BASIC: &str = "2.5.29.19";
const POLICIES: &str = "2.5.29.32";
pub(crate) const CLIENT_AUTH: &str = "1.3.6.1.5.5.7.3.2";
pub(crate) const CNS: &str = "1.3.76.16.2.1";

enum Pair {
    P256(EcdsaKeyPair),
    P384(EcdsaKeyPair),
    Rsa(RsaKeyPair),
}

/// A key that signs.
pub(crate) struct Key(Pair);

impl Key {
    pub(crate) fn p256() -> Self {
        Self(Pair::P256(EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_ASN1_SIGNING).unwrap()))
    }

    pub(crate) fn p384() -> Self {
        Self(Pair::P384(EcdsaKeyPair::generate(&signature::ECDSA_P384_SHA384_ASN1_SIGNING).unwrap()))
    }

    pub(crate) fn rsa() -> Self {
        Self(Pair::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()))
    }

    pub(crate) fn spki(&self) -> Vec<u8> {
        match &self.0 {
            Pair::P256(pair) | Pair::P384(pair) => pair.public_key().as_der().unwrap().as_ref().to_vec(),
            Pair::Rsa(pair) => pair.public_key().as_der().unwrap().as_ref().to_vec(),
        }
    }

    fn algorithm(&self) -> Vec<u8> {
        match &self.0 {
            Pair::P256(_) => seq(&[&oid(ECDSA_SHA256)]),
            Pair::P384(_) => seq(&[&oid("1.2.840.10045.4.3.3")]),
            Pair::Rsa(_) => seq(&[&oid(RSA_SHA256), &tlv(0x05, &[])]),
        }
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.0 {
            Pair::P256(pair) | Pair::P384(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Pair::Rsa(pair) => {
                let mut out = vec![0; pair.public_modulus_len()];
                pair.sign(&signature::RSA_PKCS1_SHA256, &random, message, &mut out).unwrap();
                out
            }
        }
    }

    /// Signs a body; `algorithm` and `damage` make a signature that does not hold.
    fn wrap(&self, body: &[u8], algorithm: &[u8], damage: bool) -> Vec<u8> {
        let mut signed = self.sign(body);
        if damage {
            *signed.last_mut().unwrap() ^= 1;
        }
        seq(&[body, algorithm, &bits(0, &signed)])
    }
}

/// SubjectPublicKeyInfo of an RSA key with a modulus of this size, which nobody has.
pub(crate) fn rsa_spki(bits_of: usize, exponent: u8) -> Vec<u8> {
    let mut modulus = vec![0x00];
    modulus.extend((0..bits_of / 8).map(|n| if n == 0 { 0x80 } else { 0x5b }));
    let key = seq(&[&integer(&modulus), &integer(&[exponent])]);
    seq(&[&seq(&[&oid("1.2.840.113549.1.1.1"), &tlv(0x05, &[])]), &bits(0, &key)])
}

/// SubjectPublicKeyInfo of a point on this curve; the point itself is on none.
pub(crate) fn ec_spki(curve: &str, size: usize) -> Vec<u8> {
    let point = [&[0x04], vec![7; size * 2].as_slice()].concat();
    seq(&[&seq(&[&oid("1.2.840.10045.2.1"), &oid(curve)]), &bits(0, &point)])
}

/// SubjectPublicKeyInfo of an Ed25519 key.
pub(crate) fn ed25519_spki() -> Vec<u8> {
    seq(&[&seq(&[&oid("1.3.101.112")]), &bits(0, &[9; 32])])
}

/// Key usage as its first byte: digitalSignature 0x80, nonRepudiation 0x40, keyEncipherment 0x20, keyCertSign 4,
/// cRLSign 2.
pub(crate) fn key_usage(flags: u8) -> Vec<u8> {
    let unused = u8::try_from(flags.trailing_zeros()).unwrap();
    extension(KEY_USAGE, true, &bits(unused, &[flags]))
}

pub(crate) fn extended(purposes: &[&str]) -> Vec<u8> {
    let list: Vec<Vec<u8>> = purposes.iter().map(|purpose| oid(purpose)).collect();
    extension(EXTENDED, false, &tlv(0x30, &list.concat()))
}

pub(crate) fn policies(ids: &[&str]) -> Vec<u8> {
    let list: Vec<Vec<u8>> = ids.iter().map(|id| seq(&[&oid(id)])).collect();
    extension(POLICIES, false, &tlv(0x30, &list.concat()))
}

pub(crate) fn basic(ca: bool, path: Option<u8>) -> Vec<u8> {
    let flag = if ca { boolean(true) } else { Vec::new() };
    let length = path.map(|n| integer(&[n])).unwrap_or_default();
    extension(BASIC, true, &seq(&[&flag, &length]))
}

/// A list's or certificate's distribution point.
pub(crate) fn uri(text: &str) -> Vec<u8> {
    tlv(0xa0, &tlv(0xa0, &tlv(0x86, text.as_bytes())))
}

pub(crate) fn distribution_point(text: &str) -> Vec<u8> {
    extension("2.5.29.31", false, &seq(&[&seq(&[&uri(text)])]))
}

/// A certificate to be.
#[derive(Clone)]
pub(crate) struct Certificate {
    pub(crate) version: u8,
    pub(crate) serial: Vec<u8>,
    pub(crate) issuer: Vec<u8>,
    pub(crate) subject: Vec<u8>,
    pub(crate) from: &'static str,
    pub(crate) to: &'static str,
    pub(crate) spki: Vec<u8>,
    pub(crate) extensions: Vec<Vec<u8>>,
    /// Another algorithm than the key's, inside and outside.
    pub(crate) algorithm: Option<Vec<u8>>,
    /// Another algorithm outside than inside.
    pub(crate) outside: Option<Vec<u8>>,
    pub(crate) damaged: bool,
    pub(crate) trailing: Vec<u8>,
}

impl Certificate {
    /// An authority, valid through 2030.
    pub(crate) fn authority(common_name: &str, issuer: &str, key: &Key) -> Self {
        Self {
            version: 2,
            serial: vec![0x11],
            issuer: name(&[(CN, issuer)]),
            subject: name(&[(CN, common_name)]),
            from: "200101",
            to: "301231",
            spki: key.spki(),
            extensions: vec![basic(true, None), key_usage(0x06)],
            algorithm: None,
            outside: None,
            damaged: false,
            trailing: Vec::new(),
        }
    }

    /// An operator's card as the profile wants it.
    pub(crate) fn card(common_name: &str, issuer: &str, key: &Key) -> Self {
        Self {
            serial: vec![0x22, 0x33],
            subject: name(&[("2.5.4.6", "IT"), ("2.5.4.10", "Servizi"), (CN, common_name)]),
            from: "250101",
            to: "301231",
            extensions: vec![key_usage(0xa0), extended(&[CLIENT_AUTH]), policies(&[CNS])],
            ..Self::authority("", issuer, key)
        }
    }

    pub(crate) fn sign(&self, key: &Key) -> Vec<u8> {
        let algorithm = self.algorithm.clone().unwrap_or_else(|| key.algorithm());
        let version = if self.version == 0 { Vec::new() } else { tlv(0xa0, &integer(&[self.version])) };
        let extensions = match self.extensions.as_slice() {
            [] => Vec::new(),
            some => tlv(0xa3, &tlv(0x30, &some.concat())),
        };
        let body = seq(&[
            &version,
            &integer(&self.serial),
            &algorithm,
            &self.issuer,
            &seq(&[&day(self.from), &day(self.to)]),
            &self.subject,
            &self.spki,
            &extensions,
        ]);
        let outside = self.outside.as_ref().unwrap_or(&algorithm);
        [key.wrap(&body, outside, self.damaged), self.trailing.clone()].concat()
    }
}

/// A revocation list to be.
#[derive(Clone)]
pub(crate) struct Crl {
    pub(crate) issuer: Vec<u8>,
    pub(crate) this_update: &'static str,
    pub(crate) next_update: Option<&'static str>,
    /// Serial, reason code, further extensions.
    pub(crate) entries: Vec<(Vec<u8>, Option<u8>, Vec<u8>)>,
    pub(crate) extensions: Vec<Vec<u8>>,
    pub(crate) damaged: bool,
    pub(crate) trailing: Vec<u8>,
}

impl Crl {
    /// An empty list of this authority, from yesterday to tomorrow.
    pub(crate) fn of(issuer: &str) -> Self {
        Self {
            issuer: name(&[(CN, issuer)]),
            this_update: "260531",
            next_update: Some("260602"),
            entries: Vec::new(),
            extensions: vec![extension("2.5.29.20", false, &integer(&[1]))],
            damaged: false,
            trailing: Vec::new(),
        }
    }

    pub(crate) fn revoke(&mut self, serial: &[u8], reason: Option<u8>) {
        self.entries.push((serial.to_vec(), reason, Vec::new()));
    }

    pub(crate) fn sign(&self, key: &Key) -> Vec<u8> {
        let entry = |(serial, reason, more): &(Vec<u8>, Option<u8>, Vec<u8>)| {
            let reason = reason.map(|code| extension("2.5.29.21", false, &tlv(0x0a, &[code])));
            let extensions = [reason.unwrap_or_default(), more.clone()].concat();
            let extensions = if extensions.is_empty() { extensions } else { tlv(0x30, &extensions) };
            seq(&[&integer(serial), &day("260501"), &extensions])
        };
        let entries: Vec<Vec<u8>> = self.entries.iter().map(entry).collect();
        let entries = if entries.is_empty() { Vec::new() } else { tlv(0x30, &entries.concat()) };
        let body = seq(&[
            &integer(&[1]),
            &key.algorithm(),
            &self.issuer,
            &day(self.this_update),
            &self.next_update.map(day).unwrap_or_default(),
            &entries,
            &tlv(0xa0, &tlv(0x30, &self.extensions.concat())),
        ]);
        [key.wrap(&body, &key.algorithm(), self.damaged), self.trailing.clone()].concat()
    }
}
