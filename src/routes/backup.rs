//! The store's backup, as a stream.

use hyper::{Response, http::HeaderValue};

use super::{App, Arrived, problems};
use crate::{
    http::{Body, Problem, StreamSender},
    service::Backup,
};

/// Parts that wait for the reader at most.
const AHEAD: usize = 4;

impl App {
    pub(super) async fn back_up(&self, arrived: Arrived) -> Result<Response<Body>, Problem> {
        let call = self.bare(&arrived)?;
        let backup = self.service.back_up(&call).await.map_err(|e| problems::of(&e, arrived.id))?;
        let (sender, stream) = Body::stream(AHEAD, self.limits.stall());
        tokio::spawn(async move {
            let request = arrived.id;
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
    to.finish().await.map_err(|e| e.to_string())
}
