//! A front end at a counter, or another caller, over mutual TLS.

use std::{path::Path, sync::Arc};

use hyper::{
    HeaderMap, Method, StatusCode,
    header::{CONTENT_TYPE, HeaderValue},
};
use serde::{Serialize, de::DeserializeOwned};
use sigillo::{
    api::problem::ProblemDocument,
    client::{Client, ClientLimits},
    clock::SystemClock,
    tls::{Protocols, TlsClientFiles},
};

/// Calls under way at one time, at most.
const CONCURRENT: usize = 1024;

/// A caller with a certificate of its own.
#[derive(Debug)]
pub struct Desk {
    client: Client,
    /// Certificate of an operator who is nobody and holds no card, as a front end forwards it.
    operator: HeaderValue,
}

/// A refusal, or no answer.
#[derive(Debug)]
pub enum Refused {
    /// No answer, or none that could be read.
    Broken(String),
    /// The authority's refusal.
    Problem(ProblemDocument),
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Broken(why) => f.write_str(why),
            Self::Problem(problem) => write!(f, "{} {}", problem.status, problem.code),
        }
    }
}

impl Desk {
    /// The caller `name` of a demonstration's `clients` directory.
    ///
    /// # Errors
    /// A sentence, if its files cannot be used.
    pub fn new(clients: &Path, name: &str, url: &str, protocols: Protocols) -> Result<Self, String> {
        let files = TlsClientFiles {
            server_ca: clients.join("ca.pem"),
            certificate: clients.join(format!("{name}.pem")),
            key: clients.join(format!("{name}.key")),
        };
        let limits = ClientLimits { protocols, concurrent: CONCURRENT, ..ClientLimits::default() };
        let client =
            Client::new(url, &files, limits, Arc::new(SystemClock::new())).map_err(|e| e.to_string())?;
        let file = clients.join("operator.pem");
        let pem = std::fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
        let inner: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
        let operator = HeaderValue::from_str(&format!(":{inner}:")).map_err(|e| e.to_string())?;
        Ok(Self { client, operator })
    }

    /// Posts a value, with an idempotency key.
    ///
    /// # Errors
    /// [`Refused`]
    pub async fn post<T: Serialize + Sync, R: DeserializeOwned>(
        &self,
        path: &str,
        key: &str,
        value: &T,
    ) -> Result<R, Refused> {
        let broken = |e: &dyn std::error::Error| Refused::Broken(e.to_string());
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert("client-cert", self.operator.clone());
        headers.insert("idempotency-key", HeaderValue::from_str(key).map_err(|e| broken(&e))?);
        let body = serde_json::to_vec(value).map_err(|e| broken(&e))?;
        self.call(Method::POST, path, headers, body).await
    }

    /// Gets a value.
    ///
    /// # Errors
    /// [`Refused`]
    pub async fn get<R: DeserializeOwned>(&self, path: &str) -> Result<R, Refused> {
        self.call(Method::GET, path, HeaderMap::new(), Vec::new()).await
    }

    async fn call<R: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Vec<u8>,
    ) -> Result<R, Refused> {
        let broken = |e: &dyn std::error::Error| Refused::Broken(e.to_string());
        let (status, _, body) =
            self.client.call(method, path, headers, body).await.map_err(|e| broken(&e))?;
        if status == StatusCode::OK {
            return serde_json::from_slice(&body).map_err(|e| broken(&e));
        }
        Err(serde_json::from_slice(&body).map_or_else(|e| broken(&e), Refused::Problem))
    }
}
