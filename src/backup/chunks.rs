//! Authenticated encryption of a stream of any length, chunk by chunk.

use std::io::Read;

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    digest::Digest,
};

use super::{Error, exact};
use crate::secret::Secret;

/// Bytes of plaintext in a chunk; the last one may have fewer.
const CHUNK: usize = 64 << 10;
const TAG: usize = 16;

fn key(key: &Secret<32>) -> Result<LessSafeKey, Error> {
    let key = UnboundKey::new(&AES_256_GCM, key.expose()).map_err(|_| Error::Failed("AES key"))?;
    Ok(LessSafeKey::new(key))
}

/// The key is of one backup: a number that never repeats is all that its nonces need.
fn nonce(number: u64, last: bool) -> Nonce {
    let mut bytes = [0; 12];
    let [marker, _, _, _, rest @ ..] = &mut bytes;
    *marker = u8::from(last);
    *rest = number.to_be_bytes();
    Nonce::assume_unique_for_key(bytes)
}

/// Encrypts.
pub(super) struct Sealer {
    key: LessSafeKey,
    start: Digest,
    number: u64,
    waiting: Vec<u8>,
}

impl Sealer {
    pub(super) fn new(of: &Secret<32>, start: Digest) -> Result<Self, Error> {
        Ok(Self { key: key(of)?, start, number: 0, waiting: Vec::new() })
    }

    /// Takes plaintext; answers the chunks that are full, each with its length.
    pub(super) fn push(&mut self, plaintext: &[u8]) -> Result<Vec<u8>, Error> {
        self.waiting.extend_from_slice(plaintext);
        let mut ready = Vec::new();
        // The last chunk is known only at the end, so that a full one waits for more.
        while self.waiting.len() > CHUNK {
            let rest = self.waiting.split_off(CHUNK);
            let chunk = std::mem::replace(&mut self.waiting, rest);
            ready.extend(self.seal(chunk, false)?);
        }
        Ok(ready)
    }

    pub(super) fn finish(mut self) -> Result<Vec<u8>, Error> {
        let chunk = std::mem::take(&mut self.waiting);
        self.seal(chunk, true)
    }

    fn seal(&mut self, mut chunk: Vec<u8>, last: bool) -> Result<Vec<u8>, Error> {
        self.key
            .seal_in_place_append_tag(nonce(self.number, last), Aad::from(self.start.as_ref()), &mut chunk)
            .map_err(|_| Error::Failed("encryption"))?;
        self.number = self.number.checked_add(1).ok_or(Error::Failed("too many chunks"))?;
        let length = u32::try_from(chunk.len()).map_err(|_| Error::Failed("a chunk"))?;
        Ok([&length.to_be_bytes()[..], &chunk].concat())
    }
}

/// Decrypts. Gives out nothing that was not authenticated.
pub(super) struct Opener<R> {
    from: R,
    key: LessSafeKey,
    start: Digest,
    number: u64,
    chunk: Vec<u8>,
    at: usize,
    last: bool,
}

impl<R: Read> Opener<R> {
    pub(super) fn new(from: R, of: &Secret<32>, start: Digest) -> Result<Self, Error> {
        Ok(Self { from, key: key(of)?, start, number: 0, chunk: Vec::new(), at: 0, last: false })
    }

    pub(super) fn byte(&mut self) -> Result<u8, Error> {
        let mut one = [0];
        self.exact(&mut one)?;
        Ok(u8::from_be_bytes(one))
    }

    /// Fills the buffer with what comes next.
    pub(super) fn exact(&mut self, out: &mut [u8]) -> Result<(), Error> {
        let mut filled = 0_usize;
        while filled < out.len() {
            if self.at == self.chunk.len() {
                self.next_chunk()?;
            }
            let wanted = out.get_mut(filled..).unwrap_or_default();
            let there = self.chunk.get(self.at..).unwrap_or_default();
            let count = wanted.len().min(there.len());
            for (to, from) in wanted.iter_mut().zip(there) {
                *to = *from;
            }
            filled = filled.saturating_add(count);
            self.at = self.at.saturating_add(count);
        }
        Ok(())
    }

    /// Whether all plaintext has been read, up to the end of the last chunk.
    pub(super) const fn is_over(&self) -> bool {
        self.last && self.at == self.chunk.len()
    }

    /// Nothing may follow: neither plaintext, nor a chunk, nor a byte of the file.
    pub(super) fn end(&mut self) -> Result<(), Error> {
        if !self.is_over() {
            return Err(Error::Damaged("something follows its end"));
        }
        match self.from.read(&mut [0])? {
            0 => Ok(()),
            _ => Err(Error::Damaged("something follows its end")),
        }
    }

    fn next_chunk(&mut self) -> Result<(), Error> {
        if self.last {
            return Err(Error::Damaged("it ends inside a record"));
        }
        let mut size = [0; 4];
        exact(&mut self.from, &mut size)?;
        let size = usize::try_from(u32::from_be_bytes(size)).unwrap_or(usize::MAX);
        if !(TAG..=CHUNK.saturating_add(TAG)).contains(&size) {
            return Err(Error::Damaged("a chunk of another size"));
        }
        let mut sealed = vec![0; size];
        exact(&mut self.from, &mut sealed)?;
        for last in [false, true] {
            let mut chunk = sealed.clone();
            let aad = Aad::from(self.start.as_ref());
            if let Ok(plain) = self.key.open_in_place(nonce(self.number, last), aad, &mut chunk) {
                let length = plain.len();
                chunk.truncate(length);
                (self.chunk, self.at, self.last) = (chunk, 0, last);
                self.number = self.number.saturating_add(1);
                if length == 0 && !last {
                    return Err(Error::Damaged("an empty chunk"));
                }
                return Ok(());
            }
        }
        Err(Error::Damaged("a chunk was changed, moved or is missing"))
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::digest::{SHA256, digest};

    use super::*;

    #[test]
    fn equal_chunks_have_a_place_each() {
        let key = Secret::new([7; 32]);
        let mut sealer = Sealer::new(&key, digest(&SHA256, b"start")).unwrap();
        let mut file = sealer.push(&vec![0; 3 * CHUNK]).unwrap();
        file.extend(sealer.finish().unwrap());
        let size = 4 + CHUNK + TAG;
        let chunks: Vec<_> = file.chunks(size).collect();
        assert_eq!(chunks.len(), 3);
        assert!(chunks[0] != chunks[1] && chunks[1] != chunks[2]);
        let reads = |order: &[usize], start: &[u8]| {
            let file: Vec<u8> = order.iter().flat_map(|n| chunks[*n]).copied().collect();
            let mut opener = Opener::new(file.as_slice(), &key, digest(&SHA256, start)).unwrap();
            opener.exact(&mut vec![0; order.len() * CHUNK]).and_then(|()| opener.end())
        };
        reads(&[0, 1, 2], b"start").unwrap();
        for order in [&[1, 0, 2][..], &[0, 0, 2], &[0, 2], &[0, 1], &[2], &[0, 1, 2, 2]] {
            reads(order, b"start").unwrap_err();
        }
        reads(&[0, 1, 2], b"another header").unwrap_err();
    }
}
