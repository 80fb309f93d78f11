//! The form of a backup: a store's entries, encrypted to the officers' certificates. Any one of them opens it.
//!
//! A file is `sigillo backup v2` and a line feed, the length of the header (4 bytes, big-endian), the header (JSON), and
//! chunks, each with the length of its ciphertext (4 bytes) before it. A chunk is AES-256-GCM under the backup's own
//! random key; its nonce is the chunk's number and whether it is the last one, its associated data the SHA-256 of
//! everything before the first chunk. So nothing can be changed, moved, left out, added or cut off unseen.
//!
//! Inside are records: `C`, a checkpoint of the log's end; `R`, an entry, in the order of their keys; `E`, at the end, what
//! the authority's audit key has signed: the digest of everything before it, from the file's first byte on (`end`).
//! Anybody can encrypt to the officers; only the authority can make an end. It must never take a file for whole that is not,
//! or that the authority has not signed; what the reader gave out before it said so is worth nothing.

mod chunks;
mod end;
mod wrap;

use std::io::{self, Read};

use aws_lc_rs::{digest, rand};
use serde::{Deserialize, Serialize};

use self::{
    chunks::{Opener, Sealer},
    end::{Contents, End},
    wrap::Wrapped,
};
use crate::{
    domain::{
        audit::Head,
        checkpoint::{self, Checkpoint},
        officers::Officer,
    },
    officer_key::Holder,
    secret::Secret,
    store::Entry,
};

const MAGIC: &[u8] = b"sigillo backup v2\n";
/// The form before, whose records nobody signed.
const MAGIC_OF_V1: &[u8] = b"sigillo backup v1\n";
/// Longest header, in bytes.
const HEADER_MAX: usize = 1 << 20;
/// Longest key or value of a record, in bytes: well above the store's limits.
const FIELD_MAX: usize = 1 << 20;

/// Why a backup is not made, or not read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The checkpoint in it is none, or not the authority's.
    #[error("its checkpoint: {0}")]
    Checkpoint(#[from] checkpoint::Broken),
    /// The file is not a backup, or was changed.
    #[error("not a whole backup: {0}")]
    Damaged(&'static str),
    /// Its end is the authority's, and its contents are not those that the end is of.
    #[error("not what the authority backed up: {0}")]
    Forged(&'static str),
    /// The cryptographic library failed.
    #[error("the cryptographic library failed: {0}")]
    Failed(&'static str),
    /// It was not encrypted to this certificate.
    #[error("the backup is not encrypted to this certificate")]
    NotForThis,
    /// The signature at its end does not hold under the authority's audit key.
    #[error(
        "its records are not signed by this audit key: somebody else made it, or the public key is of another authority"
    )]
    NotSigned,
    /// It has the form that nobody signed.
    #[error(
        "it has the form of an earlier version (v1), whose records are not signed, and is not taken: anybody can have \
         written it. Take a new one with `sigillo backup`"
    )]
    OldForm,
    /// The file could not be read.
    #[error("cannot read: {0}")]
    Read(#[from] io::Error),
    /// The private key does not open what was encrypted to the certificate.
    #[error("the private key does not open it: it is not the certificate's, or the backup was changed")]
    WrongKey,
}

/// What a file says before its key is known.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    log: String,
    time: String,
    keys: Vec<Wrapped>,
}

/// Writes a backup, part by part.
pub struct Writer {
    sealer: Sealer,
    contents: Contents,
}

impl Writer {
    /// Begins a backup of a log's store, whose log ends at `head`; answers the first bytes of the file. `time` is
    /// RFC 3339.
    pub fn begin(officers: &[Officer], log: &str, time: &str, head: Head) -> Result<(Self, Vec<u8>), Error> {
        let mut key = [0; 32];
        rand::fill(&mut key).map_err(|_| Error::Failed("random bytes"))?;
        let key = Secret::new(key);
        let keys = officers.iter().map(|officer| wrap::wrap(officer, &key)).collect::<Result<_, _>>()?;
        let header = Header { log: log.to_owned(), time: time.to_owned(), keys };
        let header = serde_json::to_vec(&header).map_err(|_| Error::Failed("header"))?;
        let length = u32::try_from(header.len()).map_err(|_| Error::Failed("header"))?;
        let start = [MAGIC, &length.to_be_bytes(), &header].concat();
        let sealer = Sealer::new(&key, digest::digest(&digest::SHA256, &start))?;
        Ok((Self { sealer, contents: Contents::new(&start, head) }, start))
    }

    /// Adds the checkpoint of the log's end, which comes first.
    pub fn checkpoint(&mut self, text: &str) -> Result<Vec<u8>, Error> {
        let record = [&b"C"[..], &length(text.as_bytes())?, text.as_bytes()].concat();
        self.contents.add(&record);
        self.sealer.push(&record)
    }

    /// Adds entries, in the order of their keys; answers the bytes that are ready for the file, if any.
    pub fn entries(&mut self, entries: &[Entry]) -> Result<Vec<u8>, Error> {
        let mut ready = Vec::new();
        for (key, value) in entries {
            let record = [&b"R"[..], &length(key)?, key, &length(value)?, value].concat();
            self.contents.add_entry(&record);
            ready.extend(self.sealer.push(&record)?);
        }
        Ok(ready)
    }

    /// What the audit key is to sign, once every entry is there: a SHA-256.
    pub fn to_sign(&self) -> [u8; 32] {
        self.contents.end().to_sign()
    }

    /// The last bytes of the file, with the signature (`r || s`) of [`Writer::to_sign`].
    pub fn finish(mut self, signature: &[u8; 64]) -> Result<Vec<u8>, Error> {
        let end = self.contents.end().signed(signature);
        let mut ready = self.sealer.push(&[&b"E"[..], &end].concat())?;
        ready.extend(self.sealer.finish()?);
        Ok(ready)
    }
}

fn length(field: &[u8]) -> Result<[u8; 4], Error> {
    u32::try_from(field.len()).map(u32::to_be_bytes).map_err(|_| Error::Failed("a field is too long"))
}

/// Reads a backup with an officer's key, and the public half of the audit key that must have signed it.
pub struct BackupReader<R> {
    from: Opener<R>,
    audit_key: Vec<u8>,
    log: String,
    checkpoint: Checkpoint,
    contents: Contents,
    last: Vec<u8>,
    ended: bool,
}

impl<R: Read> BackupReader<R> {
    /// Opens a file from its start. `audit_key` is P-256 (`SubjectPublicKeyInfo`, DER).
    pub fn open(mut from: R, holder: &Holder, audit_key: &[u8]) -> Result<Self, Error> {
        let mut magic = vec![0; MAGIC.len()];
        let mut size = [0; 4];
        exact(&mut from, &mut magic)?;
        if magic == MAGIC_OF_V1 {
            return Err(Error::OldForm);
        }
        if magic != MAGIC {
            return Err(Error::Damaged("it does not begin like one"));
        }
        exact(&mut from, &mut size)?;
        let count = usize::try_from(u32::from_be_bytes(size)).unwrap_or(usize::MAX);
        if count > HEADER_MAX {
            return Err(Error::Damaged("its header is too long"));
        }
        let mut header = vec![0; count];
        exact(&mut from, &mut header)?;
        let start = [&magic[..], &size, &header].concat();
        let Header { log, keys, time: _ } =
            serde_json::from_slice(&header).map_err(|_| Error::Damaged("its header cannot be read"))?;
        let wrapped = keys.iter().find(|key| key.is_for(holder.fingerprint())).ok_or(Error::NotForThis)?;
        let key = wrap::unwrap(wrapped, holder)?;
        let mut from = Opener::new(from, &key, digest::digest(&digest::SHA256, &start))?;
        if from.byte()? != b'C' {
            return Err(Error::Damaged("no checkpoint"));
        }
        let text =
            String::from_utf8(field(&mut from)?).map_err(|_| Error::Damaged("its checkpoint is no text"))?;
        let checkpoint = Checkpoint::open(&text, audit_key)?;
        let mut contents = Contents::new(&start, checkpoint.head);
        contents.add(&[&b"C"[..], &length(text.as_bytes())?, text.as_bytes()].concat());
        let audit_key = audit_key.to_vec();
        Ok(Self { from, audit_key, log, checkpoint, contents, last: Vec::new(), ended: false })
    }

    /// Name of the log.
    pub fn log(&self) -> &str {
        &self.log
    }

    /// The checkpoint of the log's end, whose signature holds.
    pub const fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// Up to so many entries; nothing at the end, and only if the file is whole and the authority has signed it. Until then
    /// nothing may be kept of what was given out.
    pub fn next(&mut self, most: usize) -> Result<Option<Vec<Entry>>, Error> {
        let mut entries = Vec::new();
        while !self.ended && entries.len() < most {
            if self.from.is_over() {
                return Err(Error::Damaged("it is cut off: it has no end"));
            }
            match self.from.byte()? {
                b'R' => {
                    let (key, value) = (field(&mut self.from)?, field(&mut self.from)?);
                    let record = [&b"R"[..], &length(&key)?, &key, &length(&value)?, &value].concat();
                    self.contents.add_entry(&record);
                    if key <= self.last {
                        return Err(Error::Forged("its records are not in their order"));
                    }
                    self.last.clone_from(&key);
                    entries.push((key, value));
                }
                b'E' => {
                    let mut bytes = [0; end::SIZE];
                    self.from.exact(&mut bytes)?;
                    End::open(&bytes, &self.audit_key)?.check(&self.contents)?;
                    self.from.end()?;
                    self.ended = true;
                }
                _ => return Err(Error::Damaged("an unknown record")),
            }
        }
        Ok(if entries.is_empty() { None } else { Some(entries) })
    }
}

fn field<R: Read>(from: &mut Opener<R>) -> Result<Vec<u8>, Error> {
    let mut size = [0; 4];
    from.exact(&mut size)?;
    let count = usize::try_from(u32::from_be_bytes(size)).unwrap_or(usize::MAX);
    if count > FIELD_MAX {
        return Err(Error::Damaged("a field is too long"));
    }
    let mut bytes = vec![0; count];
    from.exact(&mut bytes)?;
    Ok(bytes)
}

/// Fills the buffer; an end before that is damage.
fn exact(from: &mut impl Read, out: &mut [u8]) -> Result<(), Error> {
    from.read_exact(out).map_err(|error| {
        let cut = error.kind() == io::ErrorKind::UnexpectedEof;
        if cut { Error::Damaged("it is cut off") } else { Error::Read(error) }
    })
}

#[cfg(test)]
mod tests;
