//! The key in the virtual card: RSA without any padding, which no cryptographic library offers safely. For virtual cards only.

use num_bigint::BigUint;
use rcgen::{KeyPair, PKCS_RSA_SHA256, RsaKeySize};

pub(crate) struct Key {
    pub(crate) pair: KeyPair,
    modulus: BigUint,
    exponent: BigUint,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key")
    }
}

impl Key {
    pub(crate) fn generate() -> Self {
        let pair = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
        let whole = pair.serialize_der();
        // PKCS#8: version, algorithm, the key in an OCTET STRING; in it version, modulus, public and private exponent.
        let outer = fields(fields(&whole)[0]);
        let inner = fields(fields(outer[2])[0]);
        let number = |index: usize| BigUint::from_bytes_be(inner[index]);
        Self { modulus: number(1), exponent: number(3), pair }
    }

    /// Bytes of the modulus.
    pub(crate) fn size(&self) -> usize {
        self.modulus.to_bytes_be().len()
    }

    pub(crate) fn raw(&self, block: &[u8]) -> Vec<u8> {
        let made = BigUint::from_bytes_be(block).modpow(&self.exponent, &self.modulus).to_bytes_be();
        [vec![0; self.size() - made.len()], made].concat()
    }
}

/// The contents of the DER values that stand one behind the other.
fn fields(mut der: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    while let [_, length, rest @ ..] = der {
        let (length, rest) = match length {
            0x82 => (usize::from(u16::from_be_bytes([rest[0], rest[1]])), &rest[2..]),
            0x81 => (usize::from(rest[0]), &rest[1..]),
            short => (usize::from(*short), rest),
        };
        found.push(&rest[..length]);
        der = &rest[length..];
    }
    found
}
