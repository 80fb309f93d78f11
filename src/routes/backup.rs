//! The store's backup, as a stream.

use std::{sync::Arc, time::Duration};

use hyper::{Response, http::HeaderValue};

use super::{App, Arrived, problems};
use crate::{
    http::{Body, Problem, StreamSender},
    service::Backup,
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
        tokio::spawn(async move {
            let (request, _only) = (arrived.id, only);
            if let Err(reason) = send(backup, sender).await {
                tracing::warn!(%request, reason, "backup broke off");
            }
        });
        let mut response = Response::new(stream);
        let media_type = HeaderValue::from_static("application/octet-stream");
        response.headers_mut().insert(hyper::header::CONTENT_TYPE, media_type);
        Ok(response)
    }
}

/// Sends it to its end. An error leaves the stream without its end, so that the reader can tell.
async fn send(mut backup: Backup, mut to: StreamSender) -> Result<(), String> {
    while let Some(part) = backup.next_part().map_err(|e| e.to_string())? {
        to.send(part).await.map_err(|e| e.to_string())?;
    }
    let end = backup.end().await.map_err(|e| e.to_string())?;
    to.send(end).await.map_err(|e| e.to_string())?;
    to.finish().await.map_err(|e| e.to_string())
}
