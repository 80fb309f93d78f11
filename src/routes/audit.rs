//! The log, for auditors: the newest checkpoint, and the export as a stream.

use std::sync::Arc;

use hyper::{Response, StatusCode, http::HeaderValue};

use super::{App, Arrived, json, problems};
use crate::{
    api::codes::Checkpoint,
    http::{Body, MediaType, Problem, StreamSender},
    policy::act,
    service::{Call, Service},
};

/// Events read in one step.
const STEP: usize = 500;
/// Steps that wait for the reader at most.
const AHEAD: usize = 4;

impl App {
    pub(super) async fn checkpoint(&self, arrived: Arrived) -> Result<Response<Body>, Problem> {
        let call = self.bare(&arrived)?;
        let (checkpoint, _) =
            self.service.read_checkpoint(&call).await.map_err(|e| problems::of(&e, arrived.id))?;
        json(&Checkpoint { checkpoint })
    }

    /// `?after=N`: events after number N, then a checkpoint that vouches for all of them.
    pub(super) async fn events(&self, arrived: Arrived) -> Result<Response<Body>, Problem> {
        let after = match arrived.request.uri().query() {
            None => 0,
            Some(query) => query.strip_prefix("after=").and_then(number).ok_or_else(|| {
                Problem::new(
                    StatusCode::BAD_REQUEST,
                    "bad_query",
                    "The query is after=N, the number of an event",
                )
            })?,
        };
        let call = self.bare(&arrived)?;
        let (checkpoint, until) =
            self.service.read_checkpoint(&call).await.map_err(|e| problems::of(&e, arrived.id))?;
        let (sender, stream) = Body::stream(AHEAD, self.limits.stall());
        let service = Arc::clone(&self.service);
        tokio::spawn(async move {
            let request = arrived.id;
            if let Err(reason) = export(&service, &call, sender, after, until, checkpoint).await {
                tracing::warn!(%request, reason, "export broke off");
            }
        });
        let mut response = Response::new(stream);
        let media_type = HeaderValue::from_static(MediaType::Ndjson.as_str());
        response.headers_mut().insert(hyper::header::CONTENT_TYPE, media_type);
        Ok(response)
    }
}

/// The number of an event: digits alone, as far as every reader of JSON can count.
fn number(text: &str) -> Option<u64> {
    let is_number = text.bytes().all(|b| b.is_ascii_digit());
    text.parse::<i64>().ok().filter(|_| is_number).and_then(|n| u64::try_from(n).ok())
}

/// Sends every event up to `until`, then the checkpoint. An error leaves the stream without its end, so that the
/// reader can tell.
async fn export(
    service: &Service,
    call: &Call<act::ReadAudit>,
    mut to: StreamSender,
    mut after: u64,
    until: u64,
    checkpoint: String,
) -> Result<(), String> {
    while after < until {
        let left = usize::try_from(until.saturating_sub(after)).unwrap_or(STEP);
        let events = service.events(call, after, left.min(STEP)).map_err(|e| e.to_string())?;
        if events.is_empty() {
            return Err(format!("event {} is missing", after.saturating_add(1)));
        }
        let mut lines = Vec::new();
        for event in &events {
            serde_json::to_writer(&mut lines, event).map_err(|e| e.to_string())?;
            lines.push(b'\n');
        }
        after = after.saturating_add(u64::try_from(events.len()).unwrap_or(u64::MAX));
        to.send(lines).await.map_err(|e| e.to_string())?;
    }
    let mut last = serde_json::to_vec(&Checkpoint { checkpoint }).map_err(|e| e.to_string())?;
    last.push(b'\n');
    to.send(last).await.map_err(|e| e.to_string())?;
    to.finish().await.map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn numbers_of_events_are_those_of_the_description() {
        assert_eq!((number("0"), number("9223372036854775807")), (Some(0), Some(9_223_372_036_854_775_807)));
        for bad in ["", "+1", "-1", "1.0", " 1", "9223372036854775808"] {
            assert_eq!(number(bad), None, "{bad}");
        }
    }
}
