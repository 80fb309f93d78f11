//! Client of the API: JSON over mutual TLS, with time and size limits.
//!
//! A request that may have reached the server is never repeated here: only the caller knows whether it may.

mod connect;
mod error;
mod pool;
mod watch;

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http_body_util::BodyExt;
use hyper::{
    HeaderMap, Method, Response, StatusCode,
    body::{Body as _, Bytes, Incoming},
    header::{ACCEPT, CONTENT_TYPE, HeaderValue},
};
use rustls::ClientConfig;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::{
    io::{AsyncWrite, AsyncWriteExt},
    sync::{Mutex, Semaphore, SemaphorePermit},
};

use crate::{
    clock::Clock,
    tls::{Protocols, TlsClientFiles, anonymous_config, client_config},
};
use connect::{Call, Origin, Sender};
use pool::{Pool, Shared};

pub use error::ClientError;
pub(crate) use error::{harmless, reason};

/// Bounds of a client. Absent keys have the defaults of [`ClientLimits::default`].
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClientLimits {
    /// Versions of HTTP to offer.
    pub protocols: Protocols,
    /// Calls at one time; further ones wait.
    pub concurrent: usize,
    /// Time to connect, TLS included, ms.
    pub connect_ms: u64,
    /// Time for a whole call, waiting and connecting included, ms.
    pub request_ms: u64,
    /// Time that a download may stand still, ms.
    pub stall_ms: u64,
    /// HTTP/1.1: age at which an idle connection is dropped, ms; keep it below the server's `header_ms`.
    pub idle_ms: u64,
    /// Longest answer that is taken into memory, bytes.
    pub answer_bytes: usize,
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self {
            protocols: Protocols::Any,
            concurrent: 64,
            connect_ms: 5_000,
            request_ms: 30_000,
            stall_ms: 20_000,
            idle_ms: 5_000,
            answer_bytes: 16 << 20,
        }
    }
}

/// A client of one server. Calls may run at the same time.
pub struct Client {
    origin: Origin,
    limits: ClientLimits,
    places: Semaphore,
    pool: Pool,
    dialling: Mutex<()>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// An answer under way, and what it occupies.
struct Exchange<'a> {
    response: Response<Incoming>,
    sender: Sender,
    _place: SemaphorePermit<'a>,
}

impl Client {
    /// A client of `https://host:port`, which does not connect yet.
    ///
    /// # Errors
    /// [`ClientError::Base`] or [`ClientError::Tls`].
    pub fn new(
        base: &str,
        files: &TlsClientFiles,
        limits: ClientLimits,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ClientError> {
        Self::with_config(base, client_config(files, limits.protocols, Arc::clone(&clock))?, limits, clock)
    }

    /// As [`Client::new`], of a client that shows no certificate.
    ///
    /// # Errors
    /// [`ClientError::Base`] or [`ClientError::Tls`].
    pub fn anonymous(
        base: &str,
        server_ca: &Path,
        limits: ClientLimits,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ClientError> {
        Self::with_config(
            base,
            anonymous_config(server_ca, limits.protocols, Arc::clone(&clock))?,
            limits,
            clock,
        )
    }

    /// As [`Client::new`], with TLS set up by the caller, [`ClientLimits::protocols`] too.
    ///
    /// # Errors
    /// [`ClientError::Base`].
    pub fn with_config(
        base: &str,
        config: ClientConfig,
        limits: ClientLimits,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ClientError> {
        Ok(Self {
            origin: Origin::new(base, config)?,
            places: Semaphore::new(limits.concurrent.clamp(1, Semaphore::MAX_PERMITS)),
            pool: Pool::new(clock, Duration::from_millis(limits.idle_ms)),
            dialling: Mutex::new(()),
            limits,
        })
    }

    /// Calls `path` (it begins with `/`) and gives the answer whatever its status.
    ///
    /// # Errors
    /// [`ClientError`]; see [`ClientError::may_have_been_carried_out`].
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: impl Into<Bytes>,
    ) -> Result<(StatusCode, HeaderMap, Bytes), ClientError> {
        let call = Call { method, path, headers, body: body.into() };
        let sent = AtomicBool::new(false);
        let whole = async {
            let exchange = self.exchange(&call, &sent).await?;
            self.whole(exchange).await
        };
        tokio::time::timeout(Duration::from_millis(self.limits.request_ms), whole)
            .await
            .unwrap_or_else(|_| Err(ClientError::TimedOut { sent: sent.load(Ordering::Relaxed) }))
    }

    /// Posts a value and reads one back. A status other than 2xx is an error.
    ///
    /// # Errors
    /// [`ClientError`], [`ClientError::Problem`] above all.
    pub async fn post_json<T: Serialize + Sync + ?Sized, R: DeserializeOwned>(
        &self,
        path: &str,
        mut headers: HeaderMap,
        value: &T,
    ) -> Result<R, ClientError> {
        let body = serde_json::to_vec(value).map_err(|_| ClientError::InvalidRequest)?;
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        parse(self.call(Method::POST, path, headers, body).await?)
    }

    /// Reads a value. A status other than 2xx is an error.
    ///
    /// # Errors
    /// [`ClientError`], [`ClientError::Problem`] above all.
    pub async fn get_json<R: DeserializeOwned>(
        &self,
        path: &str,
        headers: HeaderMap,
    ) -> Result<R, ClientError> {
        parse(self.call(Method::GET, path, headers, Bytes::new()).await?)
    }

    /// Reads a stream of any length into `writer`, and gives its length in bytes. `Ok` means that it is whole.
    ///
    /// # Errors
    /// [`ClientError`]; what was written until then is not whole.
    pub async fn download<W: AsyncWrite + Unpin>(
        &self,
        path: &str,
        mut headers: HeaderMap,
        writer: &mut W,
    ) -> Result<u64, ClientError> {
        headers.entry(ACCEPT).or_insert(HeaderValue::from_static("application/x-ndjson"));
        let call = Call { method: Method::GET, path, headers, body: Bytes::new() };
        let sent = AtomicBool::new(false);
        let head =
            tokio::time::timeout(Duration::from_millis(self.limits.request_ms), self.exchange(&call, &sent));
        let late = |_| ClientError::TimedOut { sent: sent.load(Ordering::Relaxed) };
        let mut exchange = head.await.map_err(late)??;
        let stall = Duration::from_millis(self.limits.stall_ms);
        if !exchange.response.status().is_success() {
            let answer = tokio::time::timeout(stall, self.whole(exchange)).await.map_err(late)??;
            return Err(refused(answer.0, &answer.2));
        }
        let mut length = 0_u64;
        while let Some(frame) =
            tokio::time::timeout(stall, exchange.response.body_mut().frame()).await.map_err(late)?
        {
            let Ok(data) = frame.map_err(ClientError::Unknown)?.into_data() else { continue };
            writer.write_all(&data).await.map_err(ClientError::Write)?;
            length = length.saturating_add(u64::try_from(data.len()).unwrap_or(u64::MAX));
        }
        writer.flush().await.map_err(ClientError::Write)?;
        self.release(exchange);
        Ok(length)
    }

    /// Sends on a pooled connection, or on a new one; on another one only while nothing has been sent.
    async fn exchange(&self, call: &Call<'_>, sent: &AtomicBool) -> Result<Exchange<'_>, ClientError> {
        // The semaphore is never closed.
        let place = self.places.acquire().await.map_err(|_| ClientError::TimedOut { sent: false })?;
        loop {
            let (mut sender, new) = self.connection().await?;
            if sender.ready().await.is_err() && !new {
                self.pool.clear();
                continue;
            }
            let request = self.origin.request(call, &sender)?;
            sent.store(true, Ordering::Relaxed);
            match sender.send(request).await {
                Ok(response) => return Ok(Exchange { response, sender, _place: place }),
                Err(mut error) => {
                    let unsent = error.take_message().is_some();
                    let error = error.into_error();
                    if !unsent {
                        return Err(ClientError::after_sending(error, sender.alert()));
                    }
                    sent.store(false, Ordering::Relaxed);
                    self.pool.clear();
                    if new {
                        return Err(ClientError::before_sending(error, sender.alert()));
                    }
                }
            }
        }
    }

    /// A connection, and whether it is new. One dials at a time, so that calls that start together share an
    /// HTTP/2 connection.
    async fn connection(&self) -> Result<(Sender, bool), ClientError> {
        if let Some(sender) = self.pool.take() {
            return Ok((sender, false));
        }
        let _turn = self.dialling.lock().await;
        if let Some(sender) = self.pool.take() {
            return Ok((sender, false));
        }
        let time = Duration::from_millis(self.limits.connect_ms);
        let sender = tokio::time::timeout(time, self.origin.dial())
            .await
            .map_err(|_| ClientError::TimedOut { sent: false })??;
        if let Some(shared) = sender.share() {
            self.pool.put(shared, Shared::Yes);
        }
        Ok((sender, true))
    }

    /// The whole answer, within the limit.
    async fn whole(&self, mut exchange: Exchange<'_>) -> Result<(StatusCode, HeaderMap, Bytes), ClientError> {
        let limit = self.limits.answer_bytes;
        let sender = &exchange.sender;
        let broken = |error| ClientError::after_sending(error, sender.alert());
        let body = exchange.response.body_mut();
        let mut whole =
            Vec::with_capacity(usize::try_from(body.size_hint().lower()).unwrap_or(limit).min(limit));
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
            if whole.len().saturating_add(data.len()) > limit {
                return Err(ClientError::AnswerTooLong);
            }
            whole.extend_from_slice(&data);
        }
        let status = exchange.response.status();
        let headers = std::mem::take(exchange.response.headers_mut());
        self.release(exchange);
        Ok((status, headers, whole.into()))
    }

    /// Takes a connection back whose answer has been read to its end.
    fn release(&self, exchange: Exchange<'_>) {
        if exchange.sender.share().is_none() && !exchange.sender.is_closed() {
            self.pool.put(exchange.sender, Shared::No);
        }
    }
}

fn parse<R: DeserializeOwned>(answer: (StatusCode, HeaderMap, Bytes)) -> Result<R, ClientError> {
    let (status, _, body) = answer;
    if !status.is_success() {
        return Err(refused(status, &body));
    }
    // The library's message is dropped: it can quote the answer.
    serde_json::from_slice(&body)
        .map_err(|error| ClientError::Form { line: error.line(), column: error.column() })
}

/// The error that an answer other than 2xx is.
pub(crate) fn refused(status: StatusCode, body: &[u8]) -> ClientError {
    match serde_json::from_slice(body) {
        Ok(problem) => ClientError::Problem(Box::new(problem)),
        Err(_) => ClientError::Status(status),
    }
}
