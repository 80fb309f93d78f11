//! The store's backup, as a stream.

use std::{sync::Arc, time::Duration};

use hyper::{Response, http::HeaderValue};

use super::{App, Arrived, problems};
use crate::{
    http::{Body, Problem, StreamSender},
    service::{Backup, Error},
};

/// When to ask again while another backup runs.
const AGAIN: Duration = Duration::from_secs(60);
/// Parts that wait for the reader at most.
const AHEAD: usize = 4;

impl App {
    pub(super) async fn back_up(&self, arrived: Arrived) -> Result<Response<Body>, Problem> {
        let call = self.bare(&arrived)?;
        // Another one runs: refused rather than kept waiting for hours.
        let only = Arc::clone(&self.backups)
            .try_acquire_owned()
            .map_err(|_| Problem::unavailable().retry_after(AGAIN))?;
        let backup = self.service.back_up(&call).await.map_err(|e| problems::of(&e, arrived.id))?;
        let (sender, stream) = Body::stream(AHEAD, self.limits.stall());
        let age = self.limits.backup_age();
        tokio::spawn(async move {
            let (request, _only) = (arrived.id, only);
            if let Err(reason) = send_within(age, backup, sender).await {
                tracing::warn!(%request, reason, "backup broke off");
            }
        });
        let mut response = Response::new(stream);
        let media_type = HeaderValue::from_static("application/octet-stream");
        response.headers_mut().insert(hyper::header::CONTENT_TYPE, media_type);
        Ok(response)
    }
}

/// A file that is made as it is read.
trait Parts: Sized + Send {
    fn next(&mut self) -> impl Future<Output = Result<Option<Vec<u8>>, Error>> + Send;
    fn end(self) -> impl Future<Output = Result<Vec<u8>, Error>> + Send;
}

impl Parts for Backup {
    fn next(&mut self) -> impl Future<Output = Result<Option<Vec<u8>>, Error>> + Send {
        self.next_part()
    }

    fn end(self) -> impl Future<Output = Result<Vec<u8>, Error>> + Send {
        Self::end(self)
    }
}

/// As [`send`], for so long at most: what is being read keeps former values of the store in memory.
async fn send_within(age: Duration, backup: impl Parts, to: StreamSender) -> Result<(), String> {
    let late = |_| Err(format!("it was not read within {} ms (limits.backup_age_ms)", age.as_millis()));
    tokio::time::timeout(age, send(backup, to)).await.unwrap_or_else(late)
}

/// Sends it to its end. An error leaves the stream without its end, so that the reader can tell.
async fn send(mut backup: impl Parts, mut to: StreamSender) -> Result<(), String> {
    while let Some(part) = backup.next().await.map_err(|e| e.to_string())? {
        to.send(part).await.map_err(|e| e.to_string())?;
    }
    let end = backup.end().await.map_err(|e| e.to_string())?;
    to.send(end).await.map_err(|e| e.to_string())?;
    to.finish().await.map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use http_body_util::BodyExt;

    use super::*;

    /// Has so many parts, and says when it is gone.
    struct File {
        left: usize,
        gone: Arc<AtomicUsize>,
    }

    impl Drop for File {
        fn drop(&mut self) {
            self.gone.fetch_add(1, SeqCst);
        }
    }

    impl Parts for File {
        async fn next(&mut self) -> Result<Option<Vec<u8>>, Error> {
            let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
            self.left = left;
            Ok(Some(b"part".to_vec()))
        }

        async fn end(self) -> Result<Vec<u8>, Error> {
            Ok(b"end".to_vec())
        }
    }

    /// Hours that nobody waits for.
    const HOURS: Duration = Duration::from_secs(36_000);

    #[tokio::test]
    async fn a_reader_that_stands_still_gets_no_end_and_holds_nothing() {
        let gone = Arc::<AtomicUsize>::default();
        let (sender, stream) = Body::stream(1, HOURS);
        let file = File { left: 5, gone: Arc::clone(&gone) };
        let said = send_within(Duration::from_millis(20), file, sender).await.unwrap_err();
        assert!(said.contains("backup_age_ms"), "{said}");
        assert_eq!(gone.load(SeqCst), 1);
        assert!(stream.collect().await.is_err(), "it broke off");
    }

    #[tokio::test]
    async fn a_reader_that_reads_gets_all_of_it() {
        let gone = Arc::<AtomicUsize>::default();
        let (sender, stream) = Body::stream(1, HOURS);
        let sent = send_within(HOURS, File { left: 5, gone }, sender);
        let (sent, read) = tokio::join!(sent, stream.collect());
        sent.unwrap();
        assert_eq!(read.unwrap().to_bytes(), [b"part".repeat(5), b"end".to_vec()].concat());
    }
}
