//! Refusals to answer with (RFC 9457). They never repeat a value of the request.

use std::{borrow::Cow, time::Duration};

use hyper::{
    Response, StatusCode,
    header::{ALLOW, CONTENT_LANGUAGE, CONTENT_TYPE, HeaderValue, RETRY_AFTER, VARY},
};

use super::{Body, Language, italian};
use crate::{
    api::problem::{MEDIA_TYPE, ProblemDocument},
    domain::id::RequestId,
};

/// A refusal: status, stable code and title, and what is known about this case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    title: &'static str,
    detail: Option<Cow<'static, str>>,
    field: Option<String>,
    retry_after: Option<Duration>,
    allow: Option<&'static str>,
}

impl Problem {
    /// A kind of problem. `code` is part of the interface: it never changes its meaning.
    pub const fn new(status: StatusCode, code: &'static str, title: &'static str) -> Self {
        Self { status, code, title, detail: None, field: None, retry_after: None, allow: None }
    }

    /// Something went wrong inside; the log has it under the request id.
    pub const fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error")
    }

    /// A part of the service is not there.
    pub const fn unavailable() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Service unavailable")
    }

    /// Says more about this case: a constant text, or what a parser of the domain says, which never repeats the value.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Names the field at fault by its JSON path, such as `$.expiry`: names of the schema, not of the request.
    #[must_use]
    pub fn field(mut self, path: impl Into<String>) -> Self {
        self.field = Some(path.into());
        self
    }

    /// Tells when to come back; goes into `retry-after`, in whole seconds rounded up.
    #[must_use]
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// Names the method that the path has; goes into `allow` (RFC 9110, 15.5.6).
    #[must_use]
    pub const fn allow(mut self, method: &'static str) -> Self {
        self.allow = Some(method);
        self
    }

    /// What is said about this case, if anything.
    pub fn detail_text(&self) -> Option<&str> {
        self.detail.as_deref()
    }

    /// HTTP status.
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// Stable code.
    pub const fn code(&self) -> &'static str {
        self.code
    }

    /// Title and detail in a language, and the tags of the languages that they are in: what has no Italian text is told in
    /// English rather than not at all.
    fn words(&self, language: Language) -> (&str, Option<Cow<'_, str>>, &'static str) {
        let english = self.detail.as_deref().map(Cow::Borrowed);
        let title = match language {
            Language::English => None,
            Language::Italian => italian::title(self.code),
        };
        let Some(title) = title else { return (self.title, english, Language::English.tag()) };
        match self.detail.as_deref().map(|detail| italian::detail(self.code, detail)) {
            None => (title, None, Language::Italian.tag()),
            Some(Some(detail)) => (title, Some(detail.into()), Language::Italian.tag()),
            Some(None) => (title, english, "it, en"),
        }
    }

    /// The answer to a request, in a language.
    pub fn into_response(self, request: RequestId, language: Language) -> Response<Body> {
        let (title, detail, languages) = self.words(language);
        let document = ProblemDocument {
            kind: format!("urn:sigillo:problem:{}", self.code),
            title: title.to_owned(),
            status: self.status.as_u16(),
            code: self.code.to_owned(),
            detail: detail.map(Cow::into_owned),
            field: self.field,
            request_id: request.to_string(),
        };
        // Text and numbers always serialise; an empty body with the right status would still be a refusal.
        let mut response = Response::new(Body::full(serde_json::to_vec(&document).unwrap_or_default()));
        *response.status_mut() = self.status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        response.headers_mut().insert(CONTENT_LANGUAGE, HeaderValue::from_static(languages));
        response.headers_mut().insert(VARY, HeaderValue::from_static("accept-language"));
        if let Some(after) = self.retry_after {
            let seconds = after.as_secs().saturating_add(u64::from(after.subsec_nanos() > 0));
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(method) = self.allow {
            response.headers_mut().insert(ALLOW, HeaderValue::from_static(method));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn on_the_wire() {
        let id = RequestId::new([7; 16]);
        let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many", "Too many")
            .detail("Wait.")
            .field("$.code")
            .retry_after(Duration::from_millis(1001));
        let response = problem.into_response(id, Language::English);
        assert_eq!(response.status(), 429);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        assert_eq!(response.headers()["retry-after"], "2");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let expected = format!(
            r#"{{"type":"urn:sigillo:problem:too_many","title":"Too many","status":429,"code":"too_many","detail":"Wait.","field":"$.code","request_id":"{id}"}}"#
        );
        assert_eq!(body, expected);
    }

    #[tokio::test]
    async fn in_italian_as_far_as_there_are_texts() {
        let said = async |problem: Problem| {
            let response = problem.into_response(RequestId::new([7; 16]), Language::Italian);
            assert_eq!(response.headers()["vary"], "accept-language");
            let languages = response.headers()["content-language"].to_str().unwrap().to_owned();
            let body = response.into_body().collect().await.unwrap().to_bytes();
            let document: ProblemDocument = serde_json::from_slice(&body).unwrap();
            (document.title, document.detail.unwrap_or_default(), languages)
        };
        let of = |title: &str, detail: &str, languages: &str| (title.into(), detail.into(), languages.into());
        assert_eq!(said(Problem::internal()).await, of("Errore interno", "", "it"));
        let expired = Problem::internal().detail("the certificate has expired");
        assert_eq!(said(expired).await, of("Errore interno", "il certificato è scaduto", "it"));
        let strange = Problem::internal().detail("line 7");
        assert_eq!(said(strange).await, of("Errore interno", "line 7", "it, en"));
        let new = Problem::new(StatusCode::CONFLICT, "new", "New").detail("the certificate has expired");
        assert_eq!(said(new).await, of("New", "the certificate has expired", "en"));
    }
}
