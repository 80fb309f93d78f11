//! Reading the body of a request: bounded in bytes and time, of the announced type, wiped after use.

use std::{pin::pin, time::Duration};

use http_body_util::BodyExt;
use hyper::{
    HeaderMap, Request, StatusCode,
    body::{Body as HttpBody, Bytes},
    header::{CONTENT_ENCODING, CONTENT_TYPE},
    http::request::Parts,
};
use zeroize::Zeroize;

use super::Problem;
use crate::secret::SecretBytes;

/// Bounds of one body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyLimits {
    /// Most bytes.
    pub bytes: usize,
    /// Time from the first look to the last byte.
    pub time: Duration,
}

/// Types of body that the API takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaType {
    /// `application/json`
    Json,
    /// `application/x-ndjson`: one JSON value a line.
    Ndjson,
}

impl MediaType {
    /// As in `content-type`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Ndjson => "application/x-ndjson",
        }
    }
}

/// Why there is no body to work on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// The client went away or broke the protocol.
    #[error("the body broke off")]
    Broken,
    /// Not all of it came in time.
    #[error("the body came too slowly")]
    TimedOut,
    /// More bytes than allowed.
    #[error("the body is too long")]
    TooLong,
    /// `content-type` is missing or another one, or the content is encoded.
    #[error("the body is not of the expected type")]
    WrongType,
}

impl From<BodyError> for Problem {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::Broken => Self::new(StatusCode::BAD_REQUEST, "body_broken", "Body broke off"),
            BodyError::TimedOut => Self::new(StatusCode::REQUEST_TIMEOUT, "body_timeout", "Body too slow"),
            BodyError::TooLong => Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_long", "Body too long"),
            BodyError::WrongType => {
                Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "wrong_media_type", "Wrong media type")
            }
        }
    }
}

/// Reads the whole body of a request, which must be of this type.
///
/// # Errors
/// [`BodyError`], which is a [`Problem`] to answer with.
pub async fn read<B>(
    request: Request<B>,
    expected: MediaType,
    limits: BodyLimits,
) -> Result<(Parts, SecretBytes), BodyError>
where
    B: HttpBody<Data = Bytes>,
{
    let (parts, body) = request.into_parts();
    if !of_type(&parts.headers, expected) {
        return Err(BodyError::WrongType);
    }
    match tokio::time::timeout(limits.time, collect(body, limits.bytes)).await {
        Ok(read) => Ok((parts, read?)),
        Err(_) => Err(BodyError::TimedOut),
    }
}

async fn collect<B: HttpBody<Data = Bytes>>(body: B, limit: usize) -> Result<SecretBytes, BodyError> {
    let mut body = pin!(body);
    let announced = body.size_hint();
    let lower = usize::try_from(announced.lower()).unwrap_or(usize::MAX);
    let mut held = Held::new(if lower > limit { 0 } else { lower });
    let mut fits = lower <= limit;
    // A little of what is too much is read and dropped: closing on a peer that still writes would reset the
    // connection, and the answer could be lost with it.
    let mut dropped = 0_usize;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| BodyError::Broken)?.into_data() else {
            continue; // trailers mean nothing here
        };
        fits = fits && held.len().saturating_add(data.len()) <= limit;
        if fits {
            held.extend(&data, limit);
        } else {
            dropped = dropped.saturating_add(data.len());
            if dropped > limit {
                break;
            }
        }
    }
    if fits { Ok(held.into_secret()) } else { Err(BodyError::TooLong) }
}

/// Only `charset=utf-8` may follow the type, since it is what JSON is.
fn of_type(headers: &HeaderMap, expected: MediaType) -> bool {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (types.next(), types.next()) else { return false };
    let Ok(text) = value.to_str() else { return false };
    let (essence, parameter) = match text.split_once(';') {
        Some((essence, parameter)) => (essence, Some(parameter.trim())),
        None => (text, None),
    };
    essence.trim().eq_ignore_ascii_case(expected.as_str())
        && parameter.is_none_or(|p| p.is_empty() || p.eq_ignore_ascii_case("charset=utf-8"))
        && headers.get(CONTENT_ENCODING).is_none_or(|encoding| encoding == "identity")
}

/// A buffer that leaves no copy behind when it grows or is dropped.
struct Held(Vec<u8>);

impl Held {
    fn new(capacity: usize) -> Self {
        Self(Vec::with_capacity(capacity))
    }

    const fn len(&self) -> usize {
        self.0.len()
    }

    fn extend(&mut self, data: &[u8], limit: usize) {
        let needed = self.0.len().saturating_add(data.len());
        if needed > self.0.capacity() {
            let mut larger = Vec::with_capacity(needed.max(self.0.capacity().saturating_mul(2)).min(limit));
            larger.extend_from_slice(&self.0);
            std::mem::replace(&mut self.0, larger).zeroize();
        }
        self.0.extend_from_slice(data);
    }

    fn into_secret(mut self) -> SecretBytes {
        SecretBytes::new(std::mem::take(&mut self.0))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;

    use super::*;
    use crate::http::Body;

    const LIMITS: BodyLimits = BodyLimits { bytes: 8, time: Duration::from_secs(60) };

    fn json(body: Body) -> Request<Body> {
        Request::post("/").header(CONTENT_TYPE, "application/json").body(body).unwrap()
    }

    #[tokio::test]
    async fn lengths() {
        for (length, fits) in [(0, true), (1, true), (8, true), (9, false), (100, false)] {
            let whole = read(json(Body::full(vec![b'x'; length])), MediaType::Json, LIMITS).await;
            assert_eq!(whole.as_ref().err(), (!fits).then_some(&BodyError::TooLong), "{length}");
            let (mut sender, body) = Body::stream(200, LIMITS.time);
            for _ in 0..length {
                sender.send("x").await.unwrap();
            }
            sender.finish().await.unwrap();
            let streamed = read(json(body), MediaType::Json, LIMITS).await;
            assert_eq!(streamed.as_ref().err(), (!fits).then_some(&BodyError::TooLong), "{length}");
            if let Ok((_, bytes)) = streamed {
                assert_eq!(bytes.expose(), vec![b'x'; length]);
            }
        }
    }

    #[tokio::test]
    async fn an_endless_body_is_not_read_to_its_end() {
        let (mut sender, body) = Body::stream(1, LIMITS.time);
        let maker = tokio::spawn(async move { while sender.send("xxxx").await.is_ok() {} });
        assert_eq!(read(json(body), MediaType::Json, LIMITS).await.unwrap_err(), BodyError::TooLong);
        maker.await.unwrap();
    }

    #[tokio::test]
    async fn broken_and_slow() {
        let (sender, body) = Body::stream(1, LIMITS.time);
        drop(sender);
        assert_eq!(read(json(body), MediaType::Json, LIMITS).await.unwrap_err(), BodyError::Broken);
        let (sender, body) = Body::stream(1, LIMITS.time);
        let short = BodyLimits { time: Duration::from_millis(1), ..LIMITS };
        assert_eq!(read(json(body), MediaType::Json, short).await.unwrap_err(), BodyError::TimedOut);
        drop(sender);
    }

    #[tokio::test]
    async fn types() {
        for (content_type, encoding, good) in [
            ("application/json", None, true),
            ("Application/JSON; charset=UTF-8", None, true),
            ("application/json", Some("identity"), true),
            ("application/json", Some("gzip"), false),
            ("application/json; charset=latin1", None, false),
            ("application/jsonx", None, false),
            ("text/plain", None, false),
        ] {
            let mut request = Request::post("/").header(CONTENT_TYPE, content_type);
            if let Some(encoding) = encoding {
                request = request.header(CONTENT_ENCODING, encoding);
            }
            let request = request.body(Full::<Bytes>::default()).unwrap();
            assert_eq!(read(request, MediaType::Json, LIMITS).await.is_ok(), good, "{content_type}");
        }
        let none = Request::post("/").body(Full::<Bytes>::default()).unwrap();
        assert_eq!(read(none, MediaType::Json, LIMITS).await.unwrap_err(), BodyError::WrongType);
    }
}
