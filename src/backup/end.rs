//! The end of a backup: what the authority's audit key signs, so that nobody else can make one.
//!
//! 8 bytes, the number of entries (big-endian); the head of the log, as 8 bytes of number and 32 of hash; the SHA-256 of
//! everything before: the file's start (form, log, time, keys for the officers) and the plaintext of every record; the
//! signature, 64 bytes. It must never tell an end for good whose signature does not hold.

use aws_lc_rs::{
    digest::{self, Context, SHA256},
    signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey},
};

use super::Error;
use crate::domain::{audit::Head, encoding};

/// Bytes before the signature.
const SIGNED: usize = 8 + 8 + 32 + 32;
/// Bytes of an end.
pub(super) const SIZE: usize = SIGNED + 64;
/// Name of what is signed; it never changes.
const KIND: &str = "sigillo backup v2";

/// The contents so far, of a file that is written or read.
pub(super) struct Contents {
    hash: Context,
    entries: u64,
    head: Head,
}

impl Contents {
    /// Of a file that begins with `start` and has the store of a log that ends at `head`.
    pub(super) fn new(start: &[u8], head: Head) -> Self {
        let mut hash = Context::new(&SHA256);
        hash.update(start);
        Self { hash, entries: 0, head }
    }

    /// Adds a record, as it stands in the file.
    pub(super) fn add(&mut self, record: &[u8]) {
        self.hash.update(record);
    }

    /// Adds a record that is an entry.
    pub(super) fn add_entry(&mut self, record: &[u8]) {
        self.add(record);
        self.entries = self.entries.saturating_add(1);
    }

    /// The end of them, if nothing more is added.
    pub(super) fn end(&self) -> End {
        let mut hash = [0; 32];
        hash.copy_from_slice(self.hash.clone().finish().as_ref());
        End { entries: self.entries, head: self.head, hash }
    }
}

/// What an end says.
pub(super) struct End {
    entries: u64,
    head: Head,
    hash: [u8; 32],
}

impl End {
    fn bytes(&self) -> Vec<u8> {
        let Head { seq, hash } = &self.head;
        [&self.entries.to_be_bytes()[..], &seq.to_be_bytes(), hash, &self.hash].concat()
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (entries, rest) = bytes.split_first_chunk()?;
        let (seq, rest) = rest.split_first_chunk()?;
        let (hash, rest) = rest.split_first_chunk()?;
        let head = Head { seq: u64::from_be_bytes(*seq), hash: *hash };
        Some(Self { entries: u64::from_be_bytes(*entries), head, hash: rest.try_into().ok()? })
    }

    /// What the audit key signs: a SHA-256.
    pub(super) fn to_sign(&self) -> [u8; 32] {
        let mut out = [0; 32];
        let message = encoding::for_signature(KIND, &self.bytes());
        out.copy_from_slice(digest::digest(&SHA256, &message).as_ref());
        out
    }

    pub(super) fn signed(&self, signature: &[u8; 64]) -> Vec<u8> {
        [&self.bytes()[..], signature].concat()
    }

    /// An end whose signature holds under this key.
    pub(super) fn open(bytes: &[u8; SIZE], audit_key: &[u8]) -> Result<Self, Error> {
        let (signed, signature) = bytes.split_at(SIGNED);
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, audit_key)
            .verify(&encoding::for_signature(KIND, signed), signature)
            .map_err(|_| Error::NotSigned)?;
        Self::read(signed).ok_or(Error::Damaged("its end"))
    }

    /// Refuses contents that it is not the end of.
    pub(super) fn check(&self, contents: &Contents) -> Result<(), Error> {
        let there = contents.end();
        if self.head != there.head {
            return Err(Error::Forged("its end is of another backup"));
        }
        if self.entries != there.entries {
            return Err(Error::Forged("its records are more or fewer than were signed"));
        }
        if self.hash != there.hash {
            return Err(Error::Forged("its records are not the ones that were signed"));
        }
        Ok(())
    }
}
