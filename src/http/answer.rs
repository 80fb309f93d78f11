//! Bodies of answers: whole, or a stream that ends with an explicit word.
//!
//! A stream that is not finished (its maker failed, panicked or gave up) breaks off, so that the receiver can
//! tell it from a complete one.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use hyper::body::{Body as HttpBody, Bytes, Frame, SizeHint};
use tokio::sync::mpsc;

/// Body of an answer.
#[derive(Debug)]
pub struct Body(Inner);

#[derive(Debug)]
enum Inner {
    Done,
    Full(Bytes),
    Stream(mpsc::Receiver<Part>),
}

#[derive(Debug)]
enum Part {
    Data(Bytes),
    End,
}

/// The other end has gone, is too slow, or the maker did not finish.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stream broke off")]
pub struct StreamEnded;

/// Feeds a streamed [`Body`]. Dropped without [`StreamSender::finish`], it breaks the stream off.
#[derive(Debug)]
pub struct StreamSender {
    parts: mpsc::Sender<Part>,
    stall: Duration,
}

impl Body {
    /// No content.
    pub const fn empty() -> Self {
        Self(Inner::Done)
    }

    /// All of it at once.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self(if bytes.is_empty() { Inner::Done } else { Inner::Full(bytes) })
    }

    /// A stream of at most `ahead` (at least 1) parts waiting; a part that waits longer than `stall` for the
    /// receiver ends the stream.
    pub fn stream(ahead: usize, stall: Duration) -> (StreamSender, Self) {
        let (parts, receiver) = mpsc::channel(ahead.max(1));
        (StreamSender { parts, stall }, Self(Inner::Stream(receiver)))
    }
}

impl StreamSender {
    /// Sends a part; waits while too many are on their way.
    ///
    /// # Errors
    /// [`StreamEnded`] when nobody will read it: stop.
    pub async fn send(&mut self, part: impl Into<Bytes>) -> Result<(), StreamEnded> {
        self.push(Part::Data(part.into())).await
    }

    /// Says that the stream is complete.
    ///
    /// # Errors
    /// [`StreamEnded`] when the receiver has gone.
    pub async fn finish(self) -> Result<(), StreamEnded> {
        self.push(Part::End).await
    }

    async fn push(&self, part: Part) -> Result<(), StreamEnded> {
        match tokio::time::timeout(self.stall, self.parts.send(part)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(StreamEnded),
        }
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = StreamEnded;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StreamEnded>>> {
        let item = match &mut self.0 {
            Inner::Done => None,
            Inner::Full(bytes) => {
                let frame = Frame::data(std::mem::take(bytes));
                self.0 = Inner::Done;
                return Poll::Ready(Some(Ok(frame)));
            }
            Inner::Stream(parts) => match parts.poll_recv(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Part::Data(bytes))) => return Poll::Ready(Some(Ok(Frame::data(bytes)))),
                Poll::Ready(Some(Part::End)) => None,
                Poll::Ready(None) => Some(Err(StreamEnded)),
            },
        };
        self.0 = Inner::Done;
        Poll::Ready(item)
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.0, Inner::Done)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Inner::Done => SizeHint::with_exact(0),
            Inner::Full(bytes) => SizeHint::with_exact(u64::try_from(bytes.len()).unwrap_or(u64::MAX)),
            Inner::Stream(_) => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn a_finished_stream_is_whole() {
        let (mut sender, body) = Body::stream(4, LONG);
        sender.send("a\n").await.unwrap();
        sender.send("b\n").await.unwrap();
        sender.finish().await.unwrap();
        assert_eq!(body.collect().await.unwrap().to_bytes(), "a\nb\n");
    }

    #[tokio::test]
    async fn an_unfinished_stream_breaks_off() {
        let (mut sender, body) = Body::stream(4, LONG);
        sender.send("a\n").await.unwrap();
        drop(sender);
        assert_eq!(body.collect().await.unwrap_err(), StreamEnded);
    }

    #[tokio::test]
    async fn a_receiver_that_left_or_sleeps_stops_the_maker() {
        let (mut sender, body) = Body::stream(1, LONG);
        drop(body);
        assert_eq!(sender.send("a").await, Err(StreamEnded));

        let (mut sender, body) = Body::stream(1, Duration::from_millis(1));
        sender.send("a").await.unwrap();
        assert_eq!(sender.send("b").await, Err(StreamEnded));
        drop(body);
    }

    #[tokio::test]
    async fn whole_bodies() {
        assert!(Body::empty().is_end_stream() && Body::full("").is_end_stream());
        assert_eq!(Body::full("abc").size_hint().exact(), Some(3));
        assert_eq!(Body::full("abc").collect().await.unwrap().to_bytes(), "abc");
    }
}
