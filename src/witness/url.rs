//! A witness behind an HTTPS address: `GET` gives the newest text, `PUT` puts another in its place.
//!
//! One call at a time. One that timed out may be carried out after the next, unless the server compares. `404` says that it never kept anything; whatever else is not 2xx is a fault.

use std::{net::IpAddr, path::PathBuf, str::FromStr, sync::Arc};

use hyper::{
    HeaderMap, Method, StatusCode, Uri,
    header::{CONTENT_TYPE, HeaderValue},
};

use super::{Answer, Fault, TEXT_MAX, Witness};
use crate::{
    client::{Client, ClientError, ClientLimits},
    clock::Clock,
    tls::{Protocols, TlsClientFiles},
};

/// Time to connect, TLS included, ms.
const CONNECT_MS: u64 = 3_000;
/// Time for a whole call, ms: shorter than the time that a witness may take nothing.
const REQUEST_MS: u64 = 5_000;

/// Whom to believe, and who we are, in PEM files.
#[derive(Clone, Debug)]
pub struct UrlFiles {
    /// Authorities whose server certificates are believed; the system's are not.
    pub server_ca: PathBuf,
    /// Certificate and private key to show, if any.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// `https://host[:port]/path`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlAddress {
    base: String,
    path: String,
    port: u16,
    named: bool,
}

/// An address of another form.
#[derive(Debug, thiserror::Error)]
#[error("{0}: not of the form https://host:port/path")]
pub struct NotAnAddress(String);

impl UrlAddress {
    /// TCP port that is connected to.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Whether the host is a name that has to be looked up.
    pub const fn is_named(&self) -> bool {
        self.named
    }
}

impl FromStr for UrlAddress {
    type Err = NotAnAddress;

    fn from_str(url: &str) -> Result<Self, NotAnAddress> {
        let form = || NotAnAddress(url.to_owned());
        let uri: Uri = url.parse().map_err(|_| form())?;
        let authority = uri.authority().ok_or_else(form)?;
        let path = uri.path_and_query().map_or("", |path| path.as_str());
        if uri.scheme_str() != Some("https") || path.len() < 2 || authority.as_str().contains('@') {
            return Err(form());
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        Ok(Self {
            base: format!("https://{authority}"),
            path: path.to_owned(),
            port: authority.port_u16().unwrap_or(443),
            named: host.parse::<IpAddr>().is_err(),
        })
    }
}

/// The address and a client for it.
#[derive(Debug)]
pub struct UrlWitness {
    client: Client,
    path: String,
}

impl UrlWitness {
    /// Reads the files; connects to nothing yet.
    ///
    /// # Errors
    /// [`ClientError::Tls`] names the file and the reason.
    pub fn new(address: &UrlAddress, files: &UrlFiles, clock: Arc<dyn Clock>) -> Result<Self, ClientError> {
        let limits = ClientLimits {
            protocols: Protocols::Http1,
            concurrent: 1,
            connect_ms: CONNECT_MS,
            request_ms: REQUEST_MS,
            stall_ms: REQUEST_MS,
            answer_bytes: TEXT_MAX,
            ..ClientLimits::default()
        };
        let UrlFiles { server_ca, identity } = files.clone();
        let client = match identity {
            Some((certificate, key)) => {
                Client::new(&address.base, &TlsClientFiles { server_ca, certificate, key }, limits, clock)?
            }
            None => Client::anonymous(&address.base, &server_ca, limits, clock)?,
        };
        Ok(Self { client, path: address.path.clone() })
    }

    async fn call(&self, method: Method, body: String) -> Result<(StatusCode, Vec<u8>), Fault> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        let (status, _, answer) = self
            .client
            .call(method, &self.path, headers, body)
            .await
            .map_err(|error| Fault(error.to_string()))?;
        Ok((status, answer.to_vec()))
    }
}

fn refused(status: StatusCode) -> Fault {
    Fault(format!("the server answered {status}"))
}

impl Witness for UrlWitness {
    fn name(&self) -> &'static str {
        "url"
    }

    fn read(&self) -> Answer<'_, Option<String>> {
        Box::pin(async {
            let (status, body) = self.call(Method::GET, String::new()).await?;
            match status {
                StatusCode::OK => match String::from_utf8(body) {
                    Ok(text) => Ok(Some(text)),
                    Err(_) => Err(Fault("the answer is not text".into())),
                },
                StatusCode::NOT_FOUND => Ok(None),
                other => Err(refused(other)),
            }
        })
    }

    fn keep(&self, text: String) -> Answer<'_, ()> {
        Box::pin(async {
            let (status, _) = self.call(Method::PUT, text).await?;
            if status.is_success() { Ok(()) } else { Err(refused(status)) }
        })
    }
}
