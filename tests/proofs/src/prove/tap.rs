//! What passes between HTTP/2 and TLS: everything between two flushes leaves in one record, and the order of the HEADERS frames
//! is noted.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Head of a frame (RFC 9113, 4.1): length, type, flags, stream.
const HEAD: usize = 9;
const HEADERS: u8 = 1;
/// What a client sends before its first frame (RFC 9113, 3.4), bytes.
const PREFACE: usize = 24;

/// Finds frames in a stream of bytes.
struct Frames {
    head: Vec<u8>,
    skip: usize,
}

impl Frames {
    const fn after(skip: usize) -> Self {
        Self { head: Vec::new(), skip }
    }

    /// The streams of the HEADERS frames whose heads end in these bytes, put behind the others.
    fn read(&mut self, mut bytes: &[u8], streams: &mut Vec<u32>) {
        while !bytes.is_empty() {
            let (passed, rest) = bytes.split_at(bytes.len().min(self.skip));
            self.skip = self.skip.saturating_sub(passed.len());
            let missing = HEAD.saturating_sub(self.head.len());
            let (head, rest) = rest.split_at(rest.len().min(missing));
            self.head.extend_from_slice(head);
            bytes = rest;
            if let [a, b, c, kind, _, stream @ ..] = self.head.as_slice()
                && let Ok(stream) = <[u8; 4]>::try_from(stream)
            {
                self.skip = usize::try_from(u32::from_be_bytes([0, *a, *b, *c])).unwrap_or(usize::MAX);
                if *kind == HEADERS {
                    streams.push(u32::from_be_bytes(stream) & 0x7fff_ffff);
                }
                self.head.clear();
            }
        }
    }
}

/// What was noted.
#[derive(Debug, Default)]
pub(crate) struct Noted {
    /// Streams of the HEADERS frames that came, in their order.
    pub(crate) answers: Vec<u32>,
    /// Of each record that left: the streams of its HEADERS frames, and its bytes.
    pub(crate) records: Vec<(Vec<u32>, usize)>,
}

/// Notes that are read while the connection runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notes(Arc<Mutex<Noted>>);

impl Notes {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Noted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A TLS stream with notes.
pub(crate) struct Tap<T> {
    tls: T,
    notes: Notes,
    waiting: Vec<u8>,
    coming: Frames,
    leaving: Frames,
}

impl<T> Tap<T> {
    pub(crate) const fn new(tls: T, notes: Notes) -> Self {
        Self { tls, notes, waiting: Vec::new(), coming: Frames::after(0), leaving: Frames::after(PREFACE) }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Tap<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { tls, notes, coming, .. } = &mut *self;
        let before = buffer.filled().len();
        ready!(Pin::new(tls).poll_read(context, buffer))?;
        coming.read(buffer.filled().get(before..).unwrap_or_default(), &mut notes.lock().answers);
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Tap<T> {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.waiting.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { tls, notes, waiting, leaving, .. } = &mut *self;
        while !waiting.is_empty() {
            // What TLS takes at one time, below 16 KiB, is one record.
            let taken = ready!(Pin::new(&mut *tls).poll_write(context, waiting))?;
            let mut streams = Vec::new();
            leaving.read(waiting.get(..taken).unwrap_or_default(), &mut streams);
            notes.lock().records.push((streams, taken));
            waiting.drain(..taken.min(waiting.len()));
        }
        Pin::new(tls).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().poll_flush(context))?;
        Pin::new(&mut self.tls).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    fn frame(kind: u8, stream: u32, length: usize) -> Vec<u8> {
        let length = u32::try_from(length).unwrap().to_be_bytes();
        let body = vec![1; usize::try_from(u32::from_be_bytes(length)).unwrap()];
        [&length[1..], &[kind, 4], &stream.to_be_bytes(), &body].concat()
    }

    #[test]
    fn frames_are_found_however_they_are_cut() {
        let bytes = [vec![b'P'; PREFACE], frame(4, 0, 18), frame(1, 5, 300), frame(0, 5, 9), frame(1, 3, 0)];
        for size in 1..80 {
            let (mut frames, mut streams) = (Frames::after(PREFACE), Vec::new());
            bytes.concat().chunks(size).for_each(|piece| frames.read(piece, &mut streams));
            assert_eq!(streams, [5, 3], "{size}");
        }
    }

    #[tokio::test]
    async fn what_is_between_two_flushes_leaves_at_once() {
        let ((near, mut far), notes) = (duplex(1 << 16), Notes::default());
        let mut tap = Tap::new(near, notes.clone());
        tap.write_all(&[b'P'; PREFACE]).await.unwrap();
        tap.flush().await.unwrap();
        tap.write_all(&frame(1, 1, 20)).await.unwrap();
        tap.write_all(&frame(1, 3, 20)).await.unwrap();
        assert_eq!(notes.lock().records.len(), 1);
        tap.flush().await.unwrap();
        assert_eq!(notes.lock().records, [(vec![], PREFACE), (vec![1, 3], 58)]);
        let mut sent = vec![0; PREFACE + 58];
        far.read_exact(&mut sent).await.unwrap();
        far.write_all(&[frame(1, 3, 5), frame(1, 1, 5)].concat()).await.unwrap();
        tap.read_exact(&mut [0; 28]).await.unwrap();
        assert_eq!(notes.lock().answers, [3, 1]);
    }
}
