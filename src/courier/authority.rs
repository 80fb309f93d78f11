//! The authority over mutual TLS.

use std::{sync::Arc, time::Duration};

use hyper::HeaderMap;

use super::{Authority, AuthorityError};
use crate::{
    api::courier::{LeaseRequest, Leases, Report, Reported},
    client::{Client, ClientError, ClientLimits},
    clock::Clock,
    domain::id::LeaseId,
    tls::TlsClientFiles,
};

/// Longest answer: a hundred leases with long lists of forbidden parts, in bytes.
const MAX_ANSWER: usize = 4 << 20;

/// The authority's courier endpoints.
#[derive(Debug)]
pub struct HttpAuthority {
    client: Client,
}

impl HttpAuthority {
    /// Reads certificate, key and CA. Does not connect yet.
    ///
    /// # Errors
    /// What is wrong with the address or a file.
    pub fn new(
        url: &str,
        files: &TlsClientFiles,
        timeout: Duration,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ClientError> {
        let limits = ClientLimits {
            answer_bytes: MAX_ANSWER,
            request_ms: u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX),
            ..ClientLimits::default()
        };
        Ok(Self { client: Client::new(url, files, limits, clock)? })
    }
}

impl Authority for HttpAuthority {
    async fn lease(&self, limit: usize, kept: Option<String>) -> Result<Leases, AuthorityError> {
        let wanted = LeaseRequest { limit, checkpoint: kept };
        let answer = self.client.post_json("/v1/courier/leases", HeaderMap::new(), &wanted).await;
        answer.map_err(|e| meaning(&e))
    }

    async fn report(&self, lease: &LeaseId, report: &Report) -> Result<(), AuthorityError> {
        let path = format!("/v1/courier/leases/{lease}/report");
        let answer: Result<Reported, _> = self.client.post_json(&path, HeaderMap::new(), report).await;
        let now = answer.map_err(|e| meaning(&e))?;
        tracing::debug!(delivery = %report.delivery, state = now.state, "reported");
        Ok(())
    }
}

/// 409 is a lost lease; other refusals of the request itself are final; everything else may pass.
fn meaning(error: &ClientError) -> AuthorityError {
    let status = match error {
        ClientError::Problem(problem) => Some(problem.status),
        ClientError::Status(status) => Some(status.as_u16()),
        ClientError::AnswerTooLong
        | ClientError::Base(_)
        | ClientError::CertificateRefused(_)
        | ClientError::Connect(_)
        | ClientError::Form { .. }
        | ClientError::InvalidRequest
        | ClientError::NotSent(_)
        | ClientError::TimedOut { .. }
        | ClientError::Tls(_)
        | ClientError::Unknown(_)
        | ClientError::Write(_) => None,
    };
    match status {
        Some(409) => AuthorityError::LeaseLost,
        // Not allowed in, too slow, too early, too many: true of every report, and may change.
        Some(401 | 403 | 408 | 425 | 429) | None => AuthorityError::Unavailable(error.to_string()),
        Some(400..=499) => AuthorityError::Refused(error.to_string()),
        Some(_) => AuthorityError::Unavailable(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use hyper::StatusCode;

    use super::*;

    #[test]
    fn statuses_have_their_meaning() {
        let of = |status: u16| meaning(&ClientError::Status(StatusCode::from_u16(status).unwrap()));
        assert_eq!(of(409), AuthorityError::LeaseLost);
        for status in [400, 404, 410, 422] {
            assert!(matches!(of(status), AuthorityError::Refused(_)), "{status}");
        }
        for status in [302, 401, 403, 408, 429, 500, 503] {
            assert!(matches!(of(status), AuthorityError::Unavailable(_)), "{status}");
        }
        assert!(matches!(meaning(&ClientError::TimedOut { sent: true }), AuthorityError::Unavailable(_)));
    }
}
